// A data set in memory of a device, as the ops of data.h draw from it: all its
// notes, and a table of the units that a run's batches are made of. Main
// thread.
#pragma once

#include "data.h"
#include "dataset.h"
#include "recipe.h"

// tensor_free() is owed for what each makes, also after a failure.

// The notes, once: several sources of a device may share them.
Status draw_source_notes(Device*        device,
                         const Dataset* dataset,
                         Tensor*        notes,
                         Error*         error);
// The training windows of WINDOW_NOTES notes (dataset_window()); a unit of a
// window may begin up to WINDOW_NOTES - 1 notes later.
Status draw_source_windows(Device*        device,
                           const Dataset* dataset,
                           Tensor*        units,
                           Error*         error);
// Slots of SEQUENCE_NOTES notes on one side of the split: as many in a piece as
// fit, evenly spread from its first note to its last, so that each note is in
// one slot on average; they may move by half their length. Pieces of less than
// SEQUENCE_NOTES notes have none.
uint64_t draw_source_slot_count(const Dataset* dataset, bool test);
Status   draw_source_slots(Device*        device,
                           const Dataset* dataset,
                           bool           test,
                           Tensor*        units, // empty where there are none
                           Error*         error);

// A recipe's augmentation, without shares of given notes.
DrawRule draw_source_rule(const RunRecipe* recipe, const Dataset* dataset);
