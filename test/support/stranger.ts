/**
 * The package as a stranger gets it: packed, and installed into an empty project with install scripts off. The addon of this
 * checkout is put beside it, which a published package has in prebuilds/.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const posix = process.platform !== 'win32';

/** A file of the package. */
export interface PackedFile {
  readonly path: string;
  readonly size: number;
}

/** A packed package. */
export interface Packed {
  readonly tarball: string;
  /** Of the tarball. */
  readonly sizeBytes: number;
  readonly files: readonly PackedFile[];
}

function npm(args: readonly string[], cwd: string): string {
  return execFileSync('npm', [...args], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    shell: !posix,
  });
}

/** Packs what is built into `directory`. */
export function pack(directory: string): Packed {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', directory];
  const [{ filename, size, files }] = JSON.parse(npm(args, ROOT)) as [
    { filename: string; size: number; files: PackedFile[] },
  ];
  return { tarball: join(directory, filename), sizeBytes: size, files };
}

/** Puts this checkout's addon where the installed package looks for one. */
export function addAddon(home: string): void {
  const place = join('build', 'Release', 'lazyshadow.node');
  cpSync(join(ROOT, place), join(home, place));
}

/** An empty project. */
export function emptyProject(): string {
  const project = realpathSync(mkdtempSync(join(tmpdir(), 'lazyshadow-stranger-')));
  writeFileSync(join(project, 'package.json'), '{"name":"stranger","private":true}\n');
  return project;
}

/** Installs the tarball as a stranger would; from the registry come its dependencies. */
export function install(project: string, tarball: string): void {
  npm(['install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline', tarball], project);
  addAddon(join(project, 'node_modules', 'lazyshadow'));
}

/** Removes a project. */
export function removeProject(project: string): void {
  rmSync(project, { recursive: true, force: true, maxRetries: 10 });
}
