// Recordings made for a measurement: events as { op, goroutine, address, argument, pc }, and no symbols.
import { closeSync, openSync, writeSync } from 'node:fs';

export const OP = {
  initialize: 1,
  mapShadow: 3,
  goStart: 4,
  read: 6,
  write: 8,
  writeRange: 11,
  enter: 12,
  exit: 13,
  acquire: 16,
  release: 17,
};
const EVENT_BYTES = 32;
const CHUNK_EVENTS = 65_536;

/** Writes them to a file. */
export function writeRecording(file, events) {
  const out = openSync(file, 'w');
  const chunk = Buffer.alloc(CHUNK_EVENTS * EVENT_BYTES);
  let count = 0;
  writeSync(out, Buffer.alloc(64));
  for (const { op, goroutine, address, argument, pc } of events) {
    const at = (count++ % CHUNK_EVENTS) * EVENT_BYTES;
    chunk.writeUInt32LE(op | (op === OP.read || op === OP.write ? 1 << 16 : 0), at);
    chunk.writeUInt32LE(goroutine, at + 4);
    for (const [i, value] of [address, argument, pc].entries()) {
      chunk.writeUInt32LE(value % 2 ** 32, at + 8 + 8 * i);
      chunk.writeUInt32LE(Math.floor(value / 2 ** 32), at + 12 + 8 * i);
    }
    if (count % CHUNK_EVENTS === 0) writeSync(out, chunk);
  }
  writeSync(out, chunk, 0, (count % CHUNK_EVENTS) * EVENT_BYTES);
  const header = Buffer.alloc(64);
  header.write('RACETRC1', 'latin1');
  for (const [at, value] of [
    [8, 1],
    [16, count],
    [24, 64 + EVENT_BYTES * count],
  ])
    header.writeBigUInt64LE(BigInt(value), at);
  writeSync(out, header, 0, header.length, 0);
  closeSync(out);
}
