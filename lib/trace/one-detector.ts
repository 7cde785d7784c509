/**
 * A recording, checked by one detector from its first event to its last.
 *
 * What can be read again is checked by a detector that keeps no stacks, which takes 0.9 of the time (docs/performance.md);
 * where there are races, the recording says afterwards what they were (recall.ts). A stream goes by once: its detector keeps
 * stacks. Either way the reports are the same, but that the recording forgets no stack.
 */
import { LazyShadowError } from '../native/errors.js';
import { printable } from '../native/printable.js';
import { NUMBER_LIMIT } from '../race/bare.js';
import { Detector } from '../race/detector.js';
import { type GoraceOptions, historyEntries } from '../race/gorace.js';
import type { RaceLog } from '../race/race-log.js';
import { RacyBytes } from '../race/racy-bytes.js';
import { DetectorWitness } from '../race/witness.js';
import type { RaceSighting } from '../race/record.js';
import type { ShadowMemory } from '../shadow/segment.js';
import { StackNumbers } from './calls.js';
import { badTrace } from './errors.js';
import {
  isRereadable,
  reread,
  type TraceReader,
  type UncheckedBatch,
  uncheckedBatches,
  wrongEvent,
} from './reader.js';
import { type NumberedRace, numberedRace, Recall } from './recall.js';
import { createReplayer, noteDepth, type Replayer } from './replay-events.js';
import type { SymbolTable } from './symbols.js';

/** What halt_on_error ends a replay with. */
const HALT = new Error('halt_on_error');

/** What ends a replay that sees too many races to look all of them up afterwards. */
const CROWDED = new Error('too many races');

/** Races that are looked up afterwards: some 2 MiB of them. What was replayed before there were more is replayed again. */
const MOST_RACES = 2 ** 14;

/** Races that are told by a first pass over the recording, and how many times as many by each one after it: at most three. */
const FIRST_TOLD = 64;
const NEXT_TOLD = 16;

/** What is to be checked, and who hears of it. */
export interface Check {
  /** A reader that nobody has read from. */
  readonly reader: TraceReader;
  /** Fresh. */
  readonly shadow: ShadowMemory;
  readonly gorace: GoraceOptions;
  readonly log: RaceLog;
  readonly onProgress: ((events: number) => void) | undefined;
}

/** What was found, as in ReplayResult; the reports are the log's. */
export interface Found {
  readonly events: number;
  readonly goroutines: number;
  readonly racyAddresses: readonly number[];
  readonly elapsedMs: number;
  readonly symbols: SymbolTable;
}

/** @throws LazyShadowError as replayTrace */
export async function checkByOne(check: Check): Promise<Found> {
  const { reader } = check;
  if (!isRereadable(reader) || reader.header.eventCount > NUMBER_LIMIT) return tellAtOnce(check);
  const found = await tellAfterwards(check);
  if (found !== undefined) return found;
  // Nothing was told, and nothing is mapped.
  return reread(reader, (again) => tellAtOnce({ ...check, reader: again }));
}

/** Each race is told when it is seen. */
async function tellAtOnce(check: Check): Promise<Found> {
  const { shadow, gorace, log } = check;
  const racy = new RacyBytes();
  const detector: Detector = Detector.take({
    shadow,
    historyEntries: historyEntries(gorace.historySize),
    onSighting: (sighting) => {
      racy.add(sighting.granule, sighting.word & sighting.oldWord);
      log.add(witness, sighting);
      if (gorace.haltOnError) throw HALT;
    },
    markStacks: (mark) => log.markStacks(mark),
  });
  const witness = new DetectorWitness(detector);
  try {
    return await feed(detector, check, racy);
  } finally {
    Detector.giveBack(detector);
  }
}

/** The races are told when all are seen. Undefined if they are too many: none is told then, and nothing mapped. */
async function tellAfterwards(check: Check): Promise<Found | undefined> {
  const { reader, shadow, gorace, log } = check;
  const racy = new RacyBytes();
  const races: NumberedRace[] = [];
  const program = {
    shadow,
    historyEntries: 1,
    onSighting: (sighting: RaceSighting) => {
      racy.add(sighting.granule, sighting.word & sighting.oldWord);
      races.push(numberedRace(detector, sighting));
      if (gorace.haltOnError) throw HALT;
      if (races.length === MOST_RACES) throw CROWDED;
    },
  };
  const detector: Detector = Detector.take(program, false);
  let found: Found;
  try {
    found = await feed(detector, check, racy);
  } catch (error) {
    if (error === CROWDED) {
      detector.windows.unmapAll();
      return undefined;
    }
    // What was found before the fault.
    await tell(reader, races, log);
    throw error;
  } finally {
    Detector.giveBack(detector);
  }
  const start = process.hrtime.bigint();
  await tell(reader, races, log);
  return { ...found, elapsedMs: found.elapsedMs + millisecondsSince(start) };
}

