// The doctor's checks of what makes play steady or sound right; the roads that
// notes take are doctor.c's.
#include "doctor_report.h"

#include "kernels.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
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

// Whether a display controller is NVIDIA's.
static bool
has_nvidia(const char* pci_folder)
{
  DIR* const     folder = opendir(pci_folder);
  struct dirent* entry;
  bool           found = false;
  while (folder && !found && (entry = readdir(folder))) {
    const char* const names[]   = { "vendor", "class" };
    unsigned          values[2] = { 0, 0 };
    for (int i = 0; i < 2 && *entry->d_name != '.'; ++i) {
      char path[1400];
      snprintf(
        path, sizeof path, "%s/%s/%s", pci_folder, entry->d_name, names[i]);
      FILE* const file = fopen(path, "re");
      if (file && fscanf(file, "%x", &values[i]) != 1) {
        values[i] = 0;
      }
      if (file) {
        fclose(file);
      }
    }
    found = values[0] == 0x10de && values[1] >> 16 == 0x03;
  }
  if (folder) {
    closedir(folder);
  }
  return found;
}

// A GPU that does nothing: `why` says what runs instead.
static void
tell_idle_gpu(Doctor* doctor, const char* why)
{
  const bool driven = !access(doctor->world->nvidia_driver, F_OK);
  doctor_say(doctor,
             DOCTOR_NOTE,
             "GPU",
             driven ? "nvidia-smi (shows the driver and its CUDA); with the "
                      "toolkit, CUDA 13: meson setup --reconfigure build "
                      "-Dcuda=auto && ninja -C build"
                    : "sudo apt install nvidia-driver, then restart",
             "an NVIDIA GPU is here %s; models run on %s",
             driven ? "and is not used" : "without its driver",
             why);
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
  if (!device_is_gpu(device) && has_nvidia(doctor->world->pci_folder)) {
    tell_idle_gpu(doctor, why);
  }
  device_close(device);
}

// What a card's kernel module writes there: "no soundcards", or a line for
// each.
static bool
has_card(const char* proc_asound)
{
  char path[1024];
  char line[100] = "";
  snprintf(path, sizeof path, "%s/cards", proc_asound);
  FILE* const file = fopen(path, "re");
  const bool  any =
    file && fgets(line, sizeof line, file) && !strstr(line, "no soundcards");
  if (file) {
    fclose(file);
  }
  return any;
}

const char*
doctor_audio_mend(const Doctor* doctor)
{
  if (!has_card(doctor->world->proc_asound)) {
    return "the kernel has no sound card: plug one in, or: sudo modprobe "
           "snd-usb-audio; without one: meander render --seconds 60 -o a.mid";
  }
  return access("/dev/snd", R_OK | X_OK) || access("/dev/snd/timer", R_OK)
           ? "sudo usermod -aG audio $USER, then log in again"
           : "fuser -v /dev/snd/pcm* (who holds the card), then end that";
}
