// `meander-train evaluate`: the table of streams of SEQUENCE_NOTES notes.
#include "comparison.h"
#include "metrics.h"
#include "window_features.h"

enum {
  COLUMN_PITCH_CONSISTENCY = COMPARISON_OWN,
  COLUMN_PITCH_VARIANCE,
  COLUMN_DURATION_CONSISTENCY,
  COLUMN_DURATION_VARIANCE,
  COLUMN_SCALE,
  COLUMN_CLASS_CHANGE,
  COLUMN_SPEED,
  COLUMN_COUNT
};

static const TableColumn columns[COLUMN_COUNT] = {
  COMPARISON_FIRST_COLUMNS, { "pitch_consistency", 3 }, { "pitch_variance", 3 },
  { "dur_consistency", 3 }, { "dur_variance", 3 },      { "scale", 3 },
  { "class_change", 3 },    COMPARISON_LAST_COLUMN,
};

#define STREAM_WINDOWS (SEQUENCE_NOTES / WINDOW_NOTES)
// Independent windows have numbers that no stream's window has.
#define GLUED_FIRST (1ull << 40)

typedef struct {
  Comparison     base;       // first: the table's functions take it from here
  SelfSimilarity similarity; // of the test streams
} StreamTable;

static SelfSimilarity
similarity_of(const WindowSet* set)
{
  SelfSimilarity sum = { 0 };
  for (uint32_t i = 0; i < set->count; ++i) {
    self_similarity_add(&sum, set->events + (size_t)i * set->notes, set->notes);
  }
  return sum;
}

static void
remember_test(Comparison* c)
{
  ((StreamTable*)(void*)c)->similarity = similarity_of(&c->test);
}

static void
describe(const Comparison* c, const WindowSet* set, double* values)
{
  const StreamTable* const w    = (const StreamTable*)(const void*)c;
  const SelfSimilarity     ours = similarity_of(set);
  values[COLUMN_SCALE]          = 0.0;
  values[COLUMN_CLASS_CHANGE]   = 0.0;
  for (uint32_t i = 0; i < set->count; ++i) {
    float features[STREAM_FEATURE_COUNT];
    features_of_stream(
      set->events + (size_t)i * set->notes, set->notes, features);
    values[COLUMN_SCALE] += (double)features[FEATURE_SCALE] / set->count;
    values[COLUMN_CLASS_CHANGE] +=
      (double)features[FEATURE_DRIFT_CLASS] / set->count;
  }
  for (int field = 0; field < 2; ++field) {
    const int at   = COLUMN_PITCH_CONSISTENCY + 2 * field;
    values[at]     = self_similarity_consistency(&ours, &w->similarity, field);
    values[at + 1] = self_similarity_variance(&ours, &w->similarity, field);
  }
}

// Takes `windows`.
static Status
add_glued(Comparison* c,
          const char* name,
          WindowSet*  windows,
          bool        halved,
          double      wall_s,
          Error*      error)
{
  WindowSet    set;
  const Status status =
    window_set_glued(windows, STREAM_WINDOWS, halved, &set, error);
  window_set_free(windows);
  return status == STATUS_OK ? comparison_add(c, name, &set, wall_s, error)
                             : status;
}

static Status
add_model(Comparison* c, const EvaluatedModel* m, Error* error)
{
  const bool        specs = model_kind(m->model) == MODEL_DIFFUSION;
  const WindowMaker maker = { .model       = m->model,
                              .spec        = specs ? &m->stream_spec : NULL,
                              .temperature = c->e->temperature,
                              .seed        = c->seed };
  char              name[TABLE_NAME_BYTES];
  WindowSet         set;
  double            wall_s;
  evaluation_row_name(m, maker.spec, " glued", name);
  Status status = make_window_set(
    &maker, GLUED_FIRST, STREAM_WINDOWS * c->test.count, &set, &wall_s, error);
  if (status == STATUS_OK) {
    status = add_glued(c, name, &set, false, wall_s, error);
  }
  if (status == STATUS_OK && model_context_max(m->model)) {
    evaluation_row_name(m, maker.spec, " continued", name);
    status = make_stream_set(&maker, c->test.count, &set, &wall_s, error);
    if (status == STATUS_OK) {
      status = comparison_add(c, name, &set, wall_s, error);
    }
  }
  return status;
}

static Status
add_baselines(Comparison* c, Error* error)
{
  const uint32_t count = STREAM_WINDOWS * c->test.count;
  WindowSet      set;
  Status         status = window_set_real(
    c->e->data, true, WINDOW_NOTES, count, c->seed, &set, error);
  if (status == STATUS_OK) {
    status = add_glued(c, "real windows glued", &set, true, 0.0, error);
  }
  if (status == STATUS_OK) {
    status = window_set_shuffled(&c->test, c->seed, &set, error);
  }
  return status == STATUS_OK ? comparison_add(c, "shuffled", &set, 0.0, error)
                             : status;
}

Status
evaluate_streams(const Evaluation* e, Table* table, Error* error)
{
  table->name         = "streams";
  table->columns      = columns;
  table->column_count = COLUMN_COUNT;
  StreamTable w       = { .base = { .e             = e,
                                    .table         = table,
                                    .notes         = SEQUENCE_NOTES,
                                    .count         = e->streams,
                                    .remember_test = remember_test,
                                    .describe      = describe,
                                    .add_baselines = add_baselines,
                                    .add_model     = add_model } };
  return comparison_run(&w.base, error);
}
