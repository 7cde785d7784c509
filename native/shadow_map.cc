#include "shadow_map.h"

#include <atomic>
#include <cstring>
#include <map>

namespace lazyshadow {

namespace {

class Registry {
 public:
  static Registry& instance() {
    static Registry* const registry =
        new Registry;  // never destroyed: workers may outlive static destruction
    return *registry;
  }
  void add(const std::shared_ptr<ShadowMap>& map) {
    const std::lock_guard<std::mutex> lock(mutex_);
    live_[map->id()] = map;
  }
  void remove(uint64_t id) {
    const std::lock_guard<std::mutex> lock(mutex_);
    live_.erase(id);
  }
  std::shared_ptr<ShadowMap> find(uint64_t id) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto it = live_.find(id);
    return it == live_.end() ? nullptr : it->second.lock();
  }

 private:
  std::mutex mutex_;
  std::map<uint64_t, std::weak_ptr<ShadowMap>> live_;
};

uint64_t nextId() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

constexpr uint8_t raw(PageState state) {
  return static_cast<uint8_t>(state);
}

}  // namespace

std::shared_ptr<ShadowMap> ShadowMap::create(Design design) {
  std::shared_ptr<ShadowMap> map(new ShadowMap(std::move(design)));
  Registry::instance().add(map);
  return map;
}

std::shared_ptr<ShadowMap> ShadowMap::find(uint64_t id) {
  std::shared_ptr<ShadowMap> found = Registry::instance().find(id);
  if (!found) throw MemoryError(MemoryError::Kind::NotFound, Range{id, 0});
  return found;
}

ShadowMap::ShadowMap(Design design) : id_(nextId()), design_(std::move(design)) {
  const bool eager = design_.policy == Policy::Eager;
  for (const Range wanted : design_.spans) {
    if (design_.policy == Policy::Unreserved) {
      spans_.push_back(Span{wanted, wanted});
      fixed_.emplace_back();
      continue;
    }
    const os::Access access = eager ? os::Access::ReadWriteUncharged : os::Access::None;
    reservations_.push_back(
        Reservation::reserve(wanted.start, wanted.size, os::Placement::Preferred, access));
    spans_.push_back(Span{wanted, reservations_.back()->range()});
  }
  for (Region& region : design_.regions) {
    for (Plane& plane : region.planes) {
      if (plane.bytesPerGranule != 0) {
        plane.origin += spans_[plane.span].actual.start - spans_[plane.span].wanted.start;
      }
    }
  }
}

ShadowMap::~ShadowMap() {
  Registry::instance().remove(id_);
  for (const RangeSet& pieces : fixed_) {
    // A refusal leaves addresses behind and nothing else; there is nobody left to tell.
    for (const Range piece : pieces.ranges()) (void)os::unmap(piece).ok();
  }
}

size_t ShadowMap::regionOf(Range application) const {
  for (size_t i = 0; i < design_.regions.size(); ++i) {
    if (design_.regions[i].application.contains(application)) return i;
  }
  throw MemoryError(MemoryError::Kind::OutOfRange, application);
}

Range ShadowMap::targetOf(const Plane& plane, Range application) const {
  const Range granules = application.outward(size_t{1} << kGranuleShift);
  return Range{plane.origin + (granules.start >> kGranuleShift) * plane.bytesPerGranule,
               (granules.size >> kGranuleShift) * plane.bytesPerGranule};
}

Range ShadowMap::windowOf(const Plane& plane, uint64_t segment) const {
  return targetOf(plane, Range{segment << kSegmentShift, kSegmentBytes});
}

Range ShadowMap::applicationOf(const Plane& plane, Range target) const {
  const auto granule = [&](uintptr_t address) { return (address - plane.origin) / plane.bytesPerGranule; };
  return Range::between(granule(target.start) << kGranuleShift,
                        (granule(target.end() + plane.bytesPerGranule - 1)) << kGranuleShift);
}

