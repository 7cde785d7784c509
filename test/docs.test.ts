/**
 * The documents hold together: every link leads somewhere, every document is on the list, what is named is there, and a
 * figure that is said twice is the same figure.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { programs, raceTestRows } from './support/recordings.js';
import { ROOT } from './support/stranger.js';

const inDocs = readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md'));
const OF_THE_ROOT = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md'].filter((name) =>
  existsSync(join(ROOT, name)),
);
const DOCUMENTS = [...OF_THE_ROOT, ...inDocs.map((name) => `docs/${name}`)];

const read = (document: string) => readFileSync(join(ROOT, document), 'utf8');
const withoutBlocks = (text: string) => text.replace(/^```[\s\S]*?^```$/gm, '');

/** The headings of a document as GitHub names them in links: `#the-four-policies`. */
function anchors(document: string): string[] {
  return [...withoutBlocks(read(document)).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replace(/ /g, '-'),
  );
}

describe.each(DOCUMENTS)('%s', (document) => {
  const text = read(document);

  it('has no link that leads nowhere', () => {
    const links = [...withoutBlocks(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
    const broken = links.filter((link) => {
      if (/^https:/.test(link)) return false;
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? document : join(dirname(document), path);
      return !existsSync(join(ROOT, target)) || (anchor !== undefined && !anchors(target).includes(anchor));
    });
    expect(broken).toEqual([]);
  });

  it('names no file that is not there', () => {
    const named = text.match(
      /\b(?:scripts|lib|native|test|docs)\/[\w./-]*\w\.(?:mjs|ts|cc|c|h|md|svg|json)\b/g,
    );
    expect((named ?? []).filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });
});

it('docs/README.md lists every document', () => {
  const list = read('docs/README.md');
  expect(inDocs.filter((name) => name !== 'README.md' && !list.includes(`](${name})`))).toEqual([]);
});

describe('a figure', () => {
  /** The README's table, which test/readme.test.ts measures again: policy, committed, resident, how many times. */
  const measured = [
    ...read('README.md').matchAll(
      /^(eager|unreserved|lazy|touch) +\S+ \w+ +(\S+ \w+) +\S+ \w+ +(\S+ \w+) +([\d.]+) /gm,
    ),
  ];

  it.each(['docs/why.md', 'docs/comparison.md'])('of the README’s table is the same in %s', (document) => {
    expect(measured.map(([, policy]) => policy)).toEqual(['eager', 'unreserved', 'lazy', 'touch']);
    const text = read(document).replaceAll(/(\d) (?=\d{3}\b)/g, '$1');
    for (const [, policy = '', committed = '', resident = '', times = ''] of measured) {
      const rounded =
        Number(times) < 10 ? times : String(Number(Number(times).toPrecision(Number(times) < 100 ? 3 : 5)));
      if (document === 'docs/why.md') {
        expect(text).toMatch(new RegExp(`^\\| \`${policy}\` .*\\| +${committed} \\| +${rounded} \\|$`, 'm'));
        expect(text).toContain(resident);
      } else if (policy === 'lazy' || policy === 'touch')
        expect(text).toContain(`${rounded} (\`${policy}\`)`);
    }
  });

  it('about the recordings counts them', () => {
    const [tests, whole] = [raceTestRows().length, programs().length];
    expect(whole).toBe(8);
    const text = read('README.md').replace(/\s+/g, ' ');
    expect(text).toContain(
      `all ${tests + whole} recordings of the test suite (${tests} of Go's own race tests, eight whole`,
    );
    expect(read('docs/comparison.md')).toContain(`on ${tests + whole} recordings`);
  });

  it('under the README’s picture is the table’s', () => {
    const words = /!\[([^\]]*)\]/.exec(read('README.md'))?.[1] ?? '';
    const times = [...words.matchAll(/(\w+) commits ([\d.]+) times|, (\w+) ([\d.]+) times/g)];
    expect(times).toHaveLength(2);
    for (const [, first, firstTimes, second, secondTimes] of times) {
      const row = measured.find(([, policy]) => policy === (first ?? second));
      expect(Number(firstTimes ?? secondTimes)).toBeCloseTo(Number(row?.[4]), 1);
    }
  });
});
