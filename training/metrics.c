// Figures about note events.
#include "metrics.h"

#include <math.h>
#include <stdlib.h>

void
reconstruction_add(Reconstruction*  sum,
                   const NoteEvent* truth,
                   const NoteEvent* ours)
{
  double a = 0.0;
  double b = 0.0;
  for (int i = 0; i < WINDOW_NOTES; ++i) {
    a += (double)truth[i].step_s;
    b += (double)ours[i].step_s;
    const double a_end        = a + (double)truth[i].duration_s;
    const double b_end        = b + (double)ours[i].duration_s;
    const double intersection = fmax(0.0, fmin(a_end, b_end) - fmax(a, b));
    const double both         = (a_end - a) + (b_end - b) - intersection;
    sum->iou_sum += intersection / both;
    sum->pitch_hits += truth[i].pitch == ours[i].pitch;
  }
  sum->note_count += WINDOW_NOTES;
}

double
reconstruction_accuracy(const Reconstruction* sum)
{
  return sum->note_count ? (double)sum->pitch_hits / (double)sum->note_count
                         : 0.0;
}

double
reconstruction_iou(const Reconstruction* sum)
{
  return sum->note_count ? sum->iou_sum / (double)sum->note_count : 0.0;
}

void
spread_add(Spread* spread, const NoteEvent* events, uint32_t count)
{
  for (uint32_t i = 0; i < count; ++i) {
    const double fields[SPREAD_COUNT] = {
      events[i].pitch,
      (double)events[i].velocity,
      (double)events[i].step_s,
      (double)events[i].duration_s,
    };
    for (int f = 0; f < SPREAD_COUNT; ++f) {
      spread->sum[f] += fields[f];
      spread->square[f] += fields[f] * fields[f];
    }
  }
  spread->count += count;
}

double
spread_mean(const Spread* spread, int field)
{
  return spread->count ? spread->sum[field] / (double)spread->count : 0.0;
}

double
spread_deviation(const Spread* spread, int field)
{
  if (!spread->count) {
    return 0.0;
  }
  const double mean = spread_mean(spread, field);
  return sqrt(
    fmax(0.0, spread->square[field] / (double)spread->count - mean * mean));
}

static void
count_bin(Marginals* marginals, int field, double bin)
{
  const double last = MARGINAL_BINS - 1;
  ++marginals->bins[field][(int)(bin < 0.0 ? 0.0 : bin > last ? last : bin)];
  ++marginals->total[field];
}

void
marginals_add(Marginals* marginals, const NoteEvent* window, uint32_t notes)
{
  for (uint32_t i = 0; i < notes; ++i) {
    const NoteEvent* const e = &window[i];
    count_bin(marginals, MARGINAL_PITCH, e->pitch);
    count_bin(marginals, MARGINAL_CLASS, e->pitch % 12);
    count_bin(marginals, MARGINAL_VELOCITY, velocity_to_midi(e->velocity) / 4);
    count_bin(marginals, MARGINAL_STEP, 10.0 * log1p((double)e->step_s / 0.02));
    count_bin(marginals,
              MARGINAL_DURATION,
              10.0 * log(fmax((double)e->duration_s, 0.01) / 0.01));
    if (i) {
      count_bin(
        marginals, MARGINAL_INTERVAL, 128 + e->pitch - window[i - 1].pitch);
    }
  }
}

double
marginals_overlap(const Marginals* a, const Marginals* b, int field)
{
  double sum = 0.0;
  for (int i = 0; i < MARGINAL_BINS; ++i) {
    sum += fmin((double)a->bins[field][i] / (double)a->total[field],
                (double)b->bins[field][i] / (double)b->total[field]);
  }
  return sum;
}

double
scale_consistency(const NoteEvent* events, uint32_t notes)
{
  static const unsigned major = 0xab5; // bits 0 2 4 5 7 9 11
  uint32_t              best  = 0;
  for (int tonic = 0; tonic < 12; ++tonic) {
    uint32_t fits = 0;
    for (uint32_t i = 0; i < notes; ++i) {
      fits += major >> ((events[i].pitch + 12 - tonic) % 12) & 1u;
    }
    best = fits > best ? fits : best;
  }
  return (double)best / notes;
}

#define SEVERAL_PIECES (UINT32_MAX - 1)

Status
interval_index_create(IntervalIndex* index, uint64_t runs_max, Error* error)
{
  uint64_t slots = 16;
  while (slots < 2 * runs_max) {
    slots *= 2;
  }
  *index = (IntervalIndex){ .keys   = calloc(slots, sizeof(uint64_t)),
                            .pieces = calloc(slots, sizeof(uint32_t)),
                            .mask   = slots - 1 };
  if (!index->keys || !index->pieces) {
    interval_index_free(index);
    return error_set(
      error, STATUS_NO_MEMORY, "no memory for an index of intervals");
  }
  return STATUS_OK;
}

void
interval_index_free(IntervalIndex* index)
{
  free(index->keys);
  free(index->pieces);
  *index = (IntervalIndex){ 0 };
}

