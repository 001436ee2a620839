// Hand features of a short run of notes.
#include "window_features.h"

#include "metrics.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// The fields of a run, one array each.
typedef struct {
  uint32_t notes;
  float    pitch[FEATURE_NOTES_MAX];
  float    velocity[FEATURE_NOTES_MAX];
  float    step[FEATURE_NOTES_MAX]; // logarithms, from the second note on
  float    duration[FEATURE_NOTES_MAX];
  float    onset[FEATURE_NOTES_MAX]; // seconds after the first note's
} Run;

static float
log_step(float step_s)
{
  return log1pf(step_s / 0.02f);
}

static Run
run_of(const NoteEvent* events, uint32_t notes)
{
  Run run = { .notes = notes };
  for (uint32_t i = 0; i < notes; ++i) {
    run.pitch[i]    = events[i].pitch;
    run.velocity[i] = events[i].velocity;
    run.step[i]     = log_step(events[i].step_s);
    run.duration[i] = logf(fmaxf(events[i].duration_s, 0.01f));
    run.onset[i]    = i ? run.onset[i - 1] + events[i].step_s : 0.0f;
  }
  return run;
}

typedef struct {
  float mean, deviation, low, high;
} Moments;

static Moments
moments(const float* x, uint32_t count)
{
  double  sum    = 0.0;
  double  square = 0.0;
  Moments m      = { .low = x[0], .high = x[0] };
  for (uint32_t i = 0; i < count; ++i) {
    sum += (double)x[i];
    m.low  = fminf(m.low, x[i]);
    m.high = fmaxf(m.high, x[i]);
  }
  m.mean = (float)(sum / count);
  for (uint32_t i = 0; i < count; ++i) {
    square += ((double)x[i] - sum / count) * ((double)x[i] - sum / count);
  }
  m.deviation = (float)sqrt(square / count);
  return m;
}

static float
correlation(const float* x, const float* y, uint32_t count)
{
  if (count < 2) {
    return 0.0f;
  }
  const Moments a   = moments(x, count);
  const Moments b   = moments(y, count);
  double        sum = 0.0;
  for (uint32_t i = 0; i < count; ++i) {
    sum += (double)(x[i] - a.mean) * (double)(y[i] - b.mean);
  }
  const float both = a.deviation * b.deviation;
  return both > 1e-6f ? (float)(sum / count) / both : 0.0f;
}

static void
class_shares(const NoteEvent* events, uint32_t notes, float share[12])
{
  memset(share, 0, 12 * sizeof *share);
  for (uint32_t i = 0; i < notes; ++i) {
    share[events[i].pitch % 12] += 1.0f / (float)notes;
  }
}

static void
pitch_features(const NoteEvent* events, const Run* run, float* out)
{
  const uint32_t notes = run->notes;
  const Moments  pitch = moments(run->pitch, notes);
  float          share[12];
  class_shares(events, notes, share);
  float entropy = 0.0f;
  for (int i = 0; i < 12; ++i) {
    entropy -= share[i] > 0.0f ? share[i] * log2f(share[i]) : 0.0f;
  }
  uint32_t distinct = 0;
  for (uint32_t i = 0; i < notes; ++i) {
    bool seen = false;
    for (uint32_t k = 0; k < i; ++k) {
      seen = seen || events[k].pitch == events[i].pitch;
    }
    distinct += !seen;
  }
  out[FEATURE_PITCH_MEAN]     = pitch.mean;
  out[FEATURE_PITCH_STD]      = pitch.deviation;
  out[FEATURE_PITCH_LOW]      = pitch.low;
  out[FEATURE_PITCH_HIGH]     = pitch.high;
  out[FEATURE_PITCH_DISTINCT] = (float)distinct / (float)notes;
  out[FEATURE_CLASS_ENTROPY]  = entropy;
  out[FEATURE_SCALE]          = (float)scale_consistency(events, notes);
  out[FEATURE_PITCH_LAG1] = correlation(run->pitch, run->pitch + 1, notes - 1);
  out[FEATURE_PITCH_LAG2] = correlation(run->pitch, run->pitch + 2, notes - 2);
}

