/**
 * What V8 makes of buffers over memory that is not its own.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ADDON = fileURLToPath(new URL('../../build/Release/lazyshadow.node', import.meta.url));

/** Opens windows of 1 GiB, then makes garbage, and counts the collections of the old generation meanwhile. */
const COUNT = `
  const { PerformanceObserver, constants } = require('node:perf_hooks');
  const { Reservation, Windows } = require(${JSON.stringify(ADDON)});
  let major = 0;
  new PerformanceObserver((list) => {
    for (const { detail } of list.getEntries()) if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) major++;
  }).observe({ entryTypes: ['gc'] });
  const pause = () => new Promise((resolve) => setTimeout(resolve, 50));
  (async () => {
    const count = Number(process.argv[1]);
    const reservation = new Reservation(0, 2 ** 40, 0);
    const windows = new Windows();
    for (let i = 0; i < count; i++) {
      windows.open(reservation.address + i * 2 ** 30, 2 ** 30);
      await pause();
    }
    const opening = major;
    let kept = [];
    for (let i = 0; i < 5_000_000; i++) {
      kept.push({ i });
      if (kept.length > 50_000) kept = [];
    }
    await pause();
    if (process.argv[2] === 'close') windows.close();
    console.log(JSON.stringify({ opening, after: major - opening }));
  })();
`;

function count(windows: number, end: 'close' | 'leave'): { opening: number; after: number } {
  const { stdout, stderr, status } = spawnSync(process.execPath, ['-e', COUNT, String(windows), end], {
    encoding: 'utf8',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout) as { opening: number; after: number };
}

describe('windows of 30 GiB over memory that is not there', () => {
  it('cost a collection each when opened, and none more afterwards', () => {
    const control = count(0, 'close');
    // What V8 does by itself comes on top, and more of it on a busy machine: the least of several runs.
    const opened = Array.from({ length: 3 }, () => count(30, 'close'));
    const least = (when: 'opening' | 'after') => Math.min(...opened.map((run) => run[when]));
    expect(least('opening')).toBeLessThanOrEqual(30 + control.opening + 2);
    expect(least('after')).toBeLessThanOrEqual(control.after + 3);
  });

  it('may be left open when the process ends', () => {
    expect(count(3, 'leave').opening).toBeLessThanOrEqual(6);
  });
});
