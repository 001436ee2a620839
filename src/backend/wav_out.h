// A WAV file as an audio device: 16 bits, stereo, written as the wall clock
// goes by. Control thread; the render callback runs in a thread of its own.
#pragma once

#include "backend/audio_out.h"

typedef struct WavOut WavOut;

// STATUS_IO: the file cannot be written.
Status wav_out_open(const AudioConfig* config, WavOut** out, Error* error);
void   wav_out_close(WavOut* wav);
// Frames that found no room: a full disk, or more than a WAV file can hold.
uint64_t wav_out_lost_frames(const WavOut* wav);
