// The terminal, with its signals.
#include "view/terminal.h"

#define NCURSES_NOMACROS
#include <curses.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <term.h>
#include <unistd.h>

#define WAIT_S 0.25
// Larger than any screen: what a hostile size may cost.
#define ROWS_MAX 500
#define COLUMNS_MAX 1000

static const int crash_signals[] = { SIGSEGV, SIGBUS,  SIGFPE,
                                     SIGILL,  SIGABRT, SIGQUIT };
#define CRASH_SIGNALS (sizeof crash_signals / sizeof *crash_signals)

// For signal handlers, which know no struct of ours.
static struct {
  atomic_bool      shown;
  atomic_bool      stop_asked;
  atomic_bool      continued;
  int              fd;
  struct termios   shell;
  char             reset[256];
  size_t           reset_size;
  bool             caught;
  bool             watches_stop;
  struct sigaction before[CRASH_SIGNALS];
  struct sigaction before_stop;
  struct sigaction before_continue;
} signals;

// With nothing but system calls.
void
terminal_rescue(void)
{
  if (atomic_exchange(&signals.shown, false)) {
    tcsetattr(signals.fd, TCSANOW, &signals.shell);
    const ssize_t wrote = write(signals.fd, signals.reset, signals.reset_size);
    (void)wrote;
  }
}

// Gives the terminal back, then lets the signal do what it would have done.
static void
on_crash(int number, siginfo_t* info, void* context)
{
  (void)context;
  terminal_rescue();
  for (size_t i = 0; i < CRASH_SIGNALS; ++i) {
    sigaction(crash_signals[i], &signals.before[i], NULL);
  }
  if (info->si_code <= 0) {
    raise(number); // sent by someone; a fault comes again by itself
  }
}

static void
on_stop(int number)
{
  (void)number;
  atomic_store(&signals.stop_asked, true);
}

static void
on_continue(int number)
{
  (void)number;
  atomic_store(&signals.continued, true);
}

static void
catch_signals(void)
{
  if (signals.caught) {
    return;
  }
  const struct sigaction crash = { .sa_sigaction = on_crash,
                                   .sa_flags     = SA_SIGINFO };
  const struct sigaction go_on = { .sa_handler = on_continue,
                                   .sa_flags   = SA_RESTART };
  for (size_t i = 0; i < CRASH_SIGNALS; ++i) {
    sigaction(crash_signals[i], &crash, &signals.before[i]);
  }
  sigaction(SIGCONT, &go_on, &signals.before_continue);
  signals.caught = true;
}

static void
leave_signals(void)
{
  if (!signals.caught) {
    return;
  }
  for (size_t i = 0; i < CRASH_SIGNALS; ++i) {
    sigaction(crash_signals[i], &signals.before[i], NULL);
  }
  sigaction(SIGCONT, &signals.before_continue, NULL);
  signals.caught = false;
}

static int
put_reset(int character)
{
  if (signals.reset_size < sizeof signals.reset) {
    signals.reset[signals.reset_size++] = (char)character;
  }
  return character;
}

static const char*
capability(const char* name)
{
  // Neither absent nor "not a string". ncurses does not write to the name.
  char* const text = tigetstr((char*)(uintptr_t)name);
  return text && text != (char*)-1 ? text : "";
}

// Whether terminfo knows a terminal on which one can draw anywhere.
static bool
can_draw(int fd)
{
  int why;
  if (setupterm(NULL, fd, &why) != OK) {
    return false;
  }
  const bool can = *capability("cup") && *capability("clear");
  del_curterm(cur_term); // newterm() makes its own
  return can;
}

bool
terminal_find(Terminal* terminal, Outlet* outlet)
{
  const char* const term = getenv("TERM");
  memset(terminal, 0, sizeof *terminal);
  terminal->outlet = outlet;
  terminal->frame  = -1;
  terminal->found  = isatty(STDOUT_FILENO) && outlet->owned && term && *term &&
                    strcmp(term, "dumb") && can_draw(outlet->fd);
  return terminal->found;
}

// What brings any terminal back, for on_crash() and for pastes.
static void
find_texts(Terminal* terminal)
{
  static const char* const names[] = { "sgr0", "op", "rmkx", "cnorm", "rmcup" };
  snprintf(terminal->enter, sizeof terminal->enter, "%s", capability("BE"));
  snprintf(terminal->leave, sizeof terminal->leave, "%s", capability("BD"));
  signals.reset_size = 0;
  for (const char* c = terminal->leave; *c; ++c) {
    put_reset(*c);
  }
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
    tputs(capability(names[i]), 1, put_reset);
  }
  put_reset('\r');
  put_reset('\n');
}

static bool
open_screen(Terminal* terminal)
{
  terminal->frame = memfd_create("meander-screen", MFD_CLOEXEC);
  terminal->drawn = terminal->frame < 0 ? NULL : fdopen(terminal->frame, "r+");
  terminal->screen =
    terminal->drawn ? newterm(NULL, terminal->drawn, terminal->drawn) : NULL;
  if (!terminal->screen) {
    return false;
  }
  find_texts(terminal);
  typeahead(-1);
  keypad(stdscr, TRUE);
  curs_set(0);
  leaveok(stdscr, TRUE);
  return true;
}

// Keys at once and unseen. Ctrl-C, Ctrl-Z and Ctrl-S stay what they are.
static void
take_keys(Terminal* terminal)
{
  tcgetattr(terminal->outlet->fd, &terminal->shell);
  struct termios ours = terminal->shell;
  ours.c_lflag &= ~(tcflag_t)(ICANON | ECHO | IEXTEN);
  ours.c_cc[VMIN]  = 1;
  ours.c_cc[VTIME] = 0;
  signals.fd       = terminal->outlet->fd;
  signals.shell    = terminal->shell;
  atomic_store(&signals.shown, true);
  tcsetattr(terminal->outlet->fd, TCSANOW, &ours);
}

