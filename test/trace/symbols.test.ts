import { describe, expect, it } from 'vitest';
import { SymbolTableBuilder } from '../../lib/trace/symbols.js';

function table(...lines: string[]) {
  const builder = new SymbolTableBuilder('test.trc', lines.length);
  builder.push(Buffer.from(lines.map((line) => `${line}\n`).join('')));
  return builder.finish();
}

describe('SymbolTable', () => {
  const symbols = table(
    '4a613b\terrors.New\t$GOROOT/src/errors/errors.go\t59\t58\tstrconv.init\t$GOROOT/src/strconv/atoi.go\t18\t105',
    '47f\t??\t-\t0\t0',
    'ffffffffffff\tmain.(*Größe).λ·1\t/home/me/my code/main.go\t7\t4294967296',
    '0\tmain.zero\tzero.go\t1\t0',
  );

  it('gives the frames of a pc, innermost first', () => {
    expect(symbols.pcCount).toBe(4);
    expect(symbols.frames(0x4a613b)).toEqual([
      { function: 'errors.New', file: '$GOROOT/src/errors/errors.go', line: 59, offset: 58 },
      { function: 'strconv.init', file: '$GOROOT/src/strconv/atoi.go', line: 18, offset: 105 },
    ]);
    expect(symbols.frames(0)).toEqual([{ function: 'main.zero', file: 'zero.go', line: 1, offset: 0 }]);
  });

  it('gives a frame that Go does not know as Go writes it', () => {
    expect(symbols.frames(0x47f)).toEqual([{ function: '??', file: '-', line: 0, offset: 0 }]);
  });

  it('keeps names in any script, and spaces', () => {
    expect(symbols.frames(0xffffffffffff)).toEqual([
      { function: 'main.(*Größe).λ·1', file: '/home/me/my code/main.go', line: 7, offset: 4294967296 },
    ]);
  });

  it('gives nothing for a pc that it does not know', () => {
    for (const pc of [1, 0x47e, 0x480, 2 ** 48, -1, 0.5, Number.NaN]) expect(symbols.frames(pc)).toEqual([]);
    expect(table().frames(1)).toEqual([]);
  });

  it('gives the same frozen frames each time', () => {
    const frames = symbols.frames(0x4a613b);
    expect(symbols.frames(0x4a613b)).toBe(frames);
    expect(Object.isFrozen(frames) && Object.isFrozen(frames[0])).toBe(true);
  });

  it('takes its text in pieces of any size, and more of it than it began with room for', () => {
    const lines = Array.from(
      { length: 5000 },
      (_, i) => `${(5000 - i).toString(16)}\tmain.f${i}\tm.go\t${i}\t1`,
    );
    const text = Buffer.from(lines.map((line) => `${line}\n`).join(''));
    for (const size of [7, 1000, text.length]) {
      const builder = new SymbolTableBuilder('test.trc', lines.length);
      for (let at = 0; at < text.length; at += size) builder.push(text.subarray(at, at + size));
      const built = builder.finish();
      for (const pc of [1, 2, 2500, 5000]) expect(built.frames(pc)[0]?.function).toBe(`main.f${5000 - pc}`);
    }
  });
});
