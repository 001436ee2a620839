// Status codes and error text. Owns nothing; any thread except process may
// build an Error (it formats text).
#pragma once

typedef enum {
  STATUS_OK = 0,
  STATUS_BAD_ARGUMENT, // a caller or user gave a value that makes no sense
  STATUS_BAD_FILE,     // a file's content breaks its format
  STATUS_IO,           // the system refused to read or write
  STATUS_NO_MEMORY,    // an allocation failed
  STATUS_LIMIT,        // a cap of core/caps.h was reached
  STATUS_NOT_FOUND,    // a file, port or server is not there
  STATUS_UNSUPPORTED,  // valid, but not something this build can do
  STATUS_UNAVAILABLE,  // a device or server is there but will not serve us
  STATUS_DEVICE,       // a GPU failed in the middle of its work
} Status;

// What went wrong, in one line that names what, where and what to do.
typedef struct {
  Status status;
  char   text[512];
} Error;

// Fills `error` (may be NULL) and returns `status`, so that a failing function
// ends in `return error_set(...)`. Text beyond 511 bytes is cut; control
// characters (which a hostile file name or header could carry) become '?'.
Status error_set(Error* error, Status status, const char* format, ...)
  __attribute__((format(printf, 3, 4)));

// Puts a prefix ("file.mid: ") before the text already in `error`.
void error_prefix(Error* error, const char* format, ...)
  __attribute__((format(printf, 2, 3)));

const char* status_name(Status status);
