// Addresses reserved from the operating system, and which of them are committed.
//
// Invariant: `committed()` is exactly what the operating system was told to commit, to the page, at all
// times, after failures too. The one thing that it counts beyond that is what it would not take back: that is
// zero, nobody accesses it, and it is offered again before every change. Not thread-safe: the owner (a
// Reservation, a ShadowMap) locks.

#ifndef LAZYSHADOW_RESERVED_MEMORY_H_
#define LAZYSHADOW_RESERVED_MEMORY_H_

#include <vector>

#include "mapping_budget.h"
#include "memory_error.h"
#include "range_set.h"

namespace lazyshadow {

/// Makes what is committed of these pages read as zeros, whatever the system says.
void makeZero(const RangeSet& committed, Range pages, os::Backing backing);

class ReservedMemory {
 public:
  /// What to do when the system has no mapping left for an isolated piece.
  enum class Shortage { Fail, MergeIslands };

  /// Reserves. With Access::ReadWriteUncharged all of it counts as committed from the start.
  ReservedMemory(uintptr_t wanted, size_t size, os::Placement placement, os::Access access,
                 os::Backing backing = os::Backing::Mappings);
  ~ReservedMemory();
  ReservedMemory(const ReservedMemory&) = delete;
  ReservedMemory& operator=(const ReservedMemory&) = delete;

  Range range() const { return range_; }
  /// The addresses that are taken: all of them.
  std::vector<Range> addresses() const { return {range_}; }
  const RangeSet& committed() const { return committed_; }

  /// Commits the pages of the range that are not; appends what it committed to `fresh` if given, which is
  /// more than was asked for where islands were merged. Returns its bytes.
  size_t commit(Range pages, Shortage shortage = Shortage::Fail, std::vector<Range>* fresh = nullptr) {
    // Growth, which is nearly every commit of a heap, needs no search and no new mapping.
    if (committed_.extendsLast(pages) && range_.contains(pages) && refused_.empty() &&
        os::commit(pages, backing_).ok()) {
      committed_.insert(pages);
      if (fresh != nullptr) fresh->push_back(pages);
      return pages.size;
    }
    return commitGaps(pages, shortage, fresh);
  }
  /// Gives pages and charge of the range back. Returns the bytes that were committed. Throws, and has changed
  /// nothing, if the system refuses.
  size_t decommit(Range pages);
  /// As decommit, for whoever cannot go back: what the system refuses is offered to it again later.
  void forget(Range pages);
  /// Makes the committed pages of the range read as zeros, whatever the system says.
  void zero(Range pages) const { makeZero(committed_, pages, backing_); }

  /// Whether what is committed is resident from then on, so that nobody need prefault it.
  bool commitMakesPages() const { return backing_ == os::Backing::MemoryFile; }

  /// Islands that were merged because mappings ran short.
  Merges merges() const { return merges_; }

 private:
  bool takesMappings() const { return backing_ == os::Backing::Mappings; }
  void requireInside(Range range) const;
  void undoCommit(Range range);
  void offerRefused();
  size_t commitGaps(Range pages, Shortage shortage, std::vector<Range>* fresh);
  Range commitGap(Range gap, Shortage shortage);
  os::Status commitPiece(Range range) const;
  void requireMappingToSplit(Range pages) const;
  void countIslands();

  const os::Backing backing_;
  Range range_;
  RangeSet committed_;
  RangeSet refused_;         // what the system would not take back; disjoint from committed_
  std::vector<Range> gaps_;  // scratch of commit, so that it allocates once
  Merges merges_;
  size_t countedIslands_ = 0;
};

}  // namespace lazyshadow

#endif  // LAZYSHADOW_RESERVED_MEMORY_H_
