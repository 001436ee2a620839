// Which pieces are held out for tests. Main thread.
#include "split.h"

#include "file.h"
#include "rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A tenth of 2^32.
#define TEST_BELOW 429496730u

static int
compare_lines(const void* left, const void* right)
{
  return strcmp(*(char* const*)left, *(char* const*)right);
}

// Cuts `text` into its lines; returns how many are not empty.
static size_t
cut_lines(char* text, char** lines)
{
  size_t count = 0;
  for (char* line = text; line && *line;) {
    char* const end = strchr(line, '\n');
    if (end) {
      *end = '\0';
    }
    line[strcspn(line, "\r")] = '\0';
    if (*line) {
      lines[count++] = line;
    }
    line = end ? end + 1 : NULL;
  }
  return count;
}

static size_t
drop_repeated(char** lines, size_t count)
{
  size_t kept = 0;
  for (size_t i = 0; i < count; ++i) {
    if (kept == 0 || strcmp(lines[kept - 1], lines[i]) != 0) {
      lines[kept++] = lines[i];
    }
  }
  return kept;
}

Status
split_open(Split* split, const char* list_path, uint64_t seed, Error* error)
{
  *split = (Split){ .seed = seed };
  if (!list_path) {
    return STATUS_OK;
  }
  FileMap      map;
  const Status status = file_map_open(&map, list_path, error);
  if (status) {
    return status;
  }
  size_t line_count = 1;
  for (size_t i = 0; i < map.size_bytes; ++i) {
    line_count += map.data[i] == '\n';
  }
  split->text  = malloc(map.size_bytes + 1);
  split->lines = malloc(line_count * sizeof *split->lines);
  split->found = calloc(line_count, sizeof *split->found);
  if (!split->text || !split->lines || !split->found) {
    file_map_close(&map);
    split_close(split);
    return error_set(error, STATUS_NO_MEMORY, "out of memory for a list");
  }
  if (map.size_bytes) {
    memcpy(split->text, map.data, map.size_bytes);
  }
  split->text[map.size_bytes] = '\0';
  file_map_close(&map);
  split->count = cut_lines(split->text, split->lines);
  qsort(split->lines, split->count, sizeof *split->lines, compare_lines);
  split->count = drop_repeated(split->lines, split->count);
  return STATUS_OK;
}

void
split_close(Split* split)
{
  free(split->text);
  free(split->lines);
  free(split->found);
  *split = (Split){ 0 };
}

static bool
is_drawn(uint64_t seed, const char* name)
{
  uint64_t hash = 0xcbf29ce484222325ull; // FNV-1a
  for (const char* at = name; *at; ++at) {
    hash = (hash ^ (uint8_t)*at) * 0x100000001b3ull;
  }
  uint32_t words[4];
  rng_block(seed, hash, 0, words);
  return words[0] < TEST_BELOW;
}

bool
split_is_test(Split* split, const char* name)
{
  if (!split->lines) {
    return is_drawn(split->seed, name);
  }
  char** const line = bsearch(
    &name, split->lines, split->count, sizeof *split->lines, compare_lines);
  if (line) {
    split->found[line - split->lines] = true;
  }
  return line != NULL;
}

size_t
split_report_unfound(const Split* split, size_t named_max)
{
  size_t unfound = 0;
  for (size_t i = 0; i < split->count; ++i) {
    if (!split->found[i] && ++unfound <= named_max) {
      fprintf(stderr, "test list: no file is named %s\n", split->lines[i]);
    }
  }
  return unfound;
}
