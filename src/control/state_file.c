// Stored points, as a libconfig file.
#include "control/state_file.h"

#include "control/text_file.h"
#include "data_path.h"
#include "file.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FORMAT 1
// Bad files that are kept beside the good one.
#define ASIDE_MAX 99

static Status
bad(const PointSet*         set,
    const config_setting_t* setting,
    const char*             what,
    Error*                  error)
{
  return error_set(error,
                   STATUS_BAD_FILE,
                   "%s:%u: %s",
                   set->path,
                   (unsigned)config_setting_source_line(setting),
                   what);
}

// A whole number from `low` to `high`; false: there is none.
static bool
read_whole(const config_setting_t* group,
           const char*             name,
           int64_t                 low,
           int64_t                 high,
           int64_t*                value)
{
  const config_setting_t* const setting =
    config_setting_get_member(group, name);
  const int type = setting ? config_setting_type(setting) : CONFIG_TYPE_NONE;
  if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64) {
    return false;
  }
  *value = config_setting_get_int64(setting);
  return *value >= low && *value <= high;
}

static bool
read_digest(const config_setting_t* group, char digest[17])
{
  const config_setting_t* const setting =
    config_setting_get_member(group, "model");
  const char* const text = setting ? config_setting_get_string(setting) : NULL;
  const size_t      length = text ? strlen(text) : 0;
  if (!length || length > 16 || strspn(text, "0123456789abcdef") != length) {
    return false;
  }
  strcpy(digest, text);
  return true;
}

static bool
read_latent(const config_setting_t* group, Point* point)
{
  const config_setting_t* const list = config_setting_get_member(group, "z");
  const int                     count =
    list && (config_setting_is_array(list) || config_setting_is_list(list))
                          ? config_setting_length(list)
                          : 0;
  if (count < 1 || count > (int)MODEL_LATENT_MAX) {
    return false;
  }
  for (int i = 0; i < count; ++i) {
    const config_setting_t* const setting =
      config_setting_get_elem(list, (unsigned)i);
    if (config_setting_type(setting) != CONFIG_TYPE_FLOAT) {
      return false;
    }
    point->z[i] = (float)config_setting_get_float(setting);
    if (!isfinite(point->z[i])) {
      return false;
    }
  }
  point->size = (uint32_t)count;
  return true;
}

static Point*
find(PointSet* set, const char* digest, uint32_t slot)
{
  for (uint32_t i = 0; i < set->other_count; ++i) {
    if (set->others[i].slot == slot && !strcmp(set->others[i].digest, digest)) {
      return &set->others[i];
    }
  }
  return NULL;
}

static Status
read_point(PointSet* set, const config_setting_t* group, Error* error)
{
  Point* const point = &set->others[set->other_count];
  int64_t      slot;
  memset(point, 0, sizeof *point);
  if (!config_setting_is_group(group)) {
    return bad(set, group, "not a point", error);
  }
  if (!read_whole(group, "slot", 1, POINTS_MAX, &slot)) {
    return bad(set, group, "a point without a slot from 1 to 16", error);
  }
  if (!read_digest(group, point->digest)) {
    return bad(set, group, "a point without a model's digest", error);
  }
  if (!read_whole(group, "stored", INT64_MIN, INT64_MAX, &point->stored_s)) {
    return bad(set, group, "a point without the time it was stored", error);
  }
  if (!read_latent(group, point)) {
    return bad(set, group, "a point without 1 to 512 finite numbers z", error);
  }
  if (find(set, point->digest, (uint32_t)slot)) {
    return bad(set, group, "a second point in one slot of a model", error);
  }
  point->used = true;
  point->slot = (uint32_t)slot;
  ++set->other_count;
  return STATUS_OK;
}

static Status
read_points(PointSet* set, const config_t* config, Error* error)
{
  const config_setting_t* const root = config_root_setting(config);
  const config_setting_t* const points =
    config_setting_get_member(root, "points");
  int64_t format;
  if (!read_whole(root, "meander_points", FORMAT, FORMAT, &format)) {
    return bad(
      set, root, "no file of stored points that this one knows", error);
  }
  if (!points || !config_setting_is_list(points) ||
      config_setting_length(points) > (int)POINTS_KEPT_MAX) {
    return bad(set, root, "no list of at most 256 points", error);
  }
  Status status = STATUS_OK;
  for (int i = 0; !status && i < config_setting_length(points); ++i) {
    status =
      read_point(set, config_setting_get_elem(points, (unsigned)i), error);
  }
  return status;
}

static Status
read_file(PointSet* set, Error* error)
{
  char*  text;
  Status status = text_file_read(set->path, POINTS_BYTES_MAX, &text, error);
  if (status) {
    return status;
  }
  config_t config;
  status = text_file_parse(
    set->path, text, "this is no file of stored points", &config, error);
  free(text);
  if (!status) {
    status = read_points(set, &config, error);
    config_destroy(&config);
  }
  return status;
}

// Gives a file that cannot be used a name that no other file has. False with
// errno: it is where it was.
static bool
put_aside(const char* path, char aside[1100])
{
  for (int i = 1; i <= ASIDE_MAX; ++i) {
    char number[16] = "";
    if (i > 1) {
      snprintf(number, sizeof number, "%d", i);
    }
    snprintf(aside, 1100, "%s.bad%s", path, number);
    if (access(aside, F_OK)) {
      return !rename(path, aside);
    }
  }
  errno = EEXIST;
  return false;
}

