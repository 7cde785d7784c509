/**
 * One HTML page with all of a measurement, and of the recording that was measured: no script, nothing loaded, so that
 * it can be mailed, kept as a build's artefact and opened anywhere.
 *
 * The numbers are in it twice: for people, each in a `<data>` or a cell with its exact value beside its rounded text; and as
 * the JSON that was measured, in a block that no browser runs.
 */

import { basename } from 'node:path';
import type { MeasureResult } from '../measure/measure.js';
import type { Sample } from '../measure/sample.js';
import type { Policy } from '../shadow/policies.js';
import { humanBytes } from './bytes.js';
import type { Chart } from './chart.js';
import { dataBlock, Html, html } from './html.js';
import { mergedNotes } from './notes.js';
import { type Charts, chartsOf } from './picture.js';
import { racesSection } from './races.js';
import type { RecordingReport } from './recording.js';
import { PAGE_CSS } from './style.js';

/** All that a page shows. It is in the page as JSON, as it is. */
export interface PageData {
  /** Version of lazyshadow. */
  readonly version: string;
  /** The machine, and when: what a number is worth depends on them. */
  readonly machine: string;
  readonly measuredAt: string;
  readonly measurement: MeasureResult;
  /** Absent for a workload, and where only memory was measured. */
  readonly recording?: RecordingReport;
}

/** A section's id, its name in the navigation, and itself. */
type Section = readonly [id: string, name: string, content: Html];

