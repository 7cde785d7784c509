/**
 * Random calls to TraceWriter, TraceReader, inspectTrace and replayTrace: recordings that are whole, cut, damaged or
 * nothing of the kind, read in any order.
 */
import { gzipSync } from 'node:zlib';
import { POLICIES } from '../../../lib/shadow/policies.js';
import { Shadow } from '../../../lib/shadow/shadow.js';
import { Op } from '../../../lib/trace/format.js';
import { inspectTrace } from '../../../lib/trace/inspect.js';
import { TraceReader } from '../../../lib/trace/reader.js';
import { replayTrace } from '../../../lib/trace/replay.js';
import { TraceWriter } from '../../../lib/trace/writer.js';
import type { Actor, World } from './actor.js';
import { anything } from './arguments.js';

const HEAP = 0xc0_0000_0000;
const OPS = Object.values(Op);
const MOST_EVENTS = 60;

export class RecordingActor implements Actor {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  async step(): Promise<void> {
    const { random } = this.#world;
    const source = random.percent(90) ? this.#recording() : anything(random);
    // A number is no path, and standard input nobody's to read here.
    const reader = await this.#later('TraceReader.open', () => TraceReader.open(source as Uint8Array));
    if (!(reader instanceof TraceReader)) return;
    for (let i = random.below(4); i >= 0; i--) await this.#use(reader);
    await this.#later('close', () => reader.close());
  }

  verify(): void {}

  end(): void {}

  /** A recording of some events, most of which are allowed, and then perhaps damaged. */
  #recording(): Uint8Array {
    const { random, calls } = this.#world;
    const writer = new TraceWriter();
    const event = (op: number, fields: object) => {
      calls.loosely('event', [op], () => writer.event(op, fields));
    };
    event(Op.Initialize, { goroutine: 1 });
    event(Op.MapShadow, { addr: HEAP, arg: 65536 });
    for (let i = random.below(MOST_EVENTS); i > 0; i--) {
      const wild = random.percent(2);
      event(wild ? random.below(300) : random.pick(OPS), {
        goroutine: wild ? anything(random) : 1 + random.below(3),
        addr: wild ? anything(random) : HEAP + 8 * random.below(100),
        arg: wild ? anything(random) : random.below(1000),
        pc: 0x40_0000 + random.below(16),
        size: random.pick([1, 4, 8, 0]),
      });
    }
    const lines = Array.from({ length: random.below(4) }, (_, i) => `40000${i}\tmain.f\tmain.go\t${i}\t1`);
    const whole = writer.finish(lines);
    const bytes = random.percent(50) ? whole.subarray(0, random.below(whole.length + 1)) : whole;
    for (let i = random.percent(50) ? random.below(6) : 0; i > 0 && bytes.length > 0; i--) {
      bytes[random.below(bytes.length)] = random.below(256);
    }
    return random.percent(20) ? gzipSync(bytes) : bytes;
  }

  async #use(reader: TraceReader): Promise<void> {
    const { random } = this.#world;
    await random.weighted<() => Promise<unknown>>([
      [4, () => this.#replay(reader)],
      [2, () => this.#later('inspectTrace', () => inspectTrace(reader))],
      [2, () => this.#later('symbols', () => reader.symbols())],
      [1, () => this.#later('close', () => reader.close())],
      [
        1,
        () =>
          this.#later('batches', async () => {
            for await (const { count } of reader.batches()) if (count > 5) break;
          }),
      ],
    ])();
  }

  async #replay(reader: TraceReader): Promise<void> {
    const { random, thread } = this.#world;
    const layout = {
      name: 'replay',
      application: [{ name: 'heap', start: HEAP, end: HEAP + 2 ** 30 }],
      shadow: { base: 0x5c00_0000_0000 + thread * 2 ** 40 - 4 * HEAP, multiplier: 4 },
      metainfo: { base: 0x5c00_0000_0000 + thread * 2 ** 40 + 2 ** 38 - HEAP / 2 },
    };
    const shadow = new Shadow({ layout, policy: random.pick(POLICIES) });
    if (random.percent(5)) shadow.release();
    await this.#later('replayTrace', () => replayTrace(reader, shadow));
    shadow.release();
  }

  async #later(name: string, call: () => Promise<unknown>): Promise<unknown> {
    const { calls } = this.#world;
    calls.note(name, []);
    try {
      return await call();
    } catch (error) {
      calls.refusal(name, error);
      return undefined;
    }
  }
}
