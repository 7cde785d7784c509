#include "shadow_map.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "registry.h"

namespace lazyshadow {

namespace {

using LiveMaps = Registry<uint64_t, ShadowMap>;

uint64_t nextId() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

constexpr uint8_t raw(PageState state) {
  return static_cast<uint8_t>(state);
}

std::vector<os::Usage> usagesOf(const std::vector<Range>& ranges) {
  std::vector<os::Usage> usages;
  const os::Status status = os::query(ranges, &usages);
  if (!status.ok()) throw MemoryError(MemoryError::Kind::OsRefused, Range{}, status);
  return usages;
}

/// A page at a time, each written at once, is what memory files are good at; single pages far apart would use
/// up the process's mappings. Of a larger block the pages that nobody writes to should not become resident.
os::Backing backingOf(const ShadowMap::Design& design, size_t size) {
  const bool bySinglePage = design.policy == Policy::Touch && design.touchBlock == os::geometry().pageSize;
  return bySinglePage && os::offers(os::Backing::MemoryFile, size) ? os::Backing::MemoryFile
                                                                   : os::Backing::Mappings;
}

static_assert(PageState::Unmapped < PageState::Mapped && PageState::Mapped < PageState::Touched,
              "mapShadow takes the larger of two states");

}  // namespace

std::shared_ptr<ShadowMap> ShadowMap::create(Design design) {
  std::shared_ptr<ShadowMap> map(new ShadowMap(std::move(design)));
  LiveMaps::instance().add(map->id(), map);
  return map;
}

std::shared_ptr<ShadowMap> ShadowMap::find(uint64_t id) {
  std::shared_ptr<ShadowMap> found = LiveMaps::instance().find(id);
  if (!found) throw MemoryError(MemoryError::Kind::NotFound, Range{});
  return found;
}

bool ShadowMap::leave(std::shared_ptr<ShadowMap> map) {
  return LiveMaps::instance().removeIfLast(map->id(), map);
}

ShadowMap::Viewer::Viewer(ShadowMap& map) : map_(map) {
  const std::lock_guard<std::mutex> lock(map_.mutex_);
  map_.viewers_++;
}

ShadowMap::Viewer::~Viewer() {
  const std::lock_guard<std::mutex> lock(map_.mutex_);
  map_.viewers_--;
}

ShadowMap::ShadowMap(Design design) : id_(nextId()), design_(std::move(design)) {
  const bool eager = design_.policy == Policy::Eager;
  for (const Range wanted : design_.spans) {
    if (design_.policy == Policy::Unreserved) {
      spans_.push_back(Span{wanted, wanted});
      memory_.emplace_back(std::in_place_type<FixedMappings>);
      continue;
    }
    const os::Access access = eager ? os::Access::ReadWriteUncharged : os::Access::None;
    memory_.emplace_back(std::in_place_type<ReservedMemory>, wanted.start, wanted.size,
                         os::Placement::Preferred, access, backingOf(design_, wanted.size));
    spans_.push_back(Span{wanted, std::get<ReservedMemory>(memory_.back()).range()});
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
  LiveMaps::instance().remove(id_);
  // For whoever still has the states: from here on nothing may be reached.
  for (size_t region = 0; region < design_.regions.size(); ++region) {
    std::vector<Range> mapped;
    mapped_.partsIn(design_.regions[region].application, &mapped);
    for (size_t plane = 0; plane < kPlanes; ++plane) {
      if (design_.regions[region].planes[plane].bytesPerGranule == 0) continue;
      for (const Range range : mapped) {
        visitStates(region, plane, range, [this](uint8_t* states, Range pages) {
          std::fill_n(states, pages.size >> pageShift_, raw(PageState::Unmapped));
        });
      }
    }
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

/// Null while nothing of the segment was ever mapped.
ShadowMap::Segment* ShadowMap::segmentAt(uint64_t index) const {
  if (lastFound_ != nullptr && lastFound_->index == index) return lastFound_;
  const auto found = segments_.find(index);
  if (found == segments_.end()) return nullptr;
  lastFound_ = found->second.get();
  return lastFound_;
}

void ShadowMap::makeSegment(uint64_t index, size_t region) {
  static_assert(raw(PageState::Unmapped) == 0, "fresh memory says that every page is Unmapped");
  auto fresh = std::make_unique<Segment>();
  fresh->index = index;
  fresh->region = region;
  std::array<size_t, kPlanes> counts{};
  size_t all = 0;
  for (size_t plane = 0; plane < kPlanes; ++plane) {
    counts[plane] = windowOf(design_.regions[region].planes[plane], index).size / page_;
    all += counts[plane];
  }
  const auto memory =
      std::make_shared<ReservedMemory>(0, Range{0, all}.outward(os::geometry().granularity).size,
                                       os::Placement::Anywhere, os::Access::ReadWriteUncharged);
  auto* states = reinterpret_cast<uint8_t*>(memory->range().start);
  for (size_t plane = 0; plane < kPlanes; ++plane) {
    fresh->pages[plane] = PageStates(std::shared_ptr<uint8_t[]>(memory, states), counts[plane]);
    states += counts[plane];
  }
  segments_.emplace(index, std::move(fresh));
}

/// The states of a window that has these pages; a MemoryError if there is none such.
const ShadowMap::PageStates& ShadowMap::pageStates(uint64_t index, size_t plane, size_t first, size_t count) {
  Segment* const segment = segmentAt(index);
  if (segment == nullptr || plane >= kPlanes || first > segment->pages[plane].size() ||
      count > segment->pages[plane].size() - first) {
    throw MemoryError(MemoryError::Kind::OutOfRange, Range{index << kSegmentShift, kSegmentBytes});
  }
  return segment->pages[plane];
}

/// Calls visit(states, pages) for the pages of a plane that hold shadow of the range, segment by segment.
template <typename Visit>
void ShadowMap::visitStates(size_t region, size_t plane, Range application, const Visit& visit) {
  const Plane& where = design_.regions[region].planes[plane];
  const Range pages = targetOf(where, application).outward(page_);
  const uint64_t last = (application.end() - 1) >> kSegmentShift;
  for (uint64_t index = application.start >> kSegmentShift; index <= last; ++index) {
    Segment* const segment = segmentAt(index);
    if (segment == nullptr) continue;
    const Range window = windowOf(where, index);
    const Range part = window.intersect(pages);
    visit(segment->pages[plane].data() + ((part.start - window.start) >> pageShift_), part);
  }
}

/// Calls visit(range) for each run of Touched pages, after making them `next`.
template <typename Visit>
void ShadowMap::leaveTouched(uint8_t* states, Range pages, PageState next, const Visit& visit) {
  const size_t count = pages.size >> pageShift_;
  for (size_t at = 0; at < count; ++at) {
    if (states[at] != raw(PageState::Touched)) continue;
    const size_t begin = at;
    for (; at < count && states[at] == raw(PageState::Touched); ++at) states[at] = raw(next);
    visit(Range{pages.start + begin * page_, (at - begin) * page_});
  }
}

const RangeSet& ShadowMap::committedOf(size_t span) const {
  return std::visit([](const auto& memory) -> const RangeSet& { return memory.committed(); }, memory_[span]);
}

inline void ShadowMap::commitSpan(size_t span, Range pages, std::vector<Range>* fresh) {
  switch (design_.policy) {
    case Policy::Eager:
    case Policy::Touch:
      return;
    case Policy::Unreserved:
      std::get<FixedMappings>(memory_[span]).commit(pages, fresh);
      return;
    case Policy::Lazy:
      std::get<ReservedMemory>(memory_[span]).commit(pages, ReservedMemory::Shortage::MergeIslands, fresh);
      return;
  }
}

void ShadowMap::takeBack(size_t span, const std::vector<Range>& fresh) {
  const auto forget = [&](auto& memory) {
    for (const Range piece : fresh) memory.forget(piece);
  };
  std::visit(forget, memory_[span]);
}

void ShadowMap::clear(size_t span, Range pages) {
  std::visit([pages](const auto& memory) { memory.zero(pages); }, memory_[span]);
}

bool ShadowMap::giveBack(size_t span, Range pages, size_t own) {
  const bool canGive = design_.policy == Policy::Lazy || design_.policy == Policy::Touch;
  if (!canGive || viewers_ != own) return false;
  std::get<ReservedMemory>(memory_[span]).forget(pages);
  return true;
}

void ShadowMap::mapShadow(Range application) {
  const size_t region = regionOf(application);
  const std::array<Plane, kPlanes>& planes = design_.regions[region].planes;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!mapped_.extendsLast(application) && mapped_.contains(application)) return;

  const uint64_t lastSegment = (application.end() - 1) >> kSegmentShift;
  for (uint64_t index = application.start >> kSegmentShift; index <= lastSegment; ++index)
    if (segmentAt(index) == nullptr) makeSegment(index, region);

  for (std::vector<Range>& fresh : fresh_) fresh.clear();
  try {
    for (size_t plane = 0; plane < kPlanes; ++plane) {
      if (planes[plane].bytesPerGranule == 0) continue;
      commitSpan(planes[plane].span, targetOf(planes[plane], application).outward(page_), &fresh_[plane]);
    }
  } catch (...) {
    for (size_t plane = 0; plane < kPlanes; ++plane) takeBack(planes[plane].span, fresh_[plane]);
    throw;
  }

  for (size_t plane = 0; plane < kPlanes; ++plane) {
    if (planes[plane].bytesPerGranule == 0) continue;
    visitStates(region, plane, application, [this](uint8_t* states, Range pages) {
      // Stored whether it changes or not, which the compiler turns into a few vector instructions.
      const size_t count = pages.size >> pageShift_;
      for (size_t i = 0; i < count; ++i) states[i] = std::max(states[i], raw(PageState::Mapped));
    });
  }
  mapped_.insert(application);
}

void ShadowMap::unmapShadow(Range application, size_t own) {
  const size_t region = regionOf(application);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!mapped_.overlaps(application)) return;
  mapped_.erase(application);

  // The granules at both ends may hold cells of addresses that stay mapped: then they are kept, whole.
  constexpr size_t kGranule = size_t{1} << kGranuleShift;
  const Range granules = application.outward(kGranule);
  const bool keepFirst = mapped_.overlaps(Range{granules.start, kGranule});
  const bool keepLast = mapped_.overlaps(Range{granules.end() - kGranule, kGranule});
  const Range forgotten =
      Range::between(granules.start + (keepFirst ? kGranule : 0), granules.end() - (keepLast ? kGranule : 0));
  if (forgotten.empty()) return;

  for (size_t index = 0; index < kPlanes; ++index) {
    const Plane& plane = design_.regions[region].planes[index];
    if (plane.bytesPerGranule == 0) continue;
    const Range target = targetOf(plane, forgotten);
    Range pages = target.outward(page_);
    // The pages at both ends may hold shadow of addresses that stay mapped: those are kept, and our part is
    // cleared.
    for (const uintptr_t edge : {pages.start, pages.end() - page_}) {
      const Range edgePage{edge, page_};
      if (!pages.contains(edgePage) || !mapped_.overlaps(applicationOf(plane, edgePage))) continue;
      const uint64_t segment = applicationOf(plane, edgePage).start >> kSegmentShift;
      const size_t at = (edge - windowOf(plane, segment).start) / page_;
      if (segmentAt(segment)->pages[index][at] == raw(PageState::Touched)) {
        const Range cleared = edgePage.intersect(target);
        std::memset(reinterpret_cast<void*>(cleared.start), 0, cleared.size);
      }
      pages =
          edge == pages.start ? Range::between(edge + page_, pages.end()) : Range::between(pages.start, edge);
    }
    if (pages.empty()) continue;
    const bool isGone = giveBack(plane.span, pages, own);
    visitStates(region, index, applicationOf(plane, pages), [&](uint8_t* states, Range part) {
      // A page that was never written reads as zeros: writing them would make it resident.
      if (!isGone) {
        leaveTouched(states, part, PageState::Unmapped, [&](Range run) { clear(plane.span, run); });
      }
      std::fill_n(states, part.size >> pageShift_, raw(PageState::Unmapped));
    });
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
  const PageStates& states = pageStates(segment, plane, first, count);
  const Plane& where = design_.regions[segmentAt(segment)->region].planes[plane];
  const Range window = windowOf(where, segment);
  bool resident = false;

  if (design_.policy == Policy::Touch) {
    ReservedMemory& memory = std::get<ReservedMemory>(memory_[where.span]);
    resident = memory.commitMakesPages();
    std::vector<Range> fresh;
    for (size_t at = first; at < first + count; ++at) {
      if (states[at] != raw(PageState::Mapped)) continue;
      // A block reaches as far as mapped shadow does.
      const size_t perBlock = design_.touchBlock / page_;
      size_t begin = at;
      while (begin % perBlock != 0 && states[begin - 1] != raw(PageState::Unmapped)) --begin;
      size_t end = at + 1;
      while (end < states.size() && states[end] != raw(PageState::Unmapped) &&
             (end % perBlock != 0 || (end < first + count && states[end] == raw(PageState::Mapped)))) {
        ++end;
      }
      try {
        memory.commit(Range{window.start + begin * page_, (end - begin) * page_},
                      ReservedMemory::Shortage::MergeIslands, &fresh);
      } catch (...) {
        takeBack(where.span, fresh);
        throw;
      }
      at = end - 1;
    }
  }
  const auto isMapped = [&](size_t at) { return at < first + count && states[at] == raw(PageState::Mapped); };
  for (size_t at = first; at < first + count; ++at) {
    const size_t begin = at;
    for (; isMapped(at); ++at) states[at] = raw(PageState::Touched);
    if (at > begin && !resident) os::prefault(Range{window.start + begin * page_, (at - begin) * page_});
  }
}

void ShadowMap::discard(uint64_t segment, size_t plane, size_t first, size_t count, size_t own) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const PageStates& states = pageStates(segment, plane, first, count);
  const Plane& where = design_.regions[segmentAt(segment)->region].planes[plane];
  const Range pages{windowOf(where, segment).start + first * page_, count * page_};
  leaveTouched(states.data() + first, pages, PageState::Mapped, [&](Range run) {
    // Under lazy the memory stays mapped for the program, so its charge stays too.
    if (design_.policy != Policy::Touch || !giveBack(where.span, run, own)) clear(where.span, run);
  });
}

ShadowMap::Window ShadowMap::window(uint64_t segment, size_t plane) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  Segment* const found = segmentAt(segment);
  if (found == nullptr || plane >= kPlanes) return Window{};
  const Range range = windowOf(design_.regions[found->region].planes[plane], segment);
  const PageStates& pages = found->pages[plane];
  return Window{range, pages.shared(), pages.size()};
}

ShadowMap::Stats ShadowMap::stats() const {
  Stats stats;
  std::vector<Range> ranges;
  // Locked while the system is asked too, so that both speak of the same moment.
  const std::lock_guard<std::mutex> lock(mutex_);
  stats.mapped = mapped_.totalBytes();
  const auto add = [&](const auto& memory) {
    for (const Range taken : memory.addresses()) {
      stats.reserved += taken.size;
      ranges.push_back(taken);
    }
    stats.committed += memory.committed().totalBytes();
    stats.merges += memory.merges();
  };
  for (const SpanMemory& memory : memory_) std::visit(add, memory);
  std::sort(ranges.begin(), ranges.end(), [](Range a, Range b) { return a.start < b.start; });
  stats.usage = os::total(usagesOf(ranges));
  return stats;
}

std::vector<Range> ShadowMap::mappedRanges() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return mapped_.ranges();
}