static Status
refuse(PointSet* set, Error* error)
{
  char         aside[1100];
  const Status status = error->status;
  const bool   moved  = put_aside(set->path, aside);
  const int    reason = errno;
  Error        why    = *error;
  set->other_count    = 0;
  set->unread         = !moved;
  if (moved) {
    return error_set(
      error, status, "%.250s; it is kept as %s", why.text, aside);
  }
  return error_set(error,
                   status,
                   "%.250s; it stays where it is (%s) and no point will be "
                   "saved: move it away",
                   why.text,
                   strerror(reason));
}

Status
points_load(PointSet* set, Error* error)
{
  memset(set, 0, sizeof *set);
  if (!data_user_path(DATA_STATE, "points", set->path)) {
    *set->path = '\0';
    return STATUS_OK;
  }
  Error        found  = { 0 };
  const Status status = read_file(set, &found);
  if (status == STATUS_BAD_FILE || status == STATUS_LIMIT) {
    refuse(set, &found);
  } else if (status && status != STATUS_NOT_FOUND) {
    set->other_count = 0;
    set->unread      = true;
  }
  if (!status || status == STATUS_NOT_FOUND) {
    return STATUS_OK;
  }
  return error_set(error, status, "%s", found.text);
}

static uint32_t
slots_used(const PointSet* set)
{
  uint32_t used = 0;
  for (uint32_t i = 0; i < POINTS_MAX; ++i) {
    used += set->slots[i].used;
  }
  return used;
}

void
points_choose(PointSet* set, const char* digest, uint32_t size)
{
  for (uint32_t i = 0; i < POINTS_MAX; ++i) {
    if (set->slots[i].used) {
      set->others[set->other_count++] = set->slots[i];
    }
    set->slots[i].used = false;
  }
  snprintf(set->digest, sizeof set->digest, "%s", digest);
  set->size     = size;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < set->other_count; ++i) {
    const Point* const point = &set->others[i];
    if (point->size == size && !strcmp(point->digest, set->digest)) {
      set->slots[point->slot - 1] = *point;
    } else {
      if (kept != i) {
        set->others[kept] = *point;
      }
      ++kept;
    }
  }
  set->other_count = kept;
}

const float*
points_get(const PointSet* set, uint32_t slot)
{
  return slot >= 1 && slot <= POINTS_MAX && set->slots[slot - 1].used
           ? set->slots[slot - 1].z
           : NULL;
}

static void
drop(PointSet* set, Point* other)
{
  *other = set->others[--set->other_count];
}

// So that slots and others together never are more than are kept.
static void
drop_oldest(PointSet* set)
{
  Point* oldest = set->others;
  for (uint32_t i = 1; i < set->other_count; ++i) {
    if (set->others[i].stored_s < oldest->stored_s) {
      oldest = &set->others[i];
    }
  }
  drop(set, oldest);
}

Status
points_store(PointSet* set, uint32_t slot, const float* z, Error* error)
{
  bool usable = slot >= 1 && slot <= POINTS_MAX && *set->digest &&
                set->size >= 1 && set->size <= MODEL_LATENT_MAX;
  for (uint32_t i = 0; usable && i < set->size; ++i) {
    usable = isfinite(z[i]);
  }
  if (!usable) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "no point can be stored in slot %u, use 1 to %u while a "
                     "model plays",
                     slot,
                     POINTS_MAX);
  }
  // Of this model by name, but of another size: none that could be offered.
  Point* const misfit = find(set, set->digest, slot);
  if (misfit) {
    drop(set, misfit);
  }
  Point* const point = &set->slots[slot - 1];
  *point             = (Point){ .used     = true,
                                .slot     = slot,
                                .size     = set->size,
                                .stored_s = (int64_t)time(NULL) };
  memcpy(point->digest, set->digest, sizeof point->digest);
  memcpy(point->z, z, set->size * sizeof *z);
  if (slots_used(set) + set->other_count > POINTS_KEPT_MAX) {
    drop_oldest(set);
  }
  return points_save(set, error);
}

static void
write_point(FILE* out, const Point* point, bool* first)
{
  if (!point->used) {
    return;
  }
  fprintf(out,
          "%s\n  { slot = %u; model = \"%s\"; stored = %" PRId64
          "L;\n    z = [",
          *first ? "" : ",",
          point->slot,
          point->digest,
          point->stored_s);
  for (uint32_t i = 0; i < point->size; ++i) {
    fputs(i ? ", " : "", out);
    text_file_put_number(out, (double)point->z[i], FLT_DECIMAL_DIG);
  }
  fputs("] }", out);
  *first = false;
}

Status
points_save(const PointSet* set, Error* error)
{
  if (!*set->path) {
    return error_set(error,
                     STATUS_NOT_FOUND,
                     "no place to keep points: set HOME or XDG_STATE_HOME");
  }
  if (set->unread) {
    return error_set(error,
                     STATUS_IO,
                     "%s: could not be read and is not written over: mend it "
                     "or move it away, then start again",
                     set->path);
  }
  FileWriter writer;
  Status     status = data_make_folders(set->path, error);
  if (status || (status = file_writer_open(&writer, set->path, error))) {
    return status;
  }
  bool first = true;
  fprintf(writer.stream, "meander_points = %d\npoints = (", FORMAT);
  for (uint32_t i = 0; i < set->other_count; ++i) {
    write_point(writer.stream, &set->others[i], &first);
  }
  for (uint32_t i = 0; i < POINTS_MAX; ++i) {
    write_point(writer.stream, &set->slots[i], &first);
  }
  fputs(first ? ")\n" : "\n)\n", writer.stream);
  return file_writer_commit(&writer, error);
}
