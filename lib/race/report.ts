/**
 * What a race report says, before it is text, JSON or SARIF.
 */

/** One function at a pc. */
export interface SourceFrame {
  /** As Go names it, such as `main.(*cache).get`. */
  readonly function: string;
  /** Path, as the program was built with it. */
  readonly file: string;
  /** From 1; 0 if unknown. */
  readonly line: number;
  /** Bytes from the function's start to the pc. */
  readonly offset: number;
}

/** The frames at a pc, innermost first, several if calls were inlined; none if the pc is unknown. */
export type Symbolize = (pc: number) => readonly SourceFrame[];

/** One of the two accesses. */
export interface ReportedAccess {
  /** What it did. */
  readonly kind: 'read' | 'write';
  /** Whether it was an atomic operation. */
  readonly atomic: boolean;
  /** First byte of it in its granule … */
  readonly address: number;
  /** … and how many from there to its last. */
  readonly sizeBytes: number;
  /** The goroutine by the caller's, or the recording's, number. */
  readonly goroutine: number;
  /** Its number in text reports. */
  readonly textNumber: number;
  /** Whether text reports call it the main goroutine. */
  readonly main: boolean;
  /** Whether the goroutine had not ended when the race was seen. */
  readonly running: boolean;
  /** Return addresses, innermost first; null when the history no longer knows. */
  readonly stack: readonly number[] | null;
  /** The stack of the go statement; empty for the main goroutine and for one that the runtime started. */
  readonly createdAt: readonly number[];
}

/** Where the racy address lies, as far as somebody knows. */
export type RaceLocation =
  | {
      /** Memory of a range that MapShadow named and no allocation is known in. */
      readonly kind: 'region';
      /** `data`, `heap`, or what the layout calls it. */
      readonly name: string;
      /** First byte of the range. */
      readonly address: number;
      /** Length of the range. */
      readonly sizeBytes: number;
      /** How far the racy byte is into it. */
      readonly offset: number;
    }
  | {
      /** A block that was allocated. */
      readonly kind: 'object';
      /** First byte of the block. */
      readonly address: number;
      /** Length of the block. */
      readonly sizeBytes: number;
      /** How far the racy byte is into it. */
      readonly offset: number;
      /** Who allocated it and where; null when that is not known. */
      readonly allocated: {
        /** By the caller's, or the recording's, number. */
        readonly goroutine: number;
        /** Its number in text reports. */
        readonly textNumber: number;
        /** Return addresses, innermost first. */
        readonly stack: readonly number[];
      } | null;
    };

/** One race: two accesses to the same memory, neither of which happens before the other. */
export interface RaceReport {
  /** First byte on which the two accesses raced … */
  readonly address: number;
  /** … and how many from there on in that granule. */
  readonly sizeBytes: number;
  /** The access that found it. */
  readonly current: ReportedAccess;
  /** The earlier one. */
  readonly previous: ReportedAccess;
  /** What the memory belongs to; null if nobody knows. */
  readonly location: RaceLocation | null;
}

/** A frame for a pc that no symbol covers. */
function unknownFrame(pc: number): SourceFrame {
  return { function: '??', file: '-', line: 0, offset: pc };
}

/**
 * The frames of a stack, innermost first. The outermost pc is in the runtime's own code that starts goroutines, and is
 * left out as Go leaves it out, unless it is all there is.
 */
export function framesOf(pcs: readonly number[], symbolize: Symbolize): SourceFrame[] {
  const frames = pcs.flatMap((pc) => {
    const known = symbolize(pc);
    return known.length > 0 ? [...known] : [unknownFrame(pc)];
  });
  return frames.length > 1 ? frames.slice(0, -1) : frames;
}

/** A file's path from the end of the first occurrence of `prefix` on, as ThreadSanitizer does it. */
export function stripPathPrefix(file: string, prefix: string): string {
  const at = prefix === '' ? -1 : file.indexOf(prefix);
  if (at < 0) return file;
  const rest = file.slice(at + prefix.length);
  return rest.startsWith('./') ? rest.slice(2) : rest;
}
