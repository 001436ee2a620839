// Following a beat.
#include "control/beat_follower.h"

#include <math.h>
#include <string.h>

#define MIDI_CLOCK 0xf8
#define MIDI_START 0xfa
#define MIDI_CONTINUE 0xfb
#define MIDI_STOP 0xfc
#define MIDI_SONG_POSITION 0xf2
#define TICKS_A_SIXTEENTH 6

// The fewest ticks that tell a tempo.
#define TICKS_LEAST 7u
// A tick is off the line when it is further from it than jitter explains; so
// many in a row are another tempo.
#define ASTRAY_S 0.012
#define ASTRAY_TICKS 4u
// Shorter or longer than a tempo of 10 to 400 a minute: no clock.
#define PERIOD_S_MIN (60.0 / 400 / TICKS_A_BEAT)
#define PERIOD_S_MAX (60.0 / 10 / TICKS_A_BEAT)

// The worker is told when what it knows would be off by that much a beat later.
#define DRIFT_S 0.001

void
beat_follower_init(BeatFollower* follower, uint32_t sample_rate_hz, Sync sync)
{
  *follower = (BeatFollower){ .sample_rate_hz    = sample_rate_hz,
                              .sync              = sync,
                              .begins            = true,
                              .own_bpm           = BEAT_OWN_BPM,
                              .own_beats_per_bar = 4,
                              .told              = { .bpm = BEAT_OWN_BPM } };
}

void
beat_follower_set(BeatFollower* follower, const Params* params)
{
  const double bpm   = params->value[PARAM_BPM];
  const double beats = params->value[PARAM_BEATS_PER_BAR];
  const bool   own =
    follower->sync == SYNC_JACK && !follower->transport.has_tempo;
  follower->due =
    follower->due ||
    (own && (bpm != follower->own_bpm || beats != follower->own_beats_per_bar));
  follower->own_bpm           = bpm;
  follower->own_beats_per_bar = beats;
  follower->sync              = (Sync)params->value[PARAM_SYNC];
}

// --- MIDI clock --------------------------------------------------------------

static double
time_of(const BeatFollower* follower, uint32_t ago)
{
  return follower
    ->times[(follower->next + TICKS_FITTED - 1 - ago) % TICKS_FITTED];
}

// Time over tick numbers 0 (the last), -1, -2, ...
static void
fit(BeatFollower* follower)
{
  const uint32_t n    = follower->count;
  const double   last = time_of(follower, 0);
  double         mean = 0;
  double         sum  = 0;
  for (uint32_t i = 0; i < n; ++i) {
    mean += time_of(follower, i) - last;
  }
  mean /= n;
  const double middle = -0.5 * (n - 1);
  for (uint32_t i = 0; i < n; ++i) {
    sum += (-(double)i - middle) * (time_of(follower, i) - last - mean);
  }
  follower->period = 12.0 * sum / ((double)n * n * n - n);
  follower->frame  = last + mean - follower->period * middle;
}

static void
forget_before(BeatFollower* follower, uint32_t keep)
{
  follower->count = follower->count < keep ? follower->count : keep;
}

static void
add_tick(BeatFollower* follower, uint64_t frame)
{
  const double rate    = follower->sample_rate_hz;
  const double now     = (double)frame;
  const double expects = follower->frame + follower->period;
  if (follower->count && now - time_of(follower, 0) > PERIOD_S_MAX * rate) {
    follower->count  = 0; // it paused
    follower->period = 0;
  }
  if (follower->period > 0 && fabs(now - expects) > ASTRAY_S * rate) {
    if (++follower->astray >= ASTRAY_TICKS) {
      forget_before(follower, ASTRAY_TICKS);
      follower->astray = 0;
    }
  } else {
    follower->astray = 0;
  }
  follower->times[follower->next] = now;
  follower->next                  = (follower->next + 1) % TICKS_FITTED;
  follower->count += follower->count < TICKS_FITTED;
  if (follower->count >= TICKS_LEAST) {
    fit(follower);
    if (follower->period < PERIOD_S_MIN * rate) {
      follower->period = 0; // no clock at all
    }
  }
}

static void
hear_tick(BeatFollower* follower, uint64_t frame)
{
  add_tick(follower, frame);
  if (!follower->running) {
    return;
  }
  if (follower->begins) {
    follower->begins      = false;
    follower->start_frame = frame;
    follower->due         = true;
  } else {
    ++follower->tick;
  }
}

// The next tick that counts is this one.
static void
go_to_tick(BeatFollower* follower, int64_t tick)
{
  follower->begins = true;
  follower->tick   = tick;
}

// From where it stopped on: `tick` was heard, unless it is still to begin.
static void
run_on(BeatFollower* follower)
{
  if (!follower->begins) {
    go_to_tick(follower, follower->tick + 1);
  }
  follower->running = true;
}

