// A stereo audio output through FluidSynth's drivers, or a WAV file.
#include "backend/audio_out.h"

#include "backend/wav_out.h"
#include "caps.h"

#include <alsa/asoundlib.h>
#include <fluidsynth.h>
#include <jack/jack.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CLOSE_S_MAX 2
// What ALSA holds, in periods: 32 ms at 256 frames and 48 kHz, so that a
// desktop without real-time priority plays on undisturbed. The PulseAudio
// driver asks for one period; the server's sink has a few more.
#define PERIODS 6
#define PULSE_PERIODS 4
// What FluidSynth takes.
#define FLUID_PERIOD_MIN 64
#define FLUID_PERIOD_MAX 8192

struct AudioOut {
  AudioConfig           config;
  char                  driver[32];
  uint32_t              buffer_frames;
  fluid_settings_t*     settings;
  fluid_audio_driver_t* fluid; // or
  WavOut*               wav;
};

static void
alsa_silent(const char* file,
            int         line,
            const char* function,
            int         result,
            const char* format,
            ...)
{
  (void)file;
  (void)line;
  (void)function;
  (void)result;
  (void)format;
}

static void
fluid_silent(int level, const char* message, void* data)
{
  (void)level;
  (void)message;
  (void)data;
}

static void
jack_silent(const char* message)
{
  (void)message;
}

// Our error lines say what the libraries' would say.
static void
silence_libraries(void)
{
  for (int level = FLUID_PANIC; level < LAST_LOG_LEVEL; ++level) {
    fluid_set_log_function(level, fluid_silent, NULL);
  }
  jack_set_error_function(jack_silent);
  jack_set_info_function(jack_silent);
}

static int
on_audio(void*   context,
         int     frame_count,
         int     effect_count,
         float** effects,
         int     output_count,
         float** outputs)
{
  const AudioOut* const audio = context;
  (void)effect_count;
  (void)effects;
  if (output_count >= 2 && frame_count > 0) {
    audio->config.render(
      audio->config.context, (uint32_t)frame_count, outputs[0], outputs[1]);
  }
  return FLUID_OK;
}

// The rate of JACK's server; 0: none runs. (FluidSynth's own JACK client would
// start one.)
static uint32_t
jack_rate_hz(void)
{
  jack_client_t* const client =
    jack_client_open("meander-audio", JackNoStartServer, NULL);
  if (!client) {
    return 0;
  }
  const uint32_t rate_hz = jack_get_sample_rate(client);
  jack_client_close(client);
  return rate_hz;
}

static bool
open_fluid(AudioOut* audio, const char* driver)
{
  fluid_settings_t* const settings = audio->settings;
  uint32_t                period   = audio->config.period_frames;
  uint32_t                rate_hz  = audio->config.sample_rate_hz;
  const bool              jack     = !strcmp(driver, "jack");
  if (jack && !(rate_hz = jack_rate_hz())) {
    return false;
  }
  if (!strcmp(driver, "pulseaudio")) {
    period *= PULSE_PERIODS;
  }
  period = period < FLUID_PERIOD_MIN   ? FLUID_PERIOD_MIN
           : period > FLUID_PERIOD_MAX ? FLUID_PERIOD_MAX
                                       : period;
  fluid_settings_setint(settings, "audio.period-size", (int)period);
  fluid_settings_setint(settings, "audio.periods", PERIODS);
  if (fluid_settings_setnum(settings, "synth.sample-rate", rate_hz) ||
      fluid_settings_setstr(settings, "audio.driver", driver)) {
    return false;
  }
  audio->fluid = new_fluid_audio_driver2(settings, on_audio, audio);
  if (!audio->fluid) {
    return false;
  }
  audio->config.sample_rate_hz = rate_hz;
  // JACK's client is called when the server is, late or not.
  audio->buffer_frames = jack ? 0 : period * PERIODS;
  snprintf(audio->driver, sizeof audio->driver, "%s", driver);
  return true;
}

static Status
make_settings(AudioOut* audio, Error* error)
{
  audio->settings = new_fluid_settings();
  if (!audio->settings) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for FluidSynth");
  }
  fluid_settings_setint(audio->settings, "audio.jack.autoconnect", 1);
  fluid_settings_setstr(audio->settings, "audio.jack.id", "meander-synth");
  return STATUS_OK;
}

static Status
open_named(AudioOut* audio, const char* driver, Error* error)
{
  if (!strcmp(driver, "file")) {
    snprintf(audio->driver, sizeof audio->driver, "file");
    return wav_out_open(&audio->config, &audio->wav, error);
  }
  return open_fluid(audio, driver)
           ? STATUS_OK
           : error_set(error,
                       STATUS_NOT_FOUND,
                       "the audio driver '%.40s' of MEANDER_AUDIO_DRIVER "
                       "does not open: use pulseaudio, alsa, jack or file",
                       driver);
}

static Status
open_first(AudioOut* audio, Error* error)
{
  static const char* const drivers[] = { "pulseaudio", "alsa", "jack" };
  for (size_t i = 0; i < sizeof drivers / sizeof *drivers; ++i) {
    if (open_fluid(audio, drivers[i])) {
      return STATUS_OK;
    }
  }
  return error_set(error,
                   STATUS_NOT_FOUND,
                   "no audio device answers (PulseAudio or PipeWire, ALSA, "
                   "JACK): is there a sound card, and is it free?");
}

Status
audio_out_open(const AudioConfig* config, AudioOut** out, Error* error)
{
  *out                  = NULL;
  AudioOut* const audio = calloc(1, sizeof *audio);
  if (!audio) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for audio");
  }
  audio->config = *config;
  silence_libraries();
  // Signals are the control thread's.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  snd_lib_error_set_handler(alsa_silent);
  Status status = make_settings(audio, error);
  if (!status) {
    status = config->driver && *config->driver
               ? open_named(audio, config->driver, error)
               : open_first(audio, error);
  }
  snd_lib_error_set_handler(NULL);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (status) {
    audio_out_close(audio);
    return status;
  }
  *out = audio;
  return STATUS_OK;
}

static void*
close_fluid(void* context)
{
  delete_fluid_audio_driver(((AudioOut*)context)->fluid);
  return NULL;
}

bool
audio_out_close(AudioOut* audio)
{
  if (audio->wav) {
    wav_out_close(audio->wav);
  }
  if (audio->fluid) {
    pthread_t       thread;
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += CLOSE_S_MAX;
    if (pthread_create(&thread, NULL, close_fluid, audio)) {
      return false;
    }
    if (pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &deadline)) {
      pthread_detach(thread);
      return false;
    }
  }
  if (audio->settings) {
    delete_fluid_settings(audio->settings);
  }
  free(audio);
  return true;
}

const char*
audio_out_driver(const AudioOut* audio)
{
  return audio->driver;
}

uint32_t
audio_out_rate_hz(const AudioOut* audio)
{
  return audio->config.sample_rate_hz;
}

uint32_t
audio_out_buffer_frames(const AudioOut* audio)
{
  return audio->buffer_frames;
}

uint64_t
audio_out_lost_frames(const AudioOut* audio)
{
  return audio->wav ? wav_out_lost_frames(audio->wav) : 0;
}
