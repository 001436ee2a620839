// What a pass of the diffusion model's training holds: which notes of which
// pieces, their augmentation, masks of given notes, noise levels.
#include "sequence_batch.h"

#include "numbered_set.h"

#include <math.h>
#include <string.h>

#define ROWS_MAX (CHUNK * SEQUENCE_NOTES)

// A pass and the notes that were drawn for it.
typedef struct {
  Device*      device;
  DrawSource   source;
  Shuffle      shuffle;
  SequencePass pass;
  Tensor       now, pitch_to, channels_to, clean_to;
  float        pitch[ROWS_MAX];
  float        channels[ROWS_MAX * CHANNEL_COUNT];
  float        clean[ROWS_MAX];
} Source;

static Source
open_source(const DiffusionRecipe* recipe, bool test)
{
  Source s = { .device = NULL };
  assert_int_equal(device_open("auto", &s.device, NULL, NULL), STATUS_OK);
  const struct {
    uint32_t rows, columns;
    Tensor*  to;
  } all[] = { { 1, DRAW_NOW_FLOATS, &s.now },
              { ROWS_MAX, 1, &s.pitch_to },
              { ROWS_MAX, CHANNEL_COUNT, &s.channels_to },
              { ROWS_MAX, 1, &s.clean_to } };
  for (size_t i = 0; i < sizeof all / sizeof *all; ++i) {
    assert_int_equal(
      tensor_allocate(s.device, all[i].rows, all[i].columns, all[i].to, NULL),
      STATUS_OK);
  }
  assert_int_equal(draw_source_notes(s.device, dataset, &s.source.notes, NULL),
                   STATUS_OK);
  assert_int_equal(
    draw_source_slots(s.device, dataset, test, &s.source.units, NULL),
    STATUS_OK);
  assert_int_equal(s.source.units.rows, draw_source_slot_count(dataset, test));
  assert_int_equal(
    shuffle_init(&s.shuffle, s.source.units.rows, recipe->run.batch, "x", NULL),
    STATUS_OK);
  assert_int_equal(sequence_pass_create(&s.pass, CHUNK, NULL), STATUS_OK);
  return s;
}

static void
close_source(Source* s)
{
  Tensor* const all[] = { &s->now,      &s->pitch_to,     &s->channels_to,
                          &s->clean_to, &s->source.notes, &s->source.units };
  assert_int_equal(device_status(s->device, NULL), STATUS_OK);
  for (size_t i = 0; i < sizeof all / sizeof *all; ++i) {
    tensor_free(s->device, all[i]);
  }
  sequence_pass_free(&s->pass);
  device_close(s->device);
}

static const SequencePass*
fill(Source* s, const DiffusionRecipe* recipe, uint32_t step, uint32_t pass)
{
  const PassPlace place = {
    .step       = step,
    .pass       = pass,
    .pass_count = recipe->run.batch / CHUNK,
    .epoch      = shuffle_epoch(&s->shuffle, step),
    .order      = shuffle_first(&s->shuffle, step),
    .first      = pass * CHUNK,
    .count      = CHUNK,
  };
  sequence_pass_plan(recipe, &place, &s->pass);
  const uint32_t       rows = s->pass.sequences * s->pass.notes;
  const DiffusionNotes to   = { tensor_rows(s->pitch_to, 0, rows),
                                tensor_rows(s->channels_to, 0, rows),
                                tensor_rows(s->clean_to, 0, rows) };
  const DrawRule       rule = sequence_rule(recipe, dataset);
  float                now[DRAW_NOW_FLOATS];
  sequence_pass_now(recipe, &place, now);
  tensor_write(s->device, s->now, now);
  op_draw_sequences(s->device,
                    &rule,
                    &s->source,
                    s->now,
                    s->pass.notes,
                    to.pitch,
                    to.channels,
                    to.clean);
  tensor_read(s->device, to.pitch, s->pitch);
  tensor_read(s->device, to.channels, s->channels);
  tensor_read(s->device, to.clean, s->clean);
  return &s->pass;
}

static NoteEvent
event_at(const Source* s, size_t row)
{
  return decode_event(
    dataset_stats(dataset), s->pitch[row], s->channels + row * CHANNEL_COUNT);
}