bool
terminal_show(Terminal* terminal)
{
  if (!terminal->screen && !open_screen(terminal)) {
    terminal->found = false;
    return false;
  }
  catch_signals();
  take_keys(terminal);
  outlet_put(terminal->outlet, terminal->enter, strlen(terminal->enter));
  clearok(curscr, TRUE);
  terminal->shown  = true;
  terminal->framed = true; // newterm() may have said something
  return true;
}

static bool
pump_within(Terminal* terminal, double wait_s)
{
  while (!terminal_pump(terminal)) {
    if (!outlet_flush_within(terminal->outlet, wait_s)) {
      return false;
    }
  }
  return true;
}

// A Ctrl-S must not keep the terminal in our state: it is lifted.
static void
start_output(const Terminal* terminal)
{
  struct termios ours;
  if (!tcgetattr(terminal->outlet->fd, &ours)) {
    ours.c_iflag &= ~(tcflag_t)IXON;
    tcsetattr(terminal->outlet->fd, TCSANOW, &ours);
  }
}

void
terminal_hide(Terminal* terminal)
{
  if (!terminal->shown) {
    return;
  }
  terminal->shown  = false;
  terminal->framed = true;
  endwin();
  if (!pump_within(terminal, WAIT_S)) {
    start_output(terminal);
    pump_within(terminal, WAIT_S);
  }
  outlet_put(terminal->outlet, terminal->leave, strlen(terminal->leave));
  outlet_flush_within(terminal->outlet, WAIT_S);
  tcflush(terminal->outlet->fd, TCIFLUSH);
  tcsetattr(terminal->outlet->fd, TCSANOW, &terminal->shell);
  atomic_store(&signals.shown, false);
}

void
terminal_close(Terminal* terminal)
{
  terminal_hide(terminal);
  leave_signals();
  if (signals.watches_stop) {
    sigaction(SIGTSTP, &signals.before_stop, NULL);
    signals.watches_stop = false;
  }
  if (terminal->screen) {
    delscreen(terminal->screen);
  }
  if (terminal->drawn) {
    fclose(terminal->drawn);
  } else if (terminal->frame >= 0) {
    close(terminal->frame);
  }
  terminal->screen = NULL;
  terminal->drawn  = NULL;
  terminal->frame  = -1;
  terminal->found  = false;
}

bool
terminal_is_ours(const Terminal* terminal)
{
  const pid_t group = tcgetpgrp(terminal->outlet->fd);
  return group < 0 || group == getpgrp(); // below 0: nobody's to give
}

bool
terminal_resize(const Terminal* terminal)
{
  struct winsize size;
  if (ioctl(terminal->outlet->fd, TIOCGWINSZ, &size) || !size.ws_row ||
      !size.ws_col) {
    return false; // what terminfo says stands
  }
  const int high = size.ws_row < ROWS_MAX ? size.ws_row : ROWS_MAX;
  const int wide = size.ws_col < COLUMNS_MAX ? size.ws_col : COLUMNS_MAX;
  if (high == getmaxy(stdscr) && wide == getmaxx(stdscr)) {
    return false;
  }
  resizeterm(high, wide);
  clearok(curscr, TRUE); // terminals move text about as they change
  return true;
}

void
terminal_redraw(void)
{
  clearok(curscr, TRUE);
}

size_t
terminal_read(const Terminal* terminal, char* bytes, size_t size)
{
  const ssize_t got = read(terminal->outlet->fd, bytes, size);
  return got > 0 ? (size_t)got : 0;
}

void
terminal_drawn(Terminal* terminal)
{
  terminal->framed = true;
}

bool
terminal_pump(Terminal* terminal)
{
  Outlet* const outlet = terminal->outlet;
  while (outlet_flush(outlet)) {
    if (!terminal->framed) {
      return true;
    }
    char          bytes[4096];
    const ssize_t got =
      pread(terminal->frame, bytes, sizeof bytes, (off_t)terminal->frame_sent);
    if (got <= 0) {
      // ncurses goes on writing at the beginning.
      terminal->framed     = false;
      terminal->frame_sent = 0;
      return !ftruncate(terminal->frame, 0) &&
             !lseek(terminal->frame, 0, SEEK_SET);
    }
    outlet_put(outlet, bytes, (size_t)got);
    terminal->frame_sent += (size_t)got;
  }
  return false;
}

void
terminal_watch_stop(void)
{
  const struct sigaction stop = { .sa_handler = on_stop,
                                  .sa_flags   = SA_RESTART };
  sigaction(SIGTSTP, NULL, &signals.before_stop);
  if (signals.before_stop.sa_handler != SIG_IGN) {
    sigaction(SIGTSTP, &stop, NULL);
    signals.watches_stop = true;
  }
}

bool
terminal_stop_asked(void)
{
  return atomic_load(&signals.stop_asked);
}

void
terminal_stop(Terminal* terminal)
{
  terminal_hide(terminal);
  const struct sigaction standard = { .sa_handler = SIG_DFL };
  struct sigaction       ours;
  sigaction(SIGTSTP, &standard, &ours);
  raise(SIGTSTP); // stopped; returns when it may go on
  sigaction(SIGTSTP, &ours, NULL);
  atomic_store(&signals.stop_asked, false);
}

bool
terminal_was_continued(void)
{
  return atomic_exchange(&signals.continued, false);
}
