// Reading back what line_text.h writes.
#include "record/provenance_read.h"

#include "caps.h"
#include "music/smf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ABOUT_PREFIX "meander "

typedef struct {
  Provenance* out;
  size_t      capacity;
  Status      status;
} Reading;

static bool
make_room(Reading* reading)
{
  Provenance* const out = reading->out;
  if (out->count < reading->capacity) {
    return true;
  }
  const size_t capacity = reading->capacity ? 2 * reading->capacity : 64;
  void* const  bigger   = realloc(out->lines, capacity * sizeof *out->lines);
  if (!bigger) {
    reading->status = STATUS_NO_MEMORY;
    return false;
  }
  out->lines        = bigger;
  reading->capacity = capacity;
  return true;
}

static void
take_line(Reading* reading, RecordLine line)
{
  Provenance* const out = reading->out;
  if (line_check(&line, NULL)) {
    return;
  }
  if (out->count == PROVENANCE_LINES_MAX) {
    reading->status = STATUS_LIMIT;
    return;
  }
  line.text = strdup(line.text);
  if (!line.text || !make_room(reading)) {
    free((char*)(uintptr_t)line.text);
    reading->status = STATUS_NO_MEMORY;
    return;
  }
  out->lines[out->count++] = line;
}

static void
take_text(Reading* reading, char* text)
{
  Provenance* const out = reading->out;
  RecordLine        line;
  CutLine           cut;
  if (line_text_parse(text, &line)) {
    take_line(reading, line);
  } else if (line_text_parse_cut(text, &cut)) {
    out->has_cut = true;
    out->cut     = cut;
  } else if (!*out->about &&
             !strncmp(text, ABOUT_PREFIX, strlen(ABOUT_PREFIX))) {
    char* const about = strdup(text);
    if (!about) {
      reading->status = STATUS_NO_MEMORY;
      return;
    }
    free(out->about);
    out->about = about;
  }
}

static void
take_meta(void*          context,
          uint64_t       tick,
          uint8_t        type,
          const uint8_t* data,
          uint32_t       length)
{
  (void)tick;
  Reading* const reading = context;
  SmfBeat* const beat    = &reading->out->beat;
  if (type == SMF_META_TEMPO && !beat->tempo_us) {
    beat->tempo_us = (uint32_t)data[0] << 16 | (uint32_t)data[1] << 8 | data[2];
  }
  if (type == SMF_META_METER && length == 4 && !beat->meter_count) {
    beat->meter_count = data[0];
    beat->meter_unit  = data[1];
  }
  if (type != SMF_META_TEXT || reading->status || !length ||
      length >= LINE_TEXT_BYTES_MAX || memchr(data, 0, length)) {
    return;
  }
  char text[LINE_TEXT_BYTES_MAX];
  memcpy(text, data, length);
  text[length] = '\0';
  take_text(reading, text);
}

Status
provenance_read(const char* path, Provenance* out, Error* error)
{
  *out                  = (Provenance){ .about = calloc(1, 1) };
  Reading       reading = { .out    = out,
                            .status = out->about ? STATUS_OK : STATUS_NO_MEMORY };
  const SmfMeta meta    = { .take = take_meta, .context = &reading };
  Status        status  = smf_read_meta(path, &meta, error);
  if (!status && reading.status == STATUS_LIMIT) {
    status = error_set(error,
                       STATUS_LIMIT,
                       "%s: more than %u lines of how it was made",
                       path,
                       PROVENANCE_LINES_MAX);
  } else if (!status && reading.status) {
    status = error_set(error, reading.status, "%s: out of memory", path);
  }
  if (status) {
    provenance_free(out);
  }
  if (!status && !out->beat.tempo_us) {
    out->beat.tempo_us = SMF_WRITE_TEMPO_US; // the standard's own
  }
  return status;
}

void
provenance_free(Provenance* provenance)
{
  for (size_t i = 0; i < provenance->count; ++i) {
    free((char*)(uintptr_t)provenance->lines[i].text);
  }
  free(provenance->lines);
  free(provenance->about);
  *provenance = (Provenance){ 0 };
}

void
provenance_write_path(const char* path, char* out)
{
  for (; *path; ++path) {
    const unsigned char c = (unsigned char)*path;
    if (c <= ' ' || c == '%' || c == 0x7f) {
      out += sprintf(out, "%%%02x", c);
    } else {
      *out++ = *path;
    }
  }
  *out = '\0';
}

static int
hex_digit(char c)
{
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                : -1;
}

// The word at `text`; false: too long.
static bool
read_path(const char* text, char path[1024])
{
  size_t length = 0;
  for (; *text && *text != ' '; ++length) {
    if (length == 1023) {
      return false;
    }
    const int high = *text == '%' ? hex_digit(text[1]) : -1;
    const int low  = high >= 0 ? hex_digit(text[2]) : -1;
    path[length]   = low >= 0 ? (char)(high * 16 + low) : *text;
    text += low >= 0 ? 3 : 1;
  }
  path[length] = '\0';
  return length && strlen(path) == length;
}

bool
provenance_file(const Provenance* provenance,
                const char*       digest,
                char              path[1024])
{
  const char*  at     = provenance->about;
  const size_t length = strlen(digest);
  while ((at = strstr(at, PROVENANCE_FILE))) {
    at += strlen(PROVENANCE_FILE);
    if (!strncmp(at, digest, length) && at[length] == ':') {
      return read_path(at + length + 1, path);
    }
  }
  return false;
}

Status
provenance_check(const Provenance* provenance, Error* error)
{
  const char* missing = NULL;
  if (!provenance->count) {
    missing = "it does not say how its notes were made";
  } else if (!provenance->lines[0].starts) {
    missing = "how its first notes were made is lost";
  } else if (!provenance->has_cut) {
    missing = "it does not say where it was cut";
  } else if (provenance->cut.lost) {
    missing = "how some of its notes were made is lost";
  }
  return missing
           ? error_set(
               error, STATUS_BAD_FILE, "cannot be made again: %s", missing)
           : STATUS_OK;
}