ShadowMap::Segment& ShadowMap::segmentAt(uint64_t index, size_t region) {
  std::unique_ptr<Segment>& segment = segments_[index];
  if (!segment) {
    auto fresh = std::make_unique<Segment>();
    fresh->region = region;
    for (size_t plane = 0; plane < kPlanes; ++plane) {
      const size_t bytes = windowOf(design_.regions[region].planes[plane], index).size;
      fresh->pages[plane].resize(bytes / os::geometry().pageSize);
    }
    segment = std::move(fresh);
  }
  return *segment;
}

/// The segment that has these pages; a MemoryError if there is none, or the pages leave its window.
ShadowMap::Segment* ShadowMap::findSegment(uint64_t index, size_t plane, size_t first, size_t count) const {
  const auto it = segments_.find(index);
  const bool found = it != segments_.end() && plane < kPlanes && first <= it->second->pages[plane].size() &&
                     count <= it->second->pages[plane].size() - first;
  if (!found) throw MemoryError(MemoryError::Kind::OutOfRange, Range{index << kSegmentShift, kSegmentBytes});
  return it->second.get();
}

void ShadowMap::setStates(size_t region, size_t plane, Range pages, PageState from, PageState to) {
  const Plane& where = design_.regions[region].planes[plane];
  const size_t page = os::geometry().pageSize;
  const Range application = applicationOf(where, pages);
  const uint64_t last = (application.end() - 1) >> kSegmentShift;
  for (uint64_t index = application.start >> kSegmentShift; index <= last; ++index) {
    const auto it = segments_.find(index);
    if (it == segments_.end()) continue;
    const Range window = windowOf(where, index);
    const Range part = window.intersect(pages);
    uint8_t* const states = it->second->pages[plane].data() + (part.start - window.start) / page;
    for (size_t i = 0; i < part.size / page; ++i) {
      if (states[i] == raw(from)) states[i] = raw(to);
    }
  }
}

void ShadowMap::mapFixed(size_t span, Range pages, std::vector<Range>* fresh) {
  std::vector<Range> gaps;
  fixed_[span].gapsIn(pages, &gaps);
  for (size_t done = 0; done < gaps.size(); ++done) {
    uintptr_t start = 0;
    const Range gap = gaps[done];
    const os::Status status =
        os::map(gap.start, gap.size, os::Placement::Exact, os::Access::ReadWriteUncharged, &start);
    if (!status.ok()) {
      gaps.resize(done);
      takeBack(span, gaps);
      throw MemoryError(MemoryError::Kind::OsRefused, gap, status);
    }
    fixed_[span].insert(gap);
  }
  fresh->insert(fresh->end(), gaps.begin(), gaps.end());
}

void ShadowMap::commitSpan(size_t span, Range pages, std::vector<Range>* fresh) {
  switch (design_.policy) {
    case Policy::Eager:
    case Policy::Touch:
      return;
    case Policy::Unreserved:
      mapFixed(span, pages.outward(os::geometry().granularity), fresh);
      return;
    case Policy::Lazy:
      reservations_[span]->commit(pages, Reservation::Shortage::MergeIslands, fresh);
      return;
  }
}

void ShadowMap::takeBack(size_t span, const std::vector<Range>& fresh) {
  // What the system does not take back stays, and stays counted.
  for (const Range piece : fresh) {
    if (design_.policy == Policy::Unreserved) {
      if (os::unmap(piece).ok()) fixed_[span].erase(piece);
    } else {
      try {
        reservations_[span]->decommit(piece);
      } catch (const MemoryError&) {
      }
    }
  }
}

void ShadowMap::clear(size_t span, Range pages) {
  std::vector<Range> parts;
  if (design_.policy == Policy::Unreserved) {
    fixed_[span].partsIn(pages, &parts);
  } else {
    reservations_[span]->partsCommitted(pages, &parts);
  }
  for (const Range part : parts) {
    // The pages must read as zeros whatever the system says.
    if (!os::zero(part).ok()) std::memset(reinterpret_cast<void*>(part.start), 0, part.size);
  }
}

