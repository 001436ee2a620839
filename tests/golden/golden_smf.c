// Golden text for MIDI files: reads a file of cases, each the bytes of a MIDI
// file and what must come of them, and fails where something else does. With
// --print it writes the file anew with what does come. One thread.
//
//   == name of the case
//   < 4d 54 68 64 ...      bytes in hexadecimal; a # begins a comment
//   > note 0.500000 ...    onset, duration (s), pitch, velocity, channel
//   > event 60 ...         pitch, velocity, step, duration (s)
//   > back 960 480 60 100  those events expanded, written, and read again:
//                          onset and length in ticks, pitch, velocity
//   > error ...            or the error
#include "music/condense.h"
#include "music/smf.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CASE_BYTES_MAX 65536
#define CASE_TEXT_MAX 65536
#define CASE_NOTES_MAX 256

typedef struct {
  char    name[128];
  char    source[CASE_TEXT_MAX]; // the "<" lines as they stand
  uint8_t bytes[CASE_BYTES_MAX];
  size_t  byte_count;
  char    expected[CASE_TEXT_MAX];
  char    actual[CASE_TEXT_MAX];
} Case;

static void
append(char* text, const char* line)
{
  const size_t used = strlen(text);
  if (used + strlen(line) + 1 > CASE_TEXT_MAX) {
    fputs("golden_smf: a case is too long\n", stderr);
    exit(1);
  }
  strcpy(text + used, line);
}

static void say(Case* c, const char* format, ...)
  __attribute__((format(printf, 2, 3)));

static void
say(Case* c, const char* format, ...)
{
  char    line[640] = "> ";
  va_list args;
  va_start(args, format);
  vsnprintf(line + 2, sizeof line - 3, format, args);
  va_end(args);
  strcat(line, "\n");
  append(c->actual, line);
}

static int
compare_messages(const void* left, const void* right)
{
  const SmfEvent* const a = left;
  const SmfEvent* const b = right;
  if (a->tick != b->tick) {
    return a->tick < b->tick ? -1 : 1;
  }
  return a->message[0] - b->message[0]; // note-offs (0x80) first
}

static uint64_t
tick_of(double seconds)
{
  return (uint64_t)llround(seconds * SMF_WRITE_TICKS_PER_SECOND);
}

// Events to notes to a file to notes.
static void
go_back(Case* c, const NoteEvent* events, size_t count)
{
  PlayedNote played[CASE_NOTES_MAX];
  SmfEvent   messages[2 * CASE_NOTES_MAX];
  expand_events(events, count, 0.0, played);
  for (size_t i = 0; i < count; ++i) {
    const PlayedNote* const n = &played[i];
    messages[2 * i]           = (SmfEvent){ .tick    = tick_of(n->onset_s),
                                            .message = { 0x90, n->pitch, n->velocity } };
    messages[2 * i + 1] =
      (SmfEvent){ .tick    = tick_of(n->onset_s + n->duration_s),
                  .message = { 0x80, n->pitch, 64 } };
  }
  qsort(messages, 2 * count, sizeof *messages, compare_messages);
  char*       bytes = NULL;
  size_t      size  = 0;
  FILE* const file  = open_memstream(&bytes, &size);
  Error       error;
  if (!file || smf_write(file, messages, 2 * count, &error) || fclose(file)) {
    fputs("golden_smf: cannot write\n", stderr);
    exit(1);
  }
  SmfNotes again;
  if (smf_read_bytes((const uint8_t*)bytes, size, &again, &error)) {
    say(c, "back error %s", error.text);
  } else {
    for (size_t i = 0; i < again.count; ++i) {
      const PlayedNote* const n    = &again.notes[i];
      const uint64_t          tick = tick_of(n->onset_s);
      say(c,
          "back %llu %llu %u %u",
          (unsigned long long)tick,
          (unsigned long long)(tick_of(n->onset_s + n->duration_s) - tick),
          n->pitch,
          n->velocity);
    }
    smf_notes_free(&again);
  }
  free(bytes);
}

