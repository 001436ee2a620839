// The synth backend: a General MIDI piano by libfluidsynth, heard through an
// audio device of our own, for who has no synth.
//
// Threads: the audio thread renders, and calls process for what it is about to
// render: the clock counts rendered frames. From start() on it alone touches
// the synth, whose own lock is off. MIDI comes in and goes back by the ports'
// own thread (synth_ports.h), where there is an ALSA sequencer. The rest is the
// control thread's.
//
// Exactness: FluidSynth renders blocks of 64 frames and begins a note with a
// block. A message takes effect at the block edge nearest to its frame: at most
// 32 frames (0.7 ms at 48 kHz) from it.
#include "backend/audio_out.h"
#include "backend/backend.h"
#include "backend/soundfont.h"
#include "backend/synth_ports.h"
#include "caps.h"
#include "clock.h"

#include <fluidsynth.h>
#include <glib.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_FRAMES 64u
#define CHANNELS 16
// FluidSynth's own limits.
#define SYNTH_RATE_HZ_MIN 8000u
#define SYNTH_RATE_HZ_MAX 96000u
// Notes of one hand over another stay below full scale, as measured.
#define GAIN 0.7
// How long the last notes ring after stop(), and how they then end.
#define TAIL_S_MAX 1.0
#define FADE_S 0.1
#define STOP_S_MAX 1.5
// No audio callback for this long: the device is gone.
#define STALL_S_MAX 3.0
#define POLL_S_MAX 0.1

typedef enum { SYNTH_SILENT, SYNTH_PLAYING, SYNTH_ENDING, SYNTH_ENDED } Phase;

typedef struct {
  uint64_t frame;
  uint8_t  message[3];
} SynthMessage;

typedef struct {
  Backend           base; // first: a Backend* is a SynthBackend*
  BackendConfig     config;
  AudioOut*         audio;
  SynthPorts*       ports; // NULL: none
  char              no_ports[48];
  fluid_settings_t* settings;
  fluid_synth_t*    synth;
  uint32_t          sample_rate_hz;
  int64_t           buffer_ns; // what the device holds; 0: not known
  char              soundfont[SOUNDFONT_PATH_BYTES];

  // Control's own: since when the audio thread has not been seen.
  uint32_t seen_calls;
  double   seen_s;
  double   stalled_s;

  // The audio thread's own.
  uint64_t     frame;    // processed; what is rendered is at most as much
  uint64_t     rendered; // start of the next block
  SynthMessage pending[2 * PERIOD_EVENTS_MAX];
  uint32_t     pending_count;
  uint64_t     span_frame;
  float        left[BLOCK_FRAMES];
  float        right[BLOCK_FRAMES];
  uint32_t     used; // frames of the block already handed out
  uint32_t     tail_frames;
  uint32_t     fade_frames; // of the fade, so far
  int64_t      called_ns;

  // Between the threads.
  _Atomic int      phase; // Phase
  _Atomic uint32_t calls;
  _Atomic uint32_t period_frames;
  _Atomic uint32_t xrun_count;
} SynthBackend;

// --- Audio thread --------------------------------------------------------

static bool
sink_write(void*          handle,
           MidiOut        port,
           uint32_t       offset_frames,
           const uint8_t* message,
           uint32_t       size_bytes) REALTIME
{
  SynthBackend* const synth = handle;
  if (port != MIDI_OUT_NOTES) {
    return !synth->ports ||
           synth_ports_write(synth->ports, message, size_bytes);
  }
  if (synth->pending_count == sizeof synth->pending / sizeof *synth->pending) {
    return false;
  }
  SynthMessage* const slot = &synth->pending[synth->pending_count++];
  slot->frame              = synth->span_frame + offset_frames;
  memcpy(slot->message, message, size_bytes <= 3 ? size_bytes : 3);
  return true;
}

// Program changes are left out: a piano it is, and another sound would have to
// be loaded here. So is MIDI clock.
static void
apply(fluid_synth_t* synth, const uint8_t message[3]) REALTIME
{
  const int channel = message[0] & 0x0f;
  switch (message[0] & 0xf0) {
    case 0x80:
      fluid_synth_noteoff(synth, channel, message[1]);
      break;
    case 0x90: // velocity 0 ends it
      fluid_synth_noteon(synth, channel, message[1], message[2]);
      break;
    case 0xa0:
      fluid_synth_key_pressure(synth, channel, message[1], message[2]);
      break;
    case 0xb0:
      fluid_synth_cc(synth, channel, message[1], message[2]);
      break;
    case 0xd0:
      fluid_synth_channel_pressure(synth, channel, message[1]);
      break;
    case 0xe0:
      fluid_synth_pitch_bend(synth, channel, message[1] | message[2] << 7);
      break;
    default:
      break;
  }
}

