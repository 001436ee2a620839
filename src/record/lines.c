// A queue of lines; their texts lie one after the other in a ring of bytes,
// each in one piece.
#include "record/lines.h"

#include "caps.h"

#include <stdlib.h>
#include <string.h>

Status
lines_init(Lines* lines, uint32_t line_max, uint32_t byte_max, Error* error)
{
  *lines       = (Lines){ .line_max = line_max, .byte_max = byte_max };
  lines->lines = calloc(line_max, sizeof *lines->lines);
  lines->bytes = malloc(byte_max);
  if (lines->lines && lines->bytes) {
    return STATUS_OK;
  }
  lines_free(lines);
  return error_set(
    error, STATUS_NO_MEMORY, "no memory for %u bytes of lines", byte_max);
}

void
lines_free(Lines* lines)
{
  free(lines->lines);
  free(lines->bytes);
  *lines = (Lines){ 0 };
}

Status
line_check(const RecordLine* line, Error* error)
{
  const size_t length = strnlen(line->text, RECORD_LINE_BYTES_MAX);
  if (length >= RECORD_LINE_BYTES_MAX) {
    return error_set(error,
                     STATUS_LIMIT,
                     "the line of note %llu: longer than %u bytes",
                     (unsigned long long)line->number,
                     RECORD_LINE_BYTES_MAX - 1);
  }
  for (size_t i = 0; i < length; ++i) {
    if ((unsigned char)line->text[i] < ' ' || line->text[i] == 0x7f) {
      return error_set(error,
                       STATUS_BAD_ARGUMENT,
                       "the line of note %llu: a control character at byte %zu",
                       (unsigned long long)line->number,
                       i);
    }
  }
  return STATUS_OK;
}

QueuedLine*
lines_at(const Lines* lines, uint64_t index)
{
  return &lines->lines[index % lines->line_max];
}

const char*
lines_text(const Lines* lines, uint64_t index)
{
  return lines->bytes + lines_at(lines, index)->text_at;
}

// Where `count` bytes in one piece are free.
static bool
find_room(const Lines* lines, uint32_t count, uint32_t* at)
{
  *at = 0;
  if (lines->first == lines->end) {
    return count <= lines->byte_max;
  }
  const QueuedLine* const newest  = lines_at(lines, lines->end - 1);
  const uint32_t          oldest  = lines_at(lines, lines->first)->text_at;
  const uint32_t          after   = newest->text_at + newest->text_bytes;
  const bool              wrapped = after <= oldest;
  if ((wrapped ? oldest : lines->byte_max) - after >= count) {
    *at = after;
    return true;
  }
  return !wrapped && count <= oldest;
}

static void
drop_replaced(Lines* lines, uint64_t number)
{
  uint64_t kept = lines->waiting;
  for (uint64_t i = lines->waiting; i < lines->end; ++i) {
    if (lines_at(lines, i)->number < number) {
      *lines_at(lines, kept++) = *lines_at(lines, i);
    }
  }
  lines->end = kept;
}

bool
lines_add(Lines* lines, const RecordLine* line)
{
  if (line->replaces) {
    drop_replaced(lines, line->number);
  }
  const uint32_t bytes = (uint32_t)strlen(line->text) + 1;
  uint32_t       at;
  if (lines->end - lines->first == lines->line_max ||
      !find_room(lines, bytes, &at)) {
    return false;
  }
  memcpy(lines->bytes + at, line->text, bytes);
  *lines_at(lines, lines->end++) = (QueuedLine){ .number     = line->number,
                                                 .at         = LINE_WAITS,
                                                 .text_at    = at,
                                                 .text_bytes = bytes,
                                                 .starts     = line->starts };
  return true;
}

void
lines_place(Lines* lines, uint64_t number, uint64_t at)
{
  uint64_t until = lines->end;
  while (until > lines->waiting &&
         lines_at(lines, until - 1)->number > number) {
    --until;
  }
  if (until == lines->waiting) {
    return;
  }
  // Superseded before it was played: no place to begin from.
  uint64_t least = UINT64_MAX;
  for (uint64_t i = lines->end; i > lines->waiting; --i) {
    QueuedLine* const line = lines_at(lines, i - 1);
    line->starts           = line->starts && line->number <= least;
    least                  = line->number < least ? line->number : least;
  }
  while (lines->waiting < until) {
    lines_at(lines, lines->waiting++)->at = at;
  }
}

void
lines_drop_first(Lines* lines)
{
  ++lines->first;
  if (lines->waiting < lines->first) {
    lines->waiting = lines->first;
  }
}