static uint32_t
number_at(const Source* s, size_t row)
{
  return (uint32_t)lrintf(event_at(s, row).step_s / 50e-6f) - 100;
}

// Counts the visits of each note; a sequence is a run of one piece's notes.
static void
count_visits(const DiffusionRecipe* recipe,
             bool                   test,
             uint32_t               steps,
             double                 visits[NUMBERS])
{
  Source source = open_source(recipe, test);
  for (uint32_t i = 0; i < 4 * steps; ++i) {
    const SequencePass* const pass = fill(&source, recipe, i / 4, i % 4);
    for (uint32_t s = 0; s < pass->sequences; ++s) {
      const uint32_t begin = number_at(&source, (size_t)s * pass->notes);
      for (uint32_t k = 0; k < pass->notes; ++k) {
        const uint32_t number = number_at(&source, (size_t)s * pass->notes + k);
        assert_int_equal(number, begin + k);
        visits[number] +=
          (double)source.shuffle.count / ((double)steps * recipe->run.batch);
      }
    }
  }
  close_source(&source);
}

static void
test_every_note_is_visited_alike(void** state)
{
  (void)state;
  const DiffusionRecipe recipe = plain_recipe();
  for (int test = 0; test < 2; ++test) {
    static double visits[NUMBERS];
    memset(visits, 0, sizeof visits);
    count_visits(&recipe, test, 700, visits);
    double sum = 0.0;
    for (uint32_t p = 0; p < PIECES; ++p) {
      const bool in = is_test(p) == test && lengths[p] >= SEQUENCE_NOTES;
      for (uint32_t i = 0; i < lengths[p]; ++i) {
        const double count = visits[first_number(p) + i];
        const bool   inner = lengths[p] > 400 && i >= 32 && i + 32 < lengths[p];
        sum += count;
        assert_true(in || count == 0.0);
        // A piece hardly longer than a slot has it harder at its ends.
        assert_true(!in || (count > 0.2 && count < 2.2));
        assert_true(!in || !inner || fabs(count - 0.97) < 0.2);
      }
    }
    // Nothing but the data set's notes was counted.
    for (uint32_t i = 0; i < NUMBERS; ++i) {
      sum -= visits[i];
    }
    assert_true(fabs(sum) < 1e-6);
  }
}

static void
test_lengths_and_levels_are_spread(void** state)
{
  (void)state;
  const DiffusionRecipe recipe    = plain_recipe();
  const double          T         = recipe.settings.noise_steps;
  Source                source    = open_source(&recipe, false);
  uint32_t              length[5] = { 0 };
  uint32_t              twice     = 0;
  double                level     = 0.0;
  enum { STEPS = 400 };
  for (uint32_t i = 0; i < 4 * STEPS; ++i) {
    const SequencePass* const pass = fill(&source, &recipe, i / 4, i % 4);
    bool                      seen[4 * CHUNK] = { false };
    double                    sum             = 0.0;
    ++length[pass->notes / 8];
    twice += pass->self_condition;
    assert_int_equal(pass->sequences, CHUNK * (32 / pass->notes));
    // One level in each of as many equal parts, wherever the first begins.
    const double start = pass->t[0] - 1;
    for (uint32_t s = 0; s < pass->sequences; ++s) {
      assert_in_range(pass->t[s], 1, recipe.settings.noise_steps);
      const double at = fmod(pass->t[s] - 1 - start + T, T) / T;
      const int part  = (int)lrint(at * pass->sequences) % (int)pass->sequences;
      assert_false(seen[part]);
      seen[part] = true;
      sum += pass->t[s] / T / pass->sequences;
    }
    level += sum / (4 * STEPS);
  }
  // A quarter, an eighth, an eighth, a half: of four passes a step, one, one or
  // none, one or none, two.
  assert_int_equal(length[1], STEPS);
  assert_int_equal(length[4], 2 * STEPS);
  assert_in_range(length[2], STEPS * 4 / 10, STEPS * 6 / 10);
  assert_int_equal(length[2] + length[3], STEPS);
  assert_int_equal(twice, 2 * STEPS);
  assert_true(fabs(level - 0.5) < 0.01);
  close_source(&source);
}

