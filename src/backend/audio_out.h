// A stereo audio output: FluidSynth's drivers (PulseAudio, which PipeWire
// answers too, ALSA, JACK), or a WAV file on the wall clock for machines
// without a sound card. Control thread, but for the render callback.
#pragma once

#include "status.h"

#include <stdbool.h>
#include <stdint.h>

// Called in the audio thread: fills both channels, -1..1.
typedef void (*AudioRender)(void*    context,
                            uint32_t frame_count,
                            float*   left,
                            float*   right);

typedef struct {
  // "pulseaudio", "alsa", "jack" or another that this libfluidsynth has, or
  // "file"; NULL or empty: the first of these three that answers.
  const char* driver;
  const char* file_path; // of "file"; NULL: meander.wav
  uint32_t    sample_rate_hz;
  uint32_t    period_frames; // a wish
  AudioRender render;
  void*       context;
} AudioConfig;

typedef struct AudioOut AudioOut;

// Render is called from now on. STATUS_NOT_FOUND: no device answers. libraries
// say nothing on stderr. Takes a second at most where there is no device.
Status audio_out_open(const AudioConfig* config, AudioOut** out, Error* error);
// Ends within 2 s even when the server is dead; then false: the audio thread
// may still run and what it uses must be left behind.
bool audio_out_close(AudioOut* audio);

const char* audio_out_driver(const AudioOut* audio);
uint32_t    audio_out_rate_hz(const AudioOut* audio);
// What the device holds: no call for longer than this is an underrun. 0: the
// device waits for us, there is none.
uint32_t audio_out_buffer_frames(const AudioOut* audio);
// Frames that a file could not take (a full disk).
uint64_t audio_out_lost_frames(const AudioOut* audio);