std::vector<ShadowMap::Block> ShadowMap::blocks(Range application, size_t plane, size_t blockBytes) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const Region& region = design_.regions[regionOf(application)];
  const bool known = plane < kPlanes && region.planes[plane].bytesPerGranule > 0;
  const bool aligned = blockBytes >= page_ && (blockBytes & (blockBytes - 1)) == 0;
  if (!known || !aligned) throw MemoryError(MemoryError::Kind::OutOfRange, application);
  const Plane& where = region.planes[plane];
  const Range all = targetOf(where, application).outward(blockBytes);
  if (all.size / blockBytes > kMostBlocks) throw MemoryError(MemoryError::Kind::OutOfRange, application);
  const RangeSet& committed = committedOf(where.span);

  // Only committed memory is asked about: the rest of a block may be somebody else's.
  std::vector<Block> blocks;
  std::vector<Range> parts;
  std::vector<size_t> ends;  // by block: where its parts end
  for (uintptr_t at = all.start; at < all.end(); at += blockBytes) {
    const size_t first = parts.size();
    blocks.push_back(Block{Range{at, blockBytes}, 0, os::Usage{}});
    committed.partsIn(blocks.back().range, &parts);
    for (size_t part = first; part < parts.size(); ++part) blocks.back().committed += parts[part].size;
    ends.push_back(parts.size());
  }
  const std::vector<os::Usage> usages = usagesOf(parts);
  auto usage = usages.begin();
  for (size_t block = 0; block < blocks.size(); ++block) {
    const auto end = usages.begin() + static_cast<std::ptrdiff_t>(ends[block]);
    blocks[block].usage = os::total({usage, end});
    usage = end;
  }
  return blocks;
}

}  // namespace lazyshadow
