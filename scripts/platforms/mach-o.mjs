// Reads what a macOS binary says of itself: Apple's <mach-o/loader.h> and <mach-o/nlist.h>, 64-bit, little-endian.

const MAGIC = 0xfeedfacf;
const CPUS = new Map([
  [0x01000007, 'x64'],
  [0x0100000c, 'arm64'],
]);
const HEADER_BYTES = 32;
const LC_SYMTAB = 0x2;
const LC_LOAD_DYLIB = 0xc;
const LC_BUILD_VERSION = 0x32;
const SYMBOL_BYTES = 16;
const N_EXT = 0x01;
const N_TYPE = 0x0e;
const N_STAB = 0xe0;

/**
 * @param {Buffer} file
 * @returns the processor, the oldest macOS, the libraries it loads, the symbols it wants from them and those it offers
 */
export function machO(file) {
  if (file.readUInt32LE(0) !== MAGIC) throw new Error('not a 64-bit Mach-O file');
  const found = { cpu: CPUS.get(file.readUInt32LE(4)), libraries: [], wanted: [], offered: [] };
  let at = HEADER_BYTES;
  for (let left = file.readUInt32LE(16); left > 0; left--) {
    const word = (index) => file.readUInt32LE(at + 4 * index);
    if (word(0) === LC_LOAD_DYLIB) found.libraries.push(text(file, at + word(2)));
    if (word(0) === LC_BUILD_VERSION) found.minimumSystem = version(word(3));
    if (word(0) === LC_SYMTAB) readSymbols(file, { from: word(2), count: word(3), names: word(4) }, found);
    at += word(1);
  }
  return found;
}

function readSymbols(file, { from, count, names }, { wanted, offered }) {
  for (let at = from; at < from + count * SYMBOL_BYTES; at += SYMBOL_BYTES) {
    const type = file.readUInt8(at + 4);
    if ((type & N_STAB) !== 0 || (type & N_EXT) === 0) continue;
    const isUndefined = (type & N_TYPE) === 0;
    (isUndefined ? wanted : offered).push(text(file, names + file.readUInt32LE(at)));
  }
}

function text(file, start) {
  return file.toString('latin1', start, file.indexOf(0, start));
}

function version(packed) {
  return `${packed >>> 16}.${(packed >>> 8) & 0xff}`;
}
