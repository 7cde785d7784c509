#include "reserved_memory.h"

#include <atomic>

namespace lazyshadow {

namespace {

/// Islands of committed pages in the whole process: the system's limit on mappings is the process's.
std::atomic<size_t> islandsOfProcess{0};

/// Bytes that the system would neither give nor take back. Only ever grows; zero on every system seen.
std::atomic<size_t> leakedBytes{0};

/// After a commit that failed: the system may have committed a part before it refused the rest. If that
/// cannot be taken back either, the part is charged but counts as not committed: nothing may rely on access
/// to it.
void takeBackPart(Range range) {
  if (!os::decommit(range).ok()) leakedBytes += range.size;
}

}  // namespace

ReservedMemory::ReservedMemory(uintptr_t wanted, size_t size, os::Placement placement, os::Access access) {
  uintptr_t start = 0;
  const os::Status status = os::map(wanted, size, placement, access, &start);
  if (!status.ok()) throw MemoryError(MemoryError::Kind::OsRefused, Range{wanted, size}, status);
  range_ = Range{start, size};
  if (access == os::Access::ReadWriteUncharged) committed_.insert(range_);
  countIslands();
}

ReservedMemory::~ReservedMemory() {
  committed_.clear();
  countIslands();
  // A refusal leaves addresses behind and nothing else; there is nobody left to tell.
  if (!os::unmap(range_).ok() && !os::decommit(range_).ok()) leakedBytes += range_.size;
}

void ReservedMemory::requireInside(Range range) const {
  if (!range_.contains(range)) throw MemoryError(MemoryError::Kind::OutOfRange, range);
}

void ReservedMemory::countIslands() {
  if (committed_.count() == countedIslands_) return;
  islandsOfProcess += committed_.count() - countedIslands_;
  countedIslands_ = committed_.count();
}

size_t ReservedMemory::commitGaps(Range pages, Shortage shortage, std::vector<Range>* fresh) {
  requireInside(pages);
  gaps_.clear();
  committed_.gapsIn(pages, &gaps_);
  const size_t before = committed_.totalBytes();
  const Merges mergesBefore = merges_;
  size_t done = 0;
  try {
    if (fresh != nullptr) fresh->reserve(fresh->size() + gaps_.size());  // so that noting them cannot fail
    for (; done < gaps_.size(); ++done) gaps_[done] = commitGap(gaps_[done], shortage);
  } catch (...) {
    while (done-- > 0) {
      // What cannot be taken back stays committed and stays counted.
      if (os::decommit(gaps_[done]).ok()) committed_.erase(gaps_[done]);
    }
    merges_ = mergesBefore;
    countIslands();
    throw;
  }
  if (fresh != nullptr) {
    for (const Range gap : gaps_) fresh->push_back(gap);
  }
  countIslands();
  return committed_.totalBytes() - before;
}

/// Returns what was committed: the gap, or more if islands were merged.
Range ReservedMemory::commitGap(Range gap, Shortage shortage) {
  const bool mayMerge = shortage == Shortage::MergeIslands;
  const bool crowded = mayMerge && islandsOfProcess >= os::islandLimit();
  Range wanted = crowded ? towardsNeighbour(gap) : gap;
  os::Status status = os::commit(wanted);
  if (!status.ok() && mayMerge) {
    // The other way then: merged, if it is mappings that are short; alone, if it is memory.
    const Range other = crowded ? gap : towardsNeighbour(gap);
    if (other.size != wanted.size) {
      takeBackPart(wanted);
      wanted = other;
      const os::Status second = os::commit(wanted);
      if (second.ok()) status = second;
    }
  }
  if (!status.ok()) {
    takeBackPart(wanted);
    throw MemoryError(MemoryError::Kind::OsRefused, gap, status);
  }
  committed_.insert(wanted);
  if (wanted.size > gap.size) {
    merges_.islands += 1;
    merges_.bytes += wanted.size - gap.size;
  }
  return wanted;
}

/// The gap widened to the nearest committed range: the two become one mapping, and no new one is needed.
Range ReservedMemory::towardsNeighbour(Range gap) const {
  const std::optional<Range> below = committed_.before(gap.start);
  const std::optional<Range> above = committed_.after(gap.end());
  const bool belowIsNearer = below && (!above || gap.start - below->end() <= above->start - gap.end());
  if (belowIsNearer) return Range::between(below->end(), gap.end());
  if (above) return Range::between(gap.start, above->start);
  return gap;
}

size_t ReservedMemory::decommit(Range pages) {
  requireInside(pages);
  if (!committed_.overlaps(pages)) return 0;
  const os::Status status = os::decommit(pages);
  if (!status.ok()) throw MemoryError(MemoryError::Kind::OsRefused, pages, status);
  const size_t before = committed_.totalBytes();
  committed_.erase(pages);
  countIslands();
  return before - committed_.totalBytes();
}

void ReservedMemory::zero(Range pages) {
  requireInside(pages);
  std::vector<Range> parts;
  committed_.partsIn(pages, &parts);
  for (const Range part : parts) {
    const os::Status status = os::zero(part);
    if (!status.ok()) throw MemoryError(MemoryError::Kind::OsRefused, part, status);
  }
}

}  // namespace lazyshadow
