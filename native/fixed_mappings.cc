#include "fixed_mappings.h"

#include "release.h"
#include "reserved_memory.h"

namespace lazyshadow {

FixedMappings::~FixedMappings() {
  for (const Range piece : mapped_.ranges()) release(piece);
  MappingBudget::change(mapped_.count(), 0, MappingBudget::kFixed);
}

void FixedMappings::insert(Range piece) {
  const size_t before = mapped_.count();
  mapped_.insert(piece);
  MappingBudget::change(before, mapped_.count(), MappingBudget::kFixed);
}

void FixedMappings::erase(Range piece) {
  const size_t before = mapped_.count();
  mapped_.erase(piece);
  MappingBudget::change(before, mapped_.count(), MappingBudget::kFixed);
}

/// Returns what was mapped: the gap, or more if it was joined to a neighbour for want of mappings.
Range FixedMappings::mapGap(Range gap) {
  const auto map = [](Range piece) {
    uintptr_t start = 0;
    return os::map(piece.start, piece.size, os::Placement::Exact, os::Access::ReadWriteUncharged, &start);
  };
  if (MappingBudget::crowded()) {
    const Range joined = mapped_.towardsNearest(gap);
    if (!mapped_.empty() && map(joined).ok()) {
      merges_.note(gap, joined);
      return joined;
    }
    if (MappingBudget::spent()) throw MemoryError(MemoryError::Kind::OsRefused, gap, os::outOfMemory());
  }
  const os::Status status = map(gap);
  if (!status.ok()) throw MemoryError(MemoryError::Kind::OsRefused, gap, status);
  return gap;
}

void FixedMappings::commit(Range pages, std::vector<Range>* fresh) {
  std::vector<Range> gaps;
  mapped_.gapsIn(pages.outward(os::geometry().granularity), &gaps);
  const Merges mergesBefore = merges_;
  for (size_t done = 0; done < gaps.size(); ++done) {
    releaseRefused();
    try {
      gaps[done] = mapGap(gaps[done]);
    } catch (...) {
      gaps.resize(done);
      for (const Range piece : gaps) forget(piece);
      merges_ = mergesBefore;
      throw;
    }
    insert(gaps[done]);
  }
  fresh->insert(fresh->end(), gaps.begin(), gaps.end());
}

void FixedMappings::zero(Range pages) const {
  makeZero(mapped_, pages, os::Backing::Mappings);
}

void FixedMappings::forget(Range piece) {
  if (os::unmap(piece).ok()) erase(piece);  // what the system does not take back stays, and stays counted
}

}  // namespace lazyshadow
