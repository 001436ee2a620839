// A test tool: an instrument without sound, which follows a folder as
// `meander audition --watch` does and swaps at once. Prints "plays STEP DIGEST"
// and "says LINE"; takes the names of actions on standard input, and ends with
// it.  listener FIRST-CHECKPOINT FOLDER
#include "control/audition.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void
take_events(Audition* audition, const Params* params, Model** sounds)
{
  AuditionEvent event;
  while (audition_poll(audition, params, &event)) {
    if (*event.text) {
      printf("says %s\n", event.text);
    }
    if (event.model) {
      AuditionStatus status;
      audition_plays(audition, event.model);
      audition_retired(audition, *sounds);
      *sounds = event.model;
      audition_status(audition, &status);
      printf("plays %u %s\n", status.playing.step, status.playing.digest);
    }
    fflush(stdout);
  }
}

// False: there is no more to come.
static bool
take_line(Audition* audition)
{
  struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
  char          line[64];
  Error         error;
  if (poll(&input, 1, 2) < 1) {
    return true;
  }
  const ssize_t length = read(STDIN_FILENO, line, sizeof line - 1);
  if (length < 1) {
    return false;
  }
  line[length]              = '\0';
  line[strcspn(line, "\n")] = '\0';
  const Action action       = { .kind = action_find(line) };
  if (action.kind == ACTION_COUNT || audition_do(audition, &action, &error)) {
    printf("says no: %s\n", line);
  }
  return true;
}

int
main(int argc, char** argv)
{
  const Params        params = params_standard();
  const AuditionSetup setup  = { .watch  = argc == 3 ? argv[2] : "",
                                 .follow = true,
                                 .device = "cpu" };
  Error               error;
  Audition*           audition;
  Model*              sounds;
  if (argc != 3 || model_load(argv[1], "cpu", 1, &sounds, &error) ||
      audition_open(&setup, &audition, &error)) {
    fprintf(stderr, "usage: listener FIRST-CHECKPOINT FOLDER\n");
    return 2;
  }
  audition_adopt(audition, sounds, argv[1]);
  while (take_line(audition)) {
    take_events(audition, &params, &sounds);
  }
  audition_retired(audition, sounds);
  return audition_close(audition) ? 0 : 1;
}
