/**
 * The memory layers with larger pages and granularity than this machine has: Apple silicon's, some arm64 kernels' and
 * Windows'. The numbers are the kernel's own all the same: a page of 16 KiB is four of its.
 */
import { describe, expect, it } from 'vitest';
import { geometry } from '../../lib/native/system.js';
import { inChild } from '../support/child.js';

/** Checks itself and reports what it found; throws where something is wrong. */
const CHECK = `
  const assert = require('node:assert/strict');
  const { pageSizeBytes: PAGE, allocationGranularityBytes: UNIT } = systemMemory();

  const reservation = Reservation.reserve(8 * PAGE + 1);
  const { address } = reservation;
  assert.equal(reservation.sizeBytes, 9 * PAGE);
  assert.equal(address % UNIT, 0);
  assert.equal(reservation.commit(address + PAGE - 1, 2), 2 * PAGE);
  reservation.bytes(address, 2 * PAGE).fill(1);
  assert.equal(reservation.commit(address, 4 * PAGE), 2 * PAGE);
  assert.equal(reservation.bytes(address, PAGE)[PAGE - 1], 1);
  assert.equal(reservation.decommit(address + 1, 2 * PAGE), PAGE);
  assert.deepEqual(reservation.committedRanges(), [
    { address, sizeBytes: PAGE },
    { address: address + 2 * PAGE, sizeBytes: 2 * PAGE },
  ]);
  assert.deepEqual(reservation.stats(), {
    reservedBytes: 9 * PAGE, committedBytes: 3 * PAGE, osCommittedBytes: 3 * PAGE, residentBytes: PAGE,
  });
  assert.equal(refusal(() => Reservation.reserve(PAGE, { address: address + 4096 })).code, 'ERR_INVALID_ARGUMENT');
  assert.equal(refusal(() => Reservation.reserve(PAGE, { address, exact: true })).code, 'ERR_ADDRESS_TAKEN');
  reservation.release();

  const at = HEAP + 2 ** 28 - 1000; // across the border of two segments
  const layout = {
    name: 'border',
    application: [{ name: 'heap', start: at - MiB, end: at + MiB }],
    shadow: { base: 0x4000_0000_0000, multiplier: 4 },
    metainfo: { base: 0x5000_0000_0000 },
  };
  const results = {};
  const touched = new Set();
  for (const policy of ['eager', 'unreserved', 'lazy', 'touch']) {
    const shadow = new Shadow({ policy, layout });
    const memory = windowsOf(shadow);
    assert.equal(2 ** memory.pageShift, PAGE);
    shadow.mapShadow(at, 2000);
    shadow.mapShadow(at + 1000, 50_000);
    shadow.mapShadow(at, 51_000);
    for (let offset = 0; offset < 51_000; offset += 1000) {
      const segment = memory.segment(Math.floor((at + offset) / 2 ** 28));
      const word = Math.floor(((at + offset) % 2 ** 28) / 8) * 8;
      memory.touchShadow(segment, word * 4, 4);
      segment.shadow[word] = offset + 1;
      touched.add(Math.floor((Math.floor((at + offset) / 8) * 32) / PAGE));
    }
    const { committedBytes, osCommittedBytes, mappedBytes } = shadow.stats();
    assert.equal(mappedBytes, 51_000);
    const pages = (bytesPerGranule) => {
      const unit = policy === 'unreserved' ? UNIT : PAGE;
      const low = Math.floor(Math.floor(at / 8) * bytesPerGranule / unit);
      return (Math.ceil(Math.ceil((at + 51_000) / 8) * bytesPerGranule / unit) - low) * unit;
    };
    if (policy === 'lazy' || policy === 'unreserved') assert.equal(committedBytes, pages(32) + pages(4));
    if (policy === 'touch') assert.equal(committedBytes, touched.size * PAGE);
    if (policy === 'lazy' || policy === 'touch') assert.equal(osCommittedBytes, committedBytes);
    shadow.unmapShadow(at, 25_000);
    let kept = 0;
    for (let offset = 0; offset < 51_000; offset += 1000) {
      const segment = memory.segment(Math.floor((at + offset) / 2 ** 28));
      const word = Math.floor(((at + offset) % 2 ** 28) / 8) * 8;
      const touched = segment.shadowPages[(word * 4) >>> memory.pageShift] === 2;
      const value = touched ? segment.shadow[word] : 0;
      assert.equal(value, offset < 25_000 ? 0 : offset + 1);
      if (value > 0) kept++;
    }
    results[policy] = kept;
    const after = shadow.stats();
    if (policy === 'lazy' || policy === 'touch') assert.equal(after.osCommittedBytes, after.committedBytes);
    shadow.release();
  }
  report({ page: PAGE, unit: UNIT, results });
`;

describe('with simulated', () => {
  it.each([
    [4096, 65536],
    [16384, 16384],
    [16384, 65536],
    [65536, 65536],
  ])('pages of %i bytes and a granularity of %i', (page, unit) => {
    const env = {
      ...process.env,
      LAZYSHADOW_TEST_PAGE_SIZE: String(page),
      LAZYSHADOW_TEST_GRANULARITY: String(unit),
    };
    expect(inChild(CHECK, { env })).toEqual({
      page,
      unit: Math.max(unit, geometry().allocationGranularityBytes),
      results: { eager: 26, unreserved: 26, lazy: 26, touch: 26 },
    });
  });
});
