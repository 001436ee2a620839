// Growing in place, in an order that a kill cannot spoil.
#include "record/growing_file.h"

#include "file.h"
#include "music/smf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static Status
open_again(GrowingFile* file, const char* path, Error* error)
{
  struct stat info;
  file->fd = open(path, O_RDWR | O_CLOEXEC);
  if (file->fd < 0 || fstat(file->fd, &info)) {
    const int reason = errno;
    growing_file_close(file);
    return error_set(
      error, STATUS_IO, "%s: cannot write: %s", path, strerror(reason));
  }
  file->device = info.st_dev;
  file->inode  = info.st_ino;
  return STATUS_OK;
}

Status
growing_file_open(GrowingFile* file,
                  const char*  path,
                  uint32_t     tempo_us,
                  TrackPart    body,
                  TrackPart    closing,
                  Error*       error)
{
  *file = (GrowingFile){ .fd = -1 };
  FileWriter   writer;
  const Status status = file_writer_open(&writer, path, error);
  if (status) {
    return status;
  }
  memcpy(file->path, writer.path, sizeof file->path);
  uint8_t head[SMF_HEAD_BYTES];
  smf_head(head, tempo_us, body.size + closing.size - sizeof smf_end_of_track);
  fwrite(head, 1, sizeof head, writer.stream);
  fwrite(body.bytes, 1, body.size, writer.stream);
  fwrite(closing.bytes, 1, closing.size, writer.stream);
  file->body_end       = sizeof head + body.size;
  file->end            = file->body_end + closing.size;
  const Status written = file_writer_commit(&writer, error);
  return written ? written : open_again(file, path, error);
}

static bool
write_at(int fd, const uint8_t* bytes, size_t size, size_t offset)
{
  while (size) {
    const ssize_t written = pwrite(fd, bytes, size, (off_t)offset);
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written <= 0) {
      errno = written ? errno : ENOSPC;
      return false;
    }
    bytes += written;
    size -= (size_t)written;
    offset += (size_t)written;
  }
  return true;
}

static bool
write_length(const GrowingFile* file, size_t end)
{
  uint8_t length[4];
  smf_put_u32(length, (uint32_t)(end - SMF_HEAD_LENGTH_AT - sizeof length));
  return write_at(file->fd, length, sizeof length, SMF_HEAD_LENGTH_AT);
}

static bool
is_at_its_path(const GrowingFile* file)
{
  struct stat info;
  return !stat(file->path, &info) && info.st_dev == file->device &&
         info.st_ino == file->inode;
}

// What now takes the place of the closing, and of what follows it.
static Status
put(GrowingFile*   file,
    const uint8_t* bytes,
    size_t         size,
    size_t         closing_size,
    Error*         error)
{
  const size_t replaced = file->end - file->body_end;
  const size_t end      = file->body_end + size;
  if (end - SMF_HEAD_LENGTH_AT > UINT32_MAX) {
    return error_set(
      error, STATUS_LIMIT, "%s: a track longer than 4 GiB", file->path);
  }
  const bool is_ready =
    write_at(file->fd, bytes + replaced, size - replaced, file->end) &&
    write_length(file, end);
  if (!is_ready || !write_at(file->fd, bytes, replaced, file->body_end)) {
    const int reason = errno;
    // As it was, as far as the system lets us.
    const bool undone = write_length(file, file->end) &&
                        !ftruncate(file->fd, (off_t)file->end) && !is_ready;
    return error_set(error,
                     STATUS_IO,
                     "%s: cannot write: %s%s",
                     file->path,
                     strerror(reason),
                     undone ? "" : " (the file may be broken)");
  }
  file->body_end = end - closing_size;
  file->end      = end;
  return STATUS_OK;
}

Status
growing_file_append(GrowingFile* file,
                    TrackPart    body,
                    TrackPart    closing,
                    Error*       error)
{
  if (!is_at_its_path(file)) {
    return error_set(error,
                     STATUS_NOT_FOUND,
                     "%s: the recording was moved or deleted",
                     file->path);
  }
  // The file must not shrink: an empty text, or several, make up for what is
  // shorter now.
  static const uint8_t empty_text[] = { 0, 0xff, SMF_META_TEXT, 0 };
  const size_t         replaced     = file->end - file->body_end;
  const size_t         wanted       = body.size + closing.size;
  const size_t         empty_count =
    wanted < replaced
              ? (replaced - wanted + sizeof empty_text - 1) / sizeof empty_text
              : 0;
  const size_t   size  = wanted + empty_count * sizeof empty_text;
  uint8_t* const bytes = malloc(size);
  if (!bytes) {
    return error_set(
      error, STATUS_NO_MEMORY, "%s: no memory to write on", file->path);
  }
  uint8_t* out = bytes;
  if (body.size) {
    memcpy(out, body.bytes, body.size);
    out += body.size;
  }
  for (size_t i = 0; i < empty_count; ++i) {
    memcpy(out, empty_text, sizeof empty_text);
    out += sizeof empty_text;
  }
  memcpy(out, closing.bytes, closing.size);
  const Status status = put(file, bytes, size, closing.size, error);
  free(bytes);
  return status;
}

void
growing_file_close(GrowingFile* file)
{
  if (file->fd >= 0) {
    close(file->fd);
  }
  file->fd = -1;
}
