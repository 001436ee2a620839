// `meander-train evaluate`: the table of windows.
#include "evaluation.h"
#include "metrics.h"
#include "reference.h"
#include "window_features.h"

#include <math.h>
#include <stdlib.h>

enum {
  COLUMN_AUC,
  COLUMN_FRECHET,
  COLUMN_OVERLAPS,
  COLUMN_OVERLAP_MEAN = COLUMN_OVERLAPS + MARGINAL_COUNT,
  COLUMN_SCALE,
  COLUMN_CHORDS,
  COLUMN_COPIES,
  COLUMN_SPEED,
  COLUMN_COUNT
};

static const TableColumn columns[COLUMN_COUNT] = {
  { "c2st_auc", 3 },  { "frechet", 2 },     { "oa_pitch", 3 },
  { "oa_class", 3 },  { "oa_interval", 3 }, { "oa_velocity", 3 },
  { "oa_step", 3 },   { "oa_duration", 3 }, { "oa_mean", 3 },
  { "scale", 3 },     { "chord_rate", 3 },  { "memorised", 4 },
  { "windows/s", 0 },
};

// What the sources are compared with.
typedef struct {
  const Evaluation* e;
  WindowSet         test;
  Reference         reference;
  Marginals         marginals; // of the test windows
  IntervalIndex     copies;    // of all training music
  uint32_t          layer;     // which seed this is
  Table*            table;
} Comparison;

static Status
index_training(const Dataset* data, IntervalIndex* index, Error* error)
{
  Status status =
    interval_index_create(index, dataset_note_count(data, false), error);
  for (size_t p = 0; p < dataset_piece_count(data) && status == STATUS_OK;
       ++p) {
    const DatasetPiece* const piece = dataset_piece(data, p);
    for (uint32_t i = 0;
         !piece->is_test && i + WINDOW_NOTES <= piece->note_count;
         ++i) {
      NoteEvent window[WINDOW_NOTES];
      dataset_notes(data, piece->first_note + i, WINDOW_NOTES, window);
      interval_index_add(index, window, (uint32_t)p);
    }
  }
  return status;
}

static void
add_marginals(Marginals* marginals, const WindowSet* set)
{
  for (uint32_t i = 0; i < set->count; ++i) {
    marginals_add(marginals, set->events + (size_t)i * set->notes, set->notes);
  }
}

// What a set shows by itself.
static void
describe_set(const Comparison* c, const WindowSet* set, double* values)
{
  double scale = 0.0, chords = 0.0, copies = 0.0;
  for (uint32_t i = 0; i < set->count; ++i) {
    const NoteEvent* const window = set->events + (size_t)i * set->notes;
    scale += scale_consistency(window, set->notes);
    for (uint32_t k = 1; k < set->notes; ++k) {
      chords += window[k].step_s < FEATURE_CHORD_S;
    }
    copies += interval_index_has(&c->copies, window, set->piece[i]);
  }
  values[COLUMN_SCALE]  = scale / set->count;
  values[COLUMN_CHORDS] = chords / set->count / (set->notes - 1);
  values[COLUMN_COPIES] = copies / set->count;
}

static void
compare_marginals(const Comparison* c, const WindowSet* set, double* values)
{
  Marginals ours = { 0 };
  double    sum  = 0.0;
  add_marginals(&ours, set);
  for (int f = 0; f < MARGINAL_COUNT; ++f) {
    values[COLUMN_OVERLAPS + f] = marginals_overlap(&ours, &c->marginals, f);
    sum += values[COLUMN_OVERLAPS + f];
  }
  values[COLUMN_OVERLAP_MEAN] = sum / MARGINAL_COUNT;
}

// Adds a source's row; `set` is rounded and freed.
static Status
add_source(Comparison* c,
           const char* name,
           WindowSet*  set,
           double      cpu_s,
           Error*      error)
{
  double values[COLUMN_COUNT];
  if (!c->e->raw) {
    window_set_round(set);
  }
  Difference   difference;
  const Status status = reference_compare(
    &c->reference, set, c->e->seed + c->layer, &difference, error);
  if (status != STATUS_OK) {
    window_set_free(set);
    return status;
  }
  values[COLUMN_AUC]     = difference.auc;
  values[COLUMN_FRECHET] = difference.frechet;
  values[COLUMN_SPEED]   = cpu_s > 0.0 ? set->count / cpu_s : NAN;
  describe_set(c, set, values);
  compare_marginals(c, set, values);
  window_set_free(set);
  return table_set(c->table, name, c->layer, values, error);
}

