#include "reserved_memory.h"

#include <cstring>

#include "release.h"

namespace lazyshadow {

void makeZero(const RangeSet& committed, Range pages, os::Backing backing) {
  std::vector<Range> parts;
  committed.partsIn(pages, &parts);
  for (const Range part : parts) {
    if (!os::zero(part, backing).ok()) std::memset(reinterpret_cast<void*>(part.start), 0, part.size);
  }
}

ReservedMemory::ReservedMemory(uintptr_t wanted, size_t size, os::Placement placement, os::Access access,
                               os::Backing backing)
    : backing_(backing) {
  releaseRefused();
  uintptr_t start = 0;
  const os::Status status = os::map(wanted, size, placement, access, &start, backing);
  if (!status.ok()) throw MemoryError(MemoryError::Kind::OsRefused, Range{wanted, size}, status);
  range_ = Range{start, size};
  if (access == os::Access::ReadWriteUncharged) committed_.insert(range_);
  countIslands();
}

ReservedMemory::~ReservedMemory() {
  committed_.clear();
  countIslands();
  release(range_);
}

void ReservedMemory::requireInside(Range range) const {
  if (!range_.contains(range)) throw MemoryError(MemoryError::Kind::OutOfRange, range);
}

void ReservedMemory::countIslands() {
  if (!takesMappings() || committed_.count() == countedIslands_) return;
  MappingBudget::change(countedIslands_, committed_.count(), MappingBudget::kIsland);
  countedIslands_ = committed_.count();
}

size_t ReservedMemory::commitGaps(Range pages, Shortage shortage, std::vector<Range>* fresh) {
  requireInside(pages);
  offerRefused();
  gaps_.clear();
  committed_.gapsIn(pages, &gaps_);
  const size_t before = committed_.totalBytes();
  const Merges mergesBefore = merges_;
  size_t done = 0;
  try {
    if (fresh != nullptr) fresh->reserve(fresh->size() + gaps_.size());  // so that noting them cannot fail
    for (; done < gaps_.size(); ++done) gaps_[done] = commitGap(gaps_[done], shortage);
  } catch (...) {
    while (done-- > 0) forget(gaps_[done]);
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

/// After a commit that failed: the system may have committed a part before it refused the rest, to which
/// nothing may rely on access.
void ReservedMemory::undoCommit(Range range) {
  if (!os::decommit(range, backing_).ok()) refused_.insert(range);
}

void ReservedMemory::offerRefused() {
  if (refused_.empty()) return;
  for (const Range range : refused_.ranges()) {
    if (takesMappings() && MappingBudget::spent()) return;
    if (os::decommit(range, backing_).ok()) refused_.erase(range);
  }
}

/// Returns what was committed: the gap, or more if islands were merged.
Range ReservedMemory::commitGap(Range gap, Shortage shortage) {
  const bool mayMerge = takesMappings() && shortage == Shortage::MergeIslands;
  const bool crowded = mayMerge && MappingBudget::crowded();
  Range wanted = crowded ? committed_.towardsNearest(gap) : gap;
  os::Status status = commitPiece(wanted);
  // Nothing but mappings or memory that are short can be helped.
  if (mayMerge && os::classify(status) == os::Failure::OutOfMemory) {
    // The other way then: merged, if it is mappings that are short; alone, if it is memory.
    const Range other = crowded ? gap : committed_.towardsNearest(gap);
    if (other.size != wanted.size) {
      undoCommit(wanted);
      wanted = other;
      const os::Status second = commitPiece(wanted);
      if (second.ok()) status = second;
    }
  }
  if (!status.ok()) {
    undoCommit(wanted);
    throw MemoryError(MemoryError::Kind::OsRefused, gap, status);
  }
  committed_.insert(wanted);
  refused_.erase(wanted);
  merges_.note(gap, wanted);
  return wanted;
}

/// Commits a range that is not committed, unless it would be an island for which there is no mapping.
os::Status ReservedMemory::commitPiece(Range range) const {
  if (!takesMappings() || !MappingBudget::crowded()) return os::commit(range, backing_);
  const std::optional<Range> below = committed_.before(range.start);
  const std::optional<Range> above = committed_.after(range.end());
  const bool grows = (below && below->end() == range.start) || (above && above->start == range.end());
  return !grows && MappingBudget::spent() ? os::outOfMemory() : os::commit(range);
}

void ReservedMemory::requireMappingToSplit(Range pages) const {
  if (!takesMappings()) return;
  const std::optional<Range> below = committed_.before(pages.start);
  if (below && below->end() > pages.end() && MappingBudget::spent()) {
    throw MemoryError(MemoryError::Kind::OsRefused, pages, os::outOfMemory());
  }
}

size_t ReservedMemory::decommit(Range pages) {
  requireInside(pages);
  offerRefused();
  if (!committed_.overlaps(pages)) return 0;
  requireMappingToSplit(pages);
  const os::Status status = os::decommit(pages, backing_);
  if (!status.ok()) throw MemoryError(MemoryError::Kind::OsRefused, pages, status);
  const size_t before = committed_.totalBytes();
  committed_.erase(pages);
  refused_.erase(pages);
  countIslands();
  return before - committed_.totalBytes();
}

void ReservedMemory::forget(Range pages) {
  try {
    decommit(pages);
  } catch (const MemoryError&) {
    zero(pages);
    std::vector<Range> parts;
    committed_.partsIn(pages, &parts);
    for (const Range part : parts) refused_.insert(part);
    committed_.erase(pages);
    countIslands();
  }
}

}  // namespace lazyshadow
