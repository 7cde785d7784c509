/**
 * The command line on a terminal: see terminal.py.
 */
import { execFile, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { MAIN } from './cli.js';
import { PATIENCE } from './patience.js';

const DRIVER = fileURLToPath(new URL('terminal.py', import.meta.url));

/** What a terminal got, and how the program on it ended: by a code or by a signal's number. */
export interface TerminalOutcome {
  readonly output: string;
  readonly code: number | null;
  readonly signal: number | null;
}

export interface TerminalOptions {
  readonly columns?: number;
  /** What is typed when `waitFor` has been printed. */
  readonly type?: string;
  readonly waitFor?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/** A user's environment: CI, NO_COLOR, TMUX and many more would say something about colours (node:tty, getColorDepth). */
const user = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => /^(PATH|HOME|TMPDIR|LANG|GO.*)$/.test(name)),
);

export const CONTROL_C = '\u0003';

/** Runs `lazyshadow` with these arguments on a terminal. */
export function onTerminal(args: readonly string[], options: TerminalOptions = {}): TerminalOutcome {
  const { parameters, rest } = driving(args, options);
  const { stdout, stderr, status } = spawnSync('python3', parameters, {
    ...PATIENCE,
    ...rest,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`the terminal failed: ${stderr}`);
  return JSON.parse(stdout) as TerminalOutcome;
}

/** The same, and this process goes on meanwhile. */
export async function onTerminalMeanwhile(
  args: readonly string[],
  options: TerminalOptions = {},
): Promise<TerminalOutcome> {
  const { parameters, rest } = driving(args, options);
  const { stdout } = await promisify(execFile)('python3', parameters, rest);
  return JSON.parse(stdout) as TerminalOutcome;
}

function driving(args: readonly string[], { columns = 160, env, cwd, ...keys }: TerminalOptions) {
  const parameters = [DRIVER, JSON.stringify({ columns, ...keys }), process.execPath, MAIN, ...args];
  const rest = { maxBuffer: 2 ** 28, env: { ...user, TERM: 'xterm-256color', ...env }, cwd };
  return { parameters, rest };
}
