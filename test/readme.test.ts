/**
 * The README does what it says: every command in it is run. A user's commands run as they are typed, one after the other, in
 * an empty project into which the packed package was installed, beside a small Go program; what they print is what the README
 * shows. A contributor's commands run elsewhere, and it is checked that they do.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { goEnvironment, goProgram, hasGo } from './support/go.js';
import { PATIENCE } from './support/patience.js';
import { windows } from './support/proc.js';
import { program, programBytes } from './support/recordings.js';
import { emulated } from './support/sizes.js';
import { unless } from './support/skips.js';
import { emptyProject, install, pack, removeProject, ROOT } from './support/stranger.js';

const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const LIMIT_MS = 300_000;

interface Block {
  readonly language: string;
  readonly text: string;
}
const BLOCKS: readonly Block[] = [...README.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(
  ([, language = '', text = '']) => ({ language, text }),
);
const PROSE = README.replace(/^```[\s\S]*?^```$/gm, '');

/** A line that is typed, without its comment. */
const COMMAND = /^(?:\$ )?((?:npx|npm|node|lazyshadow|\.ci\/run)\b.*?)(?:\s{2,}#.*)?$/;
const commandsIn = (lines: readonly string[]) =>
  lines.flatMap((line) => COMMAND.exec(line.trim())?.[1]?.trim() ?? []);

/** All that the README tells people to type, in its order: lines of blocks, and code in sentences. */
const COMMANDS: readonly string[] = [
  ...BLOCKS.filter(({ language }) => language !== 'js').flatMap(({ text }) => commandsIn(text.split('\n'))),
  ...[...PROSE.matchAll(/`([^`]+)`/g)].flatMap(([, code = '']) => commandsIn(code.split('&&'))),
];
/** `lazyshadow completion bash` in a sentence is what is typed where it is installed. */
const isUsers = (command: string) => /^(npx )?lazyshadow\b/.test(command);
const USERS = COMMANDS.filter(isUsers);
const CONTRIBUTORS = [...new Set(COMMANDS.filter((command) => !isUsers(command)))];
const INSTALL = 'npm install lazyshadow';

const needsGo = unless(hasGo, 'there is no Go for Linux amd64');
const hasShell = unless(!emulated && !windows, 'there is no bash, and no npm, on this platform');

it('has commands, the ones that everybody needs among them', () => {
  expect(COMMANDS).toContain(INSTALL);
  for (const needed of ['measure', 'record', 'report', 'replay', 'run-go', 'top', 'doctor', 'inspect'])
    expect(USERS.filter((command) => command.startsWith(`npx lazyshadow ${needed}`))).not.toEqual([]);
});

describe('what a user types', hasShell, () => {
  let project: string;
  let env: NodeJS.ProcessEnv;
  beforeAll(() => {
    project = emptyProject();
    install(project, pack(project).tarball);
    // What the examples take for granted: a recording, and a Go program.
    writeFileSync(join(project, 'racycounter.trc'), programBytes(program('racycounter')));
    writeFileSync(join(project, 'program.trc.gz'), gzipSync(programBytes(program('racymap'))));
    mkdirSync(join(project, 'cmd', 'x'), { recursive: true });
    writeFileSync(join(project, 'go.mod'), 'module example.com/x\n\ngo 1.19\n');
    writeFileSync(join(project, 'cmd', 'x', 'main.go'), readFileSync(goProgram('maprace')));
    env = hasGo ? goEnvironment(join(project, 'cache')) : process.env;
    env = { ...env, PATH: `${join(project, 'node_modules', '.bin')}:${env['PATH']}` };
  }, LIMIT_MS);
  afterAll(() => removeProject(project));

  const type = (command: string) => {
    const options = { ...PATIENCE, cwd: project, env, encoding: 'utf8', maxBuffer: 2 ** 28 } as const;
    const { status, stdout, stderr } = spawnSync('bash', ['-c', command], options);
    return { status, stdout, stderr };
  };

  describe.each(USERS)('%s', (command) => {
    const usesGo = /\brecord\b|\brun-go\b|\bx\.trc/.test(command);
    it('does what it says', { ...(usesGo && needsGo), timeout: LIMIT_MS }, () => {
      const { status, stdout, stderr } = type(command);
      // Races are found in both recordings, and by Go itself in its program.
      const expected = /\b(replay|run-go|record)\b/.test(command) ? 66 : 0;
      expect({ status, stderr: status === expected ? '' : stderr }).toEqual({ status: expected, stderr: '' });
      expect((stdout + stderr).length).toBeGreaterThan(0);
      const shown = BLOCKS.find(({ text }) => text.startsWith(`$ ${command}\n`));
      // Reports on standard output, their number on standard error, where npm may have put warnings of its own.
      if (shown !== undefined) {
        expect(stdout + stderr.replace(/^npm (?:warn|notice).*\n/gm, '')).toBe(
          shown.text.slice(shown.text.indexOf('\n') + 1),
        );
      }
    });
  });

  it('measures, of what the system does not decide, the very numbers of the table', () => {
    const rows = (text: string) => text.match(/^(?:lazy|touch) .*?\d\.\d\d /gm);
    const shown = rows(README);
    expect(shown).toHaveLength(2);
    expect(rows(type('npx lazyshadow measure').stdout)).toEqual(shown);
  });

  it('has led to a page about a program of the user’s own', needsGo, () => {
    const page = readFileSync(join(project, 'x.html'), 'utf8');
    expect(page).toContain('<title>x.trc.gz – lazyshadow</title>');
    expect(page).toMatch(/<data id="race-count" value="[1-9]/);
    expect(page).toContain('cmd/x/main.go:');
    expect(page).toContain('Where the shadow is: touch');
    expect(readFileSync(join(project, 'shadow.svg'), 'utf8')).toMatch(/^<svg /);
  });

  it('leaves nothing else behind', () => {
    const made = ['cache', 'shadow.svg', 'x.html', 'x.trc.gz'];
    const given = ['cmd', 'go.mod', 'node_modules', 'package-lock.json', 'package.json'];
    const found = readdirSync(project).filter(
      (name) => !/^(racycounter|program|lazyshadow-.*\.tgz)/.test(name),
    );
    expect(found.filter((name) => ![...made, ...given].includes(name))).toEqual([]);
  });

  it.each(BLOCKS.filter(({ language }) => language === 'js').map(({ text }) => [text] as const))(
    'the program %#',
    (text) => {
      writeFileSync(join(project, 'main.mjs'), text);
      const { status, stdout, stderr } = type('node main.mjs && rm main.mjs');
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      // What it says that it prints.
      const plain = (printed: string) => printed.replace(/\s+/g, ' ').replace(/,? }/g, ' }');
      for (const [, printed = ''] of text.matchAll(/^\/\/ (\{.*\})$/gm))
        expect(plain(stdout)).toContain(plain(printed));
    },
  );
});

describe('what a contributor types', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const CI = readFileSync(join(ROOT, '.ci', 'run'), 'utf8');
  const tests = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(ROOT, 'test', name), 'utf8'));

  /** Whether CI or a test runs what the command runs: the script, or the program that it is short for. */
  const isRun = (command: string): boolean => {
    const [tool = '', verb = '', name = ''] = command.split(/\s+/);
    if (command === '.ci/run') return existsSync(join(ROOT, command));
    // What installs a checkout, and runs its tests: CI does both.
    if (tool === 'npm' && /^(install|ci|install-test|it|test)$/.test(verb))
      return /npm ci[\s\S]*npm run test/.test(CI);
    const what = tool === 'npm' ? scripts[name] : command;
    if (what === undefined) throw new Error(`package.json has no script ${name}`);
    const [, file = what] = /\bscripts\/(\S+\.mjs)/.exec(what) ?? [];
    return [CI, ...tests].some((text) => text.includes(file) || text.includes(`npm run ${name}`));
  };

  it.each(CONTRIBUTORS.filter((command) => command !== INSTALL))('%s', (command) => {
    expect(isRun(command)).toBe(true);
  });
});