static void
interval_features(const Run* run, float* out)
{
  const uint32_t count = run->notes - 1;
  float          interval[FEATURE_NOTES_MAX];
  float          size[FEATURE_NOTES_MAX];
  uint32_t       turns = 0;
  for (uint32_t i = 0; i < count; ++i) {
    interval[i] = run->pitch[i + 1] - run->pitch[i];
    size[i]     = fabsf(interval[i]);
    turns += i && interval[i] * interval[i - 1] < 0.0f;
  }
  uint32_t repeated = 0, by_step = 0, octaves = 0, leaps = 0, harsh = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const int semitones = (int)size[i];
    const int class     = semitones % 12;
    repeated += semitones == 0;
    by_step += semitones == 1 || semitones == 2;
    octaves += semitones && class == 0;
    leaps += semitones > 12;
    harsh += class == 1 || class == 6 || class == 11;
  }
  const Moments signed_moments = moments(interval, count);
  const Moments size_moments   = moments(size, count);
  const float   n              = (float)count;
  out[FEATURE_INTERVAL_MEAN]   = signed_moments.mean;
  out[FEATURE_INTERVAL_SIZE]   = size_moments.mean;
  out[FEATURE_INTERVAL_STD]    = signed_moments.deviation;
  out[FEATURE_INTERVAL_MAX]    = size_moments.high;
  out[FEATURE_REPEATED]        = (float)repeated / n;
  out[FEATURE_BY_STEP]         = (float)by_step / n;
  out[FEATURE_OCTAVES]         = (float)octaves / n;
  out[FEATURE_LEAPS]           = (float)leaps / n;
  out[FEATURE_HARSH]           = (float)harsh / n;
  out[FEATURE_TURNS] = count > 1 ? (float)turns / (float)(count - 1) : 0.0f;
}

static bool
nearly_equal_s(float a, float b)
{
  return fabsf(a - b) <= fmaxf(0.01f, 0.1f * fmaxf(a, b));
}

static void
time_features(const NoteEvent* events, const Run* run, float* out)
{
  const uint32_t notes       = run->notes;
  const Moments  step        = moments(run->step + 1, notes - 1);
  const Moments  duration    = moments(run->duration, notes);
  uint32_t       equal_steps = 0, equal_durations = 0;
  for (uint32_t i = 1; i < notes; ++i) {
    equal_steps +=
      i > 1 && nearly_equal_s(events[i - 1].step_s, events[i].step_s);
    equal_durations +=
      nearly_equal_s(events[i - 1].duration_s, events[i].duration_s);
  }
  const float span_s      = run->onset[notes - 1];
  out[FEATURE_STEP_MEAN]  = step.mean;
  out[FEATURE_STEP_STD]   = step.deviation;
  out[FEATURE_STEP_MAX]   = step.high;
  out[FEATURE_STEP_EQUAL] = (float)equal_steps / (float)(notes - 1);
  out[FEATURE_STEP_LAG1] = correlation(run->step + 1, run->step + 2, notes - 2);
  out[FEATURE_RATE]      = logf((float)(notes - 1) / fmaxf(span_s, 0.01f));
  out[FEATURE_DURATION_MEAN]  = duration.mean;
  out[FEATURE_DURATION_STD]   = duration.deviation;
  out[FEATURE_DURATION_MIN]   = duration.low;
  out[FEATURE_DURATION_MAX]   = duration.high;
  out[FEATURE_DURATION_EQUAL] = (float)equal_durations / (float)(notes - 1);
  out[FEATURE_DURATION_LAG1] =
    correlation(run->duration, run->duration + 1, notes - 1);
  out[FEATURE_PITCH_DURATION] = correlation(run->pitch, run->duration, notes);
  out[FEATURE_STEP_DURATION] =
    correlation(run->step + 1, run->duration + 1, notes - 1);
}

static void
chord_features(const NoteEvent* events, const Run* run, float* out)
{
  uint32_t tones = 0, size = 1, largest = 1;
  float    span = 0.0f;
  for (uint32_t i = 1; i < run->notes; ++i) {
    if (events[i].step_s < FEATURE_CHORD_S) {
      ++tones;
      ++size;
      span += fabsf(run->pitch[i] - run->pitch[i - 1]);
    } else {
      size = 1;
    }
    largest = size > largest ? size : largest;
  }
  out[FEATURE_CHORD_RATE] = (float)tones / (float)(run->notes - 1);
  out[FEATURE_CHORD_SIZE] = (float)largest / (float)run->notes;
  out[FEATURE_CHORD_SPAN] = tones ? span / (float)tones : 0.0f;
}

