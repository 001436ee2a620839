// The statistics by which note events are standardised on their way to tensors:
// taken from the training part of a data set, kept in every checkpoint. Pure
// data; any thread.
#pragma once

// With S the step and D the duration in seconds and V the velocity in (0, 1]:
// u = ln(1 + S / 0.02), w = ln(max(D, 0.01)), v = V. Each is standardised as
// (x - mean) / std. Every std is finite and at least ENCODING_STD_MIN.
typedef struct {
  float u_mean, u_std;
  float w_mean, w_std;
  float v_mean, v_std;
} EncodingStats;

#define ENCODING_STEP_SCALE_S 0.02
#define ENCODING_DURATION_FLOOR_S 0.01
#define ENCODING_STD_MIN 1e-3f
