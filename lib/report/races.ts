/**
 * The races of a recording as a section of a page. All text in it is a recording's, and so is escaped.
 */

import type { JsonFrame, JsonLocation } from '../race/report-json.js';
import { Html, html } from './html.js';
import type { AccessInReport, RaceInReport, RecordingReport } from './recording.js';

/** The section. */
export function racesSection({ races, raceCount, racyByteCount }: RecordingReport): Html {
  const rest = raceCount - races.length;
  return html`<section id="races">
    <h2>Data races</h2>
    <p>
      ${
        raceCount === 0
          ? 'None. The replay keeps every access that could still race, so that nothing is missed in this run.'
          : html`<data id="race-count" value="${raceCount}">${raceCount.toLocaleString('en-US')}</data>
              reported; accesses raced on
              <data id="racy-bytes" value="${racyByteCount}">${bytesInWords(racyByteCount)}</data> in all. Two
              accesses race when they share a byte, one of them writes, and neither happens before the other.`
      }
    </p>
    ${races.map(raceDetails)}
    ${rest > 0 ? html`<p class="note">… and ${rest.toLocaleString('en-US')} more: <code>lazyshadow replay</code> prints all.</p>` : ''}
  </section>`;
}

function raceDetails(race: RaceInReport, index: number): Html {
  const { current, previous, address, sizeBytes, location } = race;
  const top = (access: AccessInReport) => access.stack[0];
  return html`<details class="race" ${new Html(index === 0 ? ' open' : '')}>
    <summary>
      <span class="number">${index + 1}</span> ${accessName(current)} in ${functionName(top(current))}
      <span class="where">${position(top(current))}</span>
    </summary>
    <p>
      <code>${address}</code>,
      ${bytesInWords(sizeBytes)}${location === null ? '' : html`, ${locationInWords(location)}`}.
    </p>
    <div class="sides">
      ${accessSide('Later', current)} ${accessSide('Earlier', previous)}
      ${
        location?.allocatedBy === undefined
          ? ''
          : html`<div>
              <h4>Allocated</h4>
              ${stackList(location.allocatedBy.stack)}
            </div>`
      }
    </div>
  </details>`;
}

function accessSide(when: string, access: AccessInReport): Html {
  return html`<div>
    <h4>${when}: ${accessName(access)} by ${access.goroutineName}</h4>
    ${access.stack.length > 0 ? stackList(access.stack) : html`<p class="note">The stack is no longer known.</p>`}
    ${
      access.goroutineCreatedAt.length > 0
        ? html`<h5>${access.goroutineName} was started at</h5>
            ${stackList(access.goroutineCreatedAt)}`
        : ''
    }
  </div>`;
}

function accessName({ atomic, kind }: AccessInReport): string {
  return `${atomic ? 'atomic ' : ''}${kind}`;
}

function functionName(frame: JsonFrame | undefined): string {
  return frame?.function ?? 'an unknown function';
}

function position(frame: JsonFrame | undefined): string {
  return frame === undefined || frame.line === 0 ? '' : `${frame.file}:${frame.line}`;
}

function stackList(frames: readonly JsonFrame[]): Html {
  return html`<ol class="stack">
    ${frames.map(
      (frame) => html`<li><b>${functionName(frame)}</b> <span class="where">${position(frame)}</span></li>`,
    )}
  </ol>`;
}

function locationInWords({ kind, name, address, sizeBytes, offset }: JsonLocation): Html {
  const what = kind === 'region' ? `the ${name ?? 'memory'}` : `an object of ${bytesInWords(sizeBytes)}`;
  return html`${offset.toLocaleString('en-US')} into ${what} at <code>${address}</code>`;
}

function bytesInWords(bytes: number): string {
  return bytes === 1 ? '1 byte' : `${bytes.toLocaleString('en-US')} bytes`;
}