void ShadowMap::giveBack(size_t span, Range pages) {
  if (design_.policy == Policy::Lazy || design_.policy == Policy::Touch) {
    try {
      reservations_[span]->decommit(pages);
      return;
    } catch (const MemoryError&) {
      // Still committed, then, and counted; clearing is what is left.
    }
  }
  clear(span, pages);
}

void ShadowMap::mapShadow(Range application) {
  const size_t region = regionOf(application);
  const size_t page = os::geometry().pageSize;
  const std::array<Plane, kPlanes>& planes = design_.regions[region].planes;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (mapped_.contains(application)) return;

  const uint64_t lastSegment = (application.end() - 1) >> kSegmentShift;
  for (uint64_t index = application.start >> kSegmentShift; index <= lastSegment; ++index)
    segmentAt(index, region);

  for (std::vector<Range>& fresh : fresh_) fresh.clear();
  try {
    for (size_t plane = 0; plane < kPlanes; ++plane) {
      if (planes[plane].bytesPerGranule == 0) continue;
      commitSpan(planes[plane].span, targetOf(planes[plane], application).outward(page), &fresh_[plane]);
    }
  } catch (const MemoryError&) {
    for (size_t plane = 0; plane < kPlanes; ++plane) takeBack(planes[plane].span, fresh_[plane]);
    throw;
  }

  for (size_t plane = 0; plane < kPlanes; ++plane) {
    if (planes[plane].bytesPerGranule == 0) continue;
    setStates(region, plane, targetOf(planes[plane], application).outward(page), PageState::Unmapped,
              PageState::Mapped);
  }
  mapped_.insert(application);
}

void ShadowMap::unmapShadow(Range application) {
  const size_t region = regionOf(application);
  const size_t page = os::geometry().pageSize;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!mapped_.overlaps(application)) return;
  mapped_.erase(application);

  for (size_t index = 0; index < kPlanes; ++index) {
    const Plane& plane = design_.regions[region].planes[index];
    if (plane.bytesPerGranule == 0) continue;
    const Range target = targetOf(plane, application);
    Range pages = target.outward(page);
    // The pages at both ends may hold shadow of addresses that stay mapped: those are kept, and our part is
    // cleared.
    for (const uintptr_t edge : {pages.start, pages.end() - page}) {
      const Range edgePage{edge, page};
      if (!pages.contains(edgePage) || !mapped_.overlaps(applicationOf(plane, edgePage))) continue;
      const Segment* segment = segments_[applicationOf(plane, edgePage).start >> kSegmentShift].get();
      const Range window = windowOf(plane, applicationOf(plane, edgePage).start >> kSegmentShift);
      if (segment->pages[index][(edge - window.start) / page] == raw(PageState::Touched)) {
        const Range cleared = edgePage.intersect(target);
        std::memset(reinterpret_cast<void*>(cleared.start), 0, cleared.size);
      }
      pages =
          edge == pages.start ? Range::between(edge + page, pages.end()) : Range::between(pages.start, edge);
    }
    if (pages.empty()) continue;
    giveBack(plane.span, pages);
    setStates(region, index, pages, PageState::Mapped, PageState::Unmapped);
    setStates(region, index, pages, PageState::Touched, PageState::Unmapped);
  }
}

bool ShadowMap::isMapped(Range application) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return mapped_.contains(application);
}

size_t ShadowMap::mappedBytes(Range application) const {
  std::vector<Range> parts;
  const std::lock_guard<std::mutex> lock(mutex_);
  mapped_.partsIn(application, &parts);
  size_t bytes = 0;
  for (const Range part : parts) bytes += part.size;
  return bytes;
}

