/**
 * Go's race0.c: the race runtime of a build without the race detector. The same names as race.ts, doing nothing.
 */
import { race0 as race0Hooks } from '../heap/race-hooks.js';
import type { RaceRuntime } from './race.js';

/** The race runtime of a program that is not checked: every call of {@link RaceRuntime}, doing nothing. */
export const race0: RaceRuntime = {
  ...race0Hooks,
  raceinit() {},
  racefini: () => 0,
  racegostart() {},
  racegoend() {},
  racefingo() {},
  raceread() {},
  racewrite() {},
  racereadpc() {},
  racewritepc() {},
  racereadrange() {},
  racewriterange() {},
  racefuncenter() {},
  racefuncexit() {},
  raceacquire() {},
  racerelease() {},
  racereleasemerge() {},
  racereleaseacquire() {},
  raceacquireg() {},
  racereleaseg() {},
  racereleasemergeg() {},
  racereleaseacquireg() {},
  raceDisable() {},
  raceEnable() {},
  raceatomicload() {},
  raceatomicstore() {},
  raceatomicexchange() {},
  raceatomicadd() {},
  raceatomiccas() {},
  RaceRead() {},
  RaceWrite() {},
  RaceReadRange() {},
  RaceWriteRange() {},
  RaceAcquire() {},
  RaceRelease() {},
  RaceReleaseMerge() {},
  RaceDisable() {},
  RaceEnable() {},
  RaceErrors: () => 0,
};
