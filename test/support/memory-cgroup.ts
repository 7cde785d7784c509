/**
 * A memory control group for the while of a test, where root may make one: version 1, or 2 if its root hands the
 * controller on.
 */
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const MOUNT = '/sys/fs/cgroup';

interface Version {
  readonly parent: string;
  readonly limit: string;
}

function version(): Version | undefined {
  if (existsSync(`${MOUNT}/memory/memory.limit_in_bytes`)) {
    return { parent: `${MOUNT}/memory`, limit: 'memory.limit_in_bytes' };
  }
  const handedOn = `${MOUNT}/cgroup.subtree_control`;
  const isThere = existsSync(handedOn) && readFileSync(handedOn, 'utf8').split(/\s+/).includes('memory');
  return isThere ? { parent: MOUNT, limit: 'memory.max' } : undefined;
}

export interface MemoryGroup {
  run(command: string, ...args: string[]): SpawnSyncReturns<string>;
  /** The processes that are in it. */
  members(): string[];
  /** Fails while there are any. */
  remove(): void;
}

/** A group whose processes may have so much in memory, all together; undefined where none can be made. */
export function memoryGroup(limitBytes: number): MemoryGroup | undefined {
  const here = version();
  if (here === undefined) return undefined;
  const group = join(here.parent, `lazyshadow-test-${process.pid}`);
  try {
    mkdirSync(group);
  } catch {
    return undefined; // not root, or a container that shows its groups only
  }
  writeFileSync(join(group, here.limit), `${limitBytes}`);
  const processes = join(group, 'cgroup.procs');
  return {
    run: (command, ...args) =>
      spawnSync('sh', ['-c', `echo $$ >${processes} && exec "$@"`, '-', command, ...args], {
        encoding: 'utf8',
      }),
    members: () =>
      readFileSync(processes, 'utf8')
        .split('\n')
        .filter((line) => line !== ''),
    remove: () => rmdirSync(group),
  };
}