void ShadowMap::touch(uint64_t segment, size_t plane, size_t first, size_t count) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<uint8_t>& states = findSegment(segment, plane, first, count)->pages[plane];
  const Plane& where = design_.regions[segments_[segment]->region].planes[plane];
  const Range window = windowOf(where, segment);
  const size_t page = os::geometry().pageSize;

  if (design_.policy == Policy::Touch) {
    Reservation& memory = *reservations_[where.span];
    std::vector<Range> fresh;
    for (size_t at = first; at < first + count; ++at) {
      if (states[at] != raw(PageState::Mapped)) continue;
      // A block reaches as far as mapped shadow does.
      const size_t perBlock = design_.touchBlock / page;
      size_t begin = at;
      while (begin % perBlock != 0 && states[begin - 1] != raw(PageState::Unmapped)) --begin;
      size_t end = at + 1;
      while (end < states.size() && states[end] != raw(PageState::Unmapped) &&
             (end % perBlock != 0 || (end < first + count && states[end] == raw(PageState::Mapped)))) {
        ++end;
      }
      try {
        memory.commit(Range{window.start + begin * page, (end - begin) * page},
                      Reservation::Shortage::MergeIslands, &fresh);
      } catch (const MemoryError&) {
        takeBack(where.span, fresh);
        throw;
      }
      at = end - 1;
    }
  }
  for (size_t at = first; at < first + count; ++at) {
    if (states[at] == raw(PageState::Mapped)) states[at] = raw(PageState::Touched);
  }
}

void ShadowMap::discard(uint64_t segment, size_t plane, size_t first, size_t count) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<uint8_t>& states = findSegment(segment, plane, first, count)->pages[plane];
  const Plane& where = design_.regions[segments_[segment]->region].planes[plane];
  const uintptr_t start = windowOf(where, segment).start;
  const size_t page = os::geometry().pageSize;
  for (size_t at = first; at < first + count; ++at) {
    if (states[at] != raw(PageState::Touched)) continue;
    const size_t begin = at;
    for (; at < first + count && states[at] == raw(PageState::Touched); ++at)
      states[at] = raw(PageState::Mapped);
    const Range pages{start + begin * page, (at - begin) * page};
    // Under lazy the memory stays mapped for the program, so its charge stays too.
    if (design_.policy == Policy::Touch) {
      giveBack(where.span, pages);
    } else {
      clear(where.span, pages);
    }
  }
}

ShadowMap::Window ShadowMap::window(uint64_t segment, size_t plane) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto it = segments_.find(segment);
  if (it == segments_.end() || plane >= kPlanes) return Window{};
  const Range range = windowOf(design_.regions[it->second->region].planes[plane], segment);
  std::vector<uint8_t>& pages = it->second->pages[plane];
  return Window{range.start, range.size, pages.data(), pages.size()};
}

ShadowMap::Stats ShadowMap::stats() const {
  Stats stats;
  std::vector<Range> ranges;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stats.mapped = mapped_.totalBytes();
    for (const auto& reservation : reservations_) {
      stats.reserved += reservation->range().size;
      stats.committed += reservation->committedBytes();
      stats.merges.islands += reservation->merges().islands;
      stats.merges.bytes += reservation->merges().bytes;
      ranges.push_back(reservation->range());
    }
    for (const RangeSet& pieces : fixed_) {
      stats.reserved += pieces.totalBytes();
      stats.committed += pieces.totalBytes();
      const std::vector<Range> all = pieces.ranges();
      ranges.insert(ranges.end(), all.begin(), all.end());
    }
  }
  std::sort(ranges.begin(), ranges.end(), [](Range a, Range b) { return a.start < b.start; });
  const os::Status status = os::query(ranges, &stats.usage);
  if (!status.ok()) throw MemoryError(MemoryError::Kind::OsRefused, Range{}, status);
  return stats;
}

}  // namespace lazyshadow
