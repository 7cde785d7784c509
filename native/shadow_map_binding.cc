// ShadowMap as a JavaScript class: one handle on a ShadowMap, with the page states opened through it.

#include "address_windows.h"
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

class ShadowMapHandle;

/// What mapShadow works with, one for each JavaScript environment. It is the one call whose cost counts: a
/// heap makes it for every step of its growth. Right after a system call the processor has forgotten the way
/// back, and each function on it costs as much as all the arithmetic here; so the handle is a number instead
/// of an object to be unwrapped, arguments come in a Float64Array instead of by a function each, and nothing
/// lies between Node-API and the core.
struct MapShadowCall {
  enum Argument { Handle, Address, SizeBytes, Count };
  std::array<double, Argument::Count> arguments{};
  /// By number; null where a handle is gone.
  std::vector<const ShadowMapHandle*> handles;
};

/// What the handles of one JavaScript environment share.
struct Environment {
  MapShadowCall mapShadow;
  AddressWindows windows;
};

class ShadowMapHandle : public Napi::ObjectWrap<ShadowMapHandle> {
 public:
  static void define(Napi::Env env, Napi::Object exports) {
    // For as long as the environment, and any handle or array, which may be collected after it.
    auto* const shared = new std::shared_ptr<Environment>(std::make_shared<Environment>());
    env.AddCleanupHook([shared] { delete shared; });
    MapShadowCall& call = (*shared)->mapShadow;
    napi_value function = nullptr;
    if (napi_create_function(env, "mapShadow", NAPI_AUTO_LENGTH, mapShadow, &call, &function) != napi_ok) {
      throw Napi::Error::New(env);
    }
    exports.Set("mapShadow", function);
    const auto arguments = Napi::ArrayBuffer::New(
        env, call.arguments.data(), sizeof call.arguments,
        [](Napi::Env, void*, std::shared_ptr<Environment>* keep) { delete keep; },
        new std::shared_ptr<Environment>(*shared));
    exports.Set("mapShadowArguments",
                Napi::Float64Array::New(env, MapShadowCall::Argument::Count, arguments, 0));
    exports.Set("ShadowMap",
                DefineClass(env, "ShadowMap",
                            {
                                InstanceMethod<&ShadowMapHandle::unmapShadow>("unmapShadow"),
                                InstanceMethod<&ShadowMapHandle::isMapped>("isMapped"),
                                InstanceMethod<&ShadowMapHandle::mappedBytes>("mappedBytes"),
                                InstanceMethod<&ShadowMapHandle::touch>("touch"),
                                InstanceMethod<&ShadowMapHandle::discard>("discard"),
                                InstanceMethod<&ShadowMapHandle::openWindow>("openWindow"),
                                InstanceMethod<&ShadowMapHandle::openPageStates>("openPageStates"),
                                InstanceMethod<&ShadowMapHandle::claim>("claim"),
                                InstanceMethod<&ShadowMapHandle::spans>("spans"),
                                InstanceMethod<&ShadowMapHandle::stats>("stats"),
                                InstanceMethod<&ShadowMapHandle::mappedRanges>("mappedRanges"),
                                InstanceMethod<&ShadowMapHandle::blocks>("blocks"),
                                InstanceMethod<&ShadowMapHandle::release>("release"),
                                InstanceAccessor<&ShadowMapHandle::id>("id"),
                                InstanceAccessor<&ShadowMapHandle::handle>("handle"),
                                InstanceAccessor<&ShadowMapHandle::description>("description"),
                            },
                            shared));
  }

