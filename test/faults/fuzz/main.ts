/**
 * The program that makes random calls, in a process of its own so that a crash is seen:
 *
 *     node --expose-gc fuzz-main.mjs SEED CALLS THREADS
 *
 * The main thread and its workers make CALLS calls together; one more worker works on what they share and is ended in the
 * middle, again and again. Prints a RunResult as JSON. The same seed makes each thread make the same calls; only how
 * threads meet differs.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Random } from '../../support/random.js';
import { type Orders, run, type RunResult } from './run.js';
import { Shared } from './shared.js';

/** As many as nobody reaches. */
const ENDLESS = 2 ** 40;
const LONGEST_LIFE_MS = 300;

function start(orders: Orders): Worker {
  return new Worker(new URL(import.meta.url), { workerData: orders });
}

function resultOf(worker: Worker): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

/** Starts workers that are ended while they work, until it is told to stop. */
async function endWorkers(orders: Orders, isOver: () => boolean): Promise<void> {
  const random = new Random(orders.seed);
  while (!isOver()) {
    const victim = start(orders);
    await new Promise((resolve) => setTimeout(resolve, random.below(LONGEST_LIFE_MS)));
    await victim.terminate();
  }
}

async function main([seed = 1, calls = 10_000, threads = 1]: number[]): Promise<RunResult> {
  const shared = new Shared();
  const orders = (thread: number, count: number): Orders => ({
    seed: seed * 16 + thread,
    count,
    thread,
    shared: shared.places,
  });
  let isOver = false;
  const ended = threads > 1 ? endWorkers(orders(threads, ENDLESS), () => isOver) : Promise.resolve();
  const workers = Array.from({ length: threads - 1 }, (_, i) => start(orders(i + 1, calls / threads)));
  const others = workers.map(resultOf);
  const results = [await run(orders(0, calls / threads)), ...(await Promise.all(others))];
  isOver = true;
  await ended;
  await Promise.all(workers.map((worker) => worker.terminate()));
  try {
    shared.verify();
  } catch (error) {
    results.push({ calls: 0, refused: 0, failure: String(error) });
  }
  shared.release();
  return {
    calls: results.reduce((sum, result) => sum + result.calls, 0),
    refused: results.reduce((sum, result) => sum + result.refused, 0),
    failure: results.find(({ failure }) => failure !== undefined)?.failure,
  };
}

if (isMainThread) console.log(JSON.stringify(await main(process.argv.slice(2).map(Number))));
else parentPort?.postMessage(await run(workerData as Orders));
