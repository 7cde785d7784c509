/**
 * Reports as whole texts, and their JSON and SARIF forms.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { type GoraceOptions, parseGorace } from '../../lib/race/gorace.js';
import { Race } from '../../lib/race/package-race.js';
import type { RaceReport, SourceFrame } from '../../lib/race/report.js';
import { jsonRace } from '../../lib/race/report-json.js';
import { sarifLog } from '../../lib/race/report-sarif.js';
import { formatReport, formatSummary } from '../../lib/race/report-text.js';
import { Shadow } from '../../lib/shadow/shadow.js';
import { HEAP_SIZE } from '../support/sizes.js';

const HEAP = 0xc0_0000_0000;
const LOCK = HEAP + 0x800;

const SYMBOLS: Record<number, SourceFrame[]> = {
  16: [{ function: 'main.main', file: '/home/me/src/app/main.go', line: 7, offset: 0x84 }],
  17: [{ function: 'main.write', file: '/home/me/src/app/main.go', line: 12, offset: 0x1c }],
  18: [
    { function: 'main.get', file: '/home/me/src/app/main.go', line: 20, offset: 0x9 },
    { function: 'main.read', file: '/home/me/src/app/main.go', line: 30, offset: 0x39 },
  ],
  19: [{ function: 'strconv.Itoa', file: '$GOROOT/src/strconv/itoa.go', line: 35, offset: 1 }],
  255: [{ function: 'runtime.goexit', file: '$GOROOT/src/runtime/asm_amd64.s', line: 1594, offset: 1 }],
};
const symbolize = (pc: number) => SYMBOLS[pc] ?? [];

const shadows: Shadow[] = [];
afterEach(() => {
  for (const shadow of shadows.splice(0)) shadow.release();
});

function setUp(gorace: GoraceOptions = parseGorace('')) {
  const shadow = new Shadow({ ...HEAP_SIZE, policy: 'touch' });
  shadows.push(shadow);
  const reports: RaceReport[] = [];
  const race = new Race({ shadow, gorace, onReport: (report) => reports.push(report) });
  race.initialize(1);
  race.mapShadow(HEAP, 1 << 20);
  race.funcEnter(1, 0xff);
  race.goStart(1, 2, 0x10);
  race.goStart(1, 3, 0x10);
  for (const goroutine of [2, 3]) race.funcEnter(goroutine, 0xff);
  return { race, reports };
}

/** A race between goroutine 2, finished by then, and goroutine 3. */
function oneRace(gorace?: GoraceOptions) {
  const { race, reports } = setUp(gorace);
  race.malloc(HEAP + 0x40, 0x20, 1);
  race.write(2, HEAP + 0x48, 0x11);
  race.goEnd(2);
  race.read(3, HEAP + 0x48, 0x12);
  const [report] = reports;
  if (report === undefined) throw new Error('no race was reported');
  return report;
}

describe('the text of a report', () => {
  it('is Go’s', () => {
    expect(formatReport(oneRace(), { symbolize })).toBe(`==================
WARNING: DATA RACE
Read at 0x00c000000048 by goroutine 3:
  main.get()
      /home/me/src/app/main.go:20 +0x9
  main.read()
      /home/me/src/app/main.go:30 +0x39

Previous write at 0x00c000000048 by goroutine 2:
  main.write()
      /home/me/src/app/main.go:12 +0x1c

Goroutine 3 (running) created at:
  main.main()
      /home/me/src/app/main.go:7 +0x84

Goroutine 2 (finished) created at:
  main.main()
      /home/me/src/app/main.go:7 +0x84
==================
`);
  });

  it('can say where the address lies', () => {
    const text = formatReport(oneRace(), { symbolize, withLocation: true, stripPathPrefix: '/me/src/' });
    expect(text).toContain('      app/main.go:12 +0x1c\n');
    expect(text).toContain(`
Location is the heap object at 0x00c000000040, 32 bytes; the race is at offset 8, allocated by goroutine 1:
  runtime.goexit()
`);
  });

  it('names the main goroutine and gives it no creation', () => {
    const { race, reports } = setUp();
    race.write(1, HEAP, 0x11);
    race.write(2, HEAP, 0x13);
    const text = reports.map((report) => formatReport(report, { symbolize })).join('');
    expect(text).toContain('Previous write at 0x00c000000000 by main goroutine:\n');
    expect(text.match(/created at:/g)).toHaveLength(1);
  });

  it('says so when the earlier stack is no longer known', () => {
    const { race, reports } = setUp(parseGorace('history_size=0'));
    race.write(2, HEAP, 0x11);
    for (let i = 1; i <= 32 * 1024; i++) race.write(2, HEAP + 8 * i, 0x11);
    race.write(3, HEAP, 0x13);
    expect(reports).toHaveLength(1);
    const text = reports.map((report) => formatReport(report, { symbolize })).join('');
    expect(text).toContain(
      'Previous write at 0x00c000000000 by goroutine 2:\n  [failed to restore the stack]\n',
    );
  });

  it('shows a pc without symbols', () => {
    const { race, reports } = setUp();
    race.write(2, HEAP, 0x1234);
    race.write(3, HEAP, 0x1234);
    const text = reports.map((report) => formatReport(report, { symbolize: () => [] })).join('');
    expect(text).toContain('  ??()\n      -:0 +0x1234\n');
  });

  it('ends with a count', () => {
    expect(formatSummary(3)).toBe('Found 3 data race(s)\n');
  });
});

