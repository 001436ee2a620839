// meander-train prepare: MIDI files to one data set file. Main thread. Files
// are read one at a time and their notes streamed to disk, so that memory does
// not grow with the data.
#include "prepare.h"

#include "clock.h"
#include "command.h"
#include "dataset_write.h"
#include "find_midi.h"
#include "music/condense.h"
#include "music/smf.h"
#include "split.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define WINDOW_MAX 65536u
#define UNFOUND_NAMED_MAX 20u

typedef struct {
  const char* output_path;
  const char* test_list_path;
  uint64_t    seed;
  uint32_t    window_notes;
} Options;

typedef enum {
  REJECT_UNREADABLE,
  REJECT_BROKEN,
  REJECT_LIMIT,
  REJECT_UNSUPPORTED,
  REJECT_SHORT,
  REJECT_REASONS,
} Reject;

typedef struct {
  size_t   pieces[2]; // train, test
  uint64_t notes[2];
  uint64_t windows[2];
  uint64_t merged_note_count; // of one key pressed twice at once, or of key 0
  size_t   rejects[REJECT_REASONS];
} Report;

static const char usage[] =
  "usage: meander-train prepare DIR... -o FILE [options]\n"
  "Turns the MIDI files (.mid, .midi) below DIR into one data set to train "
  "on.\n"
  "  -o, --output FILE     the data set to write\n"
  "  -t, --test-list FILE  the pieces to hold out, one name a line, each name "
  "a\n"
  "                        folder and a file: giantmidi/X.mid\n"
  "                        (default: a tenth of the pieces, drawn by --seed)\n"
  "  -s, --seed S          draws the pieces to hold out (default 1)\n"
  "  -w, --window N        notes a window, 8 to 65536 (default 8); a shorter\n"
  "                        piece is left out\n"
  "  -h, --help            this text\n";

static bool
parse_options(int      argc,
              char**   argv,
              Options* o,
              int*     first_directory,
              int*     exit_code)
{
  *o = (Options){ .seed = 1, .window_notes = WINDOW_NOTES };
  const CommandOption options[] = {
    { "output", 'o', COMMAND_TEXT, &o->output_path, .required = true },
    { "test-list", 't', COMMAND_TEXT, &o->test_list_path, .required = false },
    { "seed", 's', COMMAND_U64, &o->seed, .required = false },
    { "window",
      'w',
      COMMAND_U32,
      &o->window_notes,
      .low  = WINDOW_NOTES,
      .high = WINDOW_MAX },
  };
  if (!command_parse(argc,
                     argv,
                     usage,
                     options,
                     sizeof options / sizeof *options,
                     first_directory,
                     exit_code)) {
    return false;
  }
  if (*first_directory == argc) {
    fprintf(stderr, "meander-train prepare: no directory is given\n%s", usage);
    *exit_code = COMMAND_USAGE;
    return false;
  }
  return true;
}

static Reject
reject_reason(Status status)
{
  switch (status) {
    case STATUS_BAD_FILE:
      return REJECT_BROKEN;
    case STATUS_LIMIT:
      return REJECT_LIMIT;
    case STATUS_UNSUPPORTED:
      return REJECT_UNSUPPORTED;
    default:
      return REJECT_UNREADABLE;
  }
}

static void
reject(Report* report, Reject reason, const Error* why)
{
  ++report->rejects[reason];
  fprintf(stderr, "left out: %s\n", why->text);
}

// One file. A file that is no good is reported and left out; what is returned
// is what ends the whole run.
static Status
add_file(const MidiPath* file,
         const Options*  options,
         Split*          split,
         DatasetWriter*  writer,
         Report*         report,
         Error*          error)
{
  const bool is_test = split_is_test(split, file->name);
  Error      why;
  SmfNotes   notes;
  Status     status = smf_read_file(file->path, &notes, &why);
  if (status == STATUS_NO_MEMORY) {
    *error = why;
    return status;
  }
  if (status) {
    reject(report, reject_reason(status), &why);
    return STATUS_OK;
  }
  NoteEvent* const events =
    malloc((notes.count ? notes.count : 1) * sizeof *events);
  const size_t count =
    events ? condense_notes(notes.notes, notes.count, events) : 0;
  if (!events) {
    status =
      error_set(error, STATUS_NO_MEMORY, "%s: out of memory", file->path);
  } else if (count < options->window_notes) {
    error_set(&why,
              STATUS_LIMIT,
              "%s: %zu notes, fewer than a window of %u",
              file->path,
              count,
              options->window_notes);
    reject(report, REJECT_SHORT, &why);
  } else {
    status = dataset_writer_add(
      writer, file->name, is_test, events, (uint32_t)count, error);
    ++report->pieces[is_test];
    report->notes[is_test] += count;
    report->windows[is_test] += count / options->window_notes;
    report->merged_note_count += notes.press_count - count;
  }
  free(events);
  smf_notes_free(&notes);
  return status;
}

