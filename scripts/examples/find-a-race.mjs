// Finds a race in a program that is not Go's: two workers, one counter, and a lock that one of them forgot.
// Whoever instruments something (an interpreter, a simulator, a protocol) tells the detector what its threads do, in the
// order in which they did it, and gets reports through a callback. Run it with `node scripts/examples/find-a-race.mjs`.
import { createRaceRuntime, formatReport, formatSummary, Shadow } from 'lazyshadow';

// Threads have numbers of our choice; so have program counters, which are for reports alone.
const [MAIN, CAREFUL, HASTY] = [1, 2, 3];
const PLACES = ['start', 'main', 'spawn', 'careful', 'hasty', 'read the counter', 'write the counter'];
const at = (place) => PLACES.indexOf(place) + 1;
const symbolize = (pc) => [{ function: PLACES[pc - 1], file: 'counter.txt', line: pc, offset: 0 }];

// Memory to watch must be in a range that the shadow's layout knows, and be mapped before it is used.
const COUNTER = 0xc0_0000_0000;
const LOCK = COUNTER + 64;

const shadow = new Shadow({ policy: 'touch' });
const race = createRaceRuntime({
  shadow,
  onReport: (report) => process.stdout.write(formatReport(report, { symbolize, withLocation: true })),
});
race.raceinit(MAIN, COUNTER, 4096);
race.racefuncenter(MAIN, at('start'));
race.racefuncenter(MAIN, at('main'));
for (const worker of [CAREFUL, HASTY]) race.racegostart(MAIN, worker, at('spawn'));

function increment(worker, place, locks) {
  race.racefuncenter(worker, at('start'));
  race.racefuncenter(worker, at(place));
  if (locks) race.raceacquire(worker, LOCK);
  race.racereadrange(worker, COUNTER, 8, at('read the counter'));
  race.racewriterange(worker, COUNTER, 8, at('write the counter'));
  if (locks) race.racerelease(worker, LOCK);
  race.racegoend(worker);
}
increment(CAREFUL, 'careful', true);
increment(HASTY, 'hasty', false);

process.stdout.write(formatSummary(race.racefini()));
shadow.release();
