#include "proc_maps_linux.h"

#include <charconv>
#include <string_view>

#include "proc_text_linux.h"

namespace lazyshadow::os {

namespace {

/// "00400000-0040b000 r-xp …"; false for a line that does not begin so, such as "Rss:  8 kB".
bool parseAddresses(std::string_view line, Range* range) {
  uintptr_t start = 0;
  uintptr_t end = 0;
  const char* const last = line.data() + line.size();
  const auto first = std::from_chars(line.data(), last, start, 16);
  if (first.ec != std::errc() || first.ptr == last || *first.ptr != '-') return false;
  if (std::from_chars(first.ptr + 1, last, end, 16).ec != std::errc()) return false;
  *range = Range::between(start, end);
  return true;
}

}  // namespace

Status forEachMapping(MapDetail detail, const std::function<bool(const Mapping&)>& visit) {
  Mapping mapping;
  if (detail == MapDetail::Addresses) {
    return forEachLine("/proc/self/maps", [&](std::string_view line) {
      return !parseAddresses(line, &mapping.range) || visit(mapping);
    });
  }
  // smaps gives each mapping as the line of maps, then "Key: value" lines, of which VmFlags is the last.
  return forEachLine("/proc/self/smaps", [&](std::string_view line) {
    if (startsWith(line, "Rss:")) {
      mapping.residentBytes = numberIn(line).value_or(0) * 1024;
    } else if (startsWith(line, "VmFlags:")) {
      mapping.charged = line.find(" ac") != std::string_view::npos;
      return visit(mapping);
    } else if (line.find('-') != std::string_view::npos && parseAddresses(line, &mapping.range)) {
      mapping.residentBytes = 0;
      mapping.charged = false;
    }
    return true;
  });
}

}  // namespace lazyshadow::os
