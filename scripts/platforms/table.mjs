// Prints the matrix: a line for each cell as it is done, and the whole as a Markdown table.
import { COLUMNS, leftOut } from './matrix.mjs';

/** The characters of a failure's text that there is room for, at its begin and at its end. */
const BEGIN_CHARACTERS = 600;
const END_CHARACTERS = 1400;

function shortened(text) {
  if (text.length <= BEGIN_CHARACTERS + END_CHARACTERS) return text;
  return `${text.slice(0, BEGIN_CHARACTERS)}\n[…]\n${text.slice(-END_CHARACTERS)}`;
}

/** How many tests were skipped, for whatever reason. */
const skippedOf = ({ skips }) => Object.values(skips).reduce((sum, count) => sum + count, 0);

function inShort(result) {
  const { missing, built, passed, failures } = result;
  if (missing !== undefined) return 'skipped';
  if (failures.length > 0) return `**${failures.length} failed**, ${passed} passed`;
  if (built) return 'built';
  const skipped = skippedOf(result);
  return skipped > 0 ? `${passed} passed, ${skipped} skipped` : `${passed} passed`;
}

/** Each result on a line, with everything that needs saying below it. */
export function describeResult(result) {
  const { platform, column, seconds, missing, notes, failures } = result;
  const below = [...(missing === undefined ? [] : [missing]), ...notes];
  below.push(...failures.map(shortened));
  const head = `${platform}, ${column}: ${inShort(result)} (${seconds} s)`;
  return [head, ...below.map((line) => `    ${line.replaceAll('\n', '\n    ')}`)].join('\n');
}

/** A row for each platform, a column for each kind of cell; below, the reason of everything that was skipped. */
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
  return [...lines, '', ...skipLines(results)].join('\n');
}

/** The reasons of all skips, each with the cells that it holds for and how many tests each of them skipped. */
function skipLines(results) {
  const byReason = new Map();
  for (const { platform, column, missing, skips } of results) {
    const cell = `${platform} ${column}`;
    if (missing !== undefined) byReason.set(missing, [...(byReason.get(missing) ?? []), cell]);
    for (const [reason, count] of Object.entries(skips)) {
      byReason.set(reason, [...(byReason.get(reason) ?? []), `${cell} ${count}`]);
    }
  }
  const skipped = [...byReason].map(([reason, where]) => `- ${reason} (${where.join(', ')})`);
  return ['Skipped, and why:', '', ...skipped, ...leftOut().map((line) => `- ${line}`)];
}
