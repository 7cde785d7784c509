/**
 * Pages and pictures as people get them: written by the command line, opened in a browser, wide and as narrow as a
 * phone, light and dark; and a recording that tries to be more than text.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MeasureResult } from '../../lib/measure/measure.js';
import { humanBytes } from '../../lib/report/bytes.js';
import { escaped, html } from '../../lib/report/html.js';
import type { PageData } from '../../lib/report/page.js';
import { DARK, LIGHT } from '../../lib/report/theme.js';
import { Op } from '../../lib/trace/format.js';
import { hasBrowser, unlessBrowser, type View, withPage } from '../support/browser.js';
import { lazyshadow } from '../support/cli.js';
import { program, programBytes, shippedRecording } from '../support/recordings.js';
import { begun } from '../support/traces.js';

let directory: string;
const file = (name: string) => join(directory, name);
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'lazyshadow-page-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true, maxRetries: 10 }));

/** Writes a report, and returns what it printed. */
function reportOn(trace: string, page: string): PageData {
  const { code, stdout, stderr } = lazyshadow(['report', trace, '-o', page, '--json']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: `lazyshadow: wrote ${page}\n` });
  return JSON.parse(stdout) as PageData;
}

const VIEWS: readonly View[] = [
  { width: 1200, colorScheme: 'light' },
  { width: 1200, colorScheme: 'dark' },
  { width: 360, colorScheme: 'light' },
  { width: 320, colorScheme: 'dark' },
];
/** `#14171c` as a browser says it. */
const rgb = (hex: string) =>
  `rgb(${[1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)).join(', ')})`;

