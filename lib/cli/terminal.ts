/**
 * What a terminal is told besides text: colours and progress. Where there is no terminal there are neither, and however
 * the program ends, the cursor is there again.
 */

import type { WriteStream } from 'node:tty';
import pico from 'picocolors';
import { onExit } from 'signal-exit';
import type { LazyShadowError } from '../native/errors.js';
import { printable } from '../native/printable.js';

/** Ways to colour text; all of them leave it as it is where there are no colours. */
export type Colours = ReturnType<typeof pico.createColors>;

/** Colours for a stream: none if it is no terminal, or NO_COLOR, TERM=dumb or the like say so. */
export function coloursFor(stream: NodeJS.WriteStream): Colours {
  return pico.createColors(stream.isTTY === true && (stream as WriteStream).hasColors());
}

/** Something that shows how far a long operation is. */
export interface Progress {
  /** @param done from 0 to 1 */
  update(done: number, text?: string): void;
  stop(): void;
}

/** Resolution of a bar. */
const WHOLE = 1000;

/** A bar on standard error, and on nothing if that is no terminal. Gone when it is stopped, or the program ends. */
export async function progressBar(name: string): Promise<Progress> {
  if (process.stderr.isTTY !== true) return { update() {}, stop() {} };
  // Loaded here, because no command should start later for a bar that it does not show.
  const { SingleBar } = await import('cli-progress');
  const bar = new SingleBar({
    format: '{name} {bar} {percentage} % {text}',
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
    // It would take the signal for itself, and the program would go on.
    gracefulExit: false,
  });
  // Before the cursor is hidden: a signal may come at once.
  const forget = onExit(() => bar.stop());
  bar.start(WHOLE, 0, { name, text: '' });
  return {
    update: (done, text = '') => bar.update(Math.floor(done * WHOLE), { text }),
    stop() {
      forget();
      bar.stop();
    },
  };
}

/** Says something about the work, not its result: a line on standard error, whatever names of files are in it. */
export function say(text: string): void {
  process.stderr.write(`lazyshadow: ${printable(text)}\n`);
}

/** Says what went wrong, in red where there are colours. */
export function sayError({ message, code }: LazyShadowError): void {
  process.stderr.write(`lazyshadow: ${coloursFor(process.stderr).red(printable(message))} [${code}]\n`);
}
