// Lists MIDI ports on standard output.
#include "ports.h"

#include "backend/backend.h"

#include <stdio.h>
#include <stdlib.h>

// Lines of names, as they are found.
typedef struct {
  char*  text;
  size_t size_bytes;
  FILE*  file; // writes into text
} Lines;

typedef struct {
  Lines inputs;
  Lines outputs;
} Listing;

static bool
lines_open(Lines* lines)
{
  *lines      = (Lines){ 0 };
  lines->file = open_memstream(&lines->text, &lines->size_bytes);
  return lines->file;
}

static void
lines_close(Lines* lines)
{
  if (lines->file) {
    fclose(lines->file);
  }
  free(lines->text);
}

static bool
listing_open(Listing* listing)
{
  const bool inputs  = lines_open(&listing->inputs);
  const bool outputs = lines_open(&listing->outputs);
  return inputs && outputs;
}

static void
listing_close(Listing* listing)
{
  lines_close(&listing->inputs);
  lines_close(&listing->outputs);
}

// Another program chose the name: it shall not steer a terminal.
static void
add_port(void* context, const char* name, bool is_input)
{
  Listing* const listing = context;
  FILE* const    file = is_input ? listing->inputs.file : listing->outputs.file;
  fputs("    ", file);
  for (; *name; ++name) {
    const unsigned char c = (unsigned char)*name;
    fputc(c < 0x20 || c == 0x7f ? '?' : c, file);
  }
  fputc('\n', file);
}

static void
print_lines(const char* heading, Lines* lines)
{
  fflush(lines->file);
  printf("  %s:\n%s", heading, lines->size_bytes ? lines->text : "    none\n");
}

static void
print_system(const char* name, Listing* listing)
{
  printf("%s\n", name);
  print_lines("inputs, for --connect", &listing->inputs);
  print_lines("outputs, for --control", &listing->outputs);
}

static Status
print_jack(const char* server, Listing* listing)
{
  Error        error;
  const Status status =
    backend_visit_jack_ports(server, add_port, listing, &error);
  if (status) {
    printf("%s\n", error.text);
  } else {
    print_system("JACK", listing);
  }
  return status;
}

static Status
print_alsa(Listing* listing)
{
  Error        error;
  const Status status = backend_visit_alsa_ports(add_port, listing, &error);
  if (status) {
    printf("%s\n", error.text);
  } else {
    print_system("ALSA", listing);
  }
  return status;
}

Status
ports_print(const char* jack_server, Error* error)
{
  Listing    jack;
  Listing    alsa;
  const bool opened =
    listing_open(&jack) & listing_open(&alsa); // both, to be closed
  const Status no_jack = opened ? print_jack(jack_server, &jack) : STATUS_OK;
  const Status no_alsa = opened ? print_alsa(&alsa) : STATUS_OK;
  listing_close(&jack);
  listing_close(&alsa);
  if (!opened) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for a list of ports");
  }
  if (fflush(stdout) || ferror(stdout)) {
    return error_set(error, STATUS_IO, "cannot write the list of ports");
  }
  if (no_jack && no_alsa) {
    return error_set(error,
                     STATUS_NOT_FOUND,
                     "neither JACK nor ALSA has MIDI ports for us: see above");
  }
  return STATUS_OK;
}
