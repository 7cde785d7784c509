/**
 * The symbol text of a recording: what function, file and line each pc lies in.
 *
 * The text is kept as it came, with an index of where each pc's line is; frames are made when they are asked for,
 * so a table costs its text and 12 bytes a line. Every line is checked as it arrives: a line with a wrong number of
 * fields is damage, told when the table is made and not when somebody asks for that pc.
 *
 *     "4a613b\terrors.New\t$GOROOT/src/errors/errors.go\t59\t58\tstrconv.init\t$GOROOT/src/strconv/atoi.go\t18\t105\n"
 *      pc      └ innermost, inlined: function, file, line, offset  └ the function that it was inlined into
 *
 * Invariant: no line is longer than MAX_LINE_BYTES, the text is not longer than MAX_TEXT_BYTES, and there are at most
 * pcCount lines, so text that never ends is refused before it fills the memory.
 */
import { badTrace } from './errors.js';
import { ADDRESS_LIMIT } from './format.js';
import { lowerBound } from './sorted.js';

/** One function at a pc: the innermost of several is the one that the compiler inlined last. */
export interface Frame {
  /** Go's name, `main.(*cache).get`; `??` if Go does not know it. */
  readonly function: string;
  /** Path as Go recorded it; `-` if unknown. */
  readonly file: string;
  /** From 1; 0 if unknown. */
  readonly line: number;
  /** Bytes from the function's start to the pc: what Go's reports print as `+0x…`. */
  readonly offset: number;
}

/** What the recording says about its pcs. */
export interface SymbolTable {
  /** How many pcs have a line. */
  readonly pcCount: number;
  /** The frames at a pc as the events have it, innermost first; none if the recording does not know the pc. */
  frames(pc: number): readonly Frame[];
}

/** A line of 40 inlined frames has some 8 KiB. */
const MAX_LINE_BYTES = 1024 * 1024;
/** The largest program's text is a hundredth of it. */
const MAX_TEXT_BYTES = 1024 * 1024 * 1024;
/** Fields of a frame: function, file, line, offset. */
const FRAME_FIELDS = 4;
const NEWLINE = 0x0a;

const NO_FRAMES: readonly Frame[] = Object.freeze([]);

/** Takes the symbol text in pieces of any size, and makes the table of it. */
export class SymbolTableBuilder {
  readonly #name: string;
  readonly #pcCount: number;
  #text = Buffer.alloc(64 * 1024);
  #length = 0;
  /** Where the line that is not complete yet begins. */
  #lineStart = 0;
  #pcs = new Float64Array(256);
  #starts = new Uint32Array(256);
  #lines = 0;

  /**
   * @param name the recording's, for messages
   * @param pcCount how many lines the header promises
   */
  constructor(name: string, pcCount: number) {
    this.#name = name;
    this.#pcCount = pcCount;
  }

