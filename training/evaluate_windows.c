// `meander-train evaluate`: the table of windows.
#include "comparison.h"
#include "metrics.h"
#include "window_features.h"

enum {
  COLUMN_OVERLAPS     = COMPARISON_OWN,
  COLUMN_OVERLAP_MEAN = COLUMN_OVERLAPS + MARGINAL_COUNT,
  COLUMN_SCALE,
  COLUMN_CHORDS,
  COLUMN_COPIES,
  COLUMN_SPEED,
  COLUMN_COUNT
};

static const TableColumn columns[COLUMN_COUNT] = {
  COMPARISON_FIRST_COLUMNS, { "oa_pitch", 3 },    { "oa_class", 3 },
  { "oa_interval", 3 },     { "oa_velocity", 3 }, { "oa_step", 3 },
  { "oa_duration", 3 },     { "oa_mean", 3 },     { "scale", 3 },
  { "chord_rate", 3 },      { "memorised", 4 },   COMPARISON_LAST_COLUMN,
};

typedef struct {
  Comparison    base;      // first: the table's functions take it from here
  Marginals     marginals; // of the test windows
  IntervalIndex copies;    // of all training music
} WindowTable;

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

static void
remember_test(Comparison* c)
{
  WindowTable* const w = (WindowTable*)(void*)c;
  w->marginals         = (Marginals){ 0 };
  add_marginals(&w->marginals, &c->test);
}

static void
compare_marginals(const WindowTable* w, const WindowSet* set, double* values)
{
  Marginals ours = { 0 };
  double    sum  = 0.0;
  add_marginals(&ours, set);
  for (int f = 0; f < MARGINAL_COUNT; ++f) {
    values[COLUMN_OVERLAPS + f] = marginals_overlap(&ours, &w->marginals, f);
    sum += values[COLUMN_OVERLAPS + f];
  }
  values[COLUMN_OVERLAP_MEAN] = sum / MARGINAL_COUNT;
}

static void
describe(const Comparison* c, const WindowSet* set, double* values)
{
  const WindowTable* const w     = (const WindowTable*)(const void*)c;
  double                   scale = 0.0, chords = 0.0, copies = 0.0;
  for (uint32_t i = 0; i < set->count; ++i) {
    const NoteEvent* const window = set->events + (size_t)i * set->notes;
    scale += scale_consistency(window, set->notes);
    for (uint32_t k = 1; k < set->notes; ++k) {
      chords += window[k].step_s < FEATURE_CHORD_S;
    }
    copies += interval_index_has(&w->copies, window, set->piece[i]);
  }
  values[COLUMN_SCALE]  = scale / set->count;
  values[COLUMN_CHORDS] = chords / set->count / (set->notes - 1);
  values[COLUMN_COPIES] = copies / set->count;
  if (set != &c->test) {
    compare_marginals(w, set, values);
  }
}

static Status
add_baselines(Comparison* c, Error* error)
{
  WindowSet set;
  Status    status = window_set_real(
    c->e->data, false, WINDOW_NOTES, c->test.count, c->seed, &set, error);
  if (status == STATUS_OK) {
    window_set_floor_steps(&set);
    status = comparison_add(c, "steps >= 0.1 s", &set, 0.0, error);
  }
  if (status == STATUS_OK) {
    status = window_set_shuffled(&c->test, c->seed, &set, error);
  }
  if (status == STATUS_OK) {
    status = comparison_add(c, "shuffled", &set, 0.0, error);
  }
  if (status == STATUS_OK) {
    status = window_set_marginals(&c->test, c->seed, &set, error);
  }
  return status == STATUS_OK ? comparison_add(c, "marginals", &set, 0.0, error)
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
                                .seed        = c->seed };
    char              name[TABLE_NAME_BYTES];
    WindowSet         set;
    double            wall_s;
    evaluation_row_name(m, maker.spec, "", name);
    status = make_window_set(&maker, 0, c->test.count, &set, &wall_s, error);
    if (status == STATUS_OK) {
      status = comparison_add(c, name, &set, wall_s, error);
    }
  }
  return status;
}

Status
evaluate_windows(const Evaluation* e, Table* table, Error* error)
{
  table->name         = "windows";
  table->columns      = columns;
  table->column_count = COLUMN_COUNT;
  WindowTable w       = { .base = { .e             = e,
                                    .table         = table,
                                    .notes         = WINDOW_NOTES,
                                    .count         = e->windows,
                                    .remember_test = remember_test,
                                    .describe      = describe,
                                    .add_baselines = add_baselines,
                                    .add_model     = add_model } };
  Status      status  = index_training(e->data, &w.copies, error);
  if (status == STATUS_OK) {
    status = comparison_run(&w.base, error);
  }
  interval_index_free(&w.copies);
  return status;
}
