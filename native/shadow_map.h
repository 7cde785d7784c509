// A shadow map: where the shadow of application memory lies, under one of four policies (docs/overview.md).
//
// Application memory comes in regions, and each region has planes: its shadow and, in most layouts, its
// metainfo. A plane holds a fixed number of bytes for each 8-byte granule:
//
//     target(address) = origin + (address / 8) * bytesPerGranule
//
// A plane's memory is a span: ReservedMemory (policies eager, lazy, touch), or FixedMappings (unreserved).
//
// Page states tell code that reads the shadow without a call here what it may do: see lib/shadow/segment.ts,
// whose constants and geometry these are. They are allocated for each 256 MiB segment of application memory
// that has mapped shadow, and shared by all threads.
//
// Invariants: an application address is mapped exactly if a successful mapShadow named it (and no unmapShadow
// since); a page of a plane is other than Unmapped exactly if it holds the shadow of some mapped address;
// shadow that is live is never cleared by mapShadow; no page of a window goes away while another viewer than
// the one that forgets it may be about to write there. Thread-safe.

#ifndef LAZYSHADOW_SHADOW_MAP_H_
#define LAZYSHADOW_SHADOW_MAP_H_

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <variant>
#include <vector>

#include "fixed_mappings.h"
#include "memory_error.h"
#include "range_set.h"
#include "reserved_memory.h"

namespace lazyshadow {

enum class Policy { Eager, Unreserved, Lazy, Touch };

enum class PageState : uint8_t { Unmapped = 0, Mapped = 1, Touched = 2 };

/// log2 of a segment's application bytes: 256 MiB.
constexpr unsigned kSegmentShift = 28;
constexpr size_t kSegmentBytes = size_t{1} << kSegmentShift;
constexpr unsigned kGranuleShift = 3;
constexpr size_t kPlanes = 2;  // shadow, metainfo
/// Blocks that can be asked for at once; their number comes from a caller who may be mistaken.
constexpr size_t kMostBlocks = size_t{1} << 16;

class ShadowMap {
 public:
  /// Whoever has page states, and so reads the state of a page and then writes there: nothing keeps another
  /// thread from forgetting the page in between. Ends before its map does.
  class Viewer {
   public:
    explicit Viewer(ShadowMap& map);
    ~Viewer();
    Viewer(const Viewer&) = delete;
    Viewer& operator=(const Viewer&) = delete;

   private:
    ShadowMap& map_;
  };

  struct Plane {
    /// A power of two, or 0: the layout has no such plane.
    size_t bytesPerGranule = 0;
    uintptr_t origin = 0;
    size_t span = 0;
  };
  struct Region {
    Range application;
    std::array<Plane, kPlanes> planes;
  };
  /// The addresses that a layout wants for its shadow.
  struct Span {
    Range wanted;
    Range actual;
  };
  struct Design {
    Policy policy;
    std::vector<Region> regions;
    std::vector<Range> spans;
    /// Unit of commit under Policy::Touch; a power of two, at least a page.
    size_t touchBlock;
    /// What the maker wants to tell whoever attaches.
    std::string description;
  };

  struct Window {
    Range memory;
    /// The states of its pages. They may be kept beyond the map, and then say that nothing is mapped.
    std::shared_ptr<uint8_t[]> pages;
    size_t pageCount = 0;
  };
  struct Stats {
    size_t mapped = 0;
    size_t reserved = 0;
    size_t committed = 0;
    os::Usage usage;
    Merges merges;
  };
  /// A piece of a plane, what the policy asked to commit in it, and what the system counts there.
  struct Block {
    Range range;
    size_t committed = 0;
    os::Usage usage;
  };

  static std::shared_ptr<ShadowMap> create(Design design);
  /// The live shadow map with this number, made by any thread of this process.
  static std::shared_ptr<ShadowMap> find(uint64_t id);
  /// Gives up a handle. Whether it was the last: then the page states say Unmapped, and nobody finds the map.
  static bool leave(std::shared_ptr<ShadowMap> map);
  ~ShadowMap();
  ShadowMap(const ShadowMap&) = delete;
  ShadowMap& operator=(const ShadowMap&) = delete;

  uint64_t id() const { return id_; }
  /// Whether nobody has said this before: for the one detector whose cells the shadow holds.
  bool claim() { return !claimed_.exchange(true); }
  const Design& design() const { return design_; }
  const std::vector<Span>& spans() const { return spans_; }

