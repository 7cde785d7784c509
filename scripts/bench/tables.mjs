// What the benchmark found, as Markdown, which reads as well in a terminal.
import { writeBetweenMarks } from '../between-marks.mjs';
import { geometricMean } from '../statistics.mjs';

const MIB = 2 ** 20;
const POLICY = 'touch'; // the one that README shows first

export function replayTable(replays) {
  const rows = replays.flatMap(({ name, events, native, policies }) =>
    policies.map((row, k) => [
      k === 0 ? name : '',
      k === 0 ? String(events) : '',
      row.policy,
      row.coldNsPerEvent.toFixed(0),
      digits(row.nsPerEvent),
      (row.eventsPerSecond / 1e6).toFixed(1),
      native === undefined ? '–' : digits(native.nsPerEvent),
      row.ratio === undefined ? '–' : row.ratio.toFixed(2),
      `${mib(row.peakRssBytes)} (${mib(row.baseRssBytes)} before)`,
      native === undefined ? '–' : mib(native.peakRssBytes),
      mib(row.committedBytes),
    ]),
  );
  const header =
    'recording|events|policy|cold ns|ns/event|M events/s|native ns|native / ours|peak RSS, MiB|native RSS|committed, MiB';
  return [table(header.split('|'), rows), ...means(replays)].join('\n\n');
}

/** A row for each recording, under one policy. */
function shortTable(replays) {
  const rows = replays.map(({ name, events, native, policies }) => {
    const row = policies.find(({ policy }) => policy === POLICY);
    return [
      name,
      String(events),
      digits(row.nsPerEvent),
      native === undefined ? '–' : digits(native.nsPerEvent),
      row.ratio === undefined ? '–' : row.ratio.toFixed(2),
      `${mib(row.committedBytes)} / ${mib(row.residentBytes)}`,
    ];
  });
  const header = 'recording|events|ns an event|native|native / ours|committed / resident shadow, MiB';
  return [
    table(header.split('|'), rows),
    ...means(replays).filter((line) => line.startsWith(`\`${POLICY}\``)),
  ].join('\n\n');
}

function means(replays) {
  if (replays.some(({ native }) => native === undefined)) return [];
  return replays[0].policies.map(({ policy }, k) => {
    const mean = geometricMean(replays.map(({ policies }) => policies[k].ratio));
    return `\`${policy}\`: ${mean.toFixed(2)} times the speed of the native runtime (geometric mean).`;
  });
}

export function startUpTable(startUps, mapShadow, heap) {
  const starts = startUps.map(({ policy, ms, virtualBytes, residentBytes }) => [
    policy,
    ms.toFixed(2),
    (virtualBytes / 2 ** 40).toFixed(2),
    (residentBytes / MIB).toFixed(1),
  ]);
  const calls = mapShadow.map(({ layout, mapShadowNs, rawNs, ratio }) => [
    layout,
    mapShadowNs.toFixed(0),
    rawNs.toFixed(0),
    ratio.toFixed(2),
  ]);
  const pairs = heap.rows
    .filter(({ pattern }) => pattern === 'pair')
    .map(({ size, own, calloc, go }) => [
      String(size),
      digits(own),
      digits(calloc),
      go === undefined ? '–' : digits(go),
      (own / calloc).toFixed(1),
    ]);
  return [
    table(['new Shadow', 'ms', 'reserved or mapped, TiB', 'resident, MiB'], starts),
    table(['MapShadow of 64 KiB, `lazy`', 'ns a call', 'mprotect in C', 'ratio'], calls),
    table(['malloc and free of, bytes', 'ns a pair', 'calloc and free in C', 'Go', 'ours / C'], pairs),
  ].join('\n\n');
}

export function againstTable(rows, commit) {
  const mean = geometricMean(rows.map(({ before, after }) => before / after));
  const cells = rows.map(({ name, before, after }) => [
    name,
    digits(before),
    digits(after),
    (before / after).toFixed(2),
  ]);
  return `${table(['ns an event', commit, 'here', 'times as fast'], cells)}\n\n${mean.toFixed(2)} times as fast (geometric mean).`;
}

/** Puts the tables between the marks in README.md and docs/performance.md. */
export function writeTables(replays, startUps, mapShadow, heap) {
  const all = `${replayTable(replays)}\n\n${startUpTable(startUps, mapShadow, heap)}`;
  writeBetweenMarks('README.md', 'bench', `${shortTable(replays)}\n\n${folded(all)}`);
  writeBetweenMarks('docs/performance.md', 'bench', all);
}

/** What a reader may open. */
function folded(text) {
  const summary = 'Every policy, first replays and memory; what a shadow costs, `mapShadow`, and the heap';
  return `<details>\n<summary>${summary.replaceAll(/`(.*?)`/g, '<code>$1</code>')}</summary>\n\n${text}\n\n</details>`;
}

function table(header, rows) {
  return [header, header.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

function digits(ns) {
  return ns >= 100 ? ns.toFixed(0) : ns.toFixed(1);
}

function mib(bytes) {
  return (bytes / MIB).toFixed(1);
}