/** Nothing may be loaded or run, whatever a recording tries. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/** The page. */
export function page(data: PageData): string {
  const { measurement, recording } = data;
  const charts = chartsOf(measurement);
  const subject =
    measurement.trace === null ? `${measurement.workload} workload` : basename(measurement.trace);
  const sections: Section[] = [
    ['memory', 'Memory', memorySection(measurement, charts.summary)],
    ['time', 'Over time', timeSection(charts)],
  ];
  if (charts.maps.length > 0) sections.push(['map', 'Address space', mapSection(charts.maps)]);
  if (recording !== undefined) {
    sections.unshift(['races', 'Data races', racesSection(recording)]);
    sections.push(['recording', 'Recording', recordingSection(recording)]);
  }
  sections.push(['words', 'Words', WORDS]);
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${POLICY}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${subject} – lazyshadow</title>
        <style>
          ${new Html(PAGE_CSS)}
        </style>
      </head>
      <body>
        <a class="skip" href="#content">To the content</a>
        <header>
          <h1>${subject}: where its shadow goes${recording === undefined ? '' : ', and its races'}</h1>
          <p class="note">
            Measured by lazyshadow ${data.version} on ${data.machine},
            <time datetime="${data.measuredAt}">${dateInWords(data.measuredAt)}</time>, each policy in a
            process of its own; shadow layout ${measurement.layout}, pages of
            ${humanBytes(measurement.pageSizeBytes)}.
          </p>
          <nav aria-label="Sections">
            <ul>
              ${sections.map(([id, name]) => html`<li><a href="#${id}">${name}</a></li>`)}
            </ul>
          </nav>
        </header>
        <main id="content">${facts(data)} ${sections.map(([, , section]) => section)}</main>
        ${dataBlock('lazyshadow-data', data)}
      </body>
    </html> `.text;
}

/** `2026-01-31 12:00 UTC`. */
function dateInWords(iso: string): string {
  return `${iso.slice(0, 16).replace('T', ' ')} UTC`;
}

function facts({ measurement, recording }: PageData): Html {
  const heap = Math.max(0, ...measurement.policies.map(({ final }) => final.heapBytes));
  const committed = (policy: Policy) =>
    measurement.policies.flatMap((row) =>
      row.policy === policy && row.ok
        ? [fact(`Shadow committed, ${policy}`, humanBytes(row.final.committedBytes))]
        : [],
    );
  return html`<dl class="facts">
    ${recording === undefined ? '' : fact('Data races', recording.raceCount.toLocaleString('en-US'))}
    ${fact('Heap mapped', humanBytes(heap))} ${committed('lazy')} ${committed('touch')}
  </dl>`;
}

function fact(name: string, value: string): Html {
  return html`<div>
    <dt>${name}</dt>
    <dd>${value}</dd>
  </div>`;
}

/** Columns of the table: a field of a sample, and its head. */
const COLUMNS: readonly (readonly [
  Exclude<keyof Sample, 'atMs' | 'heapBytes' | 'mergedBytes' | 'goHeap'>,
  string,
])[] = [
  ['reservedBytes', 'reserved'],
  ['committedBytes', 'committed'],
  ['osCommittedBytes', 'OS-counted'],
  ['residentBytes', 'resident'],
  ['processVirtualBytes', 'VIRT'],
  ['processResidentBytes', 'RSS'],
  ['processCommitBytes', 'commit charge'],
];

function memorySection({ policies }: MeasureResult, summary: readonly Chart[]): Html {
  return html`<section id="memory">
    <h2>Memory at the end</h2>
    <div class="scroll" role="region" aria-label="Memory at the end, a table" tabindex="0">
      <table>
        <thead>
          <tr>
            <th scope="col">policy</th>
            ${COLUMNS.map(([, head]) => html`<th scope="col">${head}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${policies.map(
            ({ policy, ok, final }) =>
              html`<tr data-policy="${policy}">
                <th scope="row">
                  <span class="swatch" style="background:var(--${policy})"></span>${policy}${
                    ok ? '' : ' (failed)'
                  }
                </th>
                ${COLUMNS.map(([field]) => html`<td data-field="${field}" data-bytes="${final[field] ?? ''}">${humanBytes(final[field])}</td>`)}
              </tr> `,
          )}
        </tbody>
      </table>
    </div>
    ${policies.map(({ policy, error }) => (error === null ? '' : html`<p class="error"><b>${policy} failed: ${error.code}.</b> ${error.message}</p>`))}
    ${mergedNotes(policies).map((note) => html`<p class="note">${note}</p>`)}
    <div class="charts">${summary.map(figure)}</div>
  </section>`;
}

function timeSection({ overTime }: Charts): Html {
  return html`<section id="time">
    <h2>Over time</h2>
    <div class="charts">${overTime.map(figure)}</div>
  </section>`;
}

function mapSection(maps: readonly Chart[]): Html {
  return html`<section id="map">
    <h2>The shadow’s address space</h2>
    <p>
      A cell is a block of shadow addresses, ascending from left to right and from top to bottom. It is filled
      from below by as much as is committed (faint) and resident (strong); the least that is drawn is a fifth.
      Metainfo is not in the map.
    </p>
    <div class="charts">${maps.map(figure)}</div>
  </section>`;
}

function figure({ svg }: Chart): Html {
  return html`<figure>${new Html(svg)}</figure>`;
}

function recordingSection({ summary }: RecordingReport): Html {
  const { goroutines, heap, touched } = summary;
  const count = (value: number) => value.toLocaleString('en-US');
  const rows: readonly (readonly [string, string])[] = [
    ['events', count(summary.events)],
    ['goroutines', `${count(goroutines.started)} started, at most ${count(goroutines.mostAlive)} at once`],
    [
      'mapped',
      `${humanBytes(summary.mappedBytes)} by ${count(summary.calls.find(({ call }) => call === 'MapShadow')?.count ?? 0)} calls`,
    ],
    [
      'touched',
      `${touched.complete ? '' : 'at least '}${humanBytes(touched.sizeBytes)} on ${count(touched.pages)} pages of 4 KiB`,
    ],
    [
      'allocated',
      `${count(heap.mallocs)} blocks, ${humanBytes(heap.mallocBytes)}; ${count(heap.frees)} freed`,
    ],
  ];
  return html`<section id="recording">
    <h2>The recording</h2>
    <div class="scroll" role="region" aria-label="What the recording holds, a table" tabindex="0">
      <table class="words">
        <tbody>
          ${rows.map(
            ([name, value]) =>
              html`<tr>
                <th scope="row">${name}</th>
                <td>${value}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
    <h3>Functions with most events</h3>
    <div class="scroll" role="region" aria-label="Functions with most events, a table" tabindex="0">
      <table class="words">
        <thead>
          <tr>
            <th scope="col">function</th>
            <th scope="col">events</th>
          </tr>
        </thead>
        <tbody>
          ${summary.topFunctions.map(
            (top) =>
              html`<tr>
                <th scope="row"><code>${top.function}</code> <span class="where">${top.file}</span></th>
                <td>${count(top.events)}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

const WORDS = html`<section id="words">
  <h2>Words</h2>
  <dl>
    <dt><b>reserved</b></dt>
    <dd>Addresses that are set aside. They cost nothing but addresses.</dd>
    <dt><b>committed</b></dt>
    <dd>
      Memory that the policy asked for: readable, writable, and charged against the machine’s memory where the
      system charges at all.
    </dd>
    <dt><b>OS-counted</b></dt>
    <dd>What of that the operating system counts as promised.</dd>
    <dt><b>resident</b></dt>
    <dd>What is in physical memory, because it was touched.</dd>
    <dt><b>eager</b></dt>
    <dd>Maps all shadow at the start, as Go did before November 2012.</dd>
    <dt><b>unreserved</b></dt>
    <dd>Maps shadow as the heap grows, with nothing reserved, as Go has done since.</dd>
    <dt><b>lazy</b></dt>
    <dd>Reserves at the start, commits as the heap grows.</dd>
    <dt><b>touch</b></dt>
    <dd>Reserves at the start, commits a page when it is first written.</dd>
  </dl>
</section>`;
