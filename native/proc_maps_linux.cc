#include "proc_maps_linux.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

#include "os_memory_posix.h"
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

/// "7f00…-7f01… rw-s 00000000 00:01 1042  /memfd:lazyshadow (deleted)".
bool namesMemoryFile(std::string_view line) {
  static const std::string path = std::string("/memfd:") + kMapName;
  return line.find(path) != std::string_view::npos;
}

/// Where the last mapping ended that was visited. The kernel gives the file in pieces of a few mappings, and
/// other threads change the map in between: a mapping that joined the one before it then comes whole, though
/// part of it was visited already.
class Frontier {
 public:
  /// What of a mapping was not visited; empty if all was.
  Range pass(Range mapping) {
    const uintptr_t start = std::max(mapping.start, visited_);
    visited_ = std::max(mapping.end(), visited_);
    return Range::between(start, visited_);
  }

 private:
  uintptr_t visited_ = 0;
};

}  // namespace

Status forEachMapping(MapDetail detail, const std::function<bool(const Mapping&)>& visit) {
  Mapping mapping;
  bool inMemoryFile = false;
  Frontier frontier;
  if (detail == MapDetail::Addresses) {
    return forEachLine("/proc/self/maps", [&](std::string_view line) {
      if (!parseAddresses(line, &mapping.whole)) return true;
      mapping.range = frontier.pass(mapping.whole);
      return mapping.range.empty() || visit(mapping);
    });
  }
  // smaps gives each mapping as the line of maps, then "Key: value" lines, of which VmFlags is the last.
  return forEachLine("/proc/self/smaps", [&](std::string_view line) {
    if (startsWith(line, "Rss:")) {
      mapping.residentBytes = numberIn(line).value_or(0) * 1024;
      if (inMemoryFile) mapping.fileBytes += mapping.residentBytes;
    } else if (inMemoryFile && startsWith(line, "Swap:")) {
      mapping.fileBytes += numberIn(line).value_or(0) * 1024;
    } else if (startsWith(line, "VmFlags:")) {
      mapping.charged = line.find(" ac") != std::string_view::npos;
      mapping.range = frontier.pass(mapping.whole);
      return mapping.range.empty() || visit(mapping);
    } else if (line.find('-') != std::string_view::npos && parseAddresses(line, &mapping.whole)) {
      mapping.residentBytes = 0;
      mapping.charged = false;
      mapping.fileBytes = 0;
      inMemoryFile = namesMemoryFile(line);
    }
    return true;
  });
}

}  // namespace lazyshadow::os