static void
run(Case* c)
{
  // A copy of the exact size, so that a sanitizer sees a read past the end.
  uint8_t* const bytes = malloc(c->byte_count ? c->byte_count : 1);
  memcpy(bytes, c->bytes, c->byte_count);
  SmfNotes notes;
  Error    error;
  if (smf_read_bytes(bytes, c->byte_count, &notes, &error)) {
    say(c, "error %s: %s", status_name(error.status), error.text);
    free(bytes);
    return;
  }
  free(bytes);
  say(c,
      "format %u tracks %u presses %zu length %.6f",
      notes.format,
      notes.track_count,
      notes.press_count,
      notes.length_s);
  NoteEvent events[CASE_NOTES_MAX];
  if (notes.count > CASE_NOTES_MAX) {
    fputs("golden_smf: a case has too many notes\n", stderr);
    exit(1);
  }
  for (size_t i = 0; i < notes.count; ++i) {
    const PlayedNote* const n = &notes.notes[i];
    say(c,
        "note %.6f %.6f %u %u %u",
        n->onset_s,
        n->duration_s,
        n->pitch,
        n->velocity,
        n->channel);
  }
  const size_t count = condense_notes(notes.notes, notes.count, events);
  for (size_t i = 0; i < count; ++i) {
    say(c,
        "event %u %.6f %.6f %.6f",
        events[i].pitch,
        (double)events[i].velocity,
        (double)events[i].step_s,
        (double)events[i].duration_s);
  }
  go_back(c, events, count);
  smf_notes_free(&notes);
}

static void
add_bytes(Case* c, const char* line)
{
  append(c->source, line);
  for (const char* at = line + 1; *at && *at != '#'; ++at) {
    if (isxdigit((unsigned char)at[0])) {
      const char digits[3] = { at[0], at[1], 0 };
      if (!isxdigit((unsigned char)at[1]) || c->byte_count == CASE_BYTES_MAX) {
        fprintf(stderr, "golden_smf: bad line: %s", line);
        exit(1);
      }
      c->bytes[c->byte_count++] = (uint8_t)strtoul(digits, NULL, 16);
      ++at;
    }
  }
}

// Returns whether the case came out as expected.
static bool
finish(Case* c, bool print)
{
  run(c);
  if (print) {
    printf("== %s\n%s%s\n", c->name, c->source, c->actual);
    return true;
  }
  const bool same = strcmp(c->expected, c->actual) == 0;
  printf("%s %s\n", same ? "ok  " : "FAIL", c->name);
  if (!same) {
    printf("expected:\n%sactual:\n%s", c->expected, c->actual);
  }
  return same;
}

int
main(int argc, char** argv)
{
  const bool  print = argc == 3 && strcmp(argv[1], "--print") == 0;
  FILE* const file  = argc >= 2 ? fopen(argv[argc - 1], "r") : NULL;
  if (!file) {
    fputs("usage: golden_smf [--print] CASES\n", stderr);
    return 2;
  }
  static Case c;
  bool        ok    = true;
  size_t      count = 0;
  char        line[1024];
  while (fgets(line, sizeof line, file)) {
    if (strncmp(line, "== ", 3) == 0) {
      ok = (count == 0 || finish(&c, print)) && ok;
      memset(&c, 0, sizeof c);
      line[strcspn(line, "\n")] = '\0';
      snprintf(c.name, sizeof c.name, "%.120s", line + 3);
      ++count;
    } else if (line[0] == '<') {
      add_bytes(&c, line);
    } else if (line[0] == '>') {
      append(c.expected, line);
    } else if (count == 0 && print) {
      fputs(line, stdout);
    }
  }
  fclose(file);
  ok = count > 0 && finish(&c, print) && ok;
  return ok ? 0 : 1;
}
