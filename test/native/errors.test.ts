import { describe, expect, it } from 'vitest';
import { formatAddress, LazyShadowError } from '../../lib/native/errors.js';

describe('LazyShadowError', () => {
  it('carries code, verb, address, size and the code of the operating system', () => {
    const error = new LazyShadowError('ERR_OUT_OF_MEMORY', 'commit failed', {
      verb: 'commit',
      address: 0xc000000000,
      sizeBytes: 4096,
      osCode: 12,
    });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: 'LazyShadowError',
      code: 'ERR_OUT_OF_MEMORY',
      verb: 'commit',
      address: 0xc000000000,
      sizeBytes: 4096,
      osCode: 12,
    });
  });

  it('is recognised across copies of the module, and nothing else is', () => {
    const twin = Object.assign(new Error('from the other copy'), {
      [Symbol.for('lazyshadow.LazyShadowError')]: true,
    });
    expect(twin instanceof LazyShadowError).toBe(true);
    expect(new Error('plain') instanceof LazyShadowError).toBe(false);
    expect((null as unknown) instanceof LazyShadowError).toBe(false);
  });
});

describe('formatAddress', () => {
  it('prints 0x and at least 12 digits', () => {
    expect(formatAddress(0xc00001c0c8)).toBe('0x00c00001c0c8');
    expect(formatAddress(2 ** 47)).toBe('0x800000000000');
  });
});