  /** @throws LazyShadowError ERR_BAD_TRACE: a line that is wrong or too many */
  push(piece: Uint8Array): void {
    let search = this.#length;
    this.#append(piece);
    for (;;) {
      const end = this.#text.indexOf(NEWLINE, search);
      if (end < 0 || end >= this.#length) break;
      this.#addLine(end);
      search = end + 1;
    }
    // One is enough to know that there are too many, and the rest may never end.
    if (this.#length > this.#lineStart && this.#lines >= this.#pcCount)
      throw this.#bad(this.#lines, `more text, expected ${this.#pcCount} lines as the header says`);
    if (this.#length - this.#lineStart > MAX_LINE_BYTES)
      throw this.#bad(this.#lines, `longer than ${MAX_LINE_BYTES} bytes, expected a line of symbols`);
  }

  /** @throws LazyShadowError ERR_BAD_TRACE: fewer lines than the header promises, or two for one pc */
  finish(): SymbolTable {
    if (this.#length > this.#lineStart)
      throw this.#bad(this.#lines, 'cut short, expected a line that ends with a newline');
    if (this.#lines !== this.#pcCount)
      throw badTrace(
        this.#name,
        '',
        `the symbol text has ${this.#lines} lines, expected ${this.#pcCount} as the header says`,
      );
    const pcs = this.#pcs;
    const order = new Uint32Array(this.#lines).map((_, line) => line);
    order.sort((a, b) => (pcs[a] as number) - (pcs[b] as number));
    const sortedPcs = new Float64Array(this.#lines);
    const sortedStarts = new Uint32Array(this.#lines);
    for (const [place, line] of order.entries()) {
      const pc = pcs[line] as number;
      if (place > 0 && sortedPcs[place - 1] === pc)
        throw this.#bad(line, `a second line for pc ${pc.toString(16)}, expected one`);
      sortedPcs[place] = pc;
      sortedStarts[place] = this.#starts[line] as number;
    }
    return new TextSymbolTable(this.#text.subarray(0, this.#length), sortedPcs, sortedStarts);
  }

  #append(piece: Uint8Array): void {
    if (this.#length + piece.length > MAX_TEXT_BYTES)
      throw this.#bad(this.#lines, `past ${MAX_TEXT_BYTES} bytes of symbol text, expected less`);
    if (this.#length + piece.length > this.#text.length) {
      const larger = Buffer.alloc(Math.max(2 * this.#text.length, this.#length + piece.length));
      larger.set(this.#text.subarray(0, this.#length));
      this.#text = larger;
    }
    this.#text.set(piece, this.#length);
    this.#length += piece.length;
  }

  /** Checks the line that ends before `end` and notes where it is. */
  #addLine(end: number): void {
    if (this.#lines === this.#pcCount)
      throw this.#bad(this.#lines, `one too many, expected ${this.#pcCount} as the header says`);
    const fields = this.#text.toString('latin1', this.#lineStart, end).split('\t');
    const extra = (fields.length - 1) % FRAME_FIELDS;
    if (fields.length === 1 || extra !== 0)
      throw this.#bad(
        this.#lines,
        `${fields.length} fields, expected a pc and ${FRAME_FIELDS} fields for each frame`,
      );
    const pc = /^[0-9a-f]{1,12}$/i.test(fields[0] ?? '') ? Number.parseInt(fields[0] ?? '', 16) : Number.NaN;
    if (!(pc < ADDRESS_LIMIT)) throw this.#bad(this.#lines, 'no pc, expected hexadecimal digits below 2^48');
    for (let field = 3; field < fields.length; field += FRAME_FIELDS)
      if (!isCount(fields[field]) || !isCount(fields[field + 1]))
        throw this.#bad(this.#lines, 'a line or an offset that is no number, expected decimal digits');
    if (this.#lines === this.#starts.length) {
      this.#pcs = grown(this.#pcs, new Float64Array(2 * this.#lines));
      this.#starts = grown(this.#starts, new Uint32Array(2 * this.#lines));
    }
    this.#pcs[this.#lines] = pc;
    this.#starts[this.#lines] = this.#lineStart;
    this.#lines++;
    this.#lineStart = end + 1;
  }

  #bad(line: number, problem: string): Error {
    return badTrace(this.#name, `line ${line + 1} of the symbol text`, problem);
  }
}

/** Looks pcs up in checked text, whose index is sorted by pc. */
class TextSymbolTable implements SymbolTable {
  readonly #text: Buffer;
  readonly #pcs: Float64Array;
  readonly #starts: Uint32Array;
  /** The same frames are asked for again and again: each access of a loop has the same few pcs. */
  readonly #known = new Map<number, readonly Frame[]>();

  constructor(text: Buffer, pcs: Float64Array, starts: Uint32Array) {
    this.#text = text;
    this.#pcs = pcs;
    this.#starts = starts;
  }

  get pcCount(): number {
    return this.#pcs.length;
  }

  frames(pc: number): readonly Frame[] {
    const known = this.#known.get(pc);
    if (known !== undefined) return known;
    const place = lowerBound(this.#pcs, pc);
    if (this.#pcs[place] !== pc) return NO_FRAMES;
    const frames = this.#parse(this.#starts[place] as number);
    this.#known.set(pc, frames);
    return frames;
  }

  #parse(start: number): readonly Frame[] {
    const [, ...fields] = this.#text.toString('utf8', start, this.#text.indexOf(NEWLINE, start)).split('\t');
    const frames: Frame[] = [];
    for (let at = 0; at < fields.length; at += FRAME_FIELDS) {
      const [name = '', file = '', line, offset] = fields.slice(at, at + FRAME_FIELDS);
      frames.push(Object.freeze({ function: name, file, line: Number(line), offset: Number(offset) }));
    }
    return Object.freeze(frames);
  }
}

/** Decimal digits, of a number that can be told exactly. */
function isCount(text: string | undefined): boolean {
  return text !== undefined && /^[0-9]{1,15}$/.test(text);
}

function grown<T extends Float64Array | Uint32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
