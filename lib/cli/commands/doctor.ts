/**
 * `lazyshadow doctor`: what this machine can do, and a line of advice for each thing that will get in the way.
 */

import type { Command } from 'commander';
import { diagnose, type Finding } from '../../measure/diagnosis.js';
import { printableJson } from '../../native/printable.js';
import { humanBytes } from '../../report/bytes.js';
import { plainTable } from '../table.js';
import { type Colours, coloursFor } from '../terminal.js';

/** Adds the command to the program. */
export function registerDoctor(program: Command): void {
  program
    .command('doctor')
    .description('say what this machine can do, and what will get in the way')
    .option('--json', 'print one JSON array')
    .addHelpText('after', '\nExample:\n  lazyshadow doctor\n')
    .action((flags: { json?: boolean }) => {
      const findings = diagnose();
      process.stdout.write(
        flags.json ? `${printableJson(findings)}\n` : formatFindings(findings, coloursFor(process.stdout)),
      );
    });
}

function shown({ value, unit }: Finding): string {
  if (value === null) return 'none';
  return typeof value === 'number' && unit === 'bytes' ? humanBytes(value) : value.toLocaleString('en-US');
}

/** The findings as text for a terminal, with a newline at the end. */
export function formatFindings(findings: readonly Finding[], colours: Colours): string {
  const rows = findings.map((finding) => [finding.name, shown(finding)]);
  const advice = findings.flatMap(({ name, advice }) =>
    advice === null ? [] : [`- ${colours.yellow(name)}: ${advice}`],
  );
  const closing = advice.length > 0 ? ['Advice:', ...advice] : ['Nothing will get in the way.'];
  return `${[plainTable(['what', 'here'], rows, 'left'), '', ...closing].join('\n')}\n`;
}