static void
print_report(const Report* report, size_t file_count, double seconds)
{
  static const char* const reasons[REJECT_REASONS] = {
    [REJECT_UNREADABLE]  = "cannot be read",
    [REJECT_BROKEN]      = "broken or not MIDI",
    [REJECT_LIMIT]       = "beyond a limit",
    [REJECT_UNSUPPORTED] = "a format that is not read",
    [REJECT_SHORT]       = "shorter than a window",
  };
  const size_t pieces = report->pieces[0] + report->pieces[1];
  printf("files     %zu\n", file_count);
  printf("pieces    %zu (train %zu, test %zu)\n",
         pieces,
         report->pieces[0],
         report->pieces[1]);
  printf("notes     %" PRIu64 " (train %" PRIu64 ", test %" PRIu64 ")\n",
         report->notes[0] + report->notes[1],
         report->notes[0],
         report->notes[1]);
  printf("windows   %" PRIu64 " (train %" PRIu64 ", test %" PRIu64 ")\n",
         report->windows[0] + report->windows[1],
         report->windows[0],
         report->windows[1]);
  printf("merged    %" PRIu64 " notes: a key pressed twice at once, or key 0\n",
         report->merged_note_count);
  printf("rejected  %zu files\n", file_count - pieces);
  for (int i = 0; i < REJECT_REASONS; ++i) {
    if (report->rejects[i]) {
      printf("          %zu %s\n", report->rejects[i], reasons[i]);
    }
  }
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  printf("seconds   %.2f\n", seconds);
  printf("memory    %.0f MiB at most\n", (double)use.ru_maxrss / 1024.0);
}

static Status
write_pieces(const MidiPaths* files,
             const Options*   options,
             Split*           split,
             Report*          report,
             Error*           error)
{
  DatasetWriter writer;
  Status status = dataset_writer_open(&writer, options->output_path, error);
  if (status) {
    return status;
  }
  for (size_t i = 0; i < files->count; ++i) {
    status = add_file(&files->items[i], options, split, &writer, report, error);
    if (status) {
      dataset_writer_abort(&writer);
      return status;
    }
  }
  return dataset_writer_commit(&writer, error);
}

static Status
prepare(char* const*   directories,
        size_t         directory_count,
        const Options* options,
        Error*         error)
{
  const double start_s    = clock_now_s();
  size_t       unreadable = 0;
  Report       report     = { 0 };
  MidiPaths    files      = { 0 };
  Split        split;
  Status       status =
    split_open(&split, options->test_list_path, options->seed, error);
  if (status) {
    return status;
  }
  status = find_midi(directories, directory_count, &files, &unreadable, error);
  if (!status && !files.count) {
    status = error_set(error,
                       STATUS_NOT_FOUND,
                       "%s: no .mid or .midi file in it",
                       directories[0]);
  }
  if (!status) {
    status = write_pieces(&files, options, &split, &report, error);
  }
  if (!status) {
    const size_t unfound = split_report_unfound(&split, UNFOUND_NAMED_MAX);
    if (unfound) {
      fprintf(stderr, "test list: %zu names without a file\n", unfound);
    }
    if (unreadable) {
      fprintf(stderr, "%zu folders could not be looked into\n", unreadable);
    }
    print_report(&report, files.count, clock_now_s() - start_s);
  }
  midi_paths_free(&files);
  split_close(&split);
  return status;
}

int
prepare_main(int argc, char** argv)
{
  Options options;
  int     first_directory;
  int     exit_code;
  if (!parse_options(argc, argv, &options, &first_directory, &exit_code)) {
    return exit_code;
  }
  Error error = { 0 };
  if (prepare(argv + first_directory,
              (size_t)(argc - first_directory),
              &options,
              &error)) {
    return command_fail("prepare", &error);
  }
  return 0;
}