static void
overlap_features(const NoteEvent* events, const Run* run, float* out)
{
  const uint32_t notes  = run->notes;
  float          legato = 0.0f, sounding_s = 0.0f, end_s = 0.0f;
  uint32_t       sounding = 0;
  for (uint32_t i = 0; i < notes; ++i) {
    sounding_s += events[i].duration_s;
    end_s = fmaxf(end_s, run->onset[i] + events[i].duration_s);
    if (i + 1 < notes) {
      legato += run->duration[i] - logf(fmaxf(events[i + 1].step_s, 0.01f));
    }
    for (uint32_t k = 0; k < i; ++k) {
      sounding +=
        run->onset[k] + events[k].duration_s > run->onset[i] + 0.5e-3f;
    }
  }
  out[FEATURE_LEGATO]    = legato / (float)(notes - 1);
  out[FEATURE_POLYPHONY] = logf(sounding_s / end_s);
  out[FEATURE_SOUNDING]  = (float)sounding / (float)(notes - 1);
}

static void
velocity_features(const Run* run, float* out)
{
  const uint32_t notes    = run->notes;
  const Moments  velocity = moments(run->velocity, notes);
  float          change   = 0.0f;
  for (uint32_t i = 1; i < notes; ++i) {
    change += fabsf(run->velocity[i] - run->velocity[i - 1]);
  }
  out[FEATURE_VELOCITY_MEAN]   = velocity.mean;
  out[FEATURE_VELOCITY_STD]    = velocity.deviation;
  out[FEATURE_VELOCITY_RANGE]  = velocity.high - velocity.low;
  out[FEATURE_VELOCITY_CHANGE] = change / (float)(notes - 1);
  out[FEATURE_VELOCITY_LAG1] =
    correlation(run->velocity, run->velocity + 1, notes - 1);
  out[FEATURE_PITCH_VELOCITY] = correlation(run->pitch, run->velocity, notes);
}

void
features_of_window(const NoteEvent* events,
                   uint32_t         notes,
                   float            out[FEATURE_COUNT])
{
  const Run run = run_of(events, notes);
  pitch_features(events, &run, out);
  interval_features(&run, out);
  time_features(events, &run, out);
  chord_features(events, &run, out);
  overlap_features(events, &run, out);
  velocity_features(&run, out);
}

void
features_of_stream(const NoteEvent* events,
                   uint32_t         notes,
                   float            out[STREAM_FEATURE_COUNT])
{
  // Features of a window whose change is one of the stream's.
  static const struct {
    int stream, window;
  } drifts[] = {
    { FEATURE_DRIFT_PITCH, FEATURE_PITCH_MEAN },
    { FEATURE_DRIFT_RATE, FEATURE_RATE },
    { FEATURE_DRIFT_DURATION, FEATURE_DURATION_MEAN },
    { FEATURE_DRIFT_VELOCITY, FEATURE_VELOCITY_MEAN },
    { FEATURE_DRIFT_CHORD, FEATURE_CHORD_RATE },
    { FEATURE_DRIFT_POLYPHONY, FEATURE_POLYPHONY },
  };
  const uint32_t windows = notes / WINDOW_NOTES;
  const float    borders = (float)(windows - 1);
  memset(out, 0, STREAM_FEATURE_COUNT * sizeof *out);
  features_of_window(events, notes, out);
  float before[FEATURE_COUNT] = { 0 }, before_share[12] = { 0 };
  for (uint32_t w = 0; w < windows; ++w) {
    const NoteEvent* const window = events + (size_t)w * WINDOW_NOTES;
    float                  now[FEATURE_COUNT], share[12];
    features_of_window(window, WINDOW_NOTES, now);
    class_shares(window, WINDOW_NOTES, share);
    out[FEATURE_DRIFT_SCALE] -= now[FEATURE_SCALE] / (float)windows;
    if (w) {
      for (int i = 0; i < 12; ++i) {
        out[FEATURE_DRIFT_CLASS] += fabsf(share[i] - before_share[i]) / borders;
      }
      for (size_t i = 0; i < sizeof drifts / sizeof *drifts; ++i) {
        out[drifts[i].stream] +=
          fabsf(now[drifts[i].window] - before[drifts[i].window]) / borders;
      }
      out[FEATURE_SEAM_INTERVAL] +=
        (float)abs(window[0].pitch - window[-1].pitch) / borders;
      out[FEATURE_SEAM_STEP] += log_step(window[0].step_s) / borders;
    }
    memcpy(before, now, sizeof before);
    memcpy(before_share, share, sizeof before_share);
  }
  out[FEATURE_DRIFT_SCALE] += out[FEATURE_SCALE];
  out[FEATURE_SEAM_STEP] -= out[FEATURE_STEP_MEAN];
}