// Seven intervals of one byte each (their size is at most 126), never 0.
_Static_assert(WINDOW_NOTES <= 8, "the intervals fit 56 bits");
static uint64_t
interval_key(const NoteEvent* window)
{
  uint64_t key = 0;
  for (int i = 1; i < WINDOW_NOTES; ++i) {
    key = key << 8 | (uint64_t)(128 + window[i].pitch - window[i - 1].pitch);
  }
  return key;
}

// Where the key is or would go.
static uint64_t
interval_slot(const IntervalIndex* index, uint64_t key)
{
  uint64_t slot = (key * 0x9e3779b97f4a7c15ull) >> 20;
  while (index->keys[slot & index->mask] &&
         index->keys[slot & index->mask] != key) {
    ++slot;
  }
  return slot & index->mask;
}

void
interval_index_add(IntervalIndex*   index,
                   const NoteEvent* window,
                   uint32_t         piece)
{
  const uint64_t key  = interval_key(window);
  const uint64_t slot = interval_slot(index, key);
  if (!index->keys[slot]) {
    index->keys[slot]   = key;
    index->pieces[slot] = piece;
    ++index->count;
  } else if (index->pieces[slot] != piece) {
    index->pieces[slot] = SEVERAL_PIECES;
  }
}

bool
interval_index_has(const IntervalIndex* index,
                   const NoteEvent*     window,
                   uint32_t             but)
{
  const uint64_t slot = interval_slot(index, interval_key(window));
  return index->keys[slot] && index->pieces[slot] != but;
}

// Share of N(mean, deviation) below x.
static double
normal_below(double x, double mean, double deviation)
{
  return 0.5 * erfc((mean - x) / (deviation * sqrt(2.0)));
}

double
normal_overlap(double mean1, double deviation1, double mean2, double deviation2)
{
  if (fabs(deviation1 - deviation2) < 1e-9 * (deviation1 + deviation2)) {
    return 2.0 * normal_below(-0.5 * fabs(mean1 - mean2), 0.0, deviation1);
  }
  if (deviation1 > deviation2) {
    return normal_overlap(mean2, deviation2, mean1, deviation1);
  }
  // The densities are equal at the roots of a x^2 + b x + c; between them the
  // narrower, the first, is the larger.
  const double v1 = deviation1 * deviation1;
  const double v2 = deviation2 * deviation2;
  const double a  = 1.0 / v1 - 1.0 / v2;
  const double b  = -2.0 * (mean1 / v1 - mean2 / v2);
  const double c  = mean1 * mean1 / v1 - mean2 * mean2 / v2 -
                   2.0 * log(deviation2 / deviation1);
  const double root = sqrt(fmax(b * b - 4.0 * a * c, 0.0));
  const double low  = (-b - root) / (2.0 * a);
  const double high = (-b + root) / (2.0 * a);
  return 1.0 -
         (normal_below(high, mean1, deviation1) -
          normal_below(low, mean1, deviation1)) +
         (normal_below(high, mean2, deviation2) -
          normal_below(low, mean2, deviation2));
}

// Mean and deviation of a frame; a frame of equal notes is not infinitely
// narrow.
static void
fit_frame(const NoteEvent* frame, int field, double* mean, double* deviation)
{
  double sum    = 0.0;
  double square = 0.0;
  for (uint32_t i = 0; i < FRAME_NOTES; ++i) {
    const double x =
      field ? log(fmax((double)frame[i].duration_s, 0.01)) : frame[i].pitch;
    sum += x;
    square += x * x;
  }
  *mean = sum / FRAME_NOTES;
  *deviation =
    fmax(sqrt(fmax(square / FRAME_NOTES - *mean * *mean, 0.0)), 0.05);
}

void
self_similarity_add(SelfSimilarity*  sum,
                    const NoteEvent* events,
                    uint32_t         notes)
{
  for (uint32_t at = 0; at + FRAME_HOP + FRAME_NOTES <= notes;
       at += FRAME_HOP) {
    for (int field = 0; field < 2; ++field) {
      double mean1, deviation1, mean2, deviation2;
      fit_frame(events + at, field, &mean1, &deviation1);
      fit_frame(events + at + FRAME_HOP, field, &mean2, &deviation2);
      const double area = normal_overlap(mean1, deviation1, mean2, deviation2);
      sum->sum[field] += area;
      sum->square[field] += area * area;
    }
    ++sum->count;
  }
}

static double
area_mean(const SelfSimilarity* s, int field)
{
  return s->sum[field] / (double)s->count;
}

static double
area_variance(const SelfSimilarity* s, int field)
{
  const double mean = area_mean(s, field);
  return s->square[field] / (double)s->count - mean * mean;
}

static double
nearness(double ours, double real)
{
  return fmax(0.0, 1.0 - fabs(ours - real) / real);
}

double
self_similarity_consistency(const SelfSimilarity* ours,
                            const SelfSimilarity* real,
                            int                   field)
{
  return nearness(area_mean(ours, field), area_mean(real, field));
}

double
self_similarity_variance(const SelfSimilarity* ours,
                         const SelfSimilarity* real,
                         int                   field)
{
  return nearness(area_variance(ours, field), area_variance(real, field));
}
