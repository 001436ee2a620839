// What the tests of checkpoints share: files made byte by byte in a folder of
// their own, and assertions on error lines.
#pragma once

#include "checkpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static char path[128];

static const float numbers[4] = { 1.5f, -2.0f, 3.25f, 0.0f };

#define A "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"
#define B "\"b\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[8,16]}"
#define META "\"__metadata__\":{\"kind\":\"vae\",\"size\":\"32\"}"
#define GOOD "{" META "," A "," B "}"

static inline int
set_up(void** state)
{
  (void)state;
  // In memory where there is such a place: the mutants are many.
  const char* const parent = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
  snprintf(folder, sizeof folder, "%s/meander-checkpoint-XXXXXX", parent);
  if (!mkdtemp(folder)) {
    return -1;
  }
  snprintf(path, sizeof path, "%s/model.safetensors", folder);
  return 0;
}

static inline int
tear_down(void** state)
{
  (void)state;
  unlink(path);
  return rmdir(folder);
}

static inline void
write_bytes(const void* bytes, size_t size_bytes)
{
  FILE* const file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size_bytes, file), size_bytes);
  assert_int_equal(fclose(file), 0);
}

// Length, text padded to a multiple of 8, data: into `file`; returns the size.
static inline size_t
make_file(uint8_t* file, const char* json, const void* data, size_t data_bytes)
{
  const size_t   length = strlen(json);
  const uint64_t padded = (length + 7) / 8 * 8;
  memcpy(file, &padded, 8);
  memset(file + 8, ' ', padded);
  memcpy(file + 8, json, length);
  memcpy(file + 8 + padded, data, data_bytes);
  return 8 + padded + data_bytes;
}

static inline void
assert_text(const char* text, const char* part)
{
  if (!strstr(text, part)) {
    fail_msg("'%s' does not say '%s'", text, part);
  }
}

static inline void
assert_error(const Error* error, const char* tensor, const char* reason)
{
  assert_text(error->text, path);
  assert_text(error->text, reason);
  assert_null(strchr(error->text, '\n'));
  if (tensor) {
    char part[64];
    snprintf(part, sizeof part, ": tensor '%s': ", tensor);
    assert_text(error->text, part);
  } else {
    assert_null(strstr(error->text, "tensor '"));
  }
}

static inline void
refuses(Status status, const char* tensor, const char* reason)
{
  Checkpoint*  checkpoint = NULL;
  Error        error      = { 0 };
  const Status found      = checkpoint_open(path, &checkpoint, &error);
  assert_null(checkpoint);
  assert_error(&error, tensor, reason);
  assert_int_equal(found, status);
  assert_int_equal(error.status, status);
}

static inline Checkpoint*
opens(void)
{
  Checkpoint* checkpoint = NULL;
  Error       error      = { 0 };
  if (checkpoint_open(path, &checkpoint, &error) != STATUS_OK) {
    fail_msg("%s", error.text);
  }
  return checkpoint;
}

static inline Checkpoint*
opens_good(void)
{
  uint8_t file[1024];
  write_bytes(file, make_file(file, GOOD, numbers, sizeof numbers));
  return opens();
}

static inline size_t
read_file(uint8_t* bytes, size_t size_bytes_max)
{
  FILE* const file = fopen(path, "rb");
  assert_non_null(file);
  const size_t size_bytes = fread(bytes, 1, size_bytes_max, file);
  fclose(file);
  return size_bytes;
}
