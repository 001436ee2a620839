// Reads every file of the real data on one thread: none may fail, the totals
// must be the known ones, and it may take 5 seconds. The data lies at
// $MEANDER_DATA_DIR or at the path given; without it the test is skipped.
#include "clock.h"
#include "music/condense.h"
#include "music/smf.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_SKIPPED 77
#define SECONDS_MAX 5.0

typedef struct {
  const char* name;
  size_t      files;
  size_t      presses; // note-ons but for drums
} Folder;

static const Folder folders[] = {
  { "giantmidi", 56, 215148 },
  { "piano-midi-de", 337, 794411 },
  { "pop909", 909, 1533438 },
};

// Adds to `total`; returns the condensed events, or -1 after an error line.
static long
read_one(const char* path, Folder* total)
{
  SmfNotes notes;
  Error    error;
  if (smf_read_file(path, &notes, &error)) {
    printf("%s\n", error.text);
    return -1;
  }
  NoteEvent* const events = malloc((notes.count + 1) * sizeof *events);
  const long       count =
    events ? (long)condense_notes(notes.notes, notes.count, events) : -1;
  free(events);
  ++total->files;
  total->presses += notes.press_count;
  smf_notes_free(&notes);
  return count;
}

static bool
read_folder(const char* data, const Folder* known)
{
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", data, known->name);
  DIR* const directory = opendir(path);
  if (!directory) {
    printf("%s: cannot be opened\n", path);
    return false;
  }
  Folder total  = { .name = known->name };
  long   events = 0;
  bool   ok     = true;
  for (struct dirent* entry; (entry = readdir(directory));) {
    if (strstr(entry->d_name, ".mid")) {
      snprintf(path, sizeof path, "%s/%s/%s", data, known->name, entry->d_name);
      const long count = read_one(path, &total);
      ok               = ok && count >= 0;
      events += count;
    }
  }
  closedir(directory);
  printf("%-13s %4zu files %8zu note-ons %8ld events\n",
         total.name,
         total.files,
         total.presses,
         events);
  if (total.files != known->files || total.presses != known->presses) {
    printf(
      "should be %zu files and %zu note-ons\n", known->files, known->presses);
    return false;
  }
  return ok;
}

int
main(int argc, char** argv)
{
  const char* data = getenv("MEANDER_DATA_DIR");
  data             = data ? data : argc > 1 ? argv[1] : "";
  char path[4096];
  snprintf(path, sizeof path, "%s/test-pieces.txt", data);
  FILE* const list = fopen(path, "r");
  if (!list) {
    printf("skipped: there is no data at '%s'\n", data);
    return EXIT_SKIPPED;
  }
  fclose(list);
  const double start_s = clock_now_s();
  bool         ok      = true;
  for (size_t i = 0; i < sizeof folders / sizeof *folders; ++i) {
    ok = read_folder(data, &folders[i]) && ok;
  }
  const double seconds = clock_now_s() - start_s;
  printf("%.2f s\n", seconds);
  // Sanitizers slow it down, and are not held to it.
  if (seconds > SECONDS_MAX && !getenv("SLOW")) {
    printf("longer than %.0f s\n", SECONDS_MAX);
    ok = false;
  }
  return ok ? 0 : 1;
}
