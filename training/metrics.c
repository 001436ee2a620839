// Figures about note events.
#include "metrics.h"

#include <math.h>

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

double
scale_consistency(const NoteEvent* window)
{
  static const unsigned major = 0xab5; // bits 0 2 4 5 7 9 11
  int                   best  = 0;
  for (int tonic = 0; tonic < 12; ++tonic) {
    int fits = 0;
    for (int i = 0; i < WINDOW_NOTES; ++i) {
      fits += (int)(major >> ((window[i].pitch + 12 - tonic) % 12) & 1u);
    }
    best = fits > best ? fits : best;
  }
  return (double)best / WINDOW_NOTES;
}