static void
hear_midi(BeatFollower* follower, uint64_t frame, const MidiInput* midi)
{
  switch (midi->message[0]) {
    case MIDI_CLOCK:
      hear_tick(follower, frame);
      break;
    case MIDI_START:
      go_to_tick(follower, 0);
      follower->running = true;
      break;
    case MIDI_CONTINUE:
      run_on(follower);
      break;
    case MIDI_STOP:
      follower->running     = false;
      follower->start_frame = frame;
      follower->due         = true;
      break;
    case MIDI_SONG_POSITION:
      go_to_tick(follower,
                 (midi->message[1] | midi->message[2] << 7) *
                   TICKS_A_SIXTEENTH);
      break;
    default:
      break;
  }
}

// --- What is told ------------------------------------------------------------

void
beat_follower_hear(BeatFollower* follower, const HeardEvent* event)
{
  const bool broke = event->breaks != follower->breaks;
  if (broke && follower->breaks == follower->breaks_told) {
    follower->break_frame = event->broke_at;
  }
  follower->breaks = event->breaks;
  follower->due    = follower->due || broke;
  if (event->kind == HEARD_TRANSPORT) {
    follower->transport       = event->transport;
    follower->transport_frame = event->frame;
    follower->due             = follower->due || follower->sync == SYNC_JACK;
  } else {
    hear_midi(follower, event->frame, &event->midi);
  }
}

static BeatTime
transport_time(const BeatFollower* follower)
{
  const Transport* const t   = &follower->transport;
  const double           bpm = t->has_tempo ? t->bpm : follower->own_bpm;
  const double           own_beat =
    (double)t->frame / follower->sample_rate_hz * follower->own_bpm / 60.0;
  return (BeatTime){
    .rolling     = t->rolling,
    .start_frame = follower->transport_frame,
    .map         = { .frame = follower->transport_frame,
                     .beat  = t->has_tempo ? t->beat : own_beat,
                     .bpm   = bpm },
    .beats_per_bar =
      t->has_tempo ? t->beats_per_bar : follower->own_beats_per_bar,
  };
}

static bool
clock_rolls(const BeatFollower* follower)
{
  return follower->running && !follower->begins && follower->period > 0;
}

static BeatTime
clock_time(const BeatFollower* follower)
{
  const uint64_t frame = (uint64_t)llround(fmax(follower->frame, 0));
  return (BeatTime){
    .rolling       = clock_rolls(follower),
    .start_frame   = follower->start_frame,
    .map           = { .frame = frame,
                       .beat  = (double)follower->tick / TICKS_A_BEAT,
                       .bpm   = beat_follower_bpm(follower) },
    .beats_per_bar = follower->own_beats_per_bar,
  };
}

double
beat_follower_bpm(const BeatFollower* follower)
{
  if (follower->sync == SYNC_MIDI) {
    return follower->period > 0 ? 60.0 * follower->sample_rate_hz /
                                    (follower->period * TICKS_A_BEAT)
                                : follower->told.bpm;
  }
  return follower->sync == SYNC_JACK && follower->transport.has_tempo
           ? follower->transport.bpm
           : follower->own_bpm;
}

double
beat_follower_quarters_per_bar(const BeatFollower* follower)
{
  return follower->sync == SYNC_JACK && follower->transport.has_tempo
           ? follower->transport.beats_per_bar
           : follower->own_beats_per_bar;
}

// Whether what was told leads astray.
static bool
has_drifted(const BeatFollower* follower, const BeatTime* now)
{
  const double   rate  = follower->sample_rate_hz;
  const double   ahead = now->map.beat + 1;
  const uint64_t here  = beat_frame(&now->map, follower->sample_rate_hz, ahead);
  const uint64_t there =
    beat_frame(&follower->told, follower->sample_rate_hz, ahead);
  return fabs((double)(int64_t)(here - there)) > DRIFT_S * rate;
}

bool
beat_follower_take(BeatFollower* follower, BeatTime* time)
{
  if (follower->sync == SYNC_FREE) {
    *time = (BeatTime){ .is_free = true, .rolling = true };
  } else if (follower->sync == SYNC_JACK) {
    *time = transport_time(follower);
  } else {
    *time         = clock_time(follower);
    follower->due = follower->due || time->rolling != follower->told_rolling ||
                    (time->rolling && has_drifted(follower, time));
  }
  time->breaks      = follower->breaks;
  time->break_frame = follower->break_frame;
  if (!follower->due) {
    return false;
  }
  follower->due          = false;
  follower->breaks_told  = follower->breaks;
  follower->told_rolling = time->rolling;
  follower->told         = time->map.bpm > 0 ? time->map : follower->told;
  return true;
}