  /// Application memory that will be accessed: afterwards its shadow may be. All or nothing.
  void mapShadow(Range application);
  /// Forgets the shadow of application memory; pages that serve no other go back to the system, unless there
  /// are viewers other than the caller: `own` says how many are the caller's.
  void unmapShadow(Range application, size_t own);
  bool isMapped(Range application) const;
  /// How much of an application range is mapped.
  size_t mappedBytes(Range application) const;

  /// Makes the Mapped pages among `count` of a window, from page `first` on, Touched; under Policy::Touch
  /// this commits them. Unmapped pages are left alone. All or nothing.
  void touch(uint64_t segment, size_t plane, size_t first, size_t count);
  /// Makes the Touched pages among these Mapped and zero, returning to the system what the policy can return;
  /// `own` as for unmapShadow.
  void discard(uint64_t segment, size_t plane, size_t first, size_t count, size_t own);

  /// The window of a plane in a segment; size 0 while nothing of the segment is mapped.
  Window window(uint64_t segment, size_t plane) const;

  Stats stats() const;
  /// The application memory that is mapped.
  std::vector<Range> mappedRanges() const;
  /// The blocks, aligned and of this size, that a plane keeps for an application range, which lies in one
  /// region.
  /// @param blockBytes a power of two of at least a page; at most kMostBlocks of them
  std::vector<Block> blocks(Range application, size_t plane, size_t blockBytes) const;

 private:
  /// The states of a window's pages, in memory that is the system's own: a segment has 300 KB of them, most
  /// programs map little of most segments, and what the system gives is zero without being written.
  class PageStates {
   public:
    PageStates() = default;
    PageStates(std::shared_ptr<uint8_t[]> states, size_t count) : size_(count), states_(std::move(states)) {}
    size_t size() const { return size_; }
    uint8_t* data() const { return states_.get(); }
    uint8_t& operator[](size_t page) const { return states_[page]; }

    const std::shared_ptr<uint8_t[]>& shared() const { return states_; }

   private:
    size_t size_ = 0;
    std::shared_ptr<uint8_t[]> states_;
  };
  struct Segment {
    uint64_t index;
    size_t region;
    std::array<PageStates, kPlanes> pages;
  };

  /// FixedMappings exactly under Policy::Unreserved.
  using SpanMemory = std::variant<ReservedMemory, FixedMappings>;

  explicit ShadowMap(Design design);
  size_t regionOf(Range application) const;
  Range targetOf(const Plane& plane, Range application) const;
  Range applicationOf(const Plane& plane, Range target) const;
  Range windowOf(const Plane& plane, uint64_t segment) const;
  Segment* segmentAt(uint64_t index) const;
  void makeSegment(uint64_t index, size_t region);
  const PageStates& pageStates(uint64_t index, size_t plane, size_t first, size_t count);
  template <typename Visit>
  void visitStates(size_t region, size_t plane, Range application, const Visit& visit);
  template <typename Visit>
  void leaveTouched(uint8_t* states, Range pages, PageState next, const Visit& visit);

  const RangeSet& committedOf(size_t span) const;
  void commitSpan(size_t span, Range pages, std::vector<Range>* fresh);
  void takeBack(size_t span, const std::vector<Range>& fresh);
  /// Makes what is committed of these pages read as zeros. Never fails.
  void clear(size_t span, Range pages);
  /// Gives pages and charge back under a policy that can, if nobody else may write to them; whether it did.
  /// They read as zeros then.
  bool giveBack(size_t span, Range pages, size_t own);

  const uint64_t id_;
  std::atomic<bool> claimed_{false};
  const size_t page_ = os::geometry().pageSize;
  const unsigned pageShift_ = log2Of(page_);
  Design design_;
  std::vector<Span> spans_;
  std::deque<SpanMemory> memory_;  // by span; its elements cannot move
  mutable std::mutex mutex_;
  size_t viewers_ = 0;
  RangeSet mapped_;
  std::unordered_map<uint64_t, std::unique_ptr<Segment>> segments_;  // never removed
  mutable Segment* lastFound_ = nullptr;
  std::array<std::vector<Range>, kPlanes> fresh_;  // scratch of mapShadow
};

}  // namespace lazyshadow

#endif  // LAZYSHADOW_SHADOW_MAP_H_
