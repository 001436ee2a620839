// Opening the ALSA sequencer.
#include "backend/alsa_client.h"

#include <errno.h>
#include <unistd.h>

#define DEVICE "/dev/snd/seq"

__attribute__((format(printf, 5, 6))) static void
stay_silent(const char* file,
            int         line,
            const char* function,
            int         result,
            const char* format,
            ...)
{
  (void)file;
  (void)line;
  (void)function;
  (void)result;
  (void)format;
}

void
alsa_hush(void)
{
  snd_lib_error_set_handler(stay_silent);
}

void
alsa_speak(void)
{
  snd_lib_error_set_handler(NULL);
}

Status
alsa_client_open(snd_seq_t** seq, const char* client_name, Error* error)
{
  alsa_hush();
  const int result =
    snd_seq_open(seq, "default", SND_SEQ_OPEN_DUPLEX, SND_SEQ_NONBLOCK);
  alsa_speak();
  if (result == -EACCES || result == -EPERM) {
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "ALSA: " DEVICE ": permission denied; add your user to "
                     "the group 'audio' and log in again");
  }
  if (result < 0 && access(DEVICE, F_OK) == 0 && result != -ENODEV &&
      result != -ENXIO) {
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "ALSA: cannot open the sequencer: %s",
                     snd_strerror(result));
  }
  if (result < 0) {
    return error_set(error,
                     STATUS_NOT_FOUND,
                     "ALSA: " DEVICE " is not there; load the sequencer with "
                     "'modprobe snd-seq' as root");
  }
  snd_seq_set_client_name(*seq, client_name);
  return STATUS_OK;
}