// Applies what is due before `frame`.
static void
apply_until(SynthBackend* synth, uint64_t frame) REALTIME
{
  uint32_t done = 0;
  while (done < synth->pending_count && synth->pending[done].frame < frame) {
    apply(synth->synth, synth->pending[done++].message);
  }
  synth->pending_count -= done;
  memmove(synth->pending,
          synth->pending + done,
          synth->pending_count * sizeof *synth->pending);
}

static void
render_block(SynthBackend* synth) REALTIME
{
  apply_until(synth, synth->rendered + BLOCK_FRAMES / 2);
  // FluidSynth's effects are a parallel region of one thread, for which OpenMP
  // allocates each time: the guard looks away.
  rt_leave();
  fluid_synth_write_float(
    synth->synth, BLOCK_FRAMES, synth->left, 0, 1, synth->right, 0, 1);
  rt_enter();
  synth->rendered += BLOCK_FRAMES;
  synth->used = 0;
}

// Hands out what the block still holds; returns how many frames.
static uint32_t
take_block(SynthBackend* synth,
           uint32_t      count,
           float*        left,
           float*        right) REALTIME
{
  const uint32_t held  = BLOCK_FRAMES - synth->used;
  const uint32_t taken = count < held ? count : held;
  memcpy(left, synth->left + synth->used, taken * sizeof *left);
  memcpy(right, synth->right + synth->used, taken * sizeof *right);
  synth->used += taken;
  return taken;
}

static void
call_process(SynthBackend* synth, uint32_t frame_count) REALTIME
{
  const MidiSink sink = { .write = sink_write, .handle = synth };
  BackendSpan    span = { .frame       = synth->frame,
                          .frame_count = frame_count,
                          .sink        = &sink };
  synth->span_frame   = synth->frame;
  if (synth->ports) {
    synth_ports_read(synth->ports, &span);
  }
  synth->config.process(synth->config.process_context, &span);
  synth->frame += frame_count;
}

// Process is asked for whole blocks, at least as many as are wanted.
static void
render_music(SynthBackend* synth,
             bool          playing,
             uint32_t      count,
             float*        left,
             float*        right) REALTIME
{
  uint32_t done = take_block(synth, count, left, right);
  while (done < count) {
    const uint32_t blocks = (count - done + BLOCK_FRAMES - 1) / BLOCK_FRAMES;
    const uint32_t frames = blocks * BLOCK_FRAMES < PERIOD_FRAMES_MAX
                              ? blocks * BLOCK_FRAMES
                              : PERIOD_FRAMES_MAX;
    if (playing) {
      call_process(synth, frames);
    }
    for (uint32_t i = 0; i < frames; i += BLOCK_FRAMES) {
      render_block(synth);
      done += take_block(synth, count - done, left + done, right + done);
    }
  }
}

// After the last note: what rings rings on, then fades.
static void
render_tail(SynthBackend* synth,
            uint32_t      count,
            float*        left,
            float*        right) REALTIME
{
  const uint32_t fade_frames = (uint32_t)(FADE_S * synth->sample_rate_hz);
  const uint32_t tail_frames =
    (uint32_t)(TAIL_S_MAX * synth->sample_rate_hz) - fade_frames;
  if (!synth->tail_frames) {
    apply_until(synth, UINT64_MAX);
    fluid_synth_all_notes_off(synth->synth, -1);
  }
  render_music(synth, false, count, left, right);
  const bool rings = fluid_synth_get_active_voice_count(synth->synth) > 0;
  synth->tail_frames += count;
  if (rings && !synth->fade_frames && synth->tail_frames < tail_frames) {
    return;
  }
  for (uint32_t i = 0; i < count; ++i) {
    const float gain = 1.0f - (float)synth->fade_frames / (float)fade_frames;
    left[i] *= gain;
    right[i] *= gain;
    synth->fade_frames += synth->fade_frames < fade_frames;
  }
  if (synth->fade_frames == fade_frames) {
    atomic_store(&synth->phase, SYNTH_ENDED);
  }
}

// Later than all that the device held: it was silent in between.
static void
count_underrun(SynthBackend* synth)
{
  const int64_t now_ns = clock_now_ns();
  if (synth->buffer_ns && synth->called_ns &&
      now_ns - synth->called_ns > synth->buffer_ns) {
    atomic_fetch_add(&synth->xrun_count, 1);
  }
  synth->called_ns = now_ns;
}

