// Starting and joining threads.
#include "thread.h"

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define NS_PER_S 1000000000
// TSan knows joins by the wall clock alone, which may be set meanwhile.
#ifdef __SANITIZE_THREAD__
#define JOIN_CLOCK CLOCK_REALTIME
#else
#define JOIN_CLOCK CLOCK_MONOTONIC
#endif

void
thread_mask_signals(sigset_t* before)
{
  static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
  sigset_t         masked;
  sigfillset(&masked);
  for (size_t i = 0; i < sizeof faults / sizeof *faults; ++i) {
    sigdelset(&masked, faults[i]);
  }
  pthread_sigmask(SIG_SETMASK, &masked, before);
}

int
thread_start(pthread_t*            thread,
             const pthread_attr_t* attributes,
             void* (*run)(void* context),
             void* context)
{
  sigset_t before;
  thread_mask_signals(&before);
  const int reason = pthread_create(thread, attributes, run, context);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return reason;
}

bool
thread_join_within(pthread_t thread, double seconds)
{
  struct timespec until;
  clock_gettime(JOIN_CLOCK, &until);
  const int64_t ns = until.tv_nsec + (int64_t)(seconds * NS_PER_S);
  until.tv_sec += ns / NS_PER_S;
  until.tv_nsec = ns % NS_PER_S;
#ifdef __SANITIZE_THREAD__
  return !pthread_timedjoin_np(thread, NULL, &until);
#else
  return !pthread_clockjoin_np(thread, NULL, JOIN_CLOCK, &until);
#endif
}