// Over how many of a student's steps the pass jumps; 0: from any level, by any
// way up to one of them. Checks each jump.
static uint32_t
grid_steps(const DiffusionRecipe* recipe, const SequencePass* pass)
{
  const uint32_t levels   = recipe->settings.noise_steps;
  const uint32_t students = recipe->settings.student_steps;
  const uint32_t step     = levels / students;
  const uint32_t first    = (pass->t[0] - pass->next[0]) / step;
  uint32_t       from[16] = { 0 };
  bool           grid     = true;
  for (uint32_t s = 0; s < pass->sequences; ++s) {
    assert_in_range(pass->t[s], pass->substeps, levels);
    assert_in_range(pass->next[s], 0, pass->t[s] - pass->substeps);
    grid = grid && pass->t[s] % step == 0 &&
           pass->t[s] - pass->next[s] == first * step;
    ++from[pass->t[s] / step];
  }
  // Wherever the jump fits, as often as anywhere else.
  for (uint32_t i = 0; grid && i <= students; ++i) {
    const uint32_t places = students - first + 1;
    const uint32_t share  = i < first ? 0 : pass->sequences / places;
    assert_in_range(from[i], share, i < first ? 0 : share + 1);
  }
  for (uint32_t s = 0; !grid && s < pass->sequences; ++s) {
    assert_in_range(pass->t[s] - pass->next[s], 1, step);
  }
  return grid ? first : 0;
}

// Three eighths of a student's passes go one of its steps, one two of them, two
// all the way, two by any; with the teacher's steps for each.
static void
test_jumps_have_their_shares(void** state)
{
  (void)state;
  enum { STEPS = 300 };
  DiffusionRecipe r            = plain_recipe();
  Source          source       = open_source(&r, false);
  const double    shares[3][5] = { { 0 },
                                   { 0.25, 0.375, 0.375 },
                                   { 0.25, 0.375, 0.125, 0, 0.25 } };
  r.teacher_substeps           = 4;
  for (int i = 0; i < 3; ++i) {
    uint32_t counts[5] = { 0 }, mixed = 0, longest = 0;
    r.settings.student_steps = 1u << i;
    for (uint32_t step = 0; step < STEPS; ++step) {
      uint32_t kinds = 0;
      for (uint32_t k = 0; k < 4; ++k) {
        const SequencePass* const pass  = fill(&source, &r, step, k);
        const uint32_t            steps = grid_steps(&r, pass);
        assert_int_equal(pass->substeps, 4 * (steps ? steps : 1));
        ++counts[steps];
        kinds |= 1u << steps;
        const uint32_t way = pass->t[0] - pass->next[0];
        longest            = steps || way < longest ? longest : way;
      }
      mixed += (kinds & (kinds - 1)) != 0;
    }
    for (uint32_t k = 0; i && k < 5; ++k) {
      assert_true(fabs(counts[k] / (4.0 * STEPS) - shares[i][k]) < 0.05);
    }
    // Each pass of a step has its own; a student of one step has no other.
    assert_true(i ? mixed > STEPS / 2 : counts[1] == 4 * STEPS);
    assert_true(!i || longest > (1000u >> i) * 9 / 10);
  }
  close_source(&source);
}

// The run of notes that are not given, [begin, end); checks that it is one.
static void
find_run(const float* clean, uint32_t notes, uint32_t* begin, uint32_t* end)
{
  uint32_t count = 0;
  *begin         = notes;
  for (uint32_t i = 0; i < notes; ++i) {
    assert_true(clean[i] == 0.0f || clean[i] == 1.0f);
    if (clean[i] == 0.0f) {
      *begin = *begin < i ? *begin : i;
      *end   = i + 1;
      ++count;
    }
  }
  assert_true(count > 0);
  assert_int_equal(*end - *begin, count);
}

typedef struct {
  double all, last_window, others_at_end, window, begins[SEQUENCE_NOTES];
} Masks;