static void
on_audio(void* context, uint32_t frame_count, float* left, float* right)
{
  SynthBackend* const synth = context;
  const int           phase = atomic_load(&synth->phase);
  atomic_fetch_add(&synth->calls, 1);
  atomic_store(&synth->period_frames, frame_count);
  if (phase == SYNTH_PLAYING) {
    count_underrun(synth);
    if (synth->ports) {
      synth_ports_tick(synth->ports, synth->frame, frame_count);
    }
  }
  rt_enter();
  switch (phase) {
    case SYNTH_PLAYING:
      render_music(synth, true, frame_count, left, right);
      break;
    case SYNTH_ENDING:
      render_tail(synth, frame_count, left, right);
      break;
    default:
      memset(left, 0, frame_count * sizeof *left);
      memset(right, 0, frame_count * sizeof *right);
  }
  rt_leave();
}

// --- Control thread ------------------------------------------------------

static Status
synth_start(Backend* backend, Error* error)
{
  SynthBackend* const synth = (SynthBackend*)backend;
  (void)error;
  synth->tail_frames = 0;
  synth->fade_frames = 0;
  atomic_store(&synth->phase, SYNTH_PLAYING);
  return STATUS_OK;
}

static void
synth_stop(Backend* backend)
{
  SynthBackend* const synth = (SynthBackend*)backend;
  if (atomic_load(&synth->phase) != SYNTH_PLAYING) {
    return; // not started, or stopped already
  }
  atomic_store(&synth->phase, SYNTH_ENDING);
  const double deadline_s = clock_now_s() + STOP_S_MAX;
  while (atomic_load(&synth->phase) != SYNTH_ENDED &&
         clock_now_s() < deadline_s) {
    clock_sleep_ns(5000000);
  }
  // What the device holds is heard before it is closed.
  clock_sleep_ns(synth->buffer_ns);
}

static void
synth_close(Backend* backend)
{
  SynthBackend* const synth = (SynthBackend*)backend;
  synth_stop(backend);
  if (synth->audio && !audio_out_close(synth->audio)) {
    return; // leaves all behind: the audio thread may still run
  }
  synth_ports_close(synth->ports);
  if (synth->synth) {
    delete_fluid_synth(synth->synth);
  }
  if (synth->settings) {
    delete_fluid_settings(synth->settings);
  }
  free(synth);
}

// A device that was pulled out no longer asks for sound. Time counts only while
// this thread runs as well: a machine may have been suspended.
static bool
is_lost(SynthBackend* synth)
{
  const uint32_t calls  = atomic_load(&synth->calls);
  const double   now_s  = clock_now_s();
  const double   passed = now_s - synth->seen_s;
  synth->stalled_s += passed < POLL_S_MAX ? passed : POLL_S_MAX;
  if (calls != synth->seen_calls) {
    synth->stalled_s = 0;
  }
  synth->seen_calls = calls;
  synth->seen_s     = now_s;
  return synth->stalled_s > STALL_S_MAX;
}

static void
synth_poll(Backend* backend, BackendStatus* status)
{
  SynthBackend* const synth = (SynthBackend*)backend;
  const char* const   slash = strrchr(synth->soundfont, '/');
  *status                   = (BackendStatus){
                      .lost             = is_lost(synth),
                      .sample_rate_hz   = synth->sample_rate_hz,
                      .period_frames    = atomic_load(&synth->period_frames),
                      .xrun_count       = atomic_load(&synth->xrun_count),
                      .dropped_count    = (uint32_t)audio_out_lost_frames(synth->audio),
                      .connection_count = 1, // whoever is in the room
                      .settle_s         = 1e-9 * (double)synth->buffer_ns,
  };
  if (synth->ports) {
    synth_ports_poll(synth->ports, status);
  }
  snprintf(status->text,
           sizeof status->text,
           "FluidSynth with %.40s to %.20s, %u Hz, period %u, %s",
           slash ? slash + 1 : synth->soundfont,
           audio_out_driver(synth->audio),
           status->sample_rate_hz,
           status->period_frames,
           synth->ports ? "MIDI ports in ALSA" : synth->no_ports);
}

// Without a sequencer it is heard and cannot be played with: it says so.
static Status
open_ports(SynthBackend* synth, Error* error)
{
  Error        why;
  const Status status = synth_ports_open(
    &synth->config, synth->sample_rate_hz, &synth->ports, &why);
  if (status == STATUS_NOT_FOUND || status == STATUS_UNAVAILABLE) {
    snprintf(synth->no_ports,
             sizeof synth->no_ports,
             "no MIDI ports (%s)",
             status == STATUS_NOT_FOUND ? "sudo modprobe snd-seq"
                                        : "/dev/snd/seq is not for us");
    return STATUS_OK;
  }
  *error = why;
  return status;
}

