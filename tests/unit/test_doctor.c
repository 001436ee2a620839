// `meander doctor` names what is planted, grades it, says what mends it, and
// ends with the first link that keeps silent.
#include "backend/soundfont.h"
#include "clock.h"
#include "doctor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char        folder[] = "/tmp/meander-doctor-XXXXXX";
static const char* source; // where the shipped models and presets are
static char        report[16384];

// --- A machine -----------------------------------------------------------

static JackProbe      jack;
static SequencerProbe sequencer;
static bool           has_audio;

static const char* asked_server;

static void
take_jack(const char* server, JackProbe* out)
{
  asked_server = server;
  *out         = jack;
}

static void
take_sequencer(SequencerProbe* out)
{
  *out = sequencer;
}

static Status
take_audio(const char* driver, char used[32], Error* error)
{
  (void)driver;
  snprintf(used, 32, "a trumpet");
  return has_audio
           ? STATUS_OK
           : error_set(error, STATUS_NOT_FOUND, "no audio device answers");
}

static const char*
inside(const char* name)
{
  static char paths[64][128];
  static int  next;
  char* const path = paths[next++ % 64];
  snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

static void
write_file(const char* name, const char* text)
{
  FILE* const file = fopen(inside(name), "w");
  assert_non_null(file);
  fputs(text, file);
  assert_int_equal(fclose(file), 0);
}

static void
make_folder(const char* name)
{
  assert_int_equal(mkdir(inside(name), 0700), 0);
}

static const char* places[2];

// Where all is well: no JACK, an audio device and a soundfont.
static DoctorWorld
well(void)
{
  jack              = (JackProbe){ .runs = false };
  sequencer         = (SequencerProbe){ .state = SEQUENCER_ANSWERS };
  has_audio         = true;
  places[0]         = inside("font.sf2");
  DoctorWorld world = { .probe_jack       = take_jack,
                        .probe_sequencer  = take_sequencer,
                        .probe_audio      = take_audio,
                        .soundfont_places = places,
                        .proc_asound      = inside("asound"),
                        .cpu_folder       = inside("cpu"),
                        .pci_folder       = inside("pci"),
                        .nvidia_driver    = inside("nvidia"),
                        .pipewire_socket  = "",
                        .rtkit_service    = inside("rtkit"),
                        .path             = "/nonexistent",
                        .device           = "cpu",
                        .realtime_granted = true,
                        .realtime_limit   = 95,
                        .memlock_bytes    = UINT64_MAX };
  snprintf(world.config_folder, 1024, "%s/config/meander", folder);
  setenv("MEANDER_DATA", source, 1);
  setenv("XDG_CONFIG_HOME", inside("config"), 1);
  return world;
}

// The exit code's truth; what was printed is in `report`.
static bool
examine(const DoctorWorld* world)
{
  bool        heard;
  Error       error;
  FILE* const out = fmemopen(report, sizeof report, "w");
  assert_int_equal(doctor_examine(world, out, &heard, &error), STATUS_OK);
  fclose(out);
  return heard;
}

// Some line begins with `grade` and `subject`, and holds `says`.
static void
line(const char* grade, const char* subject, const char* says)
{
  char begin[40];
  snprintf(begin, sizeof begin, "%-4s  %-11s ", grade, subject);
  for (const char* at = report; at && *at;
       at             = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
    const char* const found = strstr(at, says);
    if (!strncmp(at, begin, strlen(begin)) && found &&
        found < at + strcspn(at, "\n")) {
      return;
    }
  }
  fail_msg("no line '%s... %s' in:\n%s", begin, says, report);
}

static void
last_line(const char* says)
{
  const size_t length = strlen(report);
  assert_true(length && report[length - 1] == '\n');
  const char* at = report + length - 1;
  while (at > report && at[-1] != '\n') {
    --at;
  }
  if (!strstr(at, says)) {
    fail_msg("'%s' does not end:\n%s", says, report);
  }
}

static void
add_input(ProbedInputs* inputs, const char* name)
{
  inputs->count = 1;
  snprintf(inputs->first, sizeof inputs->first, "%s", name);
  snprintf(inputs->names, sizeof inputs->names, "%s", name);
}

// --- Tests ---------------------------------------------------------------

static void
test_all_is_well(void** state)
{
  (void)state;
  const DoctorWorld world = well();
  const double      begin = clock_now_s();
  assert_true(examine(&world));
  assert_true(clock_now_s() - begin < 5);
  line("ok", "JACK", "no server runs");
  line("ok", "audio", "a trumpet");
  line("ok", "soundfont", inside("font.sf2"));
  line("ok", "compute", "cpu");
  line("ok", "checkpoint", "vae.safetensors: vae ");
  line("ok", "checkpoint", "diffusion.safetensors: diffusion ");
  line("ok", "presets", "can be played");
  line("ok", "settings", inside("config/meander"));
  last_line("all is well: meander\n");
  assert_null(strstr(report, "FAIL"));
  assert_null(strstr(report, "note"));
}

// The synth is heard, but nothing can play to it.
static void
test_no_sequencer(void** state)
{
  (void)state;
  const DoctorWorld world = well();
  sequencer.state         = SEQUENCER_MISSING;
  assert_true(examine(&world));
  line("note", "ALSA MIDI", "the synth has no MIDI ports -> sudo modprobe");
  last_line("all is well: meander\n");
}

static void
test_no_soundfont(void** state)
{
  (void)state;
  DoctorWorld world = well();
  places[0]         = "/nonexistent/font.sf2";
  assert_false(examine(&world));
  line("FAIL", "soundfont", "/nonexistent/font.sf2");
  line("FAIL", "soundfont", "-> sudo apt install fluid-soundfont-gm");
  last_line("silent link: there is no soundfont -> sudo apt install");
  world.soundfont = "/nonexistent/mine.sf2";
  assert_false(examine(&world));
  line("FAIL", "soundfont", "/nonexistent/mine.sf2");
  line("FAIL", "soundfont", "-> unset MEANDER_SOUNDFONT");
}

static void
test_no_way_out(void** state)
{
  (void)state;
  DoctorWorld world = well();
  has_audio         = false;
  sequencer.state   = SEQUENCER_DENIED;
  assert_false(examine(&world));
  line("FAIL", "audio", "no audio device answers -> ");
  line("FAIL", "ALSA MIDI", "-> sudo usermod -aG audio $USER");
  line("note", "JACK", "no server runs -> ");
  last_line("silent link: there is no audio device");
  // Any one road is enough, and then the others are no failure.
  sequencer.state = SEQUENCER_ANSWERS;
  add_input(&sequencer.inputs, "Piano:in");
  assert_true(examine(&world));
  line("note", "audio", "no audio device answers");
  last_line("all is well: meander --backend alsa --connect 'Piano:in'");
}

static void
test_jack(void** state)
{
  (void)state;
  const DoctorWorld world = well();
  jack = (JackProbe){ .runs = true, .rate_hz = 44100, .period_frames = 128 };
  add_input(&jack.inputs, "ardour:midi_in");
  assert_true(examine(&world));
  line("ok", "JACK", "44100 Hz, period 128; who could hear: ardour:midi_in");
  last_line("all is well: meander --connect 'ardour:midi_in'");
  // Nobody there: the synth is heard if asked for.
  jack.inputs = (ProbedInputs){ .count = 0 };
  assert_true(examine(&world));
  line("note", "JACK", "nothing in it takes MIDI -> fluidsynth");
  last_line("meander --backend synth");
  has_audio = false;
  assert_false(examine(&world));
  line("FAIL", "JACK", "nothing in it takes MIDI");
  last_line("silent link: nothing in JACK takes MIDI -> ");
  // A server that hangs is not one that is not there.
  jack = (JackProbe){ .trouble = "JACK 'default': the server hangs" };
  assert_false(examine(&world));
  line("FAIL", "JACK", "the server hangs -> pkill -9 jackd");
}

static void
test_pipewire(void** state)
{
  (void)state;
  DoctorWorld        world   = well();
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  strcpy(address.sun_path, inside("pipewire-0"));
  const int server = socket(AF_UNIX, SOCK_STREAM, 0);
  assert_int_equal(bind(server, (struct sockaddr*)&address, sizeof address), 0);
  world.pipewire_socket = address.sun_path;
  examine(&world); // the file is there, and nobody listens
  line("ok", "PipeWire", "does not run");
  assert_int_equal(listen(server, 4), 0);
  examine(&world);
  line("note", "PipeWire", "-> sudo apt install pipewire-jack");
  write_file("pw-jack", "#!/bin/sh\n");
  assert_int_equal(chmod(inside("pw-jack"), 0700), 0);
  char path[128];
  snprintf(path, sizeof path, "/nonexistent:%s", folder);
  world.path = path;
  examine(&world);
  line("ok", "PipeWire", "pw-jack meander");
  close(server);
}

static void
test_slow_machine(void** state)
{
  (void)state;
  DoctorWorld world      = well();
  world.realtime_granted = false;
  world.realtime_limit   = 0;
  world.memlock_bytes    = 65536;
  world.cpu_folder       = inside("governed");
  world.proc_asound      = inside("proc");
  make_folder("governed");
  make_folder("governed/cpu3");
  make_folder("governed/cpu3/cpufreq");
  write_file("governed/cpu3/cpufreq/scaling_governor", "powersave\n");
  make_folder("proc");
  write_file("proc/timers", "G0: system timer : 4000.000us (10000000 ticks)\n");
  assert_true(examine(&world)); // it is heard all the same
  line("note", "priority", "(limit 0): a busy machine");
  line("note", "priority", "-> echo '@audio - rtprio 95'");
  line("note", "memlock", "64 KiB");
  line("note", "CPU", "'powersave'");
  line("note", "ALSA timer", "-> sudo modprobe snd-hrtimer");
  last_line("all is well");

  write_file("rtkit", "");
  write_file("governed/cpu3/cpufreq/scaling_governor", "performance\n");
  write_file("proc/timers", "G3: HR timer : 0.001us (1000000000 ticks)\n");
  make_folder("proc/seq");
  write_file("proc/seq/timer", "Timer for queue 0 : hrtimer\n");
  examine(&world);
  line("note", "priority", "rtkit");
  line("ok", "CPU", "'performance'");
  line("ok", "ALSA timer", "a queue runs by: hrtimer");
}

static void
test_bad_files(void** state)
{
  (void)state;
  const DoctorWorld world = well();
  make_folder("data");
  setenv("MEANDER_DATA", inside("data"), 1);
  assert_false(examine(&world));
  line("FAIL", "checkpoint", "none ships");
  line("note", "presets", "none ships");
  last_line("silent link: no checkpoint can be loaded");

  make_folder("data/models");
  make_folder("data/models/weights");
  make_folder("data/presets");
  write_file("data/models/weights/vae.safetensors", "half a file");
  write_file("data/presets/odd.cfg", "tempo = \"fast");
  assert_false(examine(&world));
  line("FAIL", "checkpoint", "vae.safetensors");
  line("FAIL", "preset", "odd.cfg");
  line("FAIL", "checkpoint", "-> sudo ninja -C build install");
  last_line("silent link: no checkpoint can be loaded");

  // Of a source tree.
  make_folder("data/.git");
  assert_false(examine(&world));
  char mend[300];
  snprintf(mend,
           sizeof mend,
           "-> git -C '%s' checkout -- 'models/weights/vae.safetensors'",
           inside("data"));
  line("FAIL", "checkpoint", mend);
  snprintf(mend,
           sizeof mend,
           "-> git -C '%s' checkout -- 'presets/odd.cfg'",
           inside("data"));
  line("FAIL", "preset", mend);

  // One that is good beside it is enough to be heard.
  char good[1100];
  snprintf(good, sizeof good, "%s/models/weights/vae.safetensors", source);
  assert_int_equal(symlink(good, inside("data/models/weights/z.safetensors")),
                   0);
  assert_true(examine(&world));
  line("ok", "checkpoint", "z.safetensors: vae ");
  last_line("music can be heard, but see FAIL above: meander");
}

// A meander that plays, and whom nobody hears.
static void
test_players(void** state)
{
  (void)state;
  DoctorWorld world = well();
  jack = (JackProbe){ .runs = true, .rate_hz = 48000, .period_frames = 64 };
  add_input(&jack.inputs, "ardour:midi_in");
  jack.player =
    (ProbedPlayer){ .runs = true, .silent = true, .name = "meander:notes" };
  assert_false(examine(&world));
  assert_null(asked_server);
  line("FAIL",
       "JACK player",
       "nothing is connected to it -> jack_connect 'meander:notes' "
       "'ardour:midi_in'");
  last_line("silent link: a meander plays to nobody in JACK -> jack_connect "
            "'meander:notes' 'ardour:midi_in'");
  world.jack_server = "studio";
  assert_false(examine(&world));
  assert_string_equal(asked_server, "studio");
  last_line("-> jack_connect -s studio 'meander:notes' 'ardour:midi_in'");
  jack.player.silent = false;
  assert_true(examine(&world));
  line("ok", "JACK player", "meander:notes plays, and is connected");

  world           = well();
  sequencer.state = SEQUENCER_ANSWERS;
  add_input(&sequencer.inputs, "Piano:in");
  strcpy(sequencer.inputs.first_address, "20:0");
  sequencer.player = (ProbedPlayer){
    .runs = true, .silent = true, .name = "meander:notes", .address = "128:0"
  };
  assert_false(examine(&world));
  line("FAIL", "ALSA player", "-> aconnect 128:0 20:0");
  last_line("silent link: a meander plays to nobody in ALSA -> aconnect "
            "128:0 20:0");
}

static void
test_own_files(void** state)
{
  (void)state;
  const DoctorWorld world = well();
  make_folder("config");
  make_folder("config/meander");
  make_folder("config/meander/presets");
  write_file("config/meander/presets/calm.cfg", "inherits = \"calm\"\n");
  write_file("config/meander/controller.cfg",
             "bindings = \"cc 22 ch 1 = swing\"\n");
  examine(&world);
  line("ok", "your files", "2 presets and bindings of yours can be read");
  write_file("config/meander/presets/odd.cfg", "\n\ntempo = 77\n");
  write_file("config/meander/controller.cfg",
             "\nbindings = \"cc 22 = nothing_at_all\"\n");
  assert_true(examine(&world));
  char mend[300];
  snprintf(mend,
           sizeof mend,
           "-> ${EDITOR:-nano} +3 '%s'\n",
           inside("config/meander/presets/odd.cfg"));
  line("FAIL", "your files", "odd.cfg:3: tempo is 77");
  assert_non_null(strstr(report, mend));
  snprintf(mend,
           sizeof mend,
           "-> ${EDITOR:-nano} +2 '%s'\n",
           inside("config/meander/controller.cfg"));
  line("FAIL", "your files", "nothing_at_all");
  assert_non_null(strstr(report, mend));
  last_line("music can be heard, but see FAIL above: meander");
}

static void
test_idle_gpu(void** state)
{
  (void)state;
  const DoctorWorld world = well();
  make_folder("pci");
  make_folder("pci/0000:01:00.0");
  write_file("pci/0000:01:00.0/vendor", "0x10de\n");
  write_file("pci/0000:01:00.0/class", "0x040300\n"); // its sound
  examine(&world);
  assert_null(strstr(report, "GPU"));
  write_file("pci/0000:01:00.0/class", "0x030200\n");
  assert_true(examine(&world));
  line("note", "GPU", "without its driver");
  line("note", "GPU", "-> sudo apt install nvidia-driver");
  write_file("nvidia", "580");
  examine(&world);
  line("note", "GPU", "and is not used");
  line("note", "GPU", "-> nvidia-smi");
}

static void
test_settings(void** state)
{
  (void)state;
  DoctorWorld world = well();
  write_file("in-the-way", "");
  snprintf(world.config_folder, 1024, "%s/meander", inside("in-the-way"));
  assert_true(examine(&world));
  line("FAIL", "settings", "in-the-way/meander cannot be written to");
  *world.config_folder = '\0';
  examine(&world);
  line("FAIL", "settings", "neither HOME nor XDG_CONFIG_HOME");
}

static void
test_device(void** state)
{
  (void)state;
  DoctorWorld world = well();
  world.device      = "abacus";
  examine(&world);
  line("FAIL", "compute", "abacus");
}

static void
test_report_is_written(void** state)
{
  (void)state;
  const DoctorWorld world = well();
  bool              heard;
  Error             error;
  FILE* const       full = fopen("/dev/full", "w");
  assert_non_null(full);
  assert_int_equal(doctor_examine(&world, full, &heard, &error), STATUS_IO);
  fclose(full);
}

// As it is: whatever this machine has, it ends in time and in one verdict.
static void
test_this_machine(void** state)
{
  (void)state;
  char        socket_path[1024];
  DoctorWorld world;
  setenv("MEANDER_DATA", source, 1);
  setenv("XDG_RUNTIME_DIR", "/run/planted", 1);
  setenv("XDG_CONFIG_HOME", "/planted", 1);
  doctor_world(&world, socket_path);
  assert_string_equal(socket_path, "/run/planted/pipewire-0");
  assert_string_equal(world.config_folder, "/planted/meander");
  const double begin = clock_now_s();
  const bool   heard = examine(&world);
  // A machine that is busy with other tests is given more.
  assert_true(clock_now_s() - begin < (getenv("SLOW") ? 50 : 5));
  if (heard) {
    assert_non_null(strstr(report, ": meander"));
  } else {
    last_line("silent link: ");
  }
  unsetenv("XDG_CONFIG_HOME");
  setenv("HOME", "/home/planted", 1);
  doctor_world(&world, socket_path);
  assert_string_equal(world.config_folder, "/home/planted/.config/meander");
}

static int
set_up(void** state)
{
  (void)state;
  source = getenv("MEANDER_DATA");
  if (!source || !mkdtemp(folder)) {
    return -1;
  }
  source            = strdup(source);
  FILE* const named = fopen(inside("font.sf2"), "w");
  return named ? fclose(named) : -1;
}

static int
tear_down(void** state)
{
  (void)state;
  char command[80];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_all_is_well),
    cmocka_unit_test(test_no_sequencer),
    cmocka_unit_test(test_no_soundfont),
    cmocka_unit_test(test_no_way_out),
    cmocka_unit_test(test_jack),
    cmocka_unit_test(test_pipewire),
    cmocka_unit_test(test_slow_machine),
    cmocka_unit_test(test_bad_files),
    cmocka_unit_test(test_players),
    cmocka_unit_test(test_own_files),
    cmocka_unit_test(test_idle_gpu),
    cmocka_unit_test(test_settings),
    cmocka_unit_test(test_device),
    cmocka_unit_test(test_report_is_written),
    cmocka_unit_test(test_this_machine),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
