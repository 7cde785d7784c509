/**
 * Recordings with damage at random, in plain bytes and in gzip: each is read, or refused with ERR_BAD_TRACE, in time.
 */
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LazyShadowError } from '../../../lib/native/errors.js';
import { whole } from '../../support/damage.js';
import { program, programBytes } from '../../support/recordings.js';
import { readAll } from '../../support/traces.js';

describe('damage at random', () => {
  const MUTATIONS = fc.array(
    fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), value: fc.integer({ min: 0, max: 255 }) }),
    { minLength: 1, maxLength: 8 },
  );

  /** Reads it; what is thrown must be of the one class. Says whether it was read. */
  async function readsOrFails(bytes: Uint8Array): Promise<boolean> {
    try {
      await readAll(bytes);
      return true;
    } catch (error) {
      if (error instanceof LazyShadowError && error.code === 'ERR_BAD_TRACE') return false;
      throw error;
    }
  }

  it('reads or gives ERR_BAD_TRACE, in time, whatever bytes of a recording change', async () => {
    const racycounter = programBytes(program('racycounter'));
    let failed = 0;
    await fc.assert(
      fc.asyncProperty(MUTATIONS, fc.boolean(), async (mutations, inHeader) => {
        const bytes = Buffer.from(racycounter);
        const span = inHeader ? 64 : bytes.length;
        for (const { at, value } of mutations) bytes[Math.min(span - 1, Math.floor(at * span))] = value;
        const began = process.cpuUsage();
        if (!(await readsOrFails(bytes))) failed++;
        // Of a processor: on a busy machine the rest of the time is others'.
        const { user, system } = process.cpuUsage(began);
        expect((user + system) / 1000).toBeLessThan(2000);
      }),
      { numRuns: 500 },
    );
    expect(failed).toBeGreaterThan(100);
  });

  it('reads or gives ERR_BAD_TRACE whatever bytes of its gzip change', async () => {
    const packed = gzipSync(programBytes(program('racycounter')));
    await fc.assert(
      fc.asyncProperty(MUTATIONS, async (mutations) => {
        const bytes = Buffer.from(packed);
        // The first two bytes say that it is gzip.
        for (const { at, value } of mutations) bytes[2 + Math.floor(at * (bytes.length - 3))] = value;
        await readsOrFails(bytes);
      }),
      { numRuns: 200 },
    );
  });

  it('gives ERR_BAD_TRACE for bytes that are no recording', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.boolean(), async (noise, withHeader) => {
        // A header that promises the noise to be events, as far as it goes.
        const header = whole().subarray(0, 64);
        header.writeUInt32LE(Math.ceil(noise.length / 32), 16);
        header.writeUInt32LE(64 + 32 * Math.ceil(noise.length / 32), 24);
        const bytes = withHeader ? Buffer.concat([header, noise]) : noise;
        expect(await readsOrFails(bytes)).toBe(false);
      }),
      { numRuns: 500 },
    );
  });
});
