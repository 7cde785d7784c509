// A reservation: one stretch of address space, committed and decommitted piece by piece.
//
// Shared between threads: every handle (one for each JavaScript object) holds a shared_ptr, and so does every
// view of the memory; the addresses are given back with the last of them.
//
// Invariants: `committed()` is exactly what the operating system was told to commit, to the page, at all
// times, after failures too. Memory that another thread holds a view of is never decommitted.

#ifndef LAZYSHADOW_RESERVATION_H_
#define LAZYSHADOW_RESERVATION_H_

#include <memory>
#include <mutex>
#include <vector>

#include "memory_error.h"
#include "range_set.h"

namespace lazyshadow {

class Reservation {
 public:
  /// Whoever holds a view: one for each handle. Only compared.
  using Owner = const void*;

  /// What to do when the system has no mapping left for an isolated piece.
  enum class Shortage { Fail, MergeIslands };

  /// With Access::ReadWriteUncharged all of it counts as committed from the start.
  static std::shared_ptr<Reservation> reserve(uintptr_t wanted, size_t size, os::Placement placement,
                                              os::Access access);
  /// The live reservation that begins at `address`, made by any thread of this process.
  static std::shared_ptr<Reservation> find(uintptr_t address);

  ~Reservation();
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;

  Range range() const { return range_; }

  /// Commits the pages of the range that are not; appends them to `fresh` if given. Returns their bytes.
  size_t commit(Range pages, Shortage shortage = Shortage::Fail, std::vector<Range>* fresh = nullptr);
  /// Gives pages and charge of the range back. Returns the bytes that were committed.
  size_t decommit(Range pages, Owner owner = nullptr);
  /// Makes the committed pages of the range read as zeros.
  void zero(Range pages);

  bool isCommitted(Range range) const;
  std::vector<Range> committed() const;
  void partsCommitted(Range range, std::vector<Range>* parts) const;
  size_t committedBytes() const;

  /// Islands that were merged because mappings ran short, and the bytes committed only for that.
  struct Merges {
    size_t islands = 0;
    size_t bytes = 0;
  };
  Merges merges() const;

  /// A view keeps its memory from being decommitted by any other owner. Throws NotCommitted.
  void addView(Range range, Owner owner);
  void removeView(Range range, Owner owner);
  /// Throws InUse if an owner other than this one has a view that overlaps the range.
  void requireNoForeignView(Range range, Owner owner) const;

 private:
  struct View {
    Range range;
    Owner owner;
  };

  Reservation(Range range, os::Access access);
  void requireInside(Range range) const;
  void requireNoForeignViewLocked(Range range, Owner owner) const;
  void commitGap(Range gap, Shortage shortage, std::vector<Range>* fresh);
  Range towardsNeighbour(Range gap) const;
  void countIslands();

  const Range range_;
  mutable std::mutex mutex_;
  RangeSet committed_;
  std::vector<View> views_;
  std::vector<Range> gaps_;  // scratch of commit, so that it allocates once
  Merges merges_;
  size_t countedIslands_ = 0;
};

}  // namespace lazyshadow

#endif  // LAZYSHADOW_RESERVATION_H_
