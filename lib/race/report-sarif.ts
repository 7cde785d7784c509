/**
 * Reports as SARIF 2.1.0, which code-scanning tools read: one result for each race, at the line of the later access, the
 * earlier access and the go statements as related locations, and the stacks.
 */
import { createHash } from 'node:crypto';
import type { RaceReport, Symbolize } from './report.js';
import { type JsonAccess, type JsonFrame, type JsonRace, jsonAddress, jsonRace } from './report-json.js';

const RULE_ID = 'data-race';

/** The reports of one recording or run. */
export interface SarifRun {
  /** Of the recording. */
  readonly name: string;
  /** In the order in which they were found. */
  readonly reports: readonly RaceReport[];
  /** How a pc becomes frames. */
  readonly symbolize: Symbolize;
  /** Cut off the front of every file. */
  readonly stripPathPrefix?: string;
}

/**
 * A SARIF log with a run for each of `runs`, to be passed to JSON.stringify.
 * @param version lazyshadow's, which the log names as its tool's
 */
export function sarifLog(runs: readonly SarifRun[], version: string): object {
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: runs.map((run) => ({
      tool: {
        driver: {
          name: 'lazyshadow',
          version,
          rules: [
            {
              id: RULE_ID,
              name: 'DataRace',
              shortDescription: { text: 'Two goroutines access the same memory without synchronisation.' },
              fullDescription: {
                text: 'At least one of the accesses is a write, they are not both atomic, and neither happens before the other.',
              },
              defaultConfiguration: { level: 'error' },
            },
          ],
        },
      },
      properties: { trace: run.name },
      results: run.reports.map((report) =>
        result(jsonRace(report, run.symbolize, run.stripPathPrefix), report),
      ),
    })),
  };
}

function result(race: JsonRace, report: RaceReport): object {
  const { current, previous } = race;
  const related = [
    ...top(previous.stack, `Previous ${describe(previous)}`),
    ...top(current.goroutineCreatedAt, `goroutine ${current.goroutine} created`),
    ...top(previous.goroutineCreatedAt, `goroutine ${previous.goroutine} created`),
  ];
  const where = (access: JsonAccess) => access.stack[0]?.function ?? 'an unknown function';
  return {
    ruleId: RULE_ID,
    ruleIndex: 0,
    level: 'error',
    message: {
      text:
        `Data race: ${describe(current)} in ${where(current)} and an earlier ${describe(previous)} in ` +
        `${where(previous)} are unordered (${race.sizeBytes} byte(s) at ${race.address}).`,
    },
    locations: top(current.stack),
    relatedLocations: related.map((location, id) => ({ id, ...location })),
    stacks: [
      stack(`${describe(current)}`, current.stack),
      stack(`previous ${describe(previous)}`, previous.stack),
      stack(`goroutine ${current.goroutine} created`, current.goroutineCreatedAt),
      stack(`goroutine ${previous.goroutine} created`, previous.goroutineCreatedAt),
    ].filter(({ frames }) => frames.length > 0),
    partialFingerprints: { 'raceStacks/v1': fingerprint(race) },
    properties: { address: jsonAddress(report.address), sizeBytes: race.sizeBytes, location: race.location },
  };
}

function describe(access: JsonAccess): string {
  return `${access.atomic ? 'atomic ' : ''}${access.kind} by goroutine ${access.goroutine}`;
}

/** The innermost frame as a list of at most one location. */
function top(frames: readonly JsonFrame[], text?: string): object[] {
  return frames.slice(0, 1).map((frame) => location(frame, text));
}

function stack(text: string, frames: readonly JsonFrame[]) {
  return { message: { text }, frames: frames.map((frame) => ({ location: location(frame) })) };
}

function location({ function: name, file, line }: JsonFrame, text?: string): object {
  const logicalLocations = [{ fullyQualifiedName: name, kind: 'function' }];
  const message = text === undefined ? {} : { message: { text } };
  if (file === '-') return { ...message, logicalLocations };
  const region = line > 0 ? { region: { startLine: line } } : {};
  return { ...message, physicalLocation: { artifactLocation: artifact(file), ...region }, logicalLocations };
}

/** A file as a URI. Recordings write Go's own sources as $GOROOT/…, which SARIF has a word for. */
function artifact(file: string): object {
  // Half of a surrogate pair has no encoding: encodeURIComponent throws.
  const path = file.replaceAll('\\', '/').replace(/\p{Cs}/gu, '\ufffd');
  const encoded = path.split('/').map(encodeURIComponent).join('/');
  const base = /^%24([A-Za-z_]+)\/(.*)$/.exec(encoded);
  if (base !== null) return { uri: base[2], uriBaseId: base[1] };
  if (/^[A-Za-z]:\//.test(path)) return { uri: `file:///${path[0]}:${encoded.slice(encoded.indexOf('/'))}` };
  return { uri: path.startsWith('/') ? `file://${encoded}` : encoded };
}

/** The same for every run of the program that has the race at the same two places, whichever access came first. */
function fingerprint(race: JsonRace): string {
  const places = [race.current, race.previous].map(({ kind, stack: frames }) =>
    JSON.stringify([kind, frames.map(({ function: name, file, line }) => [name, file, line])]),
  );
  return createHash('sha256').update(places.sort().join('\n')).digest('hex').slice(0, 32);
}
