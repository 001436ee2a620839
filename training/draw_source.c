// Notes and units to memory of a device.
#include "draw_source.h"

#include "encoding.h"

#include <stdlib.h>
#include <string.h>

#define SHIFT_MAX (SEQUENCE_NOTES / 2)

Status
draw_source_notes(Device*        device,
                  const Dataset* dataset,
                  Tensor*        notes,
                  Error*         error)
{
  uint64_t             bytes;
  const uint8_t* const records = dataset_records(dataset, &bytes);
  const uint64_t       whole   = bytes / sizeof(float);
  const uint32_t       rest    = (uint32_t)(bytes % sizeof(float));
  float                last    = 0.0f;
  if (whole >= UINT32_MAX) {
    return error_set(error, STATUS_LIMIT, "the data set has too many notes");
  }
  const uint32_t floats = (uint32_t)whole + (rest > 0);
  const Status   status = tensor_allocate(device, 1, floats, notes, error);
  if (status != STATUS_OK) {
    return status;
  }
  // Eight notes are the least, so there are whole ones.
  tensor_write(device,
               tensor_columns(*notes, 0, (uint32_t)whole),
               (const float*)(const void*)records);
  if (rest) {
    memcpy(&last, records + bytes - rest, rest);
    tensor_write(device, tensor_columns(*notes, (uint32_t)whole, 1), &last);
  }
  return device_status(device, error);
}

// --- Units -------------------------------------------------------------------

static uint64_t
windows_in(const DatasetPiece* piece)
{
  return piece->note_count / WINDOW_NOTES;
}

// Unit `i` of `count` in a piece.
static void
window_at(const DatasetPiece* piece, uint64_t i, uint64_t count, float* unit)
{
  (void)count;
  const uint64_t at   = i * WINDOW_NOTES;
  const uint64_t room = piece->note_count - WINDOW_NOTES - at;
  draw_unit(piece->first_note + at,
            0,
            (uint8_t)(room < WINDOW_NOTES ? room : WINDOW_NOTES - 1),
            unit);
}

static uint64_t
slots_in(const DatasetPiece* piece)
{
  const uint32_t notes = piece->note_count;
  return notes < SEQUENCE_NOTES ? 0
                                : (notes + SEQUENCE_NOTES / 2) / SEQUENCE_NOTES;
}

static void
slot_at(const DatasetPiece* piece, uint64_t i, uint64_t count, float* unit)
{
  const uint64_t room = piece->note_count - SEQUENCE_NOTES;
  const uint64_t at   = count > 1 ? i * room / (count - 1) : room / 2;
  draw_unit(piece->first_note + at,
            (uint8_t)(at < SHIFT_MAX ? at : SHIFT_MAX),
            (uint8_t)(room - at < SHIFT_MAX ? room - at : SHIFT_MAX),
            unit);
}

static uint64_t
count_units(const Dataset* dataset,
            bool           test,
            uint64_t (*in)(const DatasetPiece*))
{
  uint64_t count = 0;
  for (size_t p = 0; p < dataset_piece_count(dataset); ++p) {
    const DatasetPiece* const piece = dataset_piece(dataset, p);
    count += piece->is_test == test ? in(piece) : 0;
  }
  return count;
}

static Status
upload(Device*        device,
       const Dataset* dataset,
       bool           test,
       uint64_t (*in)(const DatasetPiece*),
       void (*at)(const DatasetPiece*, uint64_t i, uint64_t count, float* unit),
       Tensor* units,
       Error*  error)
{
  const uint64_t count = count_units(dataset, test, in);
  *units               = (Tensor){ 0 };
  if (count == 0) {
    return STATUS_OK;
  }
  float* const host = malloc(count * DRAW_UNIT_FLOATS * sizeof *host);
  if (!host || count > UINT32_MAX) {
    free(host);
    return error_set(
      error, STATUS_NO_MEMORY, "no memory for a table of the data set");
  }
  float* next = host;
  for (size_t p = 0; p < dataset_piece_count(dataset); ++p) {
    const DatasetPiece* const piece = dataset_piece(dataset, p);
    const uint64_t            own   = piece->is_test == test ? in(piece) : 0;
    for (uint64_t i = 0; i < own; ++i, next += DRAW_UNIT_FLOATS) {
      at(piece, i, own, next);
    }
  }
  const Status status =
    tensor_allocate(device, (uint32_t)count, DRAW_UNIT_FLOATS, units, error);
  if (status == STATUS_OK) {
    tensor_write(device, *units, host);
  }
  free(host);
  return status;
}

Status
draw_source_windows(Device*        device,
                    const Dataset* dataset,
                    Tensor*        units,
                    Error*         error)
{
  return upload(device, dataset, false, windows_in, window_at, units, error);
}

uint64_t
draw_source_slot_count(const Dataset* dataset, bool test)
{
  return count_units(dataset, test, slots_in);
}

Status
draw_source_slots(Device*        device,
                  const Dataset* dataset,
                  bool           test,
                  Tensor*        units,
                  Error*         error)
{
  return upload(device, dataset, test, slots_in, slot_at, units, error);
}

DrawRule
draw_source_rule(const RunRecipe* recipe, const Dataset* dataset)
{
  return (DrawRule){ .scale           = encoding_scale(dataset_stats(dataset)),
                     .transpose       = recipe->transpose,
                     .tempo_spread    = recipe->tempo_spread,
                     .velocity_spread = recipe->velocity_spread };
}
