// See part.h.
#define _GNU_SOURCE
#include "part.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// Where programs that count on their first descriptors do not meet it.
#define LOWEST_FD 700

int file_create(struct file* file, const char* path) {
  // Another process may still have the old file mapped; cutting it short would kill that process.
  if (unlink(path) != 0 && errno != ENOENT) return errno;
  int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return errno;
  int high = fcntl(fd, F_DUPFD_CLOEXEC, LOWEST_FD);
  if (high >= 0) {
    close(fd);
    fd = high;
  }
  struct stat created;
  if (fstat(fd, &created) != 0) {
    int error = errno;
    close(fd);
    unlink(path);
    return error;
  }
  *file = (struct file){.fd = fd, .device = created.st_dev, .inode = created.st_ino};
  return 0;
}

static bool is_ours(const struct file* file) {
  struct stat now;
  return fstat(file->fd, &now) == 0 && now.st_dev == file->device && now.st_ino == file->inode;
}

int file_write(const struct file* file, const void* bytes, size_t length, uint64_t offset) {
  if (!is_ours(file)) return EBADF;
  const char* rest = bytes;
  while (length > 0) {
    ssize_t written = pwrite(file->fd, rest, length, (off_t)offset);
    if (written < 0 && errno != EINTR) return errno;
    if (written <= 0) continue;
    rest += written;
    offset += (uint64_t)written;
    length -= (size_t)written;
  }
  return 0;
}

int part_create(struct part* part, const char* path, uint64_t begin) {
  int error = file_create(&part->file, path);
  if (error != 0) return error;
  // Allocated, so that storing to it never finds the disk full. Go interrupts its threads with signals all
  // the time.
  do {
    error = posix_fallocate(part->file.fd, 0, (off_t)PART_TEXT_OFFSET);
  } while (error == EINTR);
  void* mapped = MAP_FAILED;
  if (error == 0) {
    mapped = mmap(NULL, PART_TEXT_OFFSET, PROT_READ | PROT_WRITE, MAP_SHARED, part->file.fd, 0);
    if (mapped == MAP_FAILED) error = errno;
  }
  if (error != 0) {
    close(part->file.fd);
    unlink(path);
    return error;
  }
  part->head = mapped;
  part->window = (struct event*)((char*)mapped + PART_HEAD_BYTES);
  part->used = 0;
  part->text_bytes = 0;
  memcpy(part->head->magic, PART_MAGIC, sizeof part->head->magic);
  part->head->begin = begin;
  return 0;
}

int part_flush(struct part* part, const struct file* recording) {
  size_t bytes = part->used * sizeof(struct event);
  uint64_t begin = part->head->begin;
  int error = file_write(recording, part->window, bytes, begin);
  if (error != 0) return error;
  __atomic_store_n(&part->head->begin, (begin + bytes) | PART_CLEARING, __ATOMIC_SEQ_CST);
  memset(part->window, 0, bytes);
  __atomic_store_n(&part->head->begin, begin + bytes, __ATOMIC_SEQ_CST);
  part->used = 0;
  return 0;
}

int part_add_line(struct part* part, const char* line, size_t length) {
  int error = file_write(&part->file, line, length, PART_TEXT_OFFSET + part->text_bytes);
  if (error == 0) part->text_bytes += length;
  return error;
}

int part_copy_text(const struct part* part, const struct file* recording, uint64_t offset) {
  static char buffer[1 << 16];
  for (uint64_t done = 0; done < part->text_bytes;) {
    uint64_t rest = part->text_bytes - done;
    size_t wanted = rest < sizeof buffer ? (size_t)rest : sizeof buffer;
    ssize_t length = pread(part->file.fd, buffer, wanted, (off_t)(PART_TEXT_OFFSET + done));
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) return length == 0 ? EIO : errno;
    int error = file_write(recording, buffer, (size_t)length, offset + done);
    if (error != 0) return error;
    done += (uint64_t)length;
  }
  return 0;
}
