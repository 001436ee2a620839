// Signals.
#include "signals.h"

#include "clock.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATIENCE_NS 1000000000

atomic_int signals_count;

// For the handler, which knows no struct of ours.
static _Atomic int64_t first_ns;
static void (*give_back)(void);

static void
on_signal(int number)
{
  const int64_t now_ns = clock_now_ns();
  int64_t       first  = 0; // another signal may come in the midst of this
  const bool    is_first =
    atomic_compare_exchange_strong(&first_ns, &first, now_ns);
  atomic_fetch_add(&signals_count, 1);
  if (!is_first && now_ns - first > PATIENCE_NS) {
    give_back();
    signal(number, SIG_DFL);
    raise(number); // once this handler returns
  }
}

void
signals_catch(void (*rescue)(void))
{
  const struct sigaction catch  = { .sa_handler = on_signal,
                                    .sa_flags   = SA_RESTART };
  const struct sigaction ignore = { .sa_handler = SIG_IGN };
  give_back                     = rescue;
  sigaction(SIGINT, &catch, NULL);
  sigaction(SIGTERM, &catch, NULL);
  sigaction(SIGHUP, &catch, NULL);
  sigaction(SIGPIPE, &ignore, NULL);
  sigaction(SIGXFSZ, &ignore, NULL); // a write fails instead
}
