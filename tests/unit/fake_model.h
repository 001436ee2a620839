// A model of the tests' own behind model.h: quick, or as slow as asked; its
// notes show what they were made from, and it remembers what it was asked.
#pragma once

#include "model.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define FAKE_LATENT 24u

struct Model {
  ModelKind       kind;
  float           step_s; // of its notes
  uint32_t        steps_default;
  uint32_t        steps_max;
  uint32_t        student_steps; // 0: not distilled
  uint32_t        context_max;
  _Atomic uint8_t pitch; // of all its notes; 0: by the window's number

  atomic_bool      stalled; // its calls do not end while this is set
  _Atomic uint64_t fail_at; // window
  _Atomic uint32_t call_us; // a call takes so long,
  _Atomic uint32_t step_us; // and so long for each step
  _Atomic uint32_t calls_under_way;
  _Atomic uint32_t encoded; // phrases

  // Forms that model_prepare() was asked for, each once.
  uint32_t     prepared_count;
  ModelRequest prepared[64];

  // Of the last call; while another thread may call: fake_model_last().
  pthread_mutex_t lock;
  ModelRequest    asked;
  float           z[FAKE_LATENT];
  NoteEvent       given[CONTEXT_NOTES_MAX];
  NoteEvent       phrase[WINDOW_NOTES];
};

void fake_model_init(Model* model, ModelKind kind);

// The latent and the temperature of the last call.
float fake_model_last(Model* model, float z[FAKE_LATENT]);

// The window of the last call.
uint64_t fake_model_window(Model* model);

// The key of all notes of a window.
uint8_t fake_model_pitch(const Model* model, uint64_t window);
