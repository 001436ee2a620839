// `meander doctor`: the roads that notes take, and the verdict.
#include "doctor.h"

#include "backend/soundfont.h"
#include "doctor_report.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

void
doctor_say(Doctor*     doctor,
           DoctorGrade grade,
           const char* subject,
           const char* mend,
           const char* format,
           ...)
{
  static const char* const names[] = { "ok", "note", "FAIL" };
  char                     text[1200];
  va_list                  args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  fprintf(doctor->out,
          "%-4s  %-11s %s%s%s\n",
          names[grade],
          subject,
          text,
          mend ? " -> " : "",
          mend ? mend : "");
  doctor->failures += grade == DOCTOR_FAIL;
}

// --- Roads ---------------------------------------------------------------

// One road is enough: what is missing is a failure only where all are.
static bool
has_road(const Doctor* doctor)
{
  return (doctor->jack.runs && doctor->jack.inputs.count) ||
         (doctor->has_audio && doctor->has_soundfont) ||
         doctor->sequencer.inputs.count;
}

static void
find_roads(Doctor* doctor)
{
  const DoctorWorld* const world = doctor->world;
  world->probe_jack(world->jack_server, &doctor->jack);
  world->probe_sequencer(&doctor->sequencer);
  doctor->has_audio = !world->probe_audio(
    world->audio_driver, doctor->audio, &doctor->audio_error);
  doctor->has_soundfont = !soundfont_find(world->soundfont,
                                          world->soundfont_places,
                                          doctor->soundfont,
                                          &doctor->soundfont_error);
}

static void
tell_jack(Doctor* doctor)
{
  const JackProbe* const jack = &doctor->jack;
  if (*jack->trouble) {
    doctor_say(doctor,
               has_road(doctor) ? DOCTOR_NOTE : DOCTOR_FAIL,
               "JACK",
               "pkill -9 jackd, then start it again",
               "%s",
               jack->trouble);
  } else if (!jack->runs) {
    doctor_say(doctor,
               has_road(doctor) ? DOCTOR_OK : DOCTOR_NOTE,
               "JACK",
               has_road(doctor) ? NULL : "jackd -d alsa, or start your DAW",
               "no server runs");
  } else if (jack->inputs.count) {
    doctor_say(doctor,
               DOCTOR_OK,
               "JACK",
               NULL,
               "%u Hz, period %u; who could hear: %s",
               jack->rate_hz,
               jack->period_frames,
               jack->inputs.names);
  } else {
    doctor_say(doctor,
               has_road(doctor) ? DOCTOR_NOTE : DOCTOR_FAIL,
               "JACK",
               "fluidsynth -a jack -m jack "
               "/usr/share/sounds/sf2/default-GM.sf2, then meander --connect "
               "fluidsynth",
               "%u Hz, period %u, and nothing in it takes MIDI",
               jack->rate_hz,
               jack->period_frames);
  }
}

static void
tell_sequencer(Doctor* doctor)
{
  const SequencerProbe* const sequencer = &doctor->sequencer;
  const bool                  needed    = !has_road(doctor);
  switch (sequencer->state) {
    case SEQUENCER_DENIED:
      doctor_say(doctor,
                 needed ? DOCTOR_FAIL : DOCTOR_NOTE,
                 "ALSA MIDI",
                 "sudo usermod -aG audio $USER, then log in again",
                 "/dev/snd/seq: permission denied");
      break;
    case SEQUENCER_MISSING:
      doctor_say(doctor,
                 DOCTOR_NOTE,
                 "ALSA MIDI",
                 "sudo modprobe snd-seq",
                 "no sequencer, /dev/snd/seq%s",
                 needed ? "" : ": the synth has no MIDI ports");
      break;
    default:
      doctor_say(doctor,
                 DOCTOR_OK,
                 "ALSA MIDI",
                 NULL,
                 "%u clients; who could hear: %s",
                 sequencer->client_count,
                 sequencer->inputs.count ? sequencer->inputs.names : "none");
  }
}

// Who plays now, and to whom: JACK's tools take names, ALSA's addresses.
static void
tell_player(Doctor*             doctor,
            const char*         subject,
            const ProbedPlayer* player,
            const char*         connect)
{
  if (player->runs && player->silent) {
    doctor_say(doctor,
               DOCTOR_FAIL,
               subject,
               connect,
               "%s plays, and nothing is connected to it",
               player->name);
  } else if (player->runs) {
    doctor_say(doctor,
               DOCTOR_OK,
               subject,
               NULL,
               "%s plays, and is connected",
               player->name);
  }
}