describe('the earlier stack', () => {
  it('is that of the bytes that race, of all that a cell stands for', () => {
    const { race, reports } = setUp();
    race.write(2, HEAP, 0x11);
    race.write(2, HEAP + 1, 0x13);
    race.write(2, HEAP + 2, 0x12);
    race.read(3, HEAP + 1, 0x10);
    expect(reports).toMatchObject([
      { address: HEAP + 1, sizeBytes: 1, previous: { stack: [0x13, 0xff], address: HEAP + 1, sizeBytes: 1 } },
    ]);
  });

  it('has the caller of an instrumented wrapper on it', () => {
    const { race, reports } = setUp();
    race.write(2, HEAP, 0x13, 0x12);
    race.atomic(3, 'load', HEAP, 8, 0x13, 0x11);
    expect(reports).toMatchObject([
      { current: { stack: [0x13, 0x11, 0xff], atomic: true }, previous: { stack: [0x13, 0x12, 0xff] } },
    ]);
  });
});

describe('suppression', () => {
  const races = (options: string) => {
    const { race, reports } = setUp(parseGorace(options));
    for (let i = 0; i < 3; i++) race.write(2, HEAP + i, 0x11);
    for (let i = 0; i < 3; i++) race.write(3, HEAP + i, 0x11);
    race.release(3, LOCK);
    for (let i = 0; i < 3; i++) race.write(3, HEAP + i, 0x13);
    expect(race.racyAddresses()).toEqual([HEAP, HEAP + 1, HEAP + 2]);
    return reports.length;
  };

  it('reports a pair of stacks once, and an address once', () => {
    expect(races('')).toBe(2);
    expect(races('suppress_equal_stacks=0')).toBe(3);
    expect(races('suppress_equal_addresses=0')).toBe(2);
    expect(races('suppress_equal_stacks=0 suppress_equal_addresses=0')).toBe(6);
  });
});

describe('the JSON of a report', () => {
  it('has both accesses, stacks and the object', () => {
    const stack = [{ function: 'main.write', file: 'app/main.go', line: 12 }];
    const created = [{ function: 'main.main', file: 'app/main.go', line: 7 }];
    expect(jsonRace(oneRace(), symbolize, '/me/src/')).toEqual({
      address: '0xc000000048',
      sizeBytes: 1,
      current: {
        kind: 'read',
        atomic: false,
        goroutine: 3,
        stack: [
          { function: 'main.get', file: 'app/main.go', line: 20 },
          { function: 'main.read', file: 'app/main.go', line: 30 },
        ],
        goroutineCreatedAt: created,
      },
      previous: { kind: 'write', atomic: false, goroutine: 2, stack, goroutineCreatedAt: created },
      location: {
        kind: 'object',
        address: '0xc000000040',
        sizeBytes: 32,
        offset: 8,
        allocatedBy: {
          goroutine: 1,
          stack: [{ function: 'runtime.goexit', file: '$GOROOT/src/runtime/asm_amd64.s', line: 1594 }],
        },
      },
    });
  });
});

describe('the SARIF of reports', () => {
  it('is a 2.1.0 log that code scanning takes', () => {
    const log = sarifLog([{ name: 'a.trc', reports: [oneRace()], symbolize }], '1.2.3');
    expect(log).toMatchObject({
      version: '2.1.0',
      runs: [
        {
          tool: { driver: { name: 'lazyshadow', version: '1.2.3', rules: [{ id: 'data-race' }] } },
          results: [
            {
              ruleId: 'data-race',
              ruleIndex: 0,
              level: 'error',
              locations: [
                {
                  physicalLocation: {
                    artifactLocation: { uri: 'file:///home/me/src/app/main.go' },
                    region: { startLine: 20 },
                  },
                  logicalLocations: [{ fullyQualifiedName: 'main.get' }],
                },
              ],
              relatedLocations: [{ id: 0 }, { id: 1 }, { id: 2 }],
            },
          ],
        },
      ],
    });
    for (const { message, stacks } of (log as { runs: { results: Result[] }[] }).runs[0]?.results ?? []) {
      expect(message.text).toMatch(/^Data race: read by goroutine 3 in main.get and an earlier write/);
      expect(stacks).toHaveLength(4);
    }
  });

  it('fingerprints a race by its places, whichever access came first', () => {
    const prints = [2, 3].map((first) => {
      const { race, reports } = setUp();
      race.write(first, HEAP, first === 2 ? 0x11 : 0x13);
      race.write(5 - first, HEAP, first === 2 ? 0x13 : 0x11);
      const log = sarifLog([{ name: '', reports, symbolize }], '') as { runs: { results: Result[] }[] };
      return log.runs[0]?.results[0]?.partialFingerprints;
    });
    expect(prints[0]).toEqual(prints[1]);
  });

  it('writes Go’s own sources under GOROOT', () => {
    const { race, reports } = setUp();
    race.write(2, HEAP, 0x13);
    race.write(3, HEAP, 0x13);
    expect(JSON.stringify(sarifLog([{ name: '', reports, symbolize }], ''))).toContain(
      '{"uri":"src/strconv/itoa.go","uriBaseId":"GOROOT"}',
    );
  });
});

interface Result {
  readonly message: { readonly text: string };
  readonly stacks: readonly unknown[];
  readonly partialFingerprints: unknown;
}
