#include "proc_maps_linux.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string_view>
#include <vector>

namespace lazyshadow::os {

namespace {

class File {
 public:
  explicit File(const char* path) : descriptor_(open(path, O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

/// Calls `visit` for each line, without its newline, until it returns false. A line longer than the buffer (a
/// mapped file's path) is cut: only its beginning is of interest.
template <typename Visit>
Status forEachLine(const char* path, const Visit& visit) {
  const File file(path);
  if (file.descriptor() < 0) return Status{errno};
  std::vector<char> buffer(size_t{1} << 16);
  size_t filled = 0;
  for (;;) {
    const ssize_t got = read(file.descriptor(), buffer.data() + filled, buffer.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Status{errno};
    filled += static_cast<size_t>(got);
    std::string_view text(buffer.data(), filled);
    for (size_t newline; (newline = text.find('\n')) != std::string_view::npos;) {
      if (!visit(text.substr(0, newline))) return Status{};
      text.remove_prefix(newline + 1);
    }
    if (got == 0) return Status{};
    if (text.size() == buffer.size()) text = text.substr(0, 256);
    filled = text.size();
    std::char_traits<char>::move(buffer.data(), text.data(), filled);
  }
}

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

/// The number in "Rss:                  12 kB", in bytes.
uint64_t parseKilobytes(std::string_view line) {
  const size_t digit = line.find_first_of("0123456789");
  uint64_t kilobytes = 0;
  if (digit != std::string_view::npos) {
    std::from_chars(line.data() + digit, line.data() + line.size(), kilobytes);
  }
  return kilobytes * 1024;
}

bool startsWith(std::string_view line, std::string_view prefix) {
  return line.substr(0, prefix.size()) == prefix;
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
      mapping.residentBytes = parseKilobytes(line);
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

std::optional<uint64_t> readNumber(const char* path) {
  std::optional<uint64_t> number;
  const Status read = forEachLine(path, [&](std::string_view line) {
    uint64_t value = 0;
    if (std::from_chars(line.data(), line.data() + line.size(), value).ec == std::errc()) number = value;
    return false;
  });
  return read.ok() ? number : std::nullopt;
}

}  // namespace lazyshadow::os
