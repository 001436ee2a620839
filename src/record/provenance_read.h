// What a MIDI file of ours says of how it was made, for `render --from`. Any
// thread except process.
#pragma once

#include "music/smf.h"
#include "record/line_text.h"
#include "record/lines.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  char* about; // the text at the start ("meander 0.1 model=..."); "": none
  RecordLine* lines; // in order
  size_t      count;
  bool        has_cut;
  CutLine     cut;
  SmfBeat     beat; // the first tempo and meter of the file
} Provenance;

// Reads any standard MIDI file; one without lines gives none. Texts that begin
// as ours do and are not well-formed, hold control characters or are longer
// than RECORD_LINE_BYTES_MAX are no lines. Errors: as smf_read_file();
// STATUS_LIMIT: more than PROVENANCE_LINES_MAX lines. On error nothing is left
// allocated.
Status provenance_read(const char* path, Provenance* out, Error* error);
void   provenance_free(Provenance* provenance);

// The file that `about` names for a model, if it names one: a hint.
#define PROVENANCE_FILE " file="
bool provenance_file(const Provenance* provenance,
                     const char*       digest,
                     char              path[1024]);
// A path as it stands there, in one word; `out` has three times its room.
void provenance_write_path(const char* path, char* out);

// Can all of its notes be made again? It begins with a line that starts, has
// its end, and no line is lost. Otherwise the error says what is missing.
Status provenance_check(const Provenance* provenance, Error* error);
