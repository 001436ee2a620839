// `meander-train evaluate`: the table of streams of SEQUENCE_NOTES notes.
#include "evaluation.h"
#include "metrics.h"
#include "reference.h"
#include "window_features.h"

#include <math.h>

enum {
  COLUMN_AUC,
  COLUMN_FRECHET,
  COLUMN_PITCH_CONSISTENCY,
  COLUMN_PITCH_VARIANCE,
  COLUMN_DURATION_CONSISTENCY,
  COLUMN_DURATION_VARIANCE,
  COLUMN_SCALE,
  COLUMN_CLASS_CHANGE,
  COLUMN_SPEED,
  COLUMN_COUNT
};

static const TableColumn columns[COLUMN_COUNT] = {
  { "c2st_auc", 3 },       { "frechet", 2 },         { "pitch_consistency", 3 },
  { "pitch_variance", 3 }, { "dur_consistency", 3 }, { "dur_variance", 3 },
  { "scale", 3 },          { "class_change", 3 },    { "windows/s", 0 },
};

#define STREAM_WINDOWS (SEQUENCE_NOTES / WINDOW_NOTES)
// Independent windows have numbers that no stream's window has.
#define GLUED_FIRST (1ull << 40)

typedef struct {
  const Evaluation* e;
  WindowSet         test;
  Reference         reference;
  SelfSimilarity    similarity; // of the test streams
  uint32_t          layer;
  Table*            table;
} Comparison;

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
describe_set(const Comparison* c, const WindowSet* set, double* values)
{
  const SelfSimilarity ours   = similarity_of(set);
  values[COLUMN_SCALE]        = 0.0;
  values[COLUMN_CLASS_CHANGE] = 0.0;
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
    values[at]     = self_similarity_consistency(&ours, &c->similarity, field);
    values[at + 1] = self_similarity_variance(&ours, &c->similarity, field);
  }
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
  if (status == STATUS_OK) {
    values[COLUMN_AUC]     = difference.auc;
    values[COLUMN_FRECHET] = difference.frechet;
    values[COLUMN_SPEED] =
      cpu_s > 0.0 ? STREAM_WINDOWS * set->count / cpu_s : NAN;
    describe_set(c, set, values);
  }
  window_set_free(set);
  return status == STATUS_OK
           ? table_set(c->table, name, c->layer, values, error)
           : status;
}

static Status
add_test(const Comparison* c, Error* error)
{
  double values[COLUMN_COUNT];
  describe_set(c, &c->test, values);
  values[COLUMN_AUC]     = NAN;
  values[COLUMN_FRECHET] = NAN;
  values[COLUMN_SPEED]   = NAN;
  return table_set(c->table, "test", c->layer, values, error);
}

// Takes `windows`.
static Status
add_glued(Comparison* c,
          const char* name,
          WindowSet*  windows,
          bool        halved,
          double      cpu_s,
          Error*      error)
{
  WindowSet    set;
  const Status status =
    window_set_glued(windows, STREAM_WINDOWS, halved, &set, error);
  window_set_free(windows);
  return status == STATUS_OK ? add_source(c, name, &set, cpu_s, error) : status;
}

static Status
add_model(Comparison* c, const EvaluatedModel* m, Error* error)
{
  const bool        specs = model_kind(m->model) == MODEL_DIFFUSION;
  const WindowMaker maker = { .model       = m->model,
                              .spec        = specs ? &m->stream_spec : NULL,
                              .temperature = c->e->temperature,
                              .seed        = c->e->seed + c->layer };
  char              name[TABLE_NAME_BYTES];
  WindowSet         set;
  double            cpu_s;
  evaluation_row_name(m, maker.spec, " glued", name);
  Status status = make_window_set(
    &maker, GLUED_FIRST, STREAM_WINDOWS * c->test.count, &set, &cpu_s, error);
  if (status == STATUS_OK) {
    status = add_glued(c, name, &set, false, cpu_s, error);
  }
  if (status == STATUS_OK && model_context_max(m->model)) {
    evaluation_row_name(m, maker.spec, " continued", name);
    status = make_stream_set(&maker, c->test.count, &set, &cpu_s, error);
    if (status == STATUS_OK) {
      status = add_source(c, name, &set, cpu_s, error);
    }
  }
  return status;
}

// Takes `train`.
static Status
add_baselines(Comparison* c, WindowSet* train, Error* error)
{
  const uint64_t seed   = c->e->seed + c->layer;
  const uint32_t count  = c->test.count;
  Status         status = add_source(c, "real", train, 0.0, error);
  WindowSet      set;
  if (status == STATUS_OK) {
    status = window_set_real(c->e->data,
                             true,
                             WINDOW_NOTES,
                             STREAM_WINDOWS * count,
                             seed,
                             &set,
                             error);
  }
  if (status == STATUS_OK) {
    status = add_glued(c, "real windows glued", &set, true, 0.0, error);
  }
  if (status == STATUS_OK) {
    status = window_set_shuffled(&c->test, seed, &set, error);
  }
  return status == STATUS_OK ? add_source(c, "shuffled", &set, 0.0, error)
                             : status;
}

// The rows of one seed.
static Status
add_layer(Comparison* c, Error* error)
{
  const uint64_t seed = c->e->seed + c->layer;
  WindowSet      train;
  Status         status = window_set_real(
    c->e->data, true, SEQUENCE_NOTES, c->e->streams, seed, &c->test, error);
  if (status == STATUS_OK) {
    status = window_set_real(
      c->e->data, false, SEQUENCE_NOTES, c->test.count, seed, &train, error);
  }
  if (status != STATUS_OK) {
    return status;
  }
  if (!c->e->raw) {
    window_set_round(&c->test);
    window_set_round(&train);
  }
  status = reference_create(&c->test, &train, &c->reference, error);
  if (status == STATUS_OK) {
    c->similarity = similarity_of(&c->test);
    status        = add_test(c, error);
  }
  if (status != STATUS_OK) {
    window_set_free(&train);
    return status;
  }
  status = add_baselines(c, &train, error);
  for (uint32_t m = 0; m < c->e->model_count && status == STATUS_OK; ++m) {
    status = add_model(c, &c->e->models[m], error);
  }
  return status;
}

Status
evaluate_streams(const Evaluation* e, Table* table, Error* error)
{
  table->name         = "streams";
  table->columns      = columns;
  table->column_count = COLUMN_COUNT;
  Comparison c        = { .e = e, .table = table };
  Status     status   = STATUS_OK;
  for (uint32_t s = 0; s < e->seeds && status == STATUS_OK; ++s) {
    c.layer = s;
    status  = add_layer(&c, error);
    reference_free(&c.reference);
    window_set_free(&c.test);
  }
  return status;
}
