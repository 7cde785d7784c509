// libFuzzer's target for what native/ reads as text: /proc, /sys and the control groups' files. Of what
// stands there, others choose a part: paths of mapped files, names of groups.
//
// An input is a machine's files, each below a line "@PATH"; test/native/corpus has some. open, read and close
// are wrapped at link time, so that the parsers are given these files, in pieces as small as a byte.

#include <fcntl.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>

#include "cgroup_linux.h"
#include "proc_maps_linux.h"
#include "proc_text_linux.h"
#include "process_memory.h"

namespace os = lazyshadow::os;
using lazyshadow::Range;

namespace {

std::map<std::string, std::string, std::less<>> files;

struct OpenFile {
  std::string_view rest;
  size_t piece = 1;
};
/// The parsers have one file open at a time; a second one shows what is left open.
std::array<std::optional<OpenFile>, 2> openFiles;
constexpr int kFirstDescriptor = 1000;

void require(bool holds) {
  if (!holds) std::abort();
}

void makeFiles(std::string_view input) {
  files.clear();
  std::string* file = &files[""];
  while (!input.empty()) {
    const size_t end = std::min(input.find('\n'), input.size() - 1) + 1;
    const std::string_view line = input.substr(0, end);
    input.remove_prefix(end);
    if (line[0] == '@') {
      const std::string path(line.substr(1, line.size() - 2));
      file = &files[path.c_str()];  // as far as a system call would read it
    } else {
      file->append(line);
    }
  }
}

/// Every line of a file comes whole, but for the middle of one that is longer than the buffer.
void readsEveryLine(const std::string& path, std::string_view text) {
  constexpr size_t kSureBytes = 256;
  constexpr size_t kBufferBytes = size_t{1} << 16;
  const os::Status read = os::forEachLine(path.c_str(), [&](std::string_view line) {
    require(!text.empty());
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view wanted = text.substr(0, end);
    require(wanted.size() < kBufferBytes ? line == wanted
                                         : line.substr(0, kSureBytes) == wanted.substr(0, kSureBytes));
    text.remove_prefix(std::min(end + 1, text.size()));
    return true;
  });
  require(read.ok() && text.empty());
}

void mappingsAreDisjoint() {
  for (const os::MapDetail detail : {os::MapDetail::Addresses, os::MapDetail::WithUsage}) {
    uintptr_t visited = 0;
    (void)os::forEachMapping(detail, [&visited](const os::Mapping& mapping) {
      require(!mapping.range.empty() && mapping.range.start >= visited);
      visited = mapping.range.end();
      return true;
    });
  }
  const Range asked{0x400000, 0x7000};
  std::vector<os::Usage> usages;
  (void)os::query({asked}, &usages);
  require(usages.size() == 1);
  std::optional<uintptr_t> first;
  if (os::firstMapping(asked, &first).ok() && first) require(asked.contains(Range{*first, 1}));
}

}  // namespace

extern "C" int __wrap_open(const char* path, int, ...) {
  const auto file = files.find(std::string_view(path));
  if (file == files.end()) {
    errno = ENOENT;
    return -1;
  }
  for (size_t i = 0; i < openFiles.size(); ++i) {
    if (openFiles[i]) continue;
    openFiles[i] = OpenFile{file->second};
    return kFirstDescriptor + static_cast<int>(i);
  }
  std::abort();
}

extern "C" ssize_t __wrap_read(int descriptor, void* buffer, size_t size) {
  OpenFile& file = openFiles.at(static_cast<size_t>(descriptor - kFirstDescriptor)).value();
  const size_t got = std::min({file.piece, file.rest.size(), size});
  std::memcpy(buffer, file.rest.data(), got);
  file.rest.remove_prefix(got);
  file.piece = file.piece * 3 + 1;
  return static_cast<ssize_t>(got);
}

extern "C" int __wrap_close(int descriptor) {
  openFiles.at(static_cast<size_t>(descriptor - kFirstDescriptor)).reset();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  makeFiles(std::string_view(reinterpret_cast<const char*>(data), size));
  for (const auto& [path, text] : files) readsEveryLine(path, text);
  mappingsAreDisjoint();
  if (const auto cgroup = os::cgroupMemory()) require(cgroup->limitBytes < uint64_t{1} << 62);
  os::ProcessMemory process;
  (void)os::processMemory(&process);
  os::SystemMemory system;
  (void)os::systemMemory(&system);
  for (const auto& file : openFiles) require(!file);
  return 0;
}
