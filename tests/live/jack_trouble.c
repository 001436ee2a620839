// Preloaded before libjack: trouble that a real server makes too seldom. Each
// lasts while the file that its variable names is there:
//   JACK_TROUBLE_RATE   jack_get_sample_rate() says 44100
//   JACK_TROUBLE_CLOSE  jack_client_close() does not return
#include <dlfcn.h>
#include <jack/jack.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

static bool
is_asked_for(const char* variable)
{
  const char* const path = getenv(variable);
  return path && !access(path, F_OK);
}

__attribute__((visibility("default"))) jack_nframes_t
jack_get_sample_rate(jack_client_t* client)
{
  jack_nframes_t (*get)(jack_client_t*);
  *(void**)&get = dlsym(RTLD_NEXT, "jack_get_sample_rate");
  return is_asked_for("JACK_TROUBLE_RATE") ? 44100 : get(client);
}

__attribute__((visibility("default"))) int
jack_client_close(jack_client_t* client)
{
  int (*close_client)(jack_client_t*);
  *(void**)&close_client = dlsym(RTLD_NEXT, "jack_client_close");
  while (is_asked_for("JACK_TROUBLE_CLOSE")) {
    usleep(20000);
  }
  return close_client(client);
}
