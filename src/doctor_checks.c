// The doctor's checks of what makes play steady or sound right; the roads that
// notes take are doctor.c's.
#include "doctor_report.h"

#include "control/preset.h"
#include "data_path.h"
#include "kernels.h"
#include "model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

// What process locks is below this (process_setup.c).
#define MEMLOCK_BYTES_MIN (4u << 20)
#define CPUS_MAX 1024

static bool
socket_answers(const char* path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  if (!*path || strlen(path) >= sizeof address.sun_path) {
    return false;
  }
  strcpy(address.sun_path, path);
  const int  file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool answers =
    file >= 0 &&
    !connect(file, (const struct sockaddr*)&address, sizeof address);
  if (file >= 0) {
    close(file);
  }
  return answers;
}

static bool
is_program(const char* name, const char* path)
{
  char file[1024];
  while (path && *path) {
    const size_t length = strcspn(path, ":");
    snprintf(file, sizeof file, "%.*s/%s", (int)length, path, name);
    if (!access(file, X_OK)) {
      return true;
    }
    path += length + (path[length] == ':');
  }
  return false;
}

void
doctor_check_pipewire(Doctor* doctor)
{
  const char* const subject = "PipeWire";
  if (!socket_answers(doctor->world->pipewire_socket)) {
    doctor_say(doctor, DOCTOR_OK, subject, NULL, "does not run");
  } else if (doctor->jack.runs) {
    doctor_say(doctor, DOCTOR_OK, subject, NULL, "runs");
  } else if (is_program("pw-jack", doctor->world->path)) {
    doctor_say(doctor,
               DOCTOR_OK,
               subject,
               NULL,
               "runs; its JACK side is reached with: pw-jack meander");
  } else {
    doctor_say(doctor,
               DOCTOR_NOTE,
               subject,
               "sudo apt install pipewire-jack",
               "runs without its JACK side: no exact MIDI to other programs");
  }
}

void
doctor_check_timer(Doctor* doctor)
{
  const char* const subject = "ALSA timer";
  char              path[1024];
  char              line[200];
  bool              found = false;
  snprintf(path, sizeof path, "%s/timers", doctor->world->proc_asound);
  FILE* const file = fopen(path, "re");
  if (!file) {
    doctor_say(doctor,
               DOCTOR_OK,
               subject,
               NULL,
               "none (no %s; only --backend alsa needs one)",
               path);
    return;
  }
  while (!found && fgets(line, sizeof line, file)) {
    found = strstr(line, "HR timer") != NULL;
  }
  fclose(file);
  if (!found) {
    doctor_say(doctor,
               DOCTOR_NOTE,
               subject,
               "sudo modprobe snd-hrtimer",
               "no high resolution timer: queued notes wait for the system "
               "timer, up to 4 ms");
    return;
  }
  // What a queue that exists now was given by the kernel.
  char name[64] = "";
  snprintf(path, sizeof path, "%s/seq/timer", doctor->world->proc_asound);
  FILE* const queues = fopen(path, "re");
  while (queues && !*name && fgets(line, sizeof line, queues)) {
    if (sscanf(line, "Timer for queue %*d : %63[^\n]", name) != 1) {
      *name = '\0';
    }
  }
  if (queues) {
    fclose(queues);
  }
  doctor_say(doctor,
             DOCTOR_OK,
             subject,
             NULL,
             "the high resolution timer%s%s",
             *name ? "; a queue runs by: " : "",
             name);
}

void
doctor_check_priority(Doctor* doctor)
{
  const DoctorWorld* const world   = doctor->world;
  const char* const        subject = "priority";
  if (world->realtime_granted) {
    doctor_say(
      doctor, DOCTOR_OK, subject, NULL, "real-time priority is granted");
    return;
  }
  doctor_say(doctor,
             DOCTOR_NOTE,
             subject,
             "echo '@audio - rtprio 95' | sudo tee "
             "/etc/security/limits.d/audio.conf && sudo usermod -aG audio "
             "$USER, then log in again",
             "no real-time priority (limit %llu)%s: a busy machine makes notes "
             "late",
             (unsigned long long)world->realtime_limit,
             access(world->rtkit_service, F_OK) ? ""
                                                : ", only what rtkit lends");
}

void
doctor_check_memlock(Doctor* doctor)
{
  const char* const subject = "memlock";
  const uint64_t    bytes   = doctor->world->memlock_bytes;
  if (bytes == UINT64_MAX) {
    doctor_say(doctor, DOCTOR_OK, subject, NULL, "no limit");
  } else if (bytes >= MEMLOCK_BYTES_MIN) {
    doctor_say(doctor,
               DOCTOR_OK,
               subject,
               NULL,
               "%llu MiB",
               (unsigned long long)(bytes >> 20));
  } else {
    doctor_say(doctor,
               DOCTOR_NOTE,
               subject,
               "echo '@audio - memlock unlimited' | sudo tee -a "
               "/etc/security/limits.d/audio.conf, then log in again",
               "%llu KiB: what plays may be paged out",
               (unsigned long long)(bytes >> 10));
  }
}

