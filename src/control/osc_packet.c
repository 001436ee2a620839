// Sound OSC packets.
#include "control/osc_packet.h"

#include <stdbool.h>
#include <string.h>

#define BUNDLE_HEAD_BYTES 16u // "#bundle", 0, and a time

typedef struct {
  const uint8_t* at;
  const uint8_t* end;
} Span;

static uint32_t
read_u32(const uint8_t* bytes)
{
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
         (uint32_t)bytes[2] << 8 | bytes[3];
}

// Takes a string with its padding; NULL: it does not end, or is not padded with
// zeros.
static const char*
take_string(Span* span, size_t* length)
{
  const size_t         room  = (size_t)(span->end - span->at);
  const uint8_t* const start = span->at;
  const uint8_t* const nul   = memchr(start, 0, room);
  if (!nul) {
    return NULL;
  }
  *length             = (size_t)(nul - start);
  const size_t padded = (*length + 4) & ~(size_t)3;
  if (padded > room) {
    return NULL;
  }
  for (size_t i = *length; i < padded; ++i) {
    if (start[i]) {
      return NULL;
    }
  }
  span->at += padded;
  return (const char*)start;
}

static bool
take_bytes(Span* span, size_t size_bytes)
{
  if ((size_t)(span->end - span->at) < size_bytes) {
    return false;
  }
  span->at += size_bytes;
  return true;
}

// Takes a blob's bytes with their padding, of zeros.
static bool
take_blob(Span* span)
{
  if (!take_bytes(span, 4)) {
    return false;
  }
  const size_t         length = read_u32(span->at - 4);
  const size_t         padded = (length + 3) & ~(size_t)3;
  const uint8_t* const start  = span->at;
  if (length > OSC_PACKET_BYTES_MAX || !take_bytes(span, padded)) {
    return false;
  }
  for (size_t i = length; i < padded; ++i) {
    if (start[i]) {
      return false;
    }
  }
  return true;
}

static bool
take_argument(Span* span, char type)
{
  size_t length;
  switch (type) {
    case 'i':
    case 'f':
    case 'c':
    case 'm':
      return take_bytes(span, 4);
    case 'h':
    case 'd':
    case 't':
      return take_bytes(span, 8);
    case 's':
    case 'S':
      return take_string(span, &length);
    case 'T':
    case 'F':
    case 'N':
    case 'I':
      return true;
    case 'b':
      return take_blob(span);
    default:
      return false;
  }
}

static bool
is_path(const char* path, size_t length)
{
  if (*path != '/' || length > OSC_PATH_BYTES_MAX) {
    return false;
  }
  for (size_t i = 0; i < length; ++i) {
    if (path[i] <= ' ' || path[i] > '~') {
      return false;
    }
  }
  return true;
}

static bool
is_message(Span span, const char** path)
{
  size_t      length;
  const char* types;
  *path = take_string(&span, &length);
  if (!*path || !is_path(*path, length)) {
    return false;
  }
  types = take_string(&span, &length);
  if (!types || *types != ',' || length - 1 > OSC_ARGUMENTS_MAX) {
    return false;
  }
  for (const char* type = types + 1; *type; ++type) {
    if (!take_argument(&span, *type)) {
      return false;
    }
  }
  return span.at == span.end;
}

static Status
refuse(size_t* count, Error* error, const char* why)
{
  *count = 0;
  return error_set(error, STATUS_BAD_FILE, "no OSC: %s", why);
}

static bool
is_bundle(const Span* span)
{
  return (size_t)(span->end - span->at) >= BUNDLE_HEAD_BYTES &&
         !memcmp(span->at, "#bundle", 8);
}

Status
osc_packet_split(const uint8_t* bytes,
                 size_t         size_bytes,
                 OscMessage     messages[OSC_MESSAGES_MAX],
                 size_t*        count,
                 Error*         error)
{
  Span     open[OSC_BUNDLE_DEPTH_MAX]; // bundles that are not yet at their end
  unsigned depth   = 0;
  Span     element = { bytes, bytes + size_bytes };
  *count           = 0;
  if (!size_bytes || size_bytes % 4 || size_bytes > OSC_PACKET_BYTES_MAX) {
    return refuse(count, error, "not a multiple of 4 bytes");
  }
  for (;;) {
    const char* path;
    if (is_bundle(&element)) {
      if (depth == OSC_BUNDLE_DEPTH_MAX) {
        return refuse(count, error, "bundles are nested too deep");
      }
      open[depth++] = (Span){ element.at + BUNDLE_HEAD_BYTES, element.end };
    } else if (!is_message(element, &path)) {
      return refuse(count, error, "a message is malformed");
    } else if (*count == OSC_MESSAGES_MAX) {
      return refuse(count, error, "too many messages in a packet");
    } else {
      messages[(*count)++] =
        (OscMessage){ path, element.at, (size_t)(element.end - element.at) };
    }
    while (depth && open[depth - 1].at == open[depth - 1].end) {
      --depth;
    }
    if (!depth) {
      return STATUS_OK;
    }
    Span* const parent = &open[depth - 1];
    if (!take_bytes(parent, 4)) {
      return refuse(count, error, "a bundle ends within an element");
    }
    const uint32_t size = read_u32(parent->at - 4);
    element             = (Span){ parent->at, parent->at + size };
    if (!size || size % 4 || size > OSC_PACKET_BYTES_MAX ||
        !take_bytes(parent, size)) {
      return refuse(count, error, "an element's size is wrong");
    }
  }
}
