// ShadowMap as a JavaScript class: one handle on a ShadowMap, with the windows opened through it.

#include "arguments.h"
#include "bindings.h"
#include "shadow_map.h"
#include "views.h"

namespace lazyshadow {

namespace {

Range rangeOf(const Napi::Object& object) {
  const Range range{wholeNumber(object.Get("address")), wholeNumber(object.Get("sizeBytes"))};
  if (range.empty() || range.end() > os::geometry().addressEnd) {
    throw MemoryError(MemoryError::Kind::OutOfRange, range);
  }
  return range;
}

/// The design that lib/shadow/shadow.ts hands over; origins may be negative there, hence Int64Value.
ShadowMap::Design designOf(const Napi::Object& object) {
  ShadowMap::Design design;
  design.policy = static_cast<Policy>(wholeNumber(object.Get("policy")));
  design.touchBlock = wholeNumber(object.Get("touchBlockBytes"));
  design.description = object.Get("description").ToString();
  const auto spans = object.Get("spans").As<Napi::Array>();
  for (uint32_t i = 0; i < spans.Length(); ++i)
    design.spans.push_back(rangeOf(spans.Get(i).As<Napi::Object>()));
  const auto regions = object.Get("regions").As<Napi::Array>();
  for (uint32_t i = 0; i < regions.Length(); ++i) {
    const auto given = regions.Get(i).As<Napi::Object>();
    ShadowMap::Region region{rangeOf(given), {}};
    const auto planes = given.Get("planes").As<Napi::Array>();
    for (uint32_t plane = 0; plane < std::min<uint32_t>(planes.Length(), kPlanes); ++plane) {
      const auto from = planes.Get(plane).As<Napi::Object>();
      region.planes[plane] = ShadowMap::Plane{
          wholeNumber(from.Get("bytesPerGranule")),
          static_cast<uintptr_t>(from.Get("origin").ToNumber().Int64Value()), wholeNumber(from.Get("span"))};
      if (region.planes[plane].span >= design.spans.size())
        throw MemoryError(MemoryError::Kind::OutOfRange, Range{});
    }
    design.regions.push_back(region);
  }
  return design;
}

class ShadowMapHandle : public Napi::ObjectWrap<ShadowMapHandle> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "ShadowMap",
                       {
                           InstanceMethod<&ShadowMapHandle::mapShadow>("mapShadow"),
                           InstanceMethod<&ShadowMapHandle::unmapShadow>("unmapShadow"),
                           InstanceMethod<&ShadowMapHandle::isMapped>("isMapped"),
                           InstanceMethod<&ShadowMapHandle::mappedBytes>("mappedBytes"),
                           InstanceMethod<&ShadowMapHandle::touch>("touch"),
                           InstanceMethod<&ShadowMapHandle::discard>("discard"),
                           InstanceMethod<&ShadowMapHandle::openWindow>("openWindow"),
                           InstanceMethod<&ShadowMapHandle::openPageStates>("openPageStates"),
                           InstanceMethod<&ShadowMapHandle::spans>("spans"),
                           InstanceMethod<&ShadowMapHandle::stats>("stats"),
                           InstanceMethod<&ShadowMapHandle::release>("release"),
                           InstanceAccessor<&ShadowMapHandle::id>("id"),
                           InstanceAccessor<&ShadowMapHandle::description>("description"),
                       });
  }

  /// `new ShadowMap(design)`, or `new ShadowMap(id)` to attach to the one that another thread made.
  explicit ShadowMapHandle(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<ShadowMapHandle>(info), windows_(std::make_shared<ViewList>()) {
    guarded(info.Env(), [&] {
      map_ = info[0].IsObject() ? ShadowMap::create(designOf(info[0].As<Napi::Object>()))
                                : ShadowMap::find(wholeNumber(info[0]));
    });
    id_ = map_->id();
  }

 private:
  ShadowMap& live(const Napi::CallbackInfo& info) const {
    if (!map_) throw toJavaScript(info.Env(), MemoryError(MemoryError::Kind::Released, Range{}));
    return *map_;
  }

  void mapShadow(const Napi::CallbackInfo& info) {
    const Range range = rangeArgument(info, 0);
    ShadowMap& map = live(info);
    guarded(info.Env(), [&] { map.mapShadow(range); });
  }

  void unmapShadow(const Napi::CallbackInfo& info) {
    const Range range = rangeArgument(info, 0);
    ShadowMap& map = live(info);
    guarded(info.Env(), [&] { map.unmapShadow(range); });
  }

  Napi::Value isMapped(const Napi::CallbackInfo& info) {
    const Range range = rangeArgument(info, 0);
    return Napi::Boolean::New(info.Env(), live(info).isMapped(range));
  }

  Napi::Value mappedBytes(const Napi::CallbackInfo& info) {
    const Range range = rangeArgument(info, 0);
    return number(info.Env(), live(info).mappedBytes(range));
  }

  /// (segment, plane, firstPage, pageCount)
  void touch(const Napi::CallbackInfo& info) {
    ShadowMap& map = live(info);
    guarded(info.Env(), [&] {
      map.touch(wholeNumber(info[0]), wholeNumber(info[1]), wholeNumber(info[2]), wholeNumber(info[3]));
    });
  }

  void discard(const Napi::CallbackInfo& info) {
    ShadowMap& map = live(info);
    guarded(info.Env(), [&] {
      map.discard(wholeNumber(info[0]), wholeNumber(info[1]), wholeNumber(info[2]), wholeNumber(info[3]));
    });
  }

  /// (segment, plane) → ArrayBuffer, or undefined while nothing of the segment is mapped. The buffer spans
  /// memory that may be neither committed nor this map's: for lib/ only, which reads the page states first.
  Napi::Value openWindow(const Napi::CallbackInfo& info) {
    const ShadowMap::Window window = live(info).window(wholeNumber(info[0]), wholeNumber(info[1]));
    return open(info.Env(), Range{window.address, window.size});
  }

  Napi::Value openPageStates(const Napi::CallbackInfo& info) {
    const ShadowMap::Window window = live(info).window(wholeNumber(info[0]), wholeNumber(info[1]));
    return open(info.Env(), Range{reinterpret_cast<uintptr_t>(window.pages), window.pageCount});
  }

  Napi::Value open(Napi::Env env, Range range) {
    if (range.empty()) return env.Undefined();
    return ViewList::open(env, windows_, range, [keep = map_] {});
  }

  Napi::Value spans(const Napi::CallbackInfo& info) {
    const std::vector<ShadowMap::Span>& spans = live(info).spans();
    Napi::Array list = Napi::Array::New(info.Env(), spans.size());
    for (uint32_t i = 0; i < spans.size(); ++i) {
      Napi::Object entry = Napi::Object::New(info.Env());
      entry.Set("wantedAddress", number(info.Env(), spans[i].wanted.start));
      entry.Set("address", number(info.Env(), spans[i].actual.start));
      entry.Set("sizeBytes", number(info.Env(), spans[i].actual.size));
      list.Set(i, entry);
    }
    return list;
  }

  Napi::Value stats(const Napi::CallbackInfo& info) {
    const ShadowMap& map = live(info);
    return guarded(info.Env(), [&] {
      const ShadowMap::Stats stats = map.stats();
      Napi::Object object = Napi::Object::New(info.Env());
      const auto set = [&](const char* name, uint64_t value) { object.Set(name, number(info.Env(), value)); };
      set("mappedBytes", stats.mapped);
      set("reservedBytes", stats.reserved);
      set("committedBytes", stats.committed);
      set("osCommittedBytes", stats.usage.committed);
      set("residentBytes", stats.usage.resident);
      set("mergedIslands", stats.merges.islands);
      set("mergedBytes", stats.merges.bytes);
      return object;
    });
  }

  void release(const Napi::CallbackInfo& info) {
    windows_->detachAll(info.Env());
    map_.reset();
  }

  Napi::Value id(const Napi::CallbackInfo& info) { return number(info.Env(), id_); }
  Napi::Value description(const Napi::CallbackInfo& info) {
    return Napi::String::New(info.Env(), live(info).design().description);
  }

  uint64_t id_ = 0;
  std::shared_ptr<ShadowMap> map_;  // empty once released
  std::shared_ptr<ViewList> windows_;
};

}  // namespace

void exportShadowMap(Napi::Env env, Napi::Object exports) {
  exports.Set("ShadowMap", ShadowMapHandle::define(env));
}

}  // namespace lazyshadow