static Status
add_test(const Comparison* c, Error* error)
{
  double values[COLUMN_COUNT];
  for (int i = 0; i < COLUMN_COUNT; ++i) {
    values[i] = NAN;
  }
  describe_set(c, &c->test, values);
  return table_set(c->table, "test", c->layer, values, error);
}

// Takes `train`.
static Status
add_baselines(Comparison* c, WindowSet* train, Error* error)
{
  const uint64_t seed   = c->e->seed + c->layer;
  Status         status = add_source(c, "real", train, 0.0, error);
  WindowSet      set;
  if (status == STATUS_OK) {
    status = window_set_real(
      c->e->data, false, WINDOW_NOTES, c->test.count, seed, &set, error);
  }
  if (status == STATUS_OK) {
    window_set_floor_steps(&set);
    status = add_source(c, "steps >= 0.1 s", &set, 0.0, error);
  }
  if (status == STATUS_OK) {
    status = window_set_shuffled(&c->test, seed, &set, error);
  }
  if (status == STATUS_OK) {
    status = add_source(c, "shuffled", &set, 0.0, error);
  }
  if (status == STATUS_OK) {
    status = window_set_marginals(&c->test, seed, &set, error);
  }
  return status == STATUS_OK ? add_source(c, "marginals", &set, 0.0, error)
                             : status;
}

static Status
add_model(Comparison* c, const EvaluatedModel* m, Error* error)
{
  const bool     specs  = model_kind(m->model) == MODEL_DIFFUSION;
  const uint32_t rows   = specs ? m->spec_count : 1;
  Status         status = STATUS_OK;
  for (uint32_t i = 0; i < rows && status == STATUS_OK; ++i) {
    const WindowMaker maker = { .model       = m->model,
                                .spec        = specs ? &m->specs[i] : NULL,
                                .temperature = c->e->temperature,
                                .seed        = c->e->seed + c->layer };
    char              name[TABLE_NAME_BYTES];
    WindowSet         set;
    double            cpu_s;
    evaluation_row_name(m, maker.spec, "", name);
    status = make_window_set(&maker, 0, c->test.count, &set, &cpu_s, error);
    if (status == STATUS_OK) {
      status = add_source(c, name, &set, cpu_s, error);
    }
  }
  return status;
}

// The rows of one seed.
static Status
add_layer(Comparison* c, Error* error)
{
  const Evaluation* const e    = c->e;
  const uint64_t          seed = e->seed + c->layer;
  WindowSet               train;
  Status                  status = window_set_real(
    e->data, true, WINDOW_NOTES, e->windows, seed, &c->test, error);
  if (status == STATUS_OK) {
    status = window_set_real(
      e->data, false, WINDOW_NOTES, c->test.count, seed, &train, error);
  }
  if (status != STATUS_OK) {
    return status;
  }
  if (!e->raw) {
    window_set_round(&c->test);
    window_set_round(&train);
  }
  status = reference_create(&c->test, &train, &c->reference, error);
  if (status == STATUS_OK) {
    c->marginals = (Marginals){ 0 };
    add_marginals(&c->marginals, &c->test);
    status = add_test(c, error);
  }
  if (status != STATUS_OK) {
    window_set_free(&train);
    return status;
  }
  status = add_baselines(c, &train, error);
  for (uint32_t m = 0; m < e->model_count && status == STATUS_OK; ++m) {
    status = add_model(c, &e->models[m], error);
  }
  return status;
}

Status
evaluate_windows(const Evaluation* e, Table* table, Error* error)
{
  table->name         = "windows";
  table->columns      = columns;
  table->column_count = COLUMN_COUNT;
  Comparison* const c = calloc(1, sizeof *c);
  if (!c) {
    return error_set(error, STATUS_NO_MEMORY, "no memory to evaluate");
  }
  c->e          = e;
  c->table      = table;
  Status status = index_training(e->data, &c->copies, error);
  for (uint32_t s = 0; s < e->seeds && status == STATUS_OK; ++s) {
    c->layer = s;
    status   = add_layer(c, error);
    reference_free(&c->reference);
    window_set_free(&c->test);
  }
  interval_index_free(&c->copies);
  free(c);
  return status;
}
