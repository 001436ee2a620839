// A stereo audio output through FluidSynth's drivers, or a WAV file.
#include "backend/audio_out.h"

#include "backend/alsa_client.h"
#include "backend/jack_client.h"
#include "backend/wav_out.h"
#include "caps.h"
#include "thread.h"

#include <fluidsynth.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLOSE_S_MAX 2.0
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
  atomic_bool           opened; // on_audio may render
  bool                  left;   // to a call that hangs: on_audio may yet come
};

static void
fluid_silent(int level, const char* message, void* data)
{
  (void)level;
  (void)message;
  (void)data;
}

// Our error lines say what the libraries' would say.
static void
silence_libraries(void)
{
  for (int level = FLUID_PANIC; level < LAST_LOG_LEVEL; ++level) {
    fluid_set_log_function(level, fluid_silent, NULL);
  }
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
  if (output_count < 2 || frame_count <= 0) {
    return FLUID_OK;
  }
  if (atomic_load(&audio->opened)) {
    audio->config.render(
      audio->config.context, (uint32_t)frame_count, outputs[0], outputs[1]);
  } else {
    memset(outputs[0], 0, (size_t)frame_count * sizeof(float));
    memset(outputs[1], 0, (size_t)frame_count * sizeof(float));
  }
  return FLUID_OK;
}

// The rate of JACK's server; 0: none runs, or it hangs. (FluidSynth's own JACK
// client would start one.)
static uint32_t
jack_rate_hz(void)
{
  jack_client_t* client;
  Error          error;
  if (jack_client_begin("meander-audio", NULL, &client, &error)) {
    return 0;
  }
  const uint32_t rate_hz = jack_get_sample_rate(client);
  jack_client_end(client);
  return jack_call_is_stuck() ? 0 : rate_hz;
}

typedef struct {
  AudioOut*             audio;
  fluid_settings_t*     settings;
  fluid_audio_driver_t* driver;
} Making;

static void
make_driver(void* context)
{
  Making* const making = context;
  making->driver =
    new_fluid_audio_driver2(making->settings, on_audio, making->audio);
}

static void
drop_driver(void* context)
{
  Making* const making = context;
  if (making->driver) {
    delete_fluid_audio_driver(making->driver);
  }
  delete_fluid_settings(making->settings);
  free(making);
}

// FluidSynth's JACK client waits for the server as ours do.
static fluid_audio_driver_t*
make_jack_driver(AudioOut* audio)
{
  static const JackCall call   = { .run = make_driver, .late = drop_driver };
  Making* const         making = malloc(sizeof *making);
  if (!making) {
    return NULL;
  }
  *making = (Making){ .audio = audio, .settings = audio->settings };
  if (!jack_call(&call, making, CLOSE_S_MAX)) {
    audio->left     = true;
    audio->settings = NULL; // the call's
    return NULL;
  }
  fluid_audio_driver_t* const driver = making->driver;
  free(making);
  return driver;
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
  audio->fluid = jack ? make_jack_driver(audio)
                      : new_fluid_audio_driver2(settings, on_audio, audio);
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
  sigset_t before;
  thread_mask_signals(&before);
  alsa_hush();
  Status status = make_settings(audio, error);
  if (!status) {
    status = config->driver && *config->driver
               ? open_named(audio, config->driver, error)
               : open_first(audio, error);
  }
  alsa_speak();
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (status) {
    audio_out_close(audio);
    return status;
  }
  atomic_store(&audio->opened, true);
  *out = audio;
  return STATUS_OK;
}

static void
close_fluid(void* context)
{
  delete_fluid_audio_driver(((AudioOut*)context)->fluid);
}

bool
audio_out_close(AudioOut* audio)
{
  if (audio->wav) {
    wav_out_close(audio->wav);
  }
  if (audio->fluid) {
    static const JackCall call = { .run = close_fluid };
    if (!jack_call(&call, audio, CLOSE_S_MAX)) {
      return false;
    }
  }
  if (audio->left) {
    return false;
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
