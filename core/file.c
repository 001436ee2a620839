// Atomic file writing and memory maps.
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

Status
file_writer_open(FileWriter* writer, const char* path, Error* error)
{
  memset(writer, 0, sizeof *writer);
  const int length = snprintf(writer->path, sizeof writer->path, "%s", path);
  if (length <= 0 || (size_t)length >= sizeof writer->path) {
    return error_set(
      error, STATUS_BAD_ARGUMENT, "%.80s...: not a usable path", path);
  }
  snprintf(writer->temporary_path,
           sizeof writer->temporary_path,
           "%s.tmp%d",
           path,
           (int)getpid());
  writer->stream = fopen(writer->temporary_path, "wbe");
  if (!writer->stream) {
    return error_set(
      error, STATUS_IO, "%s: cannot write: %s", path, strerror(errno));
  }
  return STATUS_OK;
}

Status
file_writer_commit(FileWriter* writer, Error* error)
{
  FILE* const stream  = writer->stream;
  writer->stream      = NULL;
  const int had_error = ferror(stream);
  int       failed    = fflush(stream) || had_error || fsync(fileno(stream));
  const int reason    = errno;
  failed              = fclose(stream) || failed;
  if (!failed && !rename(writer->temporary_path, writer->path)) {
    return STATUS_OK;
  }
  const int why = failed ? reason : errno;
  unlink(writer->temporary_path);
  return error_set(
    error, STATUS_IO, "%s: cannot write: %s", writer->path, strerror(why));
}

void
file_writer_abort(FileWriter* writer)
{
  if (writer->stream) {
    fclose(writer->stream);
    unlink(writer->temporary_path);
    writer->stream = NULL;
  }
}

Status
file_make_directory(const char* path, Error* error)
{
  struct stat info;
  if (!mkdir(path, 0777) ||
      (errno == EEXIST && !stat(path, &info) && S_ISDIR(info.st_mode))) {
    return STATUS_OK;
  }
  return error_set(error,
                   STATUS_IO,
                   "%s: cannot make the directory: %s",
                   path,
                   strerror(errno));
}

Status
file_map_open(FileMap* map, const char* path, Error* error)
{
  *map         = (FileMap){ 0 };
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    return error_set(error,
                     errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO,
                     "%s: cannot read: %s",
                     path,
                     strerror(errno));
  }
  struct stat info;
  if (fstat(fd, &info) || !S_ISREG(info.st_mode)) {
    close(fd);
    return error_set(error, STATUS_IO, "%s: not a regular file", path);
  }
  if (info.st_size > 0) {
    void* const data =
      mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
      const int reason = errno;
      close(fd);
      return error_set(
        error, STATUS_IO, "%s: cannot map: %s", path, strerror(reason));
    }
    map->data       = data;
    map->size_bytes = (size_t)info.st_size;
  }
  close(fd);
  return STATUS_OK;
}

void
file_map_close(FileMap* map)
{
  if (map->data) {
    munmap((void*)(uintptr_t)map->data, map->size_bytes);
  }
  *map = (FileMap){ 0 };
}
