// Prints the matrix: a line for each cell as it is done, and the whole as a Markdown table.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './commands.mjs';
import { COLUMNS } from './matrix.mjs';

/** The reasons of a longer text that a line has room for. */
const REASON_CHARACTERS = 2000;

function inShort({ skip, built, passed, skipped, failures }) {
  if (skip !== undefined) return 'skipped';
  if (failures.length > 0) return `**${failures.length} failed**, ${passed ?? 0} passed`;
  if (built) return 'built';
  return skipped > 0 ? `${passed} passed, ${skipped} skipped` : `${passed} passed`;
}

/** Each result on a line, with everything that needs saying below it. */
export function describeResults(results) {
  return results
    .flatMap((result) => {
      const { platform, column, seconds, skip, notes = [], failures = [] } = result;
      const time = seconds === undefined ? '' : ` (${seconds} s)`;
      const reasons = failures.map((failure) => failure.slice(0, REASON_CHARACTERS));
      const below = [...(skip === undefined ? [] : [skip]), ...notes, ...reasons];
      return [`${platform}, ${column}: ${inShort(result)}${time}`, ...below.map((line) => `    ${line}`)];
    })
    .join('\n');
}

/** A row for each platform, a column for each kind of cell; reasons of skips below. */
export function markdownTable(results) {
  const platforms = [...new Set(results.map(({ platform }) => platform))];
  const rows = platforms.map((platform) => [
    platform,
    ...COLUMNS.map((column) => {
      const found = results.find((result) => result.platform === platform && result.column === column);
      return found === undefined ? '–' : inShort(found);
    }),
  ]);
  const header = ['', ...COLUMNS];
  const lines = [header, header.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`);
  const skips = results.flatMap(({ platform, column, skip }) =>
    skip === undefined ? [] : [`- ${platform}, ${column}: skipped: ${skip}`],
  );
  return [...lines, ...(skips.length > 0 ? ['', ...skips] : [])].join('\n');
}

const BEGIN = '<!-- the matrix: written by `node scripts/platforms.mjs --ci --write` -->';
const END = '<!-- end of the matrix -->';

/** Replaces what is between the marks in README.md. */
export function writeIntoReadme(table) {
  const path = join(root, 'README.md');
  const text = readFileSync(path, 'utf8');
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`README.md has no place between ${BEGIN} and ${END}`);
  writeFileSync(path, `${text.slice(0, begin + BEGIN.length)}\n\n${table}\n\n${text.slice(end)}`);
}
