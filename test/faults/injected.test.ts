/**
 * Each call that a public operation makes to the operating system, refused in its turn: the right error, the state as
 * before, and success when it is tried again.
 */
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import { LazyShadowError } from '../../lib/native/errors.js';
import {
  ALL_CALLS,
  CODES,
  callsOf,
  FAULT_VERBS,
  type FaultPlan,
  type FaultVerbName,
  underFaults,
} from '../support/faults.js';
import { count } from './settings.js';
import { type Operation, OPERATIONS, type Subject } from './operations.js';

/** What an operation leaves when nothing is refused, and how many calls of each verb it makes. */
function reference({ make }: Operation): { after: unknown; calls: Map<FaultVerbName, number> } {
  const calls = new Map<FaultVerbName, number>();
  let after: unknown;
  for (const verb of FAULT_VERBS) {
    const subject = make();
    calls.set(
      verb,
      callsOf(verb, () => subject.run()),
    );
    after = subject.state();
    subject.end();
  }
  return { after, calls };
}

/** The codes of an error and of those that caused it. */
function chainOf(error: unknown): LazyShadowError[] {
  return error instanceof LazyShadowError ? [error, ...chainOf(error.cause)] : [];
}

function expectRightError(error: unknown, code: number): void {
  const chain = chainOf(error);
  expect(error, String(error)).toBeInstanceOf(LazyShadowError);
  const wanted = code === CODES.outOfMemory ? 'ERR_OUT_OF_MEMORY' : 'ERR_OS';
  expect(chain.map((each) => each.code)).toContain(wanted);
  expect(chain.map((each) => each.osCode)).toContain(code);
}

function withSubject<Result>({ make }: Operation, use: (subject: Subject) => Result): Result {
  const subject = make();
  try {
    return use(subject);
  } finally {
    subject.end();
  }
}

describe.each(OPERATIONS)('$name', (operation) => {
  const { after, calls } = reference(operation);
  const verbs = FAULT_VERBS.filter((verb) => (calls.get(verb) ?? 0) > 0);
  const cases = verbs.flatMap((verb) =>
    Array.from({ length: calls.get(verb) ?? 0 }, (_, first) => ({ verb, first })),
  );

  if (cases.length === 0) return it('asks the system for nothing', () => asksNothing(operation));

  it.each(cases)('refused at $verb $first', ({ verb, first }) => {
    for (const code of [CODES.outOfMemory, CODES.other]) {
      for (const times of [1, ALL_CALLS]) {
        withSubject(operation, (subject) => {
          const kept = () => subject.kept?.() ?? subject.state();
          const before = kept();
          const error = refused(subject, { verbs: [verb], first, count: times, code });
          if (error === undefined) {
            // It did what it is for all the same; what it could not give back goes with the next change.
            if (!isDeepStrictEqual(subject.state(), after)) subject.change();
            expect(subject.state()).toEqual(after);
            return;
          }
          expectRightError(error, code);
          expect(kept()).toEqual(before);
          subject.run();
          expect(subject.state()).toEqual(after);
        });
      }
    }
  });

  // Then the ways back are refused too, and no state can be as before; but nothing may be lost for good.
  it('everything refused from some call on', () => {
    for (let first = 0; first < cases.length; first++) {
      withSubject(operation, (subject) => {
        const plan = { verbs: FAULT_VERBS, first, count: ALL_CALLS, code: CODES.outOfMemory };
        const error = refused(subject, plan);
        subject.change();
        if (error !== undefined) {
          expectRightError(error, CODES.outOfMemory);
          subject.run();
        }
        expect(subject.state()).toEqual(after);
      });
    }
  });
});

/** What an operation throws under a plan, which must have refused something. */
function refused(subject: Subject, plan: FaultPlan): unknown {
  const { error, calls } = underFaults(plan, () => subject.run());
  expect(calls).toBeGreaterThan(plan.first);
  count('faults injected', Math.min(plan.count, calls - plan.first));
  return error;
}

/** That an operation goes without the system. */
function asksNothing(operation: Operation): void {
  withSubject(operation, (subject) => {
    const plan = { verbs: FAULT_VERBS, first: 0, count: ALL_CALLS, code: CODES.other };
    expect(underFaults(plan, () => subject.run())).toEqual({ error: undefined, calls: 0 });
  });
}
