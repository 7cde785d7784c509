/**
 * Files that commands write: one that cannot be written is refused at once, in words, and before any work.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { lazyshadow } from '../support/cli.js';
import { shippedRecording } from '../support/recordings.js';

const directory = mkdtempSync(join(tmpdir(), 'lazyshadow-output-'));
const folder = join(directory, 'folder.svg');
mkdirSync(folder);
afterAll(() => rmSync(directory, { recursive: true }));

const WRITERS = [
  ['replay', shippedRecording, '--output'],
  ['report', shippedRecording, '-o'],
  ['measure', '--plot'],
];

describe.each(WRITERS)('a file that cannot be written, by %s', (...command) => {
  it.each([
    ['is in a directory that is not there', join(directory, 'none', 'x.svg')],
    ['is a directory', folder],
  ])('%s', (_, path) => {
    const { code, stdout, stderr } = lazyshadow([...command, path]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(
      /^lazyshadow: .*\.svg cannot be written: .*\. Choose another place\. \[ERR_CANNOT_WRITE\]\n$/,
    );
    expect(readdirSync(directory)).toEqual(['folder.svg']);
  });
});
