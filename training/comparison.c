// The frame of an evaluation table: test music, baselines, models, seed by
// seed.
#include "comparison.h"

#include <math.h>

static Status
set_row(Comparison*       c,
        const char*       name,
        const WindowSet*  set,
        const Difference* difference,
        double            wall_s,
        Error*            error)
{
  double         values[TABLE_COLUMNS_MAX];
  const uint32_t last = c->table->column_count - 1;
  for (uint32_t i = 0; i <= last; ++i) {
    values[i] = NAN;
  }
  c->describe(c, set, values);
  if (difference) {
    values[COMPARISON_AUC]     = difference->auc;
    values[COMPARISON_FRECHET] = difference->frechet;
  }
  if (wall_s > 0.0) {
    values[last] = (double)set->count * set->notes / WINDOW_NOTES / wall_s;
  }
  return table_set(c->table, name, c->layer, values, error);
}

Status
comparison_add(Comparison* c,
               const char* name,
               WindowSet*  set,
               double      wall_s,
               Error*      error)
{
  if (!c->e->raw) {
    window_set_round(set);
  }
  Difference difference;
  Status     status =
    reference_compare(&c->reference, set, c->seed, &difference, error);
  if (status == STATUS_OK) {
    status = set_row(c, name, set, &difference, wall_s, error);
  }
  window_set_free(set);
  return status;
}

// The test set, what it is remembered by, its row and that of training music.
static Status
add_real(Comparison* c, Error* error)
{
  const Dataset* const data = c->e->data;
  WindowSet            train;
  Status               status =
    window_set_real(data, true, c->notes, c->count, c->seed, &c->test, error);
  if (status == STATUS_OK) {
    status = window_set_real(
      data, false, c->notes, c->test.count, c->seed, &train, error);
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
    c->remember_test(c);
    status = set_row(c, "test", &c->test, NULL, 0.0, error);
  }
  if (status != STATUS_OK) {
    window_set_free(&train);
    return status;
  }
  return comparison_add(c, "real", &train, 0.0, error);
}

static Status
add_layer(Comparison* c, Error* error)
{
  Status status = add_real(c, error);
  if (status == STATUS_OK) {
    status = c->add_baselines(c, error);
  }
  for (uint32_t m = 0; m < c->e->model_count && status == STATUS_OK; ++m) {
    status = c->add_model(c, &c->e->models[m], error);
  }
  reference_free(&c->reference);
  window_set_free(&c->test);
  return status;
}

Status
comparison_run(Comparison* c, Error* error)
{
  Status status = STATUS_OK;
  for (uint32_t s = 0; s < c->e->seeds && status == STATUS_OK; ++s) {
    c->layer = s;
    c->seed  = c->e->seed + s;
    status   = add_layer(c, error);
  }
  return status;
}