describe.skipIf(!hasBrowser)(`the page of a recording with a race${unlessBrowser}`, () => {
  let data: PageData;
  beforeAll(() => {
    writeFileSync(file('racymap.trc'), programBytes(program('racymap')));
    data = reportOn(file('racymap.trc'), file('racymap.html'));
  });

  describe.each(VIEWS)('seen $width pixels wide, $colorScheme', (view) => {
    it('opens without a complaint, loads nothing, and fits', async () => {
      await withPage(file('racymap.html'), view, async ({ page, complaints, requests }) => {
        expect(complaints).toEqual([]);
        expect(requests).toEqual([]);
        const { colorScheme, width } = view;
        const look = await page.evaluate(() => ({
          background: getComputedStyle(document.documentElement).backgroundColor,
          width: document.documentElement.scrollWidth,
          // What a reader's eye meets in a chart, scaled as the chart is.
          smallestText: Math.min(
            ...Array.from(document.querySelectorAll('svg'), (svg) => {
              const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
              const sizes = Array.from(svg.querySelectorAll('text'), (text) =>
                Number.parseFloat(getComputedStyle(text).fontSize),
              );
              return scale * Math.min(...sizes);
            }),
          ),
        }));
        expect(look.background).toBe(rgb((colorScheme === 'dark' ? DARK : LIGHT).background));
        expect(look.width).toBeLessThanOrEqual(width);
        expect(look.smallestText).toBeGreaterThanOrEqual(width < 360 ? 8 : 9);
        const screenshot = file(`${width}-${colorScheme}.png`);
        await page.screenshot({ path: screenshot, fullPage: true });
        // A page of nothing but background packs into a few kilobytes.
        expect(readFileSync(screenshot).length).toBeGreaterThan(60_000);
      });
    });
  });

  it('has in its table, its facts and its data the numbers of the JSON', async () => {
    await withPage(file('racymap.html'), { width: 1000, colorScheme: 'light' }, async ({ page }) => {
      const shown = await page.evaluate(() => ({
        data: document.getElementById('lazyshadow-data')?.textContent ?? '',
        races: document.querySelector<HTMLDataElement>('#race-count')?.value,
        racyBytes: document.querySelector<HTMLDataElement>('#racy-bytes')?.value,
        cells: Array.from(document.querySelectorAll<HTMLElement>('td[data-field]'), (cell) => ({
          policy: cell.closest('tr')?.dataset['policy'],
          field: cell.dataset['field'],
          bytes: cell.dataset['bytes'],
          text: cell.textContent,
        })),
        charts: Array.from(document.querySelectorAll('svg'), (svg) => svg.textContent ?? ''),
      }));
      expect(JSON.parse(shown.data)).toEqual(data);
      expect(shown.races).toBe(String(data.recording?.raceCount));
      expect(shown.racyBytes).toBe(String(program('racymap').racyAddresses.length));
      const fields = [
        'reservedBytes',
        'committedBytes',
        'osCommittedBytes',
        'residentBytes',
        'processVirtualBytes',
        'processResidentBytes',
        'processCommitBytes',
      ] as const;
      const expected = data.measurement.policies.flatMap(({ policy, final }) =>
        fields.map((field) => ({
          policy,
          field,
          bytes: String(final[field]),
          text: humanBytes(final[field]),
        })),
      );
      expect(shown.cells).toEqual(expected);
      for (const { policy, final } of data.measurement.policies) {
        const chart = shown.charts.find((text) => text.includes(`Shadow over time: ${policy}`)) ?? '';
        expect(chart).toContain(`${humanBytes(final.reservedBytes)} reserved`);
        expect(chart).toContain(`${humanBytes(final.committedBytes)} committed`);
        expect(chart).toContain(`${humanBytes(final.residentBytes)} resident`);
      }
    });
  });

  it('says of each race both stacks, with positions, the go statements, and the object', async () => {
    const [race] = data.recording?.races ?? [];
    if (race === undefined) throw new Error('racymap has a race');
    await withPage(file('racymap.html'), { width: 1000, colorScheme: 'light' }, async ({ page }) => {
      const text = (await page.locator('details.race').first().innerText()).replace(/\s+/g, ' ');
      const stacks = [race.current.stack, race.previous.stack, race.current.goroutineCreatedAt];
      for (const frame of stacks.flat()) {
        expect(text).toContain(`${frame.function} ${frame.file}:${frame.line}`);
      }
      expect(text).toContain(race.address);
      expect(text).toContain(`an object of 16 bytes at ${race.location?.address}`);
      expect(text).toContain(`${race.current.kind} by ${race.current.goroutineName}`);
      expect(text).toContain(`${race.previous.kind} by ${race.previous.goroutineName}`);
    });
  });

  it('can be used by keyboard alone', async () => {
    await withPage(file('racymap.html'), { width: 360, colorScheme: 'light' }, async ({ page }) => {
      const reached: string[] = [];
      for (let i = 0; i < 40; i++) {
        await page.keyboard.press('Tab');
        const focus = await page.evaluate(() => {
          const at = document.activeElement;
          if (at === null || at === document.body) return '';
          const outline = getComputedStyle(at).outlineStyle;
          return `${at.tagName} ${at.getAttribute('href') ?? at.getAttribute('aria-label') ?? ''} ${outline}`;
        });
        if (focus === '') break;
        reached.push(focus);
      }
      expect(reached[0]).toBe('A #content solid');
      for (const id of ['races', 'memory', 'time', 'map', 'recording', 'words'])
        expect(reached).toContain(`A #${id} solid`);
      expect(reached).toContain('SUMMARY  solid');
      expect(reached).toContain('DIV Memory at the end, a table solid');
      const race = page.locator('details.race').first();
      await race.locator('summary').focus();
      const open = () => race.evaluate((element) => (element as HTMLDetailsElement).open);
      const before = await open();
      await page.keyboard.press('Enter');
      expect(await open()).toBe(!before);
    });
  });

  it('has words for every picture, and every place that a link leads to', async () => {
    await withPage(file('racymap.html'), { width: 1000, colorScheme: 'light' }, async ({ page }) => {
      const found = await page.evaluate(() => ({
        words: Array.from(
          document.querySelectorAll('svg'),
          (svg) => svg.getAttribute('role') === 'img' && (svg.getAttribute('aria-label') ?? ''),
        ),
        dangling: Array.from(document.querySelectorAll('a'), (a) => a.getAttribute('href') ?? '').filter(
          (href) => !href.startsWith('#') || document.getElementById(href.slice(1)) === null,
        ),
        ids: Array.from(document.querySelectorAll('[id]'), ({ id }) => id),
        lang: document.documentElement.lang,
      }));
      expect(found.words).toHaveLength(10);
      for (const { policy, final } of data.measurement.policies) {
        const committed = humanBytes(final.committedBytes);
        expect(found.words).toContainEqual(
          expect.stringMatching(new RegExp(`Shadow over time: ${policy}.*${committed} committed`)),
        );
        expect(found.words).toContainEqual(expect.stringContaining(`Where the shadow is: ${policy}.`));
      }
      expect(found.dangling).toEqual([]);
      expect(new Set(found.ids).size).toBe(found.ids.length);
      expect(found.lang).toBe('en');
    });
  });
});

