// Lines as text. Owns nothing.
#include "record/line_text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FROM LINE_TEXT_PREFIX "from "
#define CUT LINE_TEXT_PREFIX "cut"
#define LEAD " lead="

void
line_text_format(const RecordLine* line, char text[LINE_TEXT_BYTES_MAX])
{
  snprintf(text,
           LINE_TEXT_BYTES_MAX,
           FROM "%" PRIu64 "%s: %s",
           line->number,
           line->starts ? " anew" : "",
           line->text);
}

uint64_t
cut_place(uint64_t begin, int64_t lead, uint64_t frame)
{
  const int64_t place = (int64_t)(frame - begin) + lead;
  return place > 0 ? (uint64_t)place : 0;
}

void
line_text_format_cut(const CutLine* cut, char text[LINE_TEXT_BYTES_MAX])
{
  const int length =
    snprintf(text,
             LINE_TEXT_BYTES_MAX,
             CUT " frame=%" PRIu64 " begin=%" PRIu64 " rate=%" PRIu32
                 " first=%" PRIu64 " lost=%" PRIu64,
             cut->frame,
             cut->begin,
             cut->sample_rate_hz,
             cut->first,
             cut->lost);
  if (cut->lead) {
    snprintf(text + length,
             LINE_TEXT_BYTES_MAX - (size_t)length,
             LEAD "%" PRId64,
             cut->lead);
  }
}

// The literal, then digits: moves `*text` beyond both.
static bool
take_number(const char** text, const char* literal, uint64_t* number)
{
  const size_t length = strlen(literal);
  if (strncmp(*text, literal, length) != 0 ||
      !isdigit((unsigned char)(*text)[length])) {
    return false;
  }
  char* end;
  errno   = 0;
  *number = strtoull(*text + length, &end, 10);
  *text   = end;
  return !errno;
}

bool
line_text_parse(const char* text, RecordLine* line)
{
  static const char anew[] = " anew";
  if (!take_number(&text, FROM, &line->number)) {
    return false;
  }
  line->starts = !strncmp(text, anew, sizeof anew - 1);
  text += line->starts ? sizeof anew - 1 : 0;
  if (strncmp(text, ": ", 2) != 0) {
    return false;
  }
  line->text     = text + 2;
  line->replaces = false;
  return true;
}

// At the end, or nothing is.
static bool
take_lead(const char* text, int64_t* lead)
{
  uint64_t   number   = 0;
  const bool negative = !strncmp(text, LEAD "-", sizeof LEAD);
  if (*text && !take_number(&text, negative ? LEAD "-" : LEAD, &number)) {
    return false;
  }
  *lead = negative ? -(int64_t)number : (int64_t)number;
  return !*text && number <= INT64_MAX;
}

bool
line_text_parse_cut(const char* text, CutLine* cut)
{
  uint64_t rate = 0;
  if (!take_number(&text, CUT " frame=", &cut->frame) ||
      !take_number(&text, " begin=", &cut->begin) ||
      !take_number(&text, " rate=", &rate) ||
      !take_number(&text, " first=", &cut->first) ||
      !take_number(&text, " lost=", &cut->lost) ||
      !take_lead(text, &cut->lead) || !rate || rate > UINT32_MAX) {
    return false;
  }
  cut->sample_rate_hz = (uint32_t)rate;
  return true;
}
