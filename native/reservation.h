// A reservation as the public has it: reserved memory that several threads share, and the views of it.
//
// Every handle (one for each JavaScript object) holds a shared_ptr, and so does every view of the memory; the
// addresses are given back with the last of them.
//
// Invariant: memory that another handle has a view of is never decommitted. Thread-safe.

#ifndef LAZYSHADOW_RESERVATION_H_
#define LAZYSHADOW_RESERVATION_H_

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "reserved_memory.h"

namespace lazyshadow {

class Reservation {
 public:
  /// Whoever holds a view: one for each handle, never used again.
  using Owner = uint64_t;
  static Owner newOwner();

  /// Whether others may attach to it.
  enum class Sharing { Shared, Private };
  static std::shared_ptr<Reservation> reserve(uintptr_t wanted, size_t size, os::Placement placement,
                                              Sharing sharing);
  /// The live, shared reservation that begins at `address`, made by any thread of this process.
  static std::shared_ptr<Reservation> find(uintptr_t address);

  ~Reservation();
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;

  Range range() const { return memory_.range(); }

  /// As those of ReservedMemory.
  size_t commit(Range pages);
  void zero(Range pages);
  /// As that of ReservedMemory, while nobody can open a view. `check` comes first, and may refuse by a
  /// MemoryError; `detach` comes last, once the memory is gone, and detaches the owner's views of it: on the
  /// owner's thread, where no script runs in between. The lock is held, so they call nothing here.
  size_t decommit(Range pages, Owner owner, const std::function<void()>& check,
                  const std::function<void()>& detach);

  std::vector<Range> committed() const;

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

  Reservation(uintptr_t wanted, size_t size, os::Placement placement);

  mutable std::mutex mutex_;
  ReservedMemory memory_;
  std::vector<View> views_;
};

}  // namespace lazyshadow

#endif  // LAZYSHADOW_RESERVATION_H_