static void
tell_players(Doctor* doctor)
{
  const DoctorWorld* const    world     = doctor->world;
  const JackProbe* const      jack      = &doctor->jack;
  const SequencerProbe* const sequencer = &doctor->sequencer;
  snprintf(doctor->jack_connect,
           sizeof doctor->jack_connect,
           "jack_connect %s%s%s'%s' '%s'",
           world->jack_server ? "-s " : "",
           world->jack_server ? world->jack_server : "",
           world->jack_server ? " " : "",
           jack->player.name,
           *jack->inputs.first ? jack->inputs.first : "SYNTH:PORT");
  snprintf(doctor->alsa_connect,
           sizeof doctor->alsa_connect,
           "aconnect %s %s",
           sequencer->player.address,
           *sequencer->inputs.first_address ? sequencer->inputs.first_address
                                            : "SYNTH");
  tell_player(doctor, "JACK player", &jack->player, doctor->jack_connect);
  tell_player(doctor, "ALSA player", &sequencer->player, doctor->alsa_connect);
}

static void
tell_audio(Doctor* doctor)
{
  if (doctor->has_audio) {
    doctor_say(doctor, DOCTOR_OK, "audio", NULL, "through %s", doctor->audio);
    return;
  }
  doctor_say(doctor,
             has_road(doctor) ? DOCTOR_NOTE : DOCTOR_FAIL,
             "audio",
             doctor_audio_mend(doctor),
             "%s",
             doctor->audio_error.text);
}

static void
tell_soundfont(Doctor* doctor)
{
  if (doctor->has_soundfont) {
    doctor_say(doctor, DOCTOR_OK, "soundfont", NULL, "%s", doctor->soundfont);
    return;
  }
  doctor_say(doctor,
             has_road(doctor) ? DOCTOR_NOTE : DOCTOR_FAIL,
             "soundfont",
             doctor->world->soundfont && *doctor->world->soundfont
               ? "unset MEANDER_SOUNDFONT"
               : "sudo apt install fluid-soundfont-gm",
             "%s",
             doctor->soundfont_error.text);
}

// --- Verdict -------------------------------------------------------------

static bool
tell_silent(const Doctor* doctor, const char* link, const char* mend)
{
  fprintf(doctor->out, "silent link: %s -> %s\n", link, mend);
  return false;
}

static bool
tell_heard(const Doctor* doctor, const char* command, const char* name)
{
  fprintf(doctor->out,
          "%s: %s%s%s%s\n",
          doctor->failures ? "music can be heard, but see FAIL above"
                           : "all is well",
          command,
          *name ? " '" : "",
          name,
          *name ? "'" : "");
  return true;
}

// The synth is what `meander` takes by itself where there is no JACK.
static bool
tell_synth(const Doctor* doctor)
{
  return doctor->jack.runs
           ? tell_heard(doctor,
                        "meander --backend synth (meander alone plays to JACK, "
                        "where nothing takes MIDI)",
                        "")
           : tell_heard(doctor, "meander", "");
}

// The road that `meander` takes by itself comes first, then those that it would
// have to be told of.
static bool
tell_verdict(const Doctor* doctor)
{
  const bool synth = doctor->has_audio && doctor->has_soundfont;
  if (!doctor->model_count) {
    return tell_silent(
      doctor, "no checkpoint can be loaded", "see FAIL checkpoint above");
  }
  if (doctor->jack.player.silent) {
    return tell_silent(
      doctor, "a meander plays to nobody in JACK", doctor->jack_connect);
  }
  if (doctor->sequencer.player.silent) {
    return tell_silent(
      doctor, "a meander plays to nobody in ALSA", doctor->alsa_connect);
  }
  if (doctor->jack.runs && doctor->jack.inputs.count) {
    return tell_heard(doctor, "meander --connect", doctor->jack.inputs.first);
  }
  if (synth) {
    return tell_synth(doctor);
  }
  if (doctor->sequencer.inputs.count) {
    return tell_heard(doctor,
                      "meander --backend alsa --connect",
                      doctor->sequencer.inputs.first);
  }
  if (doctor->jack.runs) {
    return tell_silent(doctor,
                       "nothing in JACK takes MIDI",
                       "start a synth or your DAW, then meander --connect "
                       "NAME");
  }
  if (!doctor->has_audio) {
    return tell_silent(doctor,
                       "there is no audio device, no JACK server and no MIDI "
                       "input",
                       "see FAIL audio above; meander render writes a .mid "
                       "file without any");
  }
  return tell_silent(
    doctor, "there is no soundfont", "sudo apt install fluid-soundfont-gm");
}

