// meander-train, the offline program: picks the subcommand.
#include "diffusion_command.h"
#include "evaluate.h"
#include "prepare.h"
#include "sample.h"
#include "vae_command.h"

#include <stdio.h>
#include <string.h>

static const struct {
  const char* name;
  int (*run)(int argc, char** argv);
  const char* help;
} commands[] = {
  { "prepare", prepare_main, "MIDI files to one data set file" },
  { "vae", vae_command_main, "train a VAE" },
  { "diffusion", diffusion_command_main, "train a diffusion model" },
  { "sample", sample_main, "windows from a model's prior, as CSV" },
  { "evaluate", evaluate_main, "a model against held-out pieces" },
};
#define COMMAND_COUNT (sizeof commands / sizeof *commands)

static void
print_help(FILE* stream)
{
  fputs("usage: meander-train COMMAND [options]; COMMAND --help tells more\n",
        stream);
  for (size_t i = 0; i < COMMAND_COUNT; ++i) {
    fprintf(stream, "  %-10s %s\n", commands[i].name, commands[i].help);
  }
}

int
main(int argc, char** argv)
{
  if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
    print_help(stdout);
    return 0;
  }
  for (size_t i = 0; argc > 1 && i < COMMAND_COUNT; ++i) {
    if (!strcmp(argv[1], commands[i].name)) {
      return commands[i].run(argc - 1, argv + 1);
    }
  }
  if (argc > 1) {
    fprintf(stderr, "meander-train: no command '%s'\n", argv[1]);
  }
  print_help(stderr);
  return 2;
}
