// One table of `meander-train evaluate`: sources of notes, row by row, against
// as many windows or streams of test music, seed by seed. What the tables of
// windows and of streams share; what a set shows besides is theirs. Main
// thread.
#pragma once

#include "evaluation.h"
#include "reference.h"

// Every such table has these columns, its own in between.
enum { COMPARISON_AUC, COMPARISON_FRECHET, COMPARISON_OWN };
#define COMPARISON_FIRST_COLUMNS                                               \
  { "c2st_auc", 3 },                                                           \
  {                                                                            \
    "frechet", 2                                                               \
  }
#define COMPARISON_LAST_COLUMN                                                 \
  {                                                                            \
    "windows/s", 0                                                             \
  }

typedef struct Comparison Comparison;
struct Comparison {
  const Evaluation* e;
  Table*            table;
  uint32_t          notes; // of each member of a set
  uint32_t          count; // members of a set, at most

  // The table's own: what a new test set is remembered by, a
  // set's own columns (all NAN before), and the rows besides "test" and "real".
  void (*remember_test)(Comparison* c);
  void (*describe)(const Comparison* c, const WindowSet* set, double* values);
  Status (*add_baselines)(Comparison* c, Error* error);
  Status (*add_model)(Comparison* c, const EvaluatedModel* m, Error* error);

  // Of the layer at hand.
  uint32_t  layer; // which seed this is
  uint64_t  seed;
  WindowSet test;
  Reference reference;
};

// Fills the table.
Status comparison_run(Comparison* c, Error* error);

// Adds a source's row; `set` is rounded and freed. `wall_s`: 0 if not made by a
// model.
Status comparison_add(Comparison* c,
                      const char* name,
                      WindowSet*  set,
                      double      wall_s,
                      Error*      error);