Status
doctor_examine(const DoctorWorld* world, FILE* out, bool* heard, Error* error)
{
  Doctor doctor = { .world = world, .out = out };
  find_roads(&doctor);
  tell_jack(&doctor);
  doctor_check_pipewire(&doctor);
  tell_audio(&doctor);
  tell_soundfont(&doctor);
  tell_sequencer(&doctor);
  tell_players(&doctor);
  doctor_check_timer(&doctor);
  doctor_check_priority(&doctor);
  doctor_check_memlock(&doctor);
  doctor_check_governor(&doctor);
  doctor_check_device(&doctor);
  doctor_check_models(&doctor);
  doctor_check_presets(&doctor);
  doctor_check_config(&doctor);
  *heard = tell_verdict(&doctor);
  return fflush(out) || ferror(out)
           ? error_set(error,
                       STATUS_IO,
                       "doctor: cannot write its report: %s",
                       strerror(errno))
           : STATUS_OK;
}

// --- This machine --------------------------------------------------------

static bool
try_realtime(void)
{
  const struct sched_param realtime = { .sched_priority = 10 };
  struct sched_param       before;
  int                      policy;
  pthread_getschedparam(pthread_self(), &policy, &before);
  if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &realtime)) {
    return false;
  }
  pthread_setschedparam(pthread_self(), policy, &before);
  return true;
}

static uint64_t
limit_of(__rlimit_resource_t resource)
{
  struct rlimit limit = { .rlim_cur = 0 };
  getrlimit(resource, &limit);
  return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
}

// `folder`/`name`, or `home`/`below`/`name`, or nothing.
static void
place(char        path[1024],
      const char* folder,
      const char* home,
      const char* below,
      const char* name)
{
  *path = '\0';
  if (folder && *folder) {
    snprintf(path, 1024, "%s/%s", folder, name);
  } else if (home && *home) {
    snprintf(path, 1024, "%s/%s/%s", home, below, name);
  }
}

void
doctor_world(DoctorWorld* world, char pipewire_socket[1024])
{
  const char* const named = getenv("PIPEWIRE_RUNTIME_DIR");
  place(pipewire_socket,
        named ? named : getenv("XDG_RUNTIME_DIR"),
        NULL,
        "",
        "pipewire-0");
  *world = (DoctorWorld){
    .probe_jack       = probe_jack,
    .probe_sequencer  = probe_sequencer,
    .probe_audio      = probe_audio,
    .audio_driver     = getenv("MEANDER_AUDIO_DRIVER"),
    .soundfont        = getenv("MEANDER_SOUNDFONT"),
    .soundfont_places = soundfont_places,
    .proc_asound      = "/proc/asound",
    .cpu_folder       = "/sys/devices/system/cpu",
    .pci_folder       = "/sys/bus/pci/devices",
    .nvidia_driver    = "/proc/driver/nvidia/version",
    .pipewire_socket  = pipewire_socket,
    .rtkit_service =
      "/usr/share/dbus-1/system-services/org.freedesktop.RealtimeKit1.service",
    .path             = getenv("PATH"),
    .device           = "auto",
    .realtime_granted = try_realtime(),
    .realtime_limit   = limit_of(RLIMIT_RTPRIO),
    .memlock_bytes    = limit_of(RLIMIT_MEMLOCK),
  };
  place(world->config_folder,
        getenv("XDG_CONFIG_HOME"),
        getenv("HOME"),
        ".config",
        "meander");
}

Status
doctor_run(const char* jack_server, bool* heard, Error* error)
{
  char        pipewire_socket[1024];
  DoctorWorld world;
  doctor_world(&world, pipewire_socket);
  world.jack_server = jack_server;
  return doctor_examine(&world, stdout, heard, error);
}
