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
  uint32_t           model_count; // that load
  uint32_t           preset_count;
  uint32_t           failures;
} Doctor;

// One line. `mend` NULL: nothing to do.
void doctor_say(Doctor*     doctor,
                DoctorGrade grade,
                const char* subject,
                const char* mend,
                const char* format,
                ...) __attribute__((format(printf, 5, 6)));

// Each prints its line, or one for each thing.
void doctor_check_pipewire(Doctor* doctor);
void doctor_check_timer(Doctor* doctor);
void doctor_check_priority(Doctor* doctor);
void doctor_check_memlock(Doctor* doctor);
void doctor_check_governor(Doctor* doctor);
void doctor_check_device(Doctor* doctor);
void doctor_check_models(Doctor* doctor);
void doctor_check_presets(Doctor* doctor);
void doctor_check_config(Doctor* doctor);
