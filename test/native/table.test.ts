/**
 * Tables that grow where they are: one array, zeros, and what was in it, wherever it has grown to.
 */
import { describe, expect, it } from 'vitest';
import { type Table, TableSpace } from '../../lib/native/table.js';
import { ALL_CALLS, CODES, underFaults } from '../support/faults.js';
import { expectRefusal } from '../support/refusals.js';

const MiB = 2 ** 20;

/** A table that can have so many words, of the 2^30 that a space has. */
function tableOf(limit: number): Table {
  return new TableSpace().table('words', limit / 2 ** 30);
}

describe('a table', () => {
  it('grows without moving: its array is the same one, with what was in it and zeros behind', () => {
    const table = tableOf(4 * MiB);
    const { words } = table;
    expect(table.length).toBeGreaterThan(0);
    words.fill(7, 0, table.length);
    const before = table.length;
    table.reserve(MiB);
    expect(table.words).toBe(words);
    expect(table.length).toBeGreaterThanOrEqual(MiB);
    expect(words.subarray(0, before).every((word) => word === 7)).toBe(true);
    expect(words.subarray(before, table.length).every((word) => word === 0)).toBe(true);
    expect(table.bytes).toBe(4 * table.length);
  });

  it('commits little more than it was asked for, and nothing twice', () => {
    const table = tableOf(4 * MiB);
    for (let count = 1; count < MiB; count += 1000) {
      table.reserve(count);
      expect(table.length).toBeGreaterThanOrEqual(count);
      expect(table.length - count).toBeLessThanOrEqual((64 * 1024) / 4);
    }
    const { length } = table;
    table.reserve(5);
    expect(table.length).toBe(length);
  });

  it('has a limit, which is an error that changes nothing', () => {
    const table = tableOf(MiB);
    table.reserve(MiB);
    expect(table.length).toBe(MiB);
    expectRefusal(() => table.reserve(MiB + 1), { code: 'ERR_OUT_OF_MEMORY', verb: 'commit' });
    expect(table.length).toBe(MiB);
  });

  it('is as it was when the system refuses to commit, and can grow later', () => {
    const table = tableOf(MiB);
    const { length } = table;
    const faults = { verbs: ['commit' as const], first: 0, count: ALL_CALLS, code: CODES.other };
    expect(underFaults(faults, () => table.reserve(MiB)).error).toMatchObject({ verb: 'commit' });
    expect(table.length).toBe(length);
    table.reserve(MiB);
    expect(table.words[MiB - 1]).toBe(0);
  });

  it('gets by with fewer addresses than it wanted', () => {
    const faults = { verbs: ['reserve' as const], first: 0, count: 2, code: CODES.other };
    let table: Table | undefined;
    expect(underFaults(faults, () => (table = tableOf(64 * MiB))).error).toBeUndefined();
    // Twice half of it.
    expect(table?.words.length).toBe(16 * MiB);
  });

  it('starts over with zeros, and gives back what only a large program wants', () => {
    const table = tableOf(16 * MiB);
    table.reserve(16 * MiB);
    table.words.fill(7);
    table.reset();
    expect(table.bytes).toBe(8 * MiB);
    table.reserve(16 * MiB);
    expect(table.words.every((word) => word === 0)).toBe(true);
  });

  it('starts over with zeros, too, when the system does not take anything back', () => {
    const table = tableOf(16 * MiB);
    table.reserve(16 * MiB);
    table.words.fill(7);
    const faults = { verbs: ['decommit' as const], first: 0, count: ALL_CALLS, code: CODES.other };
    expect(underFaults(faults, () => table.reset()).error).toBeUndefined();
    expect(table.length).toBe(16 * MiB);
    expect(table.words.every((word) => word === 0)).toBe(true);
  });
});
