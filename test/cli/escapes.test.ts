/**
 * What a recording says ends on a terminal: none of it may be an order to the terminal, or make a line read other than
 * it is. In JSON and SARIF it is escaped, and means what it meant.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { printable } from '../../lib/native/printable.js';
import { Op } from '../../lib/trace/format.js';
import { lazyshadow } from '../support/cli.js';
import { begun } from '../support/traces.js';

const HEAP = 0xc0_0000_0000;

/** Clears the screen, sets its title, rings, moves the cursor by C1 alone, reverses text, ends the line. */
const FUNCTION = 'main.\x1b[2J\x1b]0;gone\x07\x9b5A\u202eevil\u2028\u0085\x7f';
const FILE = '/tmp/\x1b[31m\u2066x.go';
const UNFIT = /[^\P{Cc}\n]|[\p{Zl}\p{Zp}\p{Bidi_Control}]/u;

const directory = mkdtempSync(join(tmpdir(), 'lazyshadow-escapes-'));
const recording = join(directory, 'bad\x1b[31mname\u202e.trc');
const damaged = join(directory, 'damaged\x1b[2J.trc');
beforeAll(() => {
  const writer = begun()
    .event(Op.MapShadow, { addr: HEAP, arg: 4096 })
    .event(Op.GoStart, { goroutine: 1, arg: 2, pc: 0x400000 })
    .event(Op.Malloc, { goroutine: 1, addr: HEAP, arg: 64 })
    .event(Op.FuncEnter, { goroutine: 1, pc: 0x400001 })
    .event(Op.FuncEnter, { goroutine: 2, pc: 0x400001 });
  for (const goroutine of [1, 2])
    writer.event(Op.Write, { goroutine, addr: HEAP, pc: 0x400000 + goroutine, size: 1 });
  const lines = [0, 1, 2].map((pc) => `40000${pc}\t${FUNCTION}\t${FILE}\t1\t0`);
  const bytes = writer.finish(lines);
  writeFileSync(recording, bytes);
  writeFileSync(damaged, Buffer.concat([Buffer.from('\x1b[2J\x9b\u202e'), bytes]));
});
// Not before the command line has read them.
afterAll(() => rmSync(directory, { recursive: true }));

describe('what a terminal gets', () => {
  it.each([
    ['replay', 66, 'DATA RACE'],
    ['replay --locations', 66, 'Location is'],
    ['replay --json', 66, '"races"'],
    ['replay --format sarif', 66, '"runs"'],
    ['inspect', 0, 'events'],
    ['inspect --json', 0, '"events"'],
  ])('from %s is text', (command, status, telling) => {
    const outcome = lazyshadow([...command.split(' '), recording]);
    expect(outcome.stdout).toContain(telling);
    expect(outcome.code).toBe(status);
    expect(outcome.stdout + outcome.stderr).not.toMatch(UNFIT);
    expect(outcome.stdout).toMatch(/main\.(\\x1b|\\u001b)\[2J/);
  });

  it.each([
    ['measure --policy touch', '"policies"', ['--json']],
    ['measure --policy touch', 'touch', []],
    ['top --policy touch --seconds 1', 'touch', []],
    ['report --policy touch', '"policies"', ['--json']],
    ['report --policy touch', '', ['-o', join(directory, 'page\x1b[2J\u202e.html')]],
  ] as const)('from %s is text, the names of files too', (command, telling, more) => {
    const { stdout, stderr, code } = lazyshadow([...command.split(' '), recording, ...more], {
      cwd: directory,
    });
    expect({ code, stderr: stderr.replace(/^lazyshadow: wrote .*\n/, '') }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(telling);
    expect(stdout + stderr).not.toMatch(UNFIT);
  });

  it('from a recording that is made whole is text', () => {
    const outcomes = [recording, damaged].map((file) => lazyshadow(['record', '--finish', file]));
    expect(outcomes.map(({ code }) => code)).toEqual([0, 2]);
    const [whole, refused] = outcomes.map(({ stderr }) => stderr);
    expect(whole).toMatch(/bad\\x1b\[31mname\\u202e\.trc has 8 events/);
    expect(refused).toMatch(
      /damaged\\x1b\[2J\.trc cannot be finished: it begins with .*\\x9b.*\[ERR_BAD_TRACE\]/,
    );
    expect((whole ?? '') + (refused ?? '')).not.toMatch(UNFIT);
  });

  it('from a file that cannot be written is text', () => {
    const { stderr, code } = lazyshadow([
      'report',
      recording,
      '-o',
      join(directory, 'none\x1b[2J', 'x.html'),
    ]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/none\\x1b\[2J.*\[ERR_CANNOT_WRITE\]/);
    expect(stderr).not.toMatch(UNFIT);
  });

  it.each(['replay', 'inspect', 'measure --trace'])('from %s, which cannot read it, is text', (command) => {
    for (const file of [damaged, join(directory, 'none\x1b[2J.trc')]) {
      const outcome = lazyshadow([...command.split(' '), file]);
      expect(outcome.code).toBeGreaterThan(0);
      const said = outcome.stdout + outcome.stderr;
      expect(said).toContain('\\x1b[2J');
      expect(said).not.toMatch(UNFIT);
    }
  });

  it.each([
    ['replay --json', (json: ReplayJson) => json.races[0]?.current.stack[0]],
    ['inspect --json', (json: InspectJson) => json.topFunctions[0]],
    ['report --policy touch --json', (json: PageJson) => json.recording.races[0]?.current.stack[0]],
  ] as const)('from %s means what the recording says', (command, frameOf) => {
    const { stdout } = lazyshadow([...command.split(' '), recording], { cwd: directory });
    const frame = frameOf(JSON.parse(stdout));
    expect([frame?.function, frame?.file]).toEqual([FUNCTION, FILE]);
  });
});

interface Frame {
  readonly function: string;
  readonly file: string;
}
interface ReplayJson {
  readonly races: readonly { readonly current: { readonly stack: readonly Frame[] } }[];
}
interface PageJson {
  readonly recording: ReplayJson;
}
interface InspectJson {
  readonly topFunctions: readonly Frame[];
}

describe('printable', () => {
  it('leaves text as it is, in any language', () => {
    for (const text of ['main.(*cache).get', 'main.größe', '主.取得', 'type..eq.[2]string', 'a b', '']) {
      expect(printable(text)).toBe(text);
    }
  });

  it('writes out every control character', () => {
    for (let code = 0; code < 0xa0; code++) {
      if (code >= 0x20 && code < 0x7f) continue;
      expect(printable(`a${String.fromCharCode(code)}b`)).toBe(`a\\x${code.toString(16).padStart(2, '0')}b`);
    }
    expect(printable('\u202e')).toBe('\\u202e');
  });
});
