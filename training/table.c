// A table of figures.
#include "table.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CELL_BYTES 32u

enum { MEAN, LOWEST, HIGHEST };

void
table_free(Table* table)
{
  free(table->rows);
  table->rows      = NULL;
  table->row_count = 0;
}

static TableRow*
find_row(Table* table, const char* name)
{
  for (uint32_t i = 0; i < table->row_count; ++i) {
    if (!strncmp(table->rows[i].name, name, TABLE_NAME_BYTES - 1)) {
      return &table->rows[i];
    }
  }
  TableRow* const rows =
    realloc(table->rows, (table->row_count + 1) * sizeof *rows);
  if (!rows) {
    return NULL;
  }
  table->rows         = rows;
  TableRow* const row = &rows[table->row_count++];
  snprintf(row->name, sizeof row->name, "%s", name);
  for (uint32_t s = 0; s < TABLE_SEEDS_MAX; ++s) {
    for (uint32_t c = 0; c < TABLE_COLUMNS_MAX; ++c) {
      row->values[s][c] = NAN;
    }
  }
  return row;
}

Status
table_set(Table*        table,
          const char*   name,
          uint32_t      seed,
          const double* values,
          Error*        error)
{
  TableRow* const row = find_row(table, name);
  if (!row) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for a table");
  }
  memcpy(row->values[seed], values, table->column_count * sizeof *values);
  if (table->progress) {
    fprintf(table->progress, "%s: %s:", table->name, name);
    for (uint32_t c = 0; c < table->column_count; ++c) {
      if (isfinite(values[c])) {
        fprintf(table->progress, " %s %.4g", table->columns[c].name, values[c]);
      }
    }
    fputc('\n', table->progress);
  }
  return STATUS_OK;
}

static double
summary(const TableRow* row, uint32_t column, uint32_t seeds, int which)
{
  double sum = 0.0, low = INFINITY, high = -INFINITY;
  for (uint32_t s = 0; s < seeds; ++s) {
    const double value = row->values[s][column];
    sum += value; // NAN stays NAN
    low  = fmin(low, value);
    high = fmax(high, value);
  }
  return which == MEAN ? sum / seeds : which == LOWEST ? low : high;
}

static void
write_cell(const Table*    table,
           const TableRow* row,
           uint32_t        column,
           uint32_t        seeds,
           int             which,
           char            cell[CELL_BYTES])
{
  const double value = summary(row, column, seeds, which);
  if (isfinite(value)) {
    snprintf(cell, CELL_BYTES, "%.*f", table->columns[column].decimals, value);
  } else {
    strcpy(cell, "-");
  }
}

static void
print_row(const Table*    table,
          const TableRow* row,
          const char*     name,
          const int*      widths,
          int             name_width,
          uint32_t        seeds,
          int             which,
          FILE*           stream)
{
  fprintf(stream, "%-*s", name_width, name);
  for (uint32_t c = 0; c < table->column_count; ++c) {
    char cell[CELL_BYTES];
    write_cell(table, row, c, seeds, which, cell);
    fprintf(stream, "  %*s", widths[c], cell);
  }
  fputc('\n', stream);
}

void
table_print(const Table* table, uint32_t seeds, FILE* stream)
{
  int widths[TABLE_COLUMNS_MAX];
  int name_width = (int)strlen(table->name);
  for (uint32_t r = 0; r < table->row_count; ++r) {
    const int width = (int)strlen(table->rows[r].name);
    name_width      = width > name_width ? width : name_width;
  }
  fprintf(stream, "%-*s", name_width, table->name);
  for (uint32_t c = 0; c < table->column_count; ++c) {
    widths[c] = (int)strlen(table->columns[c].name);
    for (uint32_t r = 0; r < table->row_count; ++r) {
      for (int which = MEAN; which <= HIGHEST; ++which) {
        char cell[CELL_BYTES];
        write_cell(table, &table->rows[r], c, seeds, which, cell);
        const int width = (int)strlen(cell);
        widths[c]       = width > widths[c] ? width : widths[c];
      }
    }
    fprintf(stream, "  %*s", widths[c], table->columns[c].name);
  }
  fputc('\n', stream);
  for (uint32_t r = 0; r < table->row_count; ++r) {
    static const char* const names[] = { NULL, "  lowest", "  highest" };
    const TableRow* const    row     = &table->rows[r];
    for (int which = MEAN; which <= (seeds > 1 ? HIGHEST : MEAN); ++which) {
      print_row(table,
                row,
                which == MEAN ? row->name : names[which],
                widths,
                name_width,
                seeds,
                which,
                stream);
    }
  }
}

void
table_write_csv(const Table* table,
                uint32_t     seeds,
                uint64_t     first_seed,
                FILE*        stream)
{
  for (uint32_t r = 0; r < table->row_count; ++r) {
    for (uint32_t s = 0; s < seeds; ++s) {
      for (uint32_t c = 0; c < table->column_count; ++c) {
        const double value = table->rows[r].values[s][c];
        if (isfinite(value)) {
          fprintf(stream,
                  "%s,%s,%" PRIu64 ",%s,%.6g\n",
                  table->name,
                  table->rows[r].name,
                  first_seed + s,
                  table->columns[c].name,
                  value);
        }
      }
    }
  }
}
