// A shadow-memory tool of one's own, in about a hundred lines: it finds reads of memory that nobody has written, as Valgrind's
// Memcheck does. A byte of shadow for each byte of heap says what is known of it. The shadow is a Reservation as large as
// the heap can ever be, which costs nothing; the heap's hooks commit what of it is used, before memory is handed out.
// Run it with `node scripts/examples/uninitialised-reads.mjs`.
import { formatAddress, Heap, Reservation } from 'lazyshadow';

/** What a byte of shadow says. Fresh shadow is zero: nobody may read there. */
const FREE = 0;
const UNWRITTEN = 1;
const WRITTEN = 2;
const WORDS = { [FREE]: 'not allocated', [UNWRITTEN]: 'never written' };

/** What the heap can grow to, and so the shadow: addresses, no memory. */
const MAX_HEAP_BYTES = 2 ** 34;

class CheckedHeap {
  #shadow = Reservation.reserve(MAX_HEAP_BYTES);
  /** The parts of the shadow that are committed: ascending, one for each time that the heap grew. */
  #parts = [];
  /** Where each block was allocated, for reports. */
  #sources = new Map();
  #heap;
  problems = [];

  constructor() {
    this.#heap = new Heap({
      maxMemBytes: MAX_HEAP_BYTES,
      scavenger: false,
      // The heap speaks to a race detector; any tool that listens will do.
      race: {
        raceenabled: true,
        racemapshadow: (address, sizeBytes) => this.#grow(address, sizeBytes),
        racemalloc: (address, sizeBytes) => this.#mark(address, sizeBytes, UNWRITTEN),
        racefree: (address, sizeBytes) => this.#mark(address, sizeBytes, FREE),
        raceunmapshadow: (address, sizeBytes) => this.#mark(address, sizeBytes, FREE),
      },
    });
  }

  /** A block whose contents nobody may rely on, `what` it is for. */
  malloc(sizeBytes, what) {
    const address = this.#heap.malloc(sizeBytes);
    this.#sources.set(address, what);
    return address;
  }

  free(address) {
    this.#heap.free(address);
  }

  write(address, bytes) {
    this.#check(address, bytes.length, 'write', FREE);
    this.#heap.bytes(address, bytes.length).set(bytes);
    this.#mark(address, bytes.length, WRITTEN);
  }

  /** The bytes there. What is wrong with reading them is noted in `problems`. */
  read(address, sizeBytes) {
    const unknown = this.#check(address, sizeBytes, 'read', UNWRITTEN);
    return unknown ? new Uint8Array(sizeBytes) : this.#heap.bytes(address, sizeBytes).slice();
  }

  stats() {
    return { heapBytes: this.#heap.memStats().HeapSys, ...this.#shadow.stats() };
  }

  release() {
    this.#heap.release();
    this.#shadow.release();
  }

  #grow(address, sizeBytes) {
    // The first memory of the arena has the first byte of the shadow.
    const start = this.#shadow.address + this.#parts.reduce((sum, { bytes }) => sum + bytes.length, 0);
    this.#shadow.commit(start, sizeBytes);
    this.#parts.push({ address, bytes: this.#shadow.bytes(start, sizeBytes) });
  }

  /** Calls `visit` with the shadow of a range, part by part. */
  #visit(address, sizeBytes, visit) {
    for (const { address: start, bytes } of this.#parts) {
      const from = Math.max(address, start);
      const to = Math.min(address + sizeBytes, start + bytes.length);
      if (from < to) visit(bytes.subarray(from - start, to - start), from);
    }
  }

  #mark(address, sizeBytes, state) {
    this.#visit(address, sizeBytes, (shadow) => shadow.fill(state));
  }

  /** Notes the first byte that is no better than `worst`; whether there is one. */
  #check(address, sizeBytes, verb, worst) {
    let found = false;
    this.#visit(address, sizeBytes, (shadow, start) => {
      const at = shadow.findIndex((state) => state <= worst);
      if (at < 0 || found) return;
      found = true;
      const block = this.#heap.mlookup(start + at)?.base;
      const what = this.#sources.get(block) ?? 'memory of no block';
      const where = `${formatAddress(start + at)}, ${what}`;
      this.problems.push(`${verb} of ${sizeBytes} bytes: the byte at ${where}, is ${WORDS[shadow[at]]}`);
    });
    return found;
  }
}

const memory = new CheckedHeap();
const number = (value) => new Uint8Array(new Float64Array([value]).buffer);

// A point of three numbers, of which one is forgotten: found when it is read, not when it is copied.
const point = memory.malloc(24, 'a point');
memory.write(point, number(1));
memory.write(point + 16, number(3));
const copy = memory.malloc(24, 'its copy');
for (const offset of [0, 16]) memory.write(copy + offset, memory.read(point + offset, 8));
memory.read(copy, 24);

// A list of numbers that is read to its end, and one further; and a block that is used when it is gone.
const list = memory.malloc(1000, 'a list');
for (let i = 0; i < 100; i++) memory.write(list + 8 * i, number(i));
for (let i = 0; i <= 100; i++) memory.read(list + 8 * i, 8);
memory.free(list);
memory.read(list, 8);

for (const problem of memory.problems) console.log(problem);
const { heapBytes, reservedBytes, committedBytes, residentBytes } = memory.stats();
console.log(
  `${memory.problems.length} problems; ${heapBytes} bytes of heap, and of shadow ${reservedBytes} reserved, ` +
    `${committedBytes} committed, ${residentBytes} resident`,
);
memory.release();
