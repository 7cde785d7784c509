// Reads the short text files by which Linux answers questions: those of /proc, /sys and the control groups.

#ifndef LAZYSHADOW_PROC_TEXT_LINUX_H_
#define LAZYSHADOW_PROC_TEXT_LINUX_H_

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "os_memory.h"

namespace lazyshadow::os {

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
    if (got == 0) {
      if (!text.empty()) visit(text);
      return Status{};
    }
    if (text.size() == buffer.size()) text = text.substr(0, 256);
    filled = text.size();
    std::char_traits<char>::move(buffer.data(), text.data(), filled);
  }
}

/// The first line of a file; empty where the kernel has no such file, or it may not be read.
inline std::optional<std::string> firstLine(const std::string& path) {
  std::optional<std::string> first;
  const Status read = forEachLine(path.c_str(), [&](std::string_view line) {
    first = line;
    return false;
  });
  return read.ok() ? first : std::nullopt;
}

/// The first number in "CommitLimit:    12342048 kB", in its own unit; empty in "max".
inline std::optional<uint64_t> numberIn(std::string_view line) {
  const size_t digit = line.find_first_of("0123456789");
  uint64_t number = 0;
  if (digit == std::string_view::npos) return std::nullopt;
  const auto parsed = std::from_chars(line.data() + digit, line.data() + line.size(), number);
  return parsed.ec == std::errc() ? std::optional<uint64_t>(number) : std::nullopt;
}

/// The number of a file that holds one.
inline std::optional<uint64_t> numberOf(const std::string& path) {
  const std::optional<std::string> line = firstLine(path);
  return line ? numberIn(*line) : std::nullopt;
}

inline bool startsWith(std::string_view line, std::string_view prefix) {
  return line.substr(0, prefix.size()) == prefix;
}

}  // namespace lazyshadow::os

#endif  // LAZYSHADOW_PROC_TEXT_LINUX_H_
