// Linux without overcommit (vm.overcommit_memory=2), for as long as something runs: whoever commits more than there is
// room for is refused. It is the whole machine's setting, and needs root; it is set back whatever happens.
//
//     node scripts/without-overcommit.mjs ROOM_MIB COMMAND [ARGUMENT ...]
//
// ROOM_MIB: how much may be committed beyond what is committed already. Exits as the command does; 3 if the setting may
// not be changed here.
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const SETTINGS = '/proc/sys/vm/overcommit_';
const CANNOT = 3;

const read = (name) => Number(readFileSync(SETTINGS + name, 'utf8'));
const write = (name, value) => writeFileSync(SETTINGS + name, `${value}\n`);

/** Whether the setting may be changed here. */
export function canTurnOvercommitOff() {
  try {
    accessSync(`${SETTINGS}memory`, constants.W_OK);
    write('memory', read('memory')); // a container may show the file and refuse the write
    return true;
  } catch {
    return false;
  }
}

/** Runs an action, which may be asynchronous, while that many bytes more can be committed on this machine. */
export async function withoutOvercommit(roomBytes, action) {
  const before = { memory: read('memory'), ratio: read('ratio'), kbytes: read('kbytes') };
  // Of ratio and kbytes one is in force, and writing one clears the other.
  const limit = before.kbytes > 0 ? ['kbytes', before.kbytes] : ['ratio', before.ratio];
  const restore = () => {
    write('memory', before.memory);
    write(...limit);
  };
  // Outlives this process if that is killed: it waits for the end of a pipe that nobody else holds.
  const script = `trap '' INT TERM HUP; cat; echo ${before.memory} >${SETTINGS}memory; echo ${limit[1]} >${SETTINGS}${limit[0]}`;
  const guard = spawn('sh', ['-c', script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  guard.unref();
  try {
    const meminfo = readFileSync('/proc/meminfo', 'utf8');
    const kib = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(meminfo)?.[1]);
    // The limit is kbytes plus swap, less what is kept for root and for the program that asks (8 and 128 MiB at most).
    write('kbytes', Math.ceil(roomBytes / 1024) + kib('Committed_AS') - kib('SwapTotal') + 136 * 1024);
    write('memory', 2);
    return await action();
  } finally {
    restore();
    const ended = once(guard, 'close');
    guard.ref();
    guard.stdin.end();
    await ended; // or it would restore again in the middle of what comes next
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [roomMiB, command, ...rest] = process.argv.slice(2);
  if (!(Number(roomMiB) > 0) || command === undefined) {
    console.error('usage: without-overcommit.mjs ROOM_MIB COMMAND [ARGUMENT ...]');
    process.exit(2);
  }
  if (!canTurnOvercommitOff()) {
    console.error('vm.overcommit_memory may not be set here');
    process.exit(CANNOT);
  }
  const { status } = await withoutOvercommit(Number(roomMiB) * 2 ** 20, () =>
    spawnSync(command, rest, { stdio: 'inherit' }),
  );
  process.exit(status ?? 1);
}