/**
 * Tells races, with what the recording says of them: some first, because most are of addresses that are told then, and need
 * not be looked up.
 */
async function tell(reader: TraceReader, races: readonly NumberedRace[], log: RaceLog): Promise<void> {
  const stacks = new StackNumbers();
  let rest = races;
  for (let count = FIRST_TOLD; rest.length > 0; count *= NEXT_TOLD) {
    const recall = new Recall(rest.slice(0, count), log, stacks);
    await reread(reader, async (again) => {
      for await (const batch of uncheckedBatches(again, { from: 0, end: recall.end })) {
        recall.take(batch);
        if (recall.isDone) break;
      }
    });
    rest = rest.slice(count).filter((race) => !log.suppresses(race));
  }
}

/** Feeds all events to a detector, up to what halts it, and has those behind that checked. */
async function feed(detector: Detector, { reader, onProgress }: Check, racy: RacyBytes): Promise<Found> {
  const replayer = replayerOf(detector);
  let events = 0;
  let elapsedMs = 0;
  let halted = false;
  for await (const batch of uncheckedBatches(reader)) {
    const { firstEvent, words, count, validator } = batch;
    // After a halt the rest is read on, since the symbols are at the end.
    if (halted) {
      checkRest(reader, batch, 0);
      continue;
    }
    const start = process.hrtime.bigint();
    let done = count;
    try {
      replayer.replay(validator, words, count, firstEvent);
      done = replayer.done();
    } catch (error) {
      if (error !== HALT) throw located(error, reader.name, firstEvent + replayer.done());
      halted = true;
      done = replayer.done() + 1;
      for (const goroutine of detector.goroutines.running()) noteDepth(detector, validator, goroutine);
      checkRest(reader, batch, done);
    }
    if (!halted && done < count) throw wrongEvent(reader, batch, done);
    elapsedMs += millisecondsSince(start);
    events = firstEvent + done;
    onProgress?.(events);
  }
  return {
    events,
    goroutines: detector.goroutines.startedCount,
    racyAddresses: racy.addresses(),
    elapsedMs,
    symbols: await reader.symbols(),
  };
}

function millisecondsSince(start: bigint): number {
  return Number(process.hrtime.bigint() - start) / 1e6;
}

/** The loops over events that were made for detectors: each for one, whose tables are built into it. */
const replayers = new WeakMap<Detector, Replayer>();

function replayerOf(detector: Detector): Replayer {
  const known = replayers.get(detector);
  if (known !== undefined) return known;
  const made = createReplayer(detector);
  replayers.set(detector, made);
  return made;
}

/** Checks the events that are not replayed. */
function checkRest(reader: TraceReader, batch: UncheckedBatch, from: number): void {
  const wrong = batch.validator.check(batch.words, from, batch.count);
  if (wrong >= 0) throw wrongEvent(reader, batch, wrong);
}

/** An error of the detector as one that says at which event of which recording. */
function located(error: unknown, name: string, event: number): unknown {
  const place = `${printable(name)}: event ${event}`;
  if (error instanceof RangeError) {
    // V8's word for what no array or map can hold.
    const what = `the program uses more than this Node can keep track of (${error.message})`;
    return new LazyShadowError('ERR_OUT_OF_MEMORY', `${place}: ${what}. Record less of it.`, {
      verb: 'replayTrace',
      cause: error,
    });
  }
  if (!(error instanceof LazyShadowError)) return error;
  if (error.code === 'ERR_INVALID_USE' || error.code === 'ERR_OUT_OF_RANGE') {
    return badTrace(name, `event ${event}`, error.message.replace(/\.$/, ''), { cause: error });
  }
  const { code, verb, address, sizeBytes, osCode } = error;
  const details = { verb, address, sizeBytes, osCode, cause: error };
  return new LazyShadowError(code, `${place}: ${error.message}`, details);
}