  /// `new ShadowMap(design)`, or `new ShadowMap(id)` to attach to the one that another thread made.
  explicit ShadowMapHandle(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<ShadowMapHandle>(info),
        states_(std::make_shared<ViewList>()),
        environment_(*static_cast<std::shared_ptr<Environment>*>(info.Data())) {
    guarded(info.Env(), [&] {
      map_ = info[0].IsObject() ? ShadowMap::create(designOf(info[0].As<Napi::Object>()))
                                : ShadowMap::find(wholeNumber(info[0]));
    });
    id_ = map_->id();
    std::vector<const ShadowMapHandle*>& handles = environment_->mapShadow.handles;
    handle_ = static_cast<size_t>(std::find(handles.begin(), handles.end(), nullptr) - handles.begin());
    if (handle_ == handles.size()) handles.emplace_back();
    handles[handle_] = this;
  }

  ~ShadowMapHandle() override {
    std::vector<const ShadowMapHandle*>& handles = environment_->mapShadow.handles;
    if (handle_ < handles.size()) handles[handle_] = nullptr;
  }

 private:
  ShadowMap& live(const Napi::CallbackInfo& info) const {
    if (!map_) throw toJavaScript(info.Env(), MemoryError(MemoryError::Kind::Released, Range{}));
    return *map_;
  }

  /// () → maps what mapShadowArguments says.
  static napi_value mapShadow(napi_env env, napi_callback_info info) {
    void* data = nullptr;
    napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
    try {
      const auto& [arguments, handles] = *static_cast<const MapShadowCall*>(data);
      const double address = arguments[MapShadowCall::Address];
      const double size = arguments[MapShadowCall::SizeBytes];
      const double handle = arguments[MapShadowCall::Handle];
      if (!isRange(address, size)) throwNotRange(env);
      const bool known = handle >= 0 && handle < static_cast<double>(handles.size());
      const ShadowMapHandle* const object = known ? handles[static_cast<size_t>(handle)] : nullptr;
      if (object == nullptr || !object->map_)
        throw toJavaScript(env, MemoryError(MemoryError::Kind::Released, Range{}));
      guarded(env, [&] {
        object->map_->mapShadow(Range{static_cast<uintptr_t>(address), static_cast<size_t>(size)});
      });
    } catch (const Napi::Error& error) {
      error.ThrowAsJavaScriptException();
    }
    return nullptr;
  }

  void unmapShadow(const Napi::CallbackInfo& info) {
    const Range range = rangeArgument(info, 0);
    ShadowMap& map = live(info);
    guarded(info.Env(), [&] { map.unmapShadow(range, viewers()); });
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
      map.discard(wholeNumber(info[0]), wholeNumber(info[1]), wholeNumber(info[2]), wholeNumber(info[3]),
                  viewers());
    });
  }

  /// (segment, plane) → ArrayBuffer, or undefined while nothing of the segment is mapped. The buffer spans
  /// memory that may be neither committed nor this map's: for lib/ only, which reads the page states first.
  Napi::Value openWindow(const Napi::CallbackInfo& info) {
    const ShadowMap::Window window = live(info).window(wholeNumber(info[0]), wholeNumber(info[1]));
    if (window.memory.empty()) return info.Env().Undefined();
    return environment_->windows.at(info.Env(), window.memory);
  }

  Napi::Value openPageStates(const Napi::CallbackInfo& info) {
    const ShadowMap::Window window = live(info).window(wholeNumber(info[0]), wholeNumber(info[1]));
    if (window.pageCount == 0) return info.Env().Undefined();
    if (!viewer_) viewer_.emplace(*map_);
    const Range states{reinterpret_cast<uintptr_t>(window.pages.get()), window.pageCount};
    return ViewList::open(info.Env(), states_, states, [keep = window.pages] {});
  }

  Napi::Value claim(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), live(info).claim());
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

  Napi::Value mappedRanges(const Napi::CallbackInfo& info) {
    return rangeList(info.Env(), live(info).mappedRanges());
  }

  /// (address, sizeBytes, plane, blockBytes) → [{ address, committedBytes, osCommittedBytes, residentBytes },
  /// …]
  Napi::Value blocks(const Napi::CallbackInfo& info) {
    const Range application = rangeArgument(info, 0);
    const uint64_t plane = wholeNumber(info[2]);
    const uint64_t blockBytes = wholeNumber(info[3]);
    const ShadowMap& map = live(info);
    return guarded(info.Env(), [&] {
      const std::vector<ShadowMap::Block> blocks = map.blocks(application, plane, blockBytes);
      Napi::Array list = Napi::Array::New(info.Env(), blocks.size());
      for (uint32_t i = 0; i < blocks.size(); ++i) {
        Napi::Object entry = Napi::Object::New(info.Env());
        entry.Set("address", number(info.Env(), blocks[i].range.start));
        entry.Set("committedBytes", number(info.Env(), blocks[i].committed));
        entry.Set("osCommittedBytes", number(info.Env(), blocks[i].usage.committed));
        entry.Set("residentBytes", number(info.Env(), blocks[i].usage.resident));
        list.Set(i, entry);
      }
      return list;
    });
  }

  void release(const Napi::CallbackInfo& info) {
    if (!map_) return;
    viewer_.reset();
    // Page states that other threads go on with would show this one memory that they may give up at any time.
    if (!ShadowMap::leave(std::move(map_))) states_->close(info.Env());
    map_.reset();
  }

  /// How many viewers this handle is: one from its first page states on.
  size_t viewers() const { return viewer_ ? 1 : 0; }

  Napi::Value handle(const Napi::CallbackInfo& info) { return number(info.Env(), handle_); }
  Napi::Value id(const Napi::CallbackInfo& info) { return number(info.Env(), id_); }
  Napi::Value description(const Napi::CallbackInfo& info) {
    return Napi::String::New(info.Env(), live(info).design().description);
  }

  uint64_t id_ = 0;
  size_t handle_ = SIZE_MAX;
  std::shared_ptr<ShadowMap> map_;  // empty once released
  std::optional<ShadowMap::Viewer> viewer_;
  std::shared_ptr<ViewList> states_;  // the page states that this handle has opened
  std::shared_ptr<Environment> environment_;
};

}  // namespace

void exportShadowMap(Napi::Env env, Napi::Object exports) {
  ShadowMapHandle::define(env, exports);
}

}  // namespace lazyshadow
