// Holds the platform sources of native/ to their contract (os_memory.h, process_memory.h), without Node.
//
//     os_memory_test [--reserve BYTES] [--emulated]
//
// --reserve: 1 TiB by default; emulators want less. --emulated: another program runs this one and its memory
// is in the process's numbers.
//
// Exits 0 and prints the number of checks if all hold; otherwise a line for each that does not, and exits 1.
//
// Each os_memory_test_*.cc is about one subject; os_memory_test.h has them all, and what they share.

#include "os_memory_test.h"

#include <cstdio>
#include <cstdlib>
#include <string>

namespace test = lazyshadow::test;

int main(int argc, char** argv) {
  size_t reserve = size_t{1} << 40;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--emulated") {
      test::emulated = true;
    } else if (argument == "--reserve" && i + 1 < argc) {
      reserve = std::strtoull(argv[++i], nullptr, 10);
    } else {
      std::printf("unknown argument: %s\n", argv[i]);
      return 2;
    }
  }
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);

  test::geometryIsSound();
  test::reservationCostsNothing(reserve);
  test::commitIsChargedAndKeepsContents();
  test::prefaultMakesPages();
  test::residentPagesOfALargePartAreCounted();
  test::rangesAreAddedUp();
  test::islandsLeaveMappingsForOthers();
  test::decommitGivesBack();
  test::memoryFileIsCommittedByThePage();
  test::memoryFileMayNotBeLongerThanFilesMay();
  test::verbsSpanNeighbouringMaps();
  test::zeroKeepsTheCharge();
  test::exactPlacementReplacesNothing();
  test::impossibleAddressesAreNotOutOfMemory();
  test::firstMappingIsTheLowest();
  test::readWriteMemoryIsUsableAtOnce();
  test::processAndSystemNumbersArePlausible();
  test::mappingsAreCounted();
  test::failureToCommitIsToldAndUndone(reserve);
  test::dataLimitIsKept();
  test::failuresHaveNames();

  std::printf("%d checks, %d failed (pages of %zu, granularity %zu)\n", test::checks.load(),
              test::failures.load(), test::page(), test::granularity());
  return test::failures == 0 ? 0 : 1;
}
