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

/**
 * Has the setting for the while, one at a time on this machine, and sets it back at the end of its standard input: when
 * we close it, and when we are no more. Of ratio and kbytes one is in force; to write one clears the other.
 */
const KEEPER = `
exec 9<${SETTINGS}memory
if command -v flock >/dev/null; then flock 9; fi
trap '' INT TERM HUP
memory=$(cat ${SETTINGS}memory) kbytes=$(cat ${SETTINGS}kbytes) limit=kbytes
if [ "$kbytes" = 0 ]; then limit=ratio kbytes=$(cat ${SETTINGS}ratio); fi
echo ready
cat >/dev/null
echo "$memory" >${SETTINGS}memory
echo "$kbytes" >${SETTINGS}$limit
`;

/** Whether the setting may be changed here. */
export function canTurnOvercommitOff() {
  try {
    accessSync(`${SETTINGS}memory`, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Allows so many bytes more to be committed than now, and no more. */
function turnOvercommitOff(roomBytes) {
  const meminfo = readFileSync('/proc/meminfo', 'utf8');
  const kib = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(meminfo)?.[1]);
  // The limit is kbytes plus swap, less what is kept for root and for the program that asks (8 and 128 MiB at most).
  const limit = Math.ceil(roomBytes / 1024) + kib('Committed_AS') - kib('SwapTotal') + 136 * 1024;
  writeFileSync(`${SETTINGS}kbytes`, `${limit}\n`);
  writeFileSync(`${SETTINGS}memory`, '2\n');
}

/**
 * Runs an action, which may be asynchronous, while that many bytes more can be committed on this machine. The action is
 * given a function that says so anew, for others commit and give back meanwhile.
 */
export async function withoutOvercommit(roomBytes, action) {
  const keeper = spawn('sh', ['-c', KEEPER], { detached: true, stdio: ['pipe', 'pipe', 'ignore'] });
  const ended = once(keeper, 'close');
  try {
    await once(keeper.stdout, 'data');
    turnOvercommitOff(roomBytes);
    return await action(turnOvercommitOff);
  } finally {
    keeper.stdin.end();
    await ended;
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
