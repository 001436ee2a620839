// What the piano roll shows: the notes of the last seconds and those that are
// planned, as cells of a grid. One column a key or several keys, one row a slot
// of time; time runs down: above the row of now is what is planned, below it
// the past. Pure; control thread. No terminal here.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define ROLL_NOTES 1024u // older ones are forgotten
#define ROLL_KEYS 128u
#define ROLL_SLOTS_MAX 512u
#define ROLL_SHADES 4u // of velocity

// A planned note; seconds from now, `off_s` above `on_s`.
typedef struct {
  double  on_s;
  double  off_s;
  uint8_t pitch;
  uint8_t velocity;
} RollPlanned;

typedef struct {
  double  on_s;
  double  off_s; // INFINITY: it sounds
  uint8_t pitch;
  uint8_t velocity;
} RollNote;

typedef struct {
  RollNote notes[ROLL_NOTES];
  uint64_t count;                   // of all notes so far
  uint64_t sounding[16][ROLL_KEYS]; // by channel: count of the note; 0: none
} Roll;

// A cell's values: the weakest first, where two meet in a cell the greater
// shows.
#define ROLL_EMPTY 0u
#define ROLL_PLANNED 1u
#define ROLL_HELD 2u                           // + shade
#define ROLL_PRESSED (ROLL_HELD + ROLL_SHADES) // + shade
#define ROLL_CELLS (ROLL_PRESSED + ROLL_SHADES)

typedef struct {
  uint32_t columns; // <= ROLL_KEYS
  uint32_t slots;   // <= ROLL_SLOTS_MAX
  uint32_t now;     // the slot of now
  double   slot_s;
  uint8_t  first_key;       // in column 0
  uint8_t  keys_per_column; // keys beyond either end are shown at the edge
  uint8_t  cells[ROLL_SLOTS_MAX][ROLL_KEYS];
} RollGrid;

// A message that went out at `now_s` (any steady clock). What is neither
// note-on nor note-off has no effect.
void roll_play(Roll* roll, double now_s, const uint8_t message[3]);

uint32_t roll_column(const RollGrid* grid, uint8_t pitch);

// Fills the cells of a grid whose other fields are set.
void roll_paint(const Roll*        roll,
                double             now_s,
                const RollPlanned* planned,
                size_t             planned_count,
                RollGrid*          grid);

// The velocity that sounds in a column, the loudest; 0: none.
void roll_sounding(const Roll* roll, const RollGrid* grid, uint8_t* velocities);