void
doctor_check_governor(Doctor* doctor)
{
  const char* const subject  = "CPU";
  char              slow[32] = "";
  uint32_t          count    = 0;
  for (int cpu = 0; cpu < CPUS_MAX; ++cpu) {
    char path[1100];
    char name[32] = "";
    snprintf(path,
             sizeof path,
             "%s/cpu%d/cpufreq/scaling_governor",
             doctor->world->cpu_folder,
             cpu);
    FILE* const file = fopen(path, "re");
    if (!file) {
      continue;
    }
    if (fscanf(file, "%31s", name) == 1) {
      ++count;
      if (strcmp(name, "performance")) {
        memcpy(slow, name, sizeof slow);
      }
    }
    fclose(file);
  }
  if (*slow) {
    doctor_say(doctor,
               DOCTOR_NOTE,
               subject,
               "sudo cpupower frequency-set -g performance",
               "governor '%s': a model takes longer when the CPU wakes up",
               slow);
  } else if (count) {
    doctor_say(doctor, DOCTOR_OK, subject, NULL, "governor 'performance'");
  } else {
    doctor_say(
      doctor, DOCTOR_OK, subject, NULL, "its frequency is not ours to govern");
  }
}

void
doctor_check_device(Doctor* doctor)
{
  Device* device;
  char    why[DEVICE_WHY_BYTES] = "";
  Error   error;
  if (device_open(doctor->world->device, &device, why, &error)) {
    doctor_say(
      doctor, DOCTOR_FAIL, "compute", "meander --device cpu", "%s", error.text);
    return;
  }
  doctor_say(doctor, DOCTOR_OK, "compute", NULL, "models run on %s", why);
  device_close(device);
}

// data_list() takes no context.
static Doctor* visiting;

static void
check_model(const char* path, const char* name)
{
  Model* model = NULL;
  Error  error;
  if (model_load(path, "cpu", 1, &model, &error)) {
    doctor_say(visiting,
               DOCTOR_FAIL,
               "checkpoint",
               "fetch this file anew",
               "%s",
               error.text);
    return;
  }
  ++visiting->model_count;
  doctor_say(visiting,
             DOCTOR_OK,
             "checkpoint",
             NULL,
             "%s: %s %s",
             name,
             model_kind_name(model),
             model_digest(model));
  model_free(model);
}

void
doctor_check_models(Doctor* doctor)
{
  const uint32_t before = doctor->failures;
  visiting              = doctor;
  data_list("models/weights", ".safetensors", check_model);
  if (!doctor->model_count && doctor->failures == before) {
    doctor_say(doctor,
               DOCTOR_FAIL,
               "checkpoint",
               "set MEANDER_DATA to the source tree, or install again",
               "none ships with this program");
  }
}

static void
check_preset(const char* path, const char* name)
{
  Preset preset;
  Error  error;
  (void)name;
  if (preset_load(path, &preset, &error)) {
    doctor_say(visiting,
               DOCTOR_FAIL,
               "preset",
               "mend this line or remove the file",
               "%s",
               error.text);
    return;
  }
  ++visiting->preset_count;
}

void
doctor_check_presets(Doctor* doctor)
{
  const uint32_t before = doctor->failures;
  visiting              = doctor;
  data_list("presets", ".cfg", check_preset);
  if (doctor->preset_count) {
    doctor_say(doctor,
               DOCTOR_OK,
               "presets",
               NULL,
               "%u that ship can be played",
               doctor->preset_count);
  } else if (doctor->failures == before) {
    doctor_say(doctor,
               DOCTOR_NOTE,
               "presets",
               "set MEANDER_DATA to the source tree, or install again",
               "none ships with this program");
  }
}

// Where the folder, or the nearest above it that is there, is one and can be
// written to.
static bool
can_be_written(const char* folder)
{
  char path[1024];
  snprintf(path, sizeof path, "%s", folder);
  struct stat info;
  while (stat(path, &info)) {
    char* const slash = strrchr(path, '/');
    if (errno != ENOENT || !slash || slash == path) {
      return false;
    }
    *slash = '\0';
  }
  return S_ISDIR(info.st_mode) && !access(path, W_OK | X_OK);
}

void
doctor_check_config(Doctor* doctor)
{
  const char* const folder = doctor->world->config_folder;
  if (!*folder) {
    doctor_say(doctor,
               DOCTOR_FAIL,
               "settings",
               "export HOME=/home/you",
               "neither HOME nor XDG_CONFIG_HOME is set: nothing can be saved");
  } else if (!can_be_written(folder)) {
    char mend[2 * sizeof doctor->world->config_folder + 32];
    snprintf(
      mend, sizeof mend, "mkdir -p %s && chmod u+rwx %s", folder, folder);
    doctor_say(doctor,
               DOCTOR_FAIL,
               "settings",
               mend,
               "%s cannot be written to: presets of your own are not saved",
               folder);
  } else {
    doctor_say(doctor, DOCTOR_OK, "settings", NULL, "saved in %s", folder);
  }
}
