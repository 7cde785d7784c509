// A reservation: one stretch of address space, committed and decommitted piece by piece.
//
// Shared between threads: every handle (one for each JavaScript object) holds a shared_ptr, and so does every
// view of the memory; the addresses are given back with the last of them.
//
// Invariants: `committed()` is exactly what the operating system was told to commit, to the page, at all
// times, after failures too. Memory that another thread holds a view of is never decommitted.

#ifndef LAZYSHADOW_RESERVATION_H_
#define LAZYSHADOW_RESERVATION_H_

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "memory_error.h"
#include "range_set.h"

namespace lazyshadow {

class Reservation {
 public:
  /// Whoever holds a view: one for each handle, never used again. 0 is nobody.
  using Owner = uint64_t;
  static Owner newOwner();

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

  /// Commits the pages of the range that are not; appends what it committed to `fresh` if given, which is
  /// more than was asked for where islands were merged. Returns its bytes.
  size_t commit(Range pages, Shortage shortage = Shortage::Fail, std::vector<Range>* fresh = nullptr);
  /// Gives pages and charge of the range back. Returns the bytes that were committed. Before that it runs
  /// `detach`, while nobody can open a view: it is to detach the owner's, and may refuse by a MemoryError.
  /// The lock is held, so it calls nothing here. A refusal of the system comes after it.
  size_t decommit(Range pages, Owner owner = 0, const std::function<void()>& detach = nullptr);
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

  struct Stats {
    size_t committed = 0;
    os::Usage usage;
  };
  /// What is committed here, and what the system says of it at the same moment.
  Stats stats() const;

  /// A view keeps its memory from being decommitted by any other owner. Throws NotCommitted.
  void addView(Range range, Owner owner);
  void removeView(Range range, Owner owner);

 private:
  struct View {
    Range range;
    Owner owner;
  };

  Reservation(Range range, os::Access access);
  void requireInside(Range range) const;
  void requireNoForeignView(Range range, Owner owner) const;
  Range commitGap(Range gap, Shortage shortage);
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
