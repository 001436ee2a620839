// A table of figures: sources down, measures across, one layer a seed. Printed
// aligned, or written as long CSV. Main thread.
#pragma once

#include "status.h"

#include <stdint.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 24u
#define TABLE_SEEDS_MAX 16u
#define TABLE_NAME_BYTES 96u

typedef struct {
  const char* name;
  int         decimals;
} TableColumn;

typedef struct {
  char   name[TABLE_NAME_BYTES];
  double values[TABLE_SEEDS_MAX][TABLE_COLUMNS_MAX]; // NAN: none
} TableRow;

typedef struct {
  const char*        name;
  const TableColumn* columns;
  uint32_t           column_count;
  TableRow*          rows;
  uint32_t           row_count;
  FILE*              progress; // or NULL
} Table;

void table_free(Table* table);

// The values of one source and seed (below TABLE_SEEDS_MAX), [column_count]. A
// name seen before is the same row. Where there is a `progress` they are shown
// there at once: a table may take hours.
Status table_set(Table*        table,
                 const char*   name,
                 uint32_t      seed,
                 const double* values,
                 Error*        error);

// Means over `seeds` seeds, and where there are several a line of the lowest
// and one of the highest.
void table_print(const Table* table, uint32_t seeds, FILE* stream);

// Lines "table,source,seed,measure,value"; seeds are first_seed + layer. No
// line where there is no value.
void table_write_csv(const Table* table,
                     uint32_t     seeds,
                     uint64_t     first_seed,
                     FILE*        stream);
