/**
 * One detector serves one replay after another: none may see what another has left, however that one ended.
 */
import { expect, it } from 'vitest';
import { DEFAULT_GORACE } from '../../lib/race/gorace.js';
import { Race } from '../../lib/race/package-race.js';
import { Shadow } from '../../lib/shadow/shadow.js';
import { program, programBytes } from '../support/recordings.js';
import { replay } from '../support/replays.js';
import { HEAP_SIZE } from '../support/sizes.js';

const HEAP = 0xc0_0000_0000;

const recordingOf = (name: string) => programBytes(program(name));

const NAMES = ['racycounter', 'racymap', 'sieve', 'racycounter'];

async function expectAnswer(name: string, bytes: Uint8Array): Promise<void> {
  const { racyAddresses, events, goroutines } = await replay(bytes);
  const row = program(name);
  expect(racyAddresses).toEqual(row.racyAddresses.map(Number));
  expect(events).toBe(row.events);
  expect(goroutines).toBe(row.goroutines);
}

it('one after another', async () => {
  for (const name of NAMES) await expectAnswer(name, recordingOf(name));
});

it('several at once', async () => {
  await Promise.all(NAMES.map((name) => expectAnswer(name, recordingOf(name))));
});

it('after one that was halted', async () => {
  const bytes = recordingOf('racymap');
  const halted = await replay(bytes, { gorace: { ...DEFAULT_GORACE, haltOnError: true } });
  expect(halted.reports.length).toBe(1);
  expect(halted.events).toBeLessThan(program('racymap').events);
  await expectAnswer('racymap', bytes);
});

it('after one that was damaged', async () => {
  const bytes = recordingOf('racymap');
  const damaged = new Uint8Array(bytes);
  // The op of an event in the middle.
  damaged[64 + 32 * 10_000] = 99;
  await expect(replay(damaged)).rejects.toMatchObject({ code: 'ERR_BAD_TRACE' });
  await expectAnswer('racymap', bytes);
});

it('after a Race that was finalized, and beside one that was not', async () => {
  const race = (finalized: boolean) => {
    const shadow = new Shadow(HEAP_SIZE);
    const made = new Race({ shadow });
    made.initialize(1);
    made.mapShadow(HEAP, 4096);
    made.goStart(1, 2, 1);
    made.write(1, HEAP, 1);
    made.write(2, HEAP, 2);
    if (finalized) made.finalize();
    expect(made.racyAddresses()).toEqual([HEAP]);
    return { made, shadow };
  };
  const finalized = race(true);
  const running = race(false);
  await expectAnswer('racycounter', recordingOf('racycounter'));
  running.made.write(2, HEAP + 8, 2);
  running.made.read(1, HEAP + 8, 1);
  expect(running.made.racyAddresses()).toEqual([HEAP, HEAP + 8]);
  expect(() => finalized.made.read(1, HEAP, 1)).toThrow('finalized');
  finalized.shadow.release();
  running.shadow.release();
});