// Shares of the masks of sequences of 32 notes.
static Masks
count_masks(const DiffusionRecipe* recipe)
{
  Masks    m      = { 0 };
  Source   source = open_source(recipe, false);
  uint32_t total  = 0;
  double*  counts = (double*)&m;
  for (uint32_t i = 0; i < 1200; ++i) {
    const SequencePass* const pass = fill(&source, recipe, i / 4, i % 4);
    for (uint32_t s = 0; s < pass->sequences; ++s) {
      uint32_t begin, end = 0;
      find_run(
        source.clean + (size_t)s * pass->notes, pass->notes, &begin, &end);
      if (pass->notes == SEQUENCE_NOTES) {
        ++total;
        m.all += begin == 0 && end == 32;
        m.last_window += begin == 24 && end == 32;
        m.others_at_end += begin > 0 && begin != 24 && end == 32;
        m.window += end - begin == 8;
        m.begins[begin] += 1.0;
      }
    }
  }
  for (size_t i = 0; i < sizeof m / sizeof *counts; ++i) {
    counts[i] /= total;
  }
  close_source(&source);
  return m;
}

static void
test_masks_have_their_shares(void** state)
{
  (void)state;
  DiffusionRecipe r = plain_recipe();
  Masks           m = count_masks(&r);
  assert_true(fabs(m.all - 0.30) < 0.03);
  assert_true(fabs(m.last_window - 0.36) < 0.03);
  r.continuation_share = 1.0f;
  r.prefix_share = r.infill_share = 0.0f;
  m                               = count_masks(&r);
  assert_true(m.last_window == 1.0);
  r.continuation_share = 0.0f;
  r.prefix_share       = 1.0f;
  m                    = count_masks(&r);
  assert_true(fabs(m.last_window + m.others_at_end - 1.0) < 1e-9);
  for (uint32_t i = 1; i < SEQUENCE_NOTES; ++i) {
    assert_true(m.begins[i] > 0.01 && m.begins[i] < 0.06);
  }
  r.prefix_share = 0.0f;
  r.infill_share = 1.0f;
  m              = count_masks(&r);
  assert_true(m.all == 0.0);
  assert_true(fabs(m.window - 0.516) < 0.04);
  assert_true(m.last_window + m.others_at_end < 0.2);
}

static void
test_augmentation_is_of_the_whole_sequence(void** state)
{
  (void)state;
  DiffusionRecipe r     = plain_recipe();
  r.run.transpose       = 5;
  r.run.tempo_spread    = 0.1f;
  r.run.velocity_spread = 0.1f;
  Source source         = open_source(&r, false);
  bool   shifts[11]     = { false };
  for (uint32_t i = 0; i < 100; ++i) {
    const SequencePass* const pass = fill(&source, &r, i / 4, i % 4);
    for (uint32_t s = 0; s < pass->sequences; ++s) {
      const size_t first = (size_t)s * pass->notes;
      // The one transposition that fits all the pitches.
      const NoteEvent one   = event_at(&source, first);
      int             found = -99;
      for (int shift = -5; shift <= 5; ++shift) {
        const int low = one.pitch - shift - 50;
        bool      ok  = low >= 0 && low < 7;
        for (uint32_t k = 0; k < pass->notes; ++k) {
          ok = ok && event_at(&source, first + k).pitch ==
                       50 + (low + (int)k) % 7 + shift;
        }
        found = ok ? shift : found;
      }
      assert_in_range(found + 5, 0, 10);
      shifts[found + 5] = true;
      double least = 9.0, most = 0.0;
      for (uint32_t k = 0; k < pass->notes; ++k) {
        const double d     = (double)event_at(&source, first + k).duration_s;
        const double tempo = d / (d > 0.5 ? 0.7 : 0.3);
        least              = fmin(least, tempo);
        most               = fmax(most, tempo);
      }
      assert_true(least > 0.899 && most < 1.101 && most - least < 1e-3);
    }
  }
  for (int i = 0; i < 11; ++i) {
    assert_true(shifts[i]);
  }
  close_source(&source);
}

int
main(void)
{
  const struct CMUnitTest all[] = {
    cmocka_unit_test(test_every_note_is_visited_alike),
    cmocka_unit_test(test_lengths_and_levels_are_spread),
    cmocka_unit_test(test_jumps_have_their_shares),
    cmocka_unit_test(test_masks_have_their_shares),
    cmocka_unit_test(test_augmentation_is_of_the_whole_sequence),
  };
  return cmocka_run_group_tests_name("sequence_batch", all, set_up, tear_down);
}
