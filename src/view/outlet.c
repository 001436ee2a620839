// Writing without waiting.
#include "view/outlet.h"

#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void
outlet_open(Outlet* outlet, int fd)
{
  outlet->fd    = fd;
  outlet->owned = false;
  outlet->sent  = 0;
  outlet->used  = 0;
  if (isatty(fd)) {
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const int flags = O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    int       mine  = open(path, flags);
    // Another user's terminal (su) can still be opened by this name.
    mine = mine < 0 ? open("/dev/tty", flags) : mine;
    if (mine >= 0) {
      outlet->fd    = mine;
      outlet->owned = true;
    }
  }
}

void
outlet_close(Outlet* outlet, double wait_s)
{
  outlet_flush_within(outlet, wait_s);
  if (outlet->owned) {
    close(outlet->fd);
  }
  outlet->owned = false;
  outlet->fd    = -1;
}

bool
outlet_put(Outlet* outlet, const char* bytes, size_t size)
{
  if (outlet->sent == outlet->used) {
    outlet->sent = outlet->used = 0;
  }
  if (size > OUTLET_BYTES - outlet->used) {
    memmove(
      outlet->bytes, outlet->bytes + outlet->sent, outlet->used - outlet->sent);
    outlet->used -= outlet->sent;
    outlet->sent = 0;
  }
  if (size > OUTLET_BYTES - outlet->used) {
    return false;
  }
  memcpy(outlet->bytes + outlet->used, bytes, size);
  outlet->used += size;
  return true;
}

// How many bytes a write takes without waiting; 0: none now.
static size_t
room(const Outlet* outlet)
{
  if (outlet->owned) {
    return outlet->used - outlet->sent;
  }
  struct pollfd asked = { .fd = outlet->fd, .events = POLLOUT };
  const size_t  left  = outlet->used - outlet->sent;
  if (poll(&asked, 1, 0) <= 0) {
    return 0;
  }
  return left < PIPE_BUF ? left : PIPE_BUF; // a pipe that is ready has this
}

bool
outlet_flush(Outlet* outlet)
{
  while (outlet->sent < outlet->used) {
    const size_t size = room(outlet);
    if (!size) {
      return false;
    }
    const ssize_t wrote = write(outlet->fd, outlet->bytes + outlet->sent, size);
    if (wrote >= 0) {
      outlet->sent += (size_t)wrote;
    } else if (errno == EAGAIN) {
      return false;
    } else if (errno != EINTR) {
      outlet->sent = outlet->used;
    }
  }
  return true;
}

bool
outlet_flush_within(Outlet* outlet, double wait_s)
{
  const double until_s = clock_now_s() + wait_s;
  while (!outlet_flush(outlet)) {
    const double left_s = until_s - clock_now_s();
    if (left_s <= 0) {
      return false;
    }
    struct pollfd asked = { .fd = outlet->fd, .events = POLLOUT };
    poll(&asked, 1, (int)(1e3 * left_s) + 1);
  }
  return true;
}
