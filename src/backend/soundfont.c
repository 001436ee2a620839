// Where a General MIDI soundfont is.
#include "backend/soundfont.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// The default that the machine's owner chose comes first, then by sound.
const char* const soundfont_places[] = {
  "/usr/share/sounds/sf2/default-GM.sf2",
  "/usr/share/sounds/sf2/FluidR3_GM.sf2",
  "/usr/share/soundfonts/default.sf2",
  "/usr/share/soundfonts/FluidR3_GM.sf2",
  "/usr/share/sounds/sf3/MuseScore_General_Full.sf3",
  "/usr/share/sounds/sf3/default-GM.sf3",
  "/usr/share/sounds/sf2/TimGM6mb.sf2",
  "/usr/share/sounds/sf3/FluidR3Mono_GM.sf3",
  NULL
};

static Status
take(const char* found, char path[SOUNDFONT_PATH_BYTES], Error* error)
{
  const int length = snprintf(path, SOUNDFONT_PATH_BYTES, "%s", found);
  return length < SOUNDFONT_PATH_BYTES
           ? STATUS_OK
           : error_set(error,
                       STATUS_BAD_ARGUMENT,
                       "the soundfont's path %.60s... is too long",
                       found);
}

Status
soundfont_find(const char*        named,
               const char* const* places,
               char               path[SOUNDFONT_PATH_BYTES],
               Error*             error)
{
  if (named && *named) {
    return access(named, R_OK) ? error_set(error,
                                           STATUS_NOT_FOUND,
                                           "$MEANDER_SOUNDFONT is %.300s: %s",
                                           named,
                                           strerror(errno))
                               : take(named, path, error);
  }
  for (size_t i = 0; places[i]; ++i) {
    if (!access(places[i], R_OK)) {
      return take(places[i], path, error);
    }
  }
  size_t count = 0;
  while (places[count]) {
    ++count;
  }
  return error_set(error,
                   STATUS_NOT_FOUND,
                   "no soundfont found (%.100s and %zu other places): "
                   "apt install fluid-soundfont-gm, or name one in "
                   "MEANDER_SOUNDFONT",
                   count ? places[0] : "no place to look",
                   count ? count - 1 : 0);
}
