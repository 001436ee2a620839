// The monotonic clock.
#include "clock.h"

#include <errno.h>
#include <time.h>

#define SECOND_NS 1000000000ll

static struct timespec
timespec_of(int64_t time_ns)
{
  return (struct timespec){ .tv_sec  = time_ns / SECOND_NS,
                            .tv_nsec = time_ns % SECOND_NS };
}

int64_t
clock_now_ns(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * SECOND_NS + now.tv_nsec;
}

double
clock_now_s(void)
{
  return 1e-9 * (double)clock_now_ns();
}

void
clock_sleep_ns(int64_t duration_ns)
{
  const struct timespec duration = timespec_of(duration_ns);
  clock_nanosleep(CLOCK_MONOTONIC, 0, &duration, NULL);
}

void
clock_sleep_until_ns(int64_t time_ns)
{
  const struct timespec time = timespec_of(time_ns);
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) ==
         EINTR) {
  }
}
