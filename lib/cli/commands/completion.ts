/**
 * `lazyshadow completion SHELL`: the script that makes a shell complete commands, options, their values, and recordings.
 */

import { readdirSync } from 'node:fs';
import type { Complete } from '@bomb.sh/tab';
import tab from '@bomb.sh/tab/commander';
import type { Command } from 'commander';

/** Adds the command to the program, after all others: it completes those that are there. */
export function registerCompletion(program: Command): void {
  const { commands } = tab(program, { completionCommandName: 'completion' });
  for (const { arguments: positional, options } of commands.values()) {
    // The library leaves no file to the shell; what is read is a recording everywhere.
    for (const name of ['file', 'files']) {
      const argument = positional.get(name);
      if (argument !== undefined) argument.handler = completeRecording;
    }
    const trace = options.get('trace');
    if (trace !== undefined) trace.handler = completeRecording;
  }
  program.commands
    .find((command) => command.name() === 'completion')
    ?.description('print a script that completes commands and options in your shell')
    .addHelpText(
      'after',
      '\nExamples:' +
        '\n  lazyshadow completion bash > ~/.local/share/bash-completion/completions/lazyshadow' +
        '\n  lazyshadow completion zsh > "${fpath[1]}/_lazyshadow"' +
        '\n  lazyshadow completion fish > ~/.config/fish/completions/lazyshadow.fish\n',
    );
}

/** Recordings and directories that begin with what was typed, which is the last word that the shell's script gives. */
function completeRecording(complete: Complete): void {
  const typed = process.argv.at(-1) ?? '';
  const directory = typed.slice(0, typed.lastIndexOf('/') + 1);
  try {
    for (const entry of readdirSync(directory === '' ? '.' : directory, { withFileTypes: true })) {
      if (entry.isDirectory()) complete(`${directory}${entry.name}/`, '');
      else if (/\.trc(\.gz)?$/.test(entry.name)) complete(`${directory}${entry.name}`, '');
    }
  } catch {
    // A directory that cannot be read has nothing to offer, and a message would stand in the middle of the line.
  }
}