describe.skipIf(!hasBrowser)(`a recording that tries to be more than text${unlessBrowser}`, () => {
  const EVIL = [
    '</script><script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    '"><svg onload=alert(1)>',
    '&lt;b&gt;\u001b[31m\u0000',
  ];

  it('is shown as it is, runs nothing and loads nothing', async () => {
    const HEAP = 0xc0_0000_0000;
    const [one = '', two = '', three = '', four = ''] = EVIL;
    const trace = begun()
      .event(Op.MapShadow, { goroutine: 1, addr: HEAP, arg: 65536 })
      .event(Op.GoStart, { goroutine: 1, arg: 2, pc: 0x10 })
      .event(Op.FuncEnter, { goroutine: 1, pc: 0x11 })
      .event(Op.Write, { goroutine: 1, addr: HEAP, size: 1, pc: 0x12 })
      .event(Op.FuncEnter, { goroutine: 2, pc: 0x11 })
      .event(Op.Write, { goroutine: 2, addr: HEAP, size: 1, pc: 0x13 })
      .finish([
        `10\t${one}\t${two}\t1\t0`,
        `11\t${two}\t${three}\t2\t0`,
        `12\t${three}\t${four}\t3\t0`,
        `13\t${four}\t${one}\t4\t0`,
      ]);
    // A file's name is its maker's too.
    const folder = file('<img src=x onerror=alert(2)>');
    mkdirSync(folder);
    const path = join(folder, '<b>"evil"&.trc');
    writeFileSync(path, trace);
    const data = reportOn(path, file('evil.html'));
    expect(data.recording?.raceCount).toBe(1);
    await withPage(file('evil.html'), { width: 1000, colorScheme: 'light' }, async (open) => {
      let dialogs = 0;
      open.page.on('dialog', (dialog) => {
        dialogs++;
        void dialog.dismiss();
      });
      await open.page.reload();
      expect(await open.page.title()).toBe('<b>"evil"&.trc – lazyshadow');
      expect(await open.page.locator('script').count()).toBe(1);
      expect(await open.page.locator('img, [onload], [onerror]').count()).toBe(0);
      expect(await open.page.locator('script').getAttribute('type')).toBe('application/json');
      const race = await open.page.locator('details.race').innerText();
      expect(race).toContain(three);
      expect(race).toContain('&lt;b&gt;□[31m□');
      expect(JSON.parse((await open.page.locator('#lazyshadow-data').textContent()) ?? '')).toEqual(data);
      expect({ dialogs, complaints: open.complaints, requests: open.requests }).toEqual({
        dialogs: 0,
        complaints: [],
        requests: [],
      });
    });
  });

  it('would meet a second lock: the page forbids scripts and loading', async () => {
    writeFileSync(
      file('locked.html'),
      readFileSync(file('evil.html'), 'utf8').replace(
        '</main>',
        '<script>document.title = "ran"</script><img src="/etc/hostname"></main>',
      ),
    );
    await withPage(
      file('locked.html'),
      { width: 1000, colorScheme: 'light' },
      async ({ page, complaints }) => {
        expect(await page.title()).not.toBe('ran');
        expect(complaints.filter((text) => text.includes('Content Security Policy'))).toHaveLength(2);
      },
    );
  });
});

