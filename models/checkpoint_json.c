// The strict pass over a checkpoint's JSON before cJSON sees it. It looks at
// tokens only; their order is left to cJSON. Any thread except process.
#include "checkpoint_header.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_DIGITS_MAX 15u // exact in a double

typedef struct {
  const char*    path;
  const uint8_t* text;
  size_t         size_bytes;
  size_t         at;
  int            depth;
  // The last string at depth 1: the tensor that we are in, if any.
  size_t key_at;
  size_t key_bytes;
  Error* error;
} Scan;

static Status __attribute__((format(printf, 3, 4)))
fail(const Scan* scan, Status status, const char* format, ...)
{
  char    reason[160];
  va_list args;
  va_start(args, format);
  vsnprintf(reason, sizeof reason, format, args);
  va_end(args);
  char         key[CHECKPOINT_NAME_BYTES] = "";
  const size_t key_bytes =
    scan->key_bytes < sizeof key ? scan->key_bytes : sizeof key - 1;
  memcpy(key, scan->text + scan->key_at, key_bytes);
  const int in_tensor =
    scan->depth > 1 && *key && strcmp(key, CHECKPOINT_METADATA_KEY) != 0;
  return checkpoint_error(scan->error,
                          status,
                          scan->path,
                          in_tensor ? key : NULL,
                          "%s (header byte %zu)",
                          reason,
                          scan->at);
}

// 1 to 4, or 0 if the bytes at `s` are not one UTF-8 character.
static size_t
utf8_bytes(const uint8_t* s, size_t left)
{
  if (s[0] < 0x80) {
    return 1;
  }
  const size_t count = s[0] >= 0xc2 && s[0] < 0xe0   ? 2
                       : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
                       : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                                     : 0;
  if (count == 0 || count > left) {
    return 0;
  }
  for (size_t i = 1; i < count; ++i) {
    if ((s[i] & 0xc0) != 0x80) {
      return 0;
    }
  }
  // Overlong forms, surrogates, beyond U+10FFFF.
  const int bad =
    (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f);
  return bad ? 0 : count;
}

static Status
scan_string(Scan* scan)
{
  const size_t begin = ++scan->at;
  while (scan->at < scan->size_bytes && scan->text[scan->at] != '"') {
    const uint8_t* const s    = scan->text + scan->at;
    const size_t         left = scan->size_bytes - scan->at;
    if (*s < 0x20) {
      return fail(scan, STATUS_BAD_FILE, "a control character in a string");
    }
    if (left >= 6 && !memcmp(s, "\\u0000", 6)) {
      return fail(scan, STATUS_BAD_FILE, "a NUL in a string");
    }
    const size_t count = *s == '\\' ? 2 : utf8_bytes(s, left);
    if (count == 0) {
      return fail(scan, STATUS_BAD_FILE, "a string that is not UTF-8");
    }
    scan->at += count;
  }
  if (scan->at >= scan->size_bytes) {
    return fail(scan, STATUS_BAD_FILE, "the header's JSON ends in a string");
  }
  if (scan->depth == 1) {
    scan->key_at    = begin;
    scan->key_bytes = scan->at - begin;
  }
  ++scan->at;
  return STATUS_OK;
}

static Status
scan_number(Scan* scan)
{
  const char* const number = (const char*)scan->text + scan->at;
  size_t            length = 0;
  int               plain  = 1;
  while (scan->at + length < scan->size_bytes &&
         memchr("0123456789+-.eE", number[length], 15)) {
    plain = plain && number[length] >= '0' && number[length] <= '9';
    ++length;
  }
  if (!plain || length > NUMBER_DIGITS_MAX ||
      (length > 1 && number[0] == '0')) {
    return fail(scan,
                STATUS_BAD_FILE,
                "the number %.*s is not a whole number from 0 of at most %u "
                "digits",
                length < 40 ? (int)length : 40,
                number,
                NUMBER_DIGITS_MAX);
  }
  scan->at += length;
  return STATUS_OK;
}

static Status
scan_bracket(Scan* scan, uint8_t bracket)
{
  const int opens = bracket == '{' || bracket == '[';
  scan->depth += opens ? 1 : -1;
  if (scan->depth > CHECKPOINT_JSON_DEPTH_MAX) {
    return fail(scan,
                STATUS_LIMIT,
                "the header's JSON is nested deeper than %d",
                CHECKPOINT_JSON_DEPTH_MAX);
  }
  ++scan->at;
  return STATUS_OK;
}

static Status
scan_token(Scan* scan)
{
  const uint8_t c = scan->text[scan->at];
  if (c == '"') {
    return scan_string(scan);
  }
  if (c == '-' || (c >= '0' && c <= '9')) {
    return scan_number(scan);
  }
  if (c == '{' || c == '[' || c == '}' || c == ']') {
    return scan_bracket(scan, c);
  }
  // Letters may be a true, false or null, which cJSON tells.
  if (c == 0 || !(strchr(" \t\r\n,:", c) || (c >= 'a' && c <= 'z'))) {
    return fail(scan,
                STATUS_BAD_FILE,
                "the header is not valid JSON: byte 0x%02x",
                (unsigned)c);
  }
  ++scan->at;
  return STATUS_OK;
}

Status
checkpoint_json_scan(const char*    path,
                     const uint8_t* text,
                     size_t         size_bytes,
                     size_t*        json_bytes,
                     Error*         error)
{
  Scan scan = {
    .path = path, .text = text, .size_bytes = size_bytes, .error = error
  };
  if (size_bytes == 0 || text[0] != '{') {
    return fail(&scan, STATUS_BAD_FILE, "the header does not begin with '{'");
  }
  do {
    const Status status = scan_token(&scan);
    if (status != STATUS_OK) {
      return status;
    }
  } while (scan.depth > 0 && scan.at < size_bytes);
  if (scan.depth > 0) {
    return fail(&scan, STATUS_BAD_FILE, "the header's JSON is not complete");
  }
  *json_bytes = scan.at;
  for (; scan.at < size_bytes; ++scan.at) {
    if (text[scan.at] != ' ') {
      return fail(&scan,
                  STATUS_BAD_FILE,
                  "after the header's JSON stands something other than spaces");
    }
  }
  return STATUS_OK;
}
