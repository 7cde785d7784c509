import { describe, expect, it } from 'vitest';
import { DEFAULT_GORACE, historyEntries, parseGorace } from '../../lib/race/gorace.js';

describe('parseGorace', () => {
  it('has Go’s defaults', () => {
    expect(parseGorace('')).toEqual(DEFAULT_GORACE);
    expect(parseGorace('  ')).toEqual(DEFAULT_GORACE);
    expect(DEFAULT_GORACE).toMatchObject({
      logPath: 'stderr',
      exitCode: 66,
      historySize: 1,
      atexitSleepMs: 1000,
    });
  });

  it('reads every option', () => {
    expect(
      parseGorace(
        'log_path=/tmp/log exitcode=3 strip_path_prefix="/home/a b/" history_size=7 halt_on_error=1 ' +
          'atexit_sleep_ms=0 suppress_equal_stacks=0 suppress_equal_addresses=0',
      ),
    ).toEqual({
      logPath: '/tmp/log',
      exitCode: 3,
      stripPathPrefix: '/home/a b/',
      historySize: 7,
      haltOnError: true,
      atexitSleepMs: 0,
      suppressEqualStacks: false,
      suppressEqualAddresses: false,
    });
  });

  it('takes the last of two', () => {
    expect(parseGorace('exitcode=1 exitcode=2').exitCode).toBe(2);
  });

  it.each([
    ['exitcode', /has "exitcode", expected key=value/],
    ['exit_code=1', /no option "exit_code"; it has log_path, exitcode/],
    ['toString=1', /no option "toString"/],
    ['exitcode=many', /exitcode=many, expected an integer from 0 to 255/],
    ['exitcode=-1', /expected an integer/],
    ['history_size=8', /history_size=8, expected an integer from 0 to 7/],
    ['halt_on_error=maybe', /halt_on_error=maybe, expected 0 or 1/],
    ['exitcode=1 =2', /has "=2", expected key=value/],
  ])('refuses %s', (text, message) => {
    expect(() => parseGorace(text)).toThrow(message);
    expect(() => parseGorace(text)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }));
  });

  it('doubles the history with each step of history_size, from Go’s 32 Ki', () => {
    expect([0, 1, 7].map(historyEntries)).toEqual([32768, 65536, 4194304]);
  });
});
