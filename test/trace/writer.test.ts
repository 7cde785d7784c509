import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Op } from '../../lib/trace/format.js';
import { type EventFields, TraceWriter } from '../../lib/trace/writer.js';
import { begun, readAll } from '../support/traces.js';

/** The fields of the event whose 8 words begin at `at`, read bit by bit as the format says. */
function decode(words: Int32Array, at: number) {
  const view = new DataView(words.buffer, words.byteOffset + 4 * at, 32);
  const wide = (offset: number) => Number(view.getBigUint64(offset, true));
  return {
    op: view.getUint8(0),
    flags: view.getUint8(1),
    size: view.getUint16(2, true),
    goroutine: view.getUint32(4, true),
    addr: wide(8),
    arg: wide(16),
    pc: wide(24),
  };
}

describe('TraceWriter', () => {
  it('writes the bytes of the format', () => {
    const bytes = new TraceWriter()
      .event(Op.AtomicCompareAndSwap, {
        goroutine: 0x01020304,
        addr: 0xc0_0000_1008,
        arg: 0x4a613b,
        pc: 0xffff_ffff_ffff,
        flags: 1,
        size: 8,
      })
      .finish(['47f\t??\t-\t0\t0']);
    expect(
      Buffer.from(bytes)
        .toString('hex')
        .match(/.{1,16}/g),
    ).toEqual([
      '5241434554524331',
      '0100000000000000',
      '0100000000000000',
      '6000000000000000',
      '0100000000000000',
      '0000000000000000',
      '0000000000000000',
      '0000000000000000',
      '1b01080004030201',
      '08100000c0000000',
      '3b614a0000000000',
      'ffffffffffff0000',
      Buffer.from('47f\t??\t-').toString('hex'),
      Buffer.from('\t0\t0\n').toString('hex'),
    ]);
  });

  it('gives back through the reader whatever was written', async () => {
    const address = fc.integer({ min: 0, max: 2 ** 48 - 1 });
    const event = fc.record({
      op: fc.constantFrom(Op.Read, Op.ReadPC, Op.Write, Op.WritePC),
      flags: fc.integer({ min: 0, max: 255 }),
      addr: address,
      arg: address,
      pc: address,
    });
    const name = fc
      .string({ minLength: 1, unit: 'binary' })
      .filter((text) => !/[\t\n\p{Surrogate}]/u.test(text));
    const frame = fc.record({
      function: name,
      file: name,
      line: fc.nat(),
      offset: fc.nat(),
    });
    const symbols = fc.uniqueArray(fc.tuple(address, fc.array(frame, { minLength: 1, maxLength: 4 })), {
      selector: ([pc]) => pc,
    });
    await fc.assert(
      fc.asyncProperty(fc.array(event), symbols, async (events, lines) => {
        const writer = begun();
        for (const { op, ...fields } of events) writer.event(op, { ...fields, goroutine: 1, size: 1 });
        expect(writer.eventCount).toBe(1 + events.length);
        const text = lines.map(([pc, frames]) =>
          [
            pc.toString(16),
            ...frames.flatMap((f) => [f.function, f.file, String(f.line), String(f.offset)]),
          ].join('\t'),
        );
        const { words, symbols: table } = await readAll(writer.finish(text));
        for (const [index, fields] of events.entries())
          expect(decode(words, 8 * (index + 1))).toEqual({ ...fields, goroutine: 1, size: 1 });
        expect(table.pcCount).toBe(lines.length);
        for (const [pc, frames] of lines) expect(table.frames(pc)).toEqual(frames);
      }),
    );
  });

  it('grows, and may go on after a finish', async () => {
    const writer = begun();
    for (let i = 0; i < 5000; i++) writer.event(Op.Acquire, { goroutine: 1, addr: i });
    expect((await readAll(writer.finish())).words.length).toBe(8 * 5001);
    writer.event(Op.Finalize);
    expect(decode((await readAll(writer.finish())).words, 8 * 5001).op).toBe(Op.Finalize);
  });

  it.each<[number, EventFields, string]>([
    [256, {}, 'op is 256, expected a whole number from 0 to below 256'],
    [Op.Read, { flags: -1 }, 'flags is -1, expected a whole number from 0 to below 256'],
    [Op.Read, { size: 65536 }, 'size is 65536, expected a whole number from 0 to below 65536'],
    [
      Op.Read,
      { goroutine: 2 ** 32 },
      'goroutine is 4294967296, expected a whole number from 0 to below 4294967296',
    ],
    [Op.Read, { addr: 0.5 }, 'addr is 0.5, expected a whole number'],
    [Op.Read, { arg: Number.NaN }, 'arg is NaN, expected a whole number'],
    [Op.Read, { pc: Symbol('0') as unknown as number }, 'pc is symbol, expected a whole number'],
    [Op.Read, { goroutine: {} as unknown as number }, 'goroutine is object, expected a whole number'],
    [Op.Read, { pc: 2 ** 53 }, 'pc is 9007199254740992, expected a whole number'],
  ])('refuses op %d with %o, and writes nothing', (op, fields, message) => {
    const writer = new TraceWriter();
    expect(() => writer.event(op, fields)).toThrow(message);
    expect(() => writer.event(op, fields)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }));
    expect(writer.eventCount).toBe(0);
  });
});
