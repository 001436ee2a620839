// What the command line can say, in words.
#include "options.h"

#include <stdio.h>

void
options_print_help(void)
{
  fputs(
    "meander: piano notes that a neural network invents while you listen\n"
    "\n"
    "  meander [play] [OPTIONS]     play live (until Ctrl-C)\n"
    "  meander render -o FILE.mid --seconds T [OPTIONS]\n"
    "                               the same notes to a file, faster\n"
    "  meander render -o FILE.mid --from RECORDING.mid\n"
    "                               a recording made again, note for note;\n"
    "                               --model, any number of times, names its\n"
    "                               checkpoints or folders to search for them\n"
    "  meander audition [CHECKPOINT|FOLDER]... [--watch FOLDER] [OPTIONS]\n"
    "                               hear checkpoints, also while they train\n"
    "                               (play takes --watch, too)\n"
    "  meander models | presets     what ships with the program, and yours\n"
    "  meander doctor               why is there no sound?\n"
    "\n"
    "  --backend auto|jack|alsa|synth|null\n"
    "                     where notes go; auto takes the first that is there\n"
    "  --connect PATTERN  connect to each MIDI input whose \"client:port\"\n"
    "                     matches this extended regular expression\n"
    "  --control PATTERN  the same for MIDI outputs that play into\n"
    "                     meander:control (controllers, keyboards, clocks)\n"
    "  --list-ports       what both patterns could name\n"
    "  --osc-port N, --osc-bind ADDRESS, --no-osc\n"
    "                     OSC at 127.0.0.1:9000 unless said otherwise\n"
    "  --seconds T        stop after T seconds\n"
    "  --seed S           the same seed gives the same notes\n"
    "  --preset NAME|FILE see 'meander presets'\n"
    "  --record FILE.mid  write what is played, while it is played\n"
    "  --keep-dir FOLDER  where what you keep goes (~/Music/meander)\n"
    "  --model FILE|NAME  a .safetensors checkpoint of either kind, or one of "
    "those\n"
    "                     that 'meander models' lists: diffusion, student, "
    "vae\n"
    "  --device auto|cpu|cuda|cuda:N\n"
    "                     where the model runs; auto takes a GPU that works\n"
    "  --fallback FILE|NAME|none\n"
    "                     the VAE that stands in where a diffusion model is "
    "too "
    "slow\n"
    "  --phrase FILE.mid  what modes continue, mutate and bridge begin from\n"
    "  --alsa-timing auto|queue|direct\n"
    "  --jack-server NAME instead of $JACK_DEFAULT_SERVER\n"
    "  --rate HZ, --period FRAMES\n"
    "                     clock of null, alsa and synth (48000, 256)\n"
    "  --trace FILE       one line a MIDI message: frame status data1 data2\n"
    "  --help-params      the options that shape the music; NRPN n at\n"
    "                     meander:control is row n of them\n"
    "  --help, --version\n",
    stdout);
}

void
options_print_params(void)
{
  const Params standard = params_standard();
  for (int id = 0; id < PARAM_COUNT; ++id) {
    const ParamInfo* const info = &param_table[id];
    char                   value[32];
    char                   range[64];
    params_format(&standard, (ParamId)id, value, sizeof value);
    if (info->type == PARAM_CHOICE) {
      snprintf(range, sizeof range, "names");
    } else {
      snprintf(range, sizeof range, "%g..%g", info->low, info->high);
    }
    char glide[32] = "";
    if (info->smoothing_s > 0) {
      snprintf(glide, sizeof glide, "; glides %g s", info->smoothing_s);
    }
    printf("%2d --%-15s %-9s %-10s (%s) %s%s%s\n",
           id,
           info->name,
           range,
           info->unit,
           value,
           info->help,
           glide,
           info->flags & PARAM_RIG ? " [rig]" : "");
    for (int i = 0; info->choices && i <= (int)info->high; ++i) {
      printf("%s%s%s",
             i ? ", " : "                     one of ",
             info->choices[i],
             i == (int)info->high ? "\n" : "");
    }
  }
  puts(
    "[rig]: yours; a preset that you take in play leaves it as it is, unless "
    "it names it,\nand gives it back when the next one comes");
}