static Status
open_audio(SynthBackend* synth, Error* error)
{
  const AudioConfig config = { .driver         = getenv("MEANDER_AUDIO_DRIVER"),
                               .file_path      = getenv("MEANDER_AUDIO_FILE"),
                               .sample_rate_hz = synth->config.sample_rate_hz,
                               .period_frames  = synth->config.period_frames,
                               .render         = on_audio,
                               .context        = synth };
  const Status      status = audio_out_open(&config, &synth->audio, error);
  if (status) {
    return status;
  }
  synth->sample_rate_hz = audio_out_rate_hz(synth->audio);
  synth->buffer_ns      = (int64_t)audio_out_buffer_frames(synth->audio) *
                     1000000000 / synth->sample_rate_hz;
  return synth->sample_rate_hz <= SYNTH_RATE_HZ_MAX
           ? STATUS_OK
           : error_set(error,
                       STATUS_UNSUPPORTED,
                       "synth: %s runs at %u Hz: FluidSynth takes 96000 at "
                       "most",
                       audio_out_driver(synth->audio),
                       synth->sample_rate_hz);
}

static void
glib_silent(const char*    domain,
            GLogLevelFlags level,
            const char*    message,
            void*          data)
{
  (void)domain;
  (void)level;
  (void)message;
  (void)data;
}

// What is no soundfont FluidSynth offers to a DLS reader, which complains on
// stderr.
static bool
load_soundfont(SynthBackend* synth)
{
  const GLogFunc before = g_log_set_default_handler(glib_silent, NULL);
  const int      id     = fluid_synth_sfload(synth->synth, synth->soundfont, 1);
  g_log_set_default_handler(before, NULL);
  return id != FLUID_FAILED;
}

static Status
open_piano(SynthBackend* synth, Error* error)
{
  synth->settings = new_fluid_settings();
  if (synth->settings) {
    fluid_settings_t* const settings = synth->settings;
    fluid_settings_setnum(settings, "synth.sample-rate", synth->sample_rate_hz);
    fluid_settings_setnum(settings, "synth.gain", GAIN);
    fluid_settings_setint(settings, "synth.chorus.active", 0);
    // Only the piano's samples are read, of 140 MB.
    fluid_settings_setint(settings, "synth.dynamic-sample-loading", 1);
    fluid_settings_setint(settings, "synth.threadsafe-api", 0);
    synth->synth = new_fluid_synth(settings);
  }
  if (!synth->synth) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for FluidSynth");
  }
  // The tenth channel plays the piano, too, not drums.
  fluid_synth_set_channel_type(synth->synth, 9, CHANNEL_TYPE_MELODIC);
  if (!load_soundfont(synth)) {
    return error_set(error,
                     STATUS_BAD_FILE,
                     "%.300s is no soundfont that FluidSynth can read: "
                     "apt install fluid-soundfont-gm, or name another in "
                     "MEANDER_SOUNDFONT",
                     synth->soundfont);
  }
  for (int channel = 0; channel < CHANNELS; ++channel) {
    fluid_synth_program_change(synth->synth, channel, 0);
    if (!fluid_synth_get_channel_preset(synth->synth, channel)) {
      return error_set(error,
                       STATUS_BAD_FILE,
                       "the soundfont %.300s has no piano (bank 0, program 0): "
                       "name another in MEANDER_SOUNDFONT",
                       synth->soundfont);
    }
  }
  return STATUS_OK;
}

Status
backend_open_synth(const BackendConfig* config, Backend** out, Error* error)
{
  *out = NULL;
  if (config->sample_rate_hz < SYNTH_RATE_HZ_MIN ||
      config->sample_rate_hz > SYNTH_RATE_HZ_MAX ||
      config->period_frames < PERIOD_FRAMES_MIN ||
      config->period_frames > PERIOD_FRAMES_MAX) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "synth: a rate of %u Hz with spans of %u frames: use "
                     "8000 to 96000 Hz",
                     config->sample_rate_hz,
                     config->period_frames);
  }
  SynthBackend* const synth = calloc(1, sizeof *synth);
  if (!synth) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for the synth");
  }
  synth->base   = (Backend){ .name  = "synth",
                             .start = synth_start,
                             .stop  = synth_stop,
                             .close = synth_close,
                             .poll  = synth_poll };
  synth->config = *config;
  synth->used   = BLOCK_FRAMES;
  atomic_store(&synth->period_frames, config->period_frames);
  synth->seen_s = clock_now_s();
  Status status = soundfont_find(
    getenv("MEANDER_SOUNDFONT"), soundfont_places, synth->soundfont, error);
  if (status || (status = open_audio(synth, error)) ||
      (status = open_piano(synth, error)) ||
      (status = open_ports(synth, error))) {
    synth_close(&synth->base);
    return status;
  }
  *out = &synth->base;
  return STATUS_OK;
}
