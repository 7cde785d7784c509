// How many race-detected programs run at once on a machine that promises no more memory than it has: the reason why
// shadow is mapped lazily. Processes under each policy, each with a Go-style heap and its shadow, until one is refused.
//
//     node scripts/many-programs.mjs [--program heap|replay] [--heap MIB] [--block KIB] [--limit MIB] [--most N]
//                                    [--policy LIST] [--apart] [--json]
//
// heap: allocates blocks of --block (128 KiB, as data/heapgrow.trc.gz tells of) up to --heap (1024 MiB), and writes the
// ends of each.
// replay: replays that recording, so that its heap of 832 MiB has its shadow, and no memory of its own.
// --limit: what all programs together may commit: 12 GiB. With root on Linux that is vm.overcommit_memory=2 for the while;
// without, and with --apart, each of --most programs gets its part of it (`ulimit -d`), and the table says so.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { canTurnOvercommitOff, withoutOvercommit } from './without-overcommit.mjs';

const POLICIES = ['eager', 'unreserved', 'lazy', 'touch'];
const MiB = 2 ** 20;

const { values } = parseArgs({
  options: {
    program: { type: 'string', default: 'heap' },
    heap: { type: 'string', default: '1024' },
    block: { type: 'string', default: '128' },
    limit: { type: 'string', default: '12288' },
    most: { type: 'string', default: '12' },
    policy: { type: 'string', default: POLICIES.join(',') },
    apart: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const [heapMiB, blockKiB, limitMiB, most] = [values.heap, values.block, values.limit, values.most].map(
  Number,
);
const policies = values.policy.split(',');
const numbers = [heapMiB, blockKiB, limitMiB, most];
if (!numbers.every((number) => number > 0) || policies.some((policy) => !POLICIES.includes(policy))) {
  console.error(
    'many-programs: --heap, --block, --limit and --most are numbers above 0, --policy is a list of policies',
  );
  process.exit(2);
}

const together = !values.apart && canTurnOvercommitOff();
const child = fileURLToPath(new URL('many-programs/child.mjs', import.meta.url));

/** Starts a program; resolves once it has all its memory, or was refused. */
async function start(policy) {
  const program = [process.execPath, child, values.program, policy, String(heapMiB), String(blockKiB)];
  const limit = `ulimit -d ${Math.floor((limitMiB * 1024) / most)} && exec "$@"`;
  const [command, ...args] = together ? program : ['bash', '-c', limit, '-', ...program];
  const running = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const said = [];
  running.stderr.on('data', (text) => said.push(text));
  const ended = once(running, 'close');
  const answer = await Promise.race([once(running.stdout, 'data'), ended]);
  if (Buffer.isBuffer(answer[0])) return { running, ended, ...JSON.parse(answer[0].toString()) };
  // Where no memory is left it may be Node itself that needs some first, and V8 or the linker ends the process.
  const [code, signal] = answer;
  const last = said.join('');
  if (!/out of memory|cannot allocate|allocation failed/i.test(last)) {
    throw new Error(`a program under ${policy} ended with ${signal ?? code}:\n${last}`);
  }
  return { running, ended, error: `${signal ?? `exit ${code}`} (no memory for Node itself)` };
}

/**
 * Programs under a policy, one after the other until one is refused; all that ran keep running till then. `setRoom`: for
 * the memory of all programs together, whatever others on the machine do meanwhile.
 */
async function run(policy, setRoom) {
  const programs = [];
  let refusal;
  while (refusal === undefined && programs.length < most) {
    const taken = programs.reduce((sum, { commitBytes }) => sum + commitBytes, 0);
    setRoom?.(Math.max(MiB, limitMiB * MiB - taken));
    const program = await start(policy);
    if (program.error === undefined) programs.push(program);
    else refusal = program.error;
  }
  for (const { running } of programs) running.stdin.end();
  await Promise.all(programs.map(({ ended }) => ended));
  const mean = (field) => programs.reduce((sum, each) => sum + each[field], 0) / Math.max(1, programs.length);
  return {
    policy,
    ran: programs.length,
    commitBytes: mean('commitBytes'),
    residentBytes: mean('residentBytes'),
    mappedBytes: mean('mappedBytes'),
    refusal: refusal ?? null,
  };
}

const rows = [];
for (const policy of policies) {
  const runIt = (setRoom) => run(policy, setRoom);
  rows.push(together ? await withoutOvercommit(limitMiB * MiB, runIt) : await runIt());
}

const limited = together
  ? `${limitMiB} MiB to commit for all programs together (vm.overcommit_memory=2)`
  : `${Math.floor(limitMiB / most)} MiB of data for each program (ulimit -d)`;
if (values.json)
  console.log(JSON.stringify({ program: values.program, heapMiB, blockKiB, limited, together, rows }));
else {
  const mib = (bytes) => (bytes > 0 ? `${Math.round(bytes / MiB)} MiB` : '–').padStart(10);
  const what = values.program === 'heap' ? `a heap of ${heapMiB} MiB` : 'a replay of data/heapgrow.trc.gz';
  console.log(`${most} programs at once, each with ${what} and its shadow; ${limited}\n`);
  console.log('policy         ran    commit, each  resident, each  the next refused with');
  for (const { policy, ran, commitBytes, residentBytes, refusal } of rows) {
    const columns = `${mib(commitBytes).padStart(12)}${mib(residentBytes).padStart(16)}`;
    console.log(`${policy.padEnd(12)}${String(ran).padStart(2)} of ${most} ${columns}  ${refusal ?? '–'}`);
  }
}
