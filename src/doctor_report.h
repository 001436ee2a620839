// What the doctor's checks share: the facts that they found, and their lines.
// Control thread.
#pragma once

#include "doctor.h"

typedef enum { DOCTOR_OK, DOCTOR_NOTE, DOCTOR_FAIL } DoctorGrade;

typedef struct {
  const DoctorWorld* world;
  FILE*              out;
  JackProbe          jack;
  SequencerProbe     sequencer;
  bool               has_audio;
  char               audio[32]; // its driver
  Error              audio_error;
  bool               has_soundfont;
  char               soundfont[1024];
  Error              soundfont_error;
  char               jack_connect[400]; // what mends a player nobody hears
  char               alsa_connect[64];
  uint32_t           model_count;  // that load
  uint32_t           preset_count; // that ship
  uint32_t           own_count;    // the player's
  uint32_t           failures;
} Doctor;

// One line. `mend` NULL: nothing to do.
void doctor_say(Doctor*     doctor,
                DoctorGrade grade,
                const char* subject,
                const char* mend,
                const char* format,
                ...) __attribute__((format(printf, 5, 6)));

// What to do where no audio device answers.
const char* doctor_audio_mend(const Doctor* doctor);

// Each prints its line, or one for each thing.
void doctor_check_pipewire(Doctor* doctor);
void doctor_check_timer(Doctor* doctor);
void doctor_check_priority(Doctor* doctor);
void doctor_check_memlock(Doctor* doctor);
void doctor_check_governor(Doctor* doctor);
void doctor_check_device(Doctor* doctor);
// doctor_files.c
void doctor_check_models(Doctor* doctor);
void doctor_check_presets(Doctor* doctor);
void doctor_check_config(Doctor* doctor);