describe('html', () => {
  it('escapes what is put into it, and nothing twice', () => {
    const row = html`<b title="${'"a" & <b>'}">${"it's"}</b>`;
    expect(html`<p>${row}${[row, 1]}</p>`.text).toBe(
      `<p>${'<b title="&quot;a&quot; &amp; &lt;b&gt;">it&#39;s</b>'.repeat(2)}1</p>`,
    );
    expect(escaped('a\u001b]0;x\u0007\nb\ud800')).toBe('a□]0;x□\nb□');
  });
});

describe('measure --plot', () => {
  it.skipIf(!hasBrowser)(`draws one picture that a browser shows${unlessBrowser}`, async () => {
    const args = ['measure', '--plot', file('m.svg'), '--json'];
    const { code, stdout, stderr } = lazyshadow(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: `lazyshadow: wrote ${file('m.svg')}\n` });
    const { policies } = JSON.parse(stdout) as MeasureResult;
    await withPage(
      file('m.svg'),
      { width: 912, colorScheme: 'dark' },
      async ({ page, complaints, requests }) => {
        expect({ complaints, requests }).toEqual({ complaints: [], requests: [] });
        const shown = await page.evaluate(() => ({
          label: document.documentElement.getAttribute('aria-label') ?? '',
          text: document.documentElement.textContent ?? '',
        }));
        for (const { policy, final } of policies) {
          expect(shown.text).toContain(`Where the shadow is: ${policy}`);
          expect(shown.text).toContain(`${humanBytes(final.committedBytes)} committed`);
          expect(shown.label).toContain(`Shadow over time: ${policy}.`);
        }
      },
    );
  });

  it('writes a page of the same numbers into a file that ends in .html, and its maps are in the JSON', () => {
    const workload = ['--workload', 'growth', '--heap', '8M', '--policy', 'lazy,touch'];
    const { code, stdout } = lazyshadow(['measure', ...workload, '--plot', file('m.html'), '--json']);
    expect(code).toBe(0);
    const page = readFileSync(file('m.html'), 'utf8');
    const embedded = /<script type="application\/json" id="lazyshadow-data">(.*)<\/script>/.exec(page)?.[1];
    const { measurement, recording } = JSON.parse(embedded ?? '') as PageData;
    expect(measurement).toEqual(JSON.parse(stdout));
    expect(measurement.policies.every(({ map }) => map !== undefined)).toBe(true);
    expect(recording).toBeUndefined();
    expect(page).toContain('<title>growth workload – lazyshadow</title>');
  });

  it('draws what there is when policies fail, and says why', () => {
    const missing = file('none.trc');
    const { code } = lazyshadow(['measure', '--trace', missing, '--plot', file('failed.html')]);
    expect(code).toBe(1);
    const page = readFileSync(file('failed.html'), 'utf8');
    expect(page).toContain('lazy (failed)');
    expect(page).toContain('<b>lazy failed: ERR_BAD_TRACE.</b>');
  });

  it.each([
    [['measure', '--plot', 'x.png'], '.svg or .html'],
    [['measure', '--plot', '/nowhere/x.svg'], '/nowhere/x.svg'],
    [['report', shippedRecording, '-o', '/nowhere/x.html'], '/nowhere/x.html'],
    [['report', '-'], 'Give a file.'],
    [['report'], "missing required argument 'file'"],
    [['report', '/nowhere.trc', '-o', '/tmp/never-written.html'], '/nowhere.trc'],
  ])('%j ends with exit code 2 before any work, and says what is wrong', (args, words) => {
    const { code, stdout, stderr } = lazyshadow(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(words);
  });
});
