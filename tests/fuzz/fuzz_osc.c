// libFuzzer target: any bytes given as an OSC packet come apart or are refused,
// and what comes apart liblo can read and write again. tests/fuzz/run.sh builds
// it.
#include "control/osc_packet.h"
#include "control/osc_socket.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size_bytes);

int
LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size_bytes)
{
  static OscMessage messages[OSC_MESSAGES_MAX];
  size_t            count = 1;
  Error             error = { 0 };
  uint8_t* const    copy  = malloc(size_bytes ? size_bytes : 1);
  memcpy(copy, bytes, size_bytes);
  if (osc_packet_split(copy, size_bytes, messages, &count, &error) &&
      (count || !*error.text)) {
    abort();
  }
  for (size_t i = 0; i < count; ++i) {
    size_t     size = 0;
    lo_message read = osc_message_read(&messages[i]);
    if (!read) {
      abort();
    }
    void* const again =
      lo_message_serialise(read, messages[i].path, NULL, &size);
    if (size != messages[i].size_bytes ||
        memcmp(again, messages[i].bytes, size)) {
      abort();
    }
    free(again);
    lo_message_free(read);
  }
  free(copy);
  return 0;
}
