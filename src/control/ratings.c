// A table of ratings, and the small files that they are kept in.
#include "control/ratings.h"

#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES 1280u
#define LINE_BYTES 1536u
#define DIGEST_BYTES 17u

const char* const rating_names[3] = { "", "keep", "reject" };

typedef struct {
  char   digest[DIGEST_BYTES];
  Rating rating;
} Row;

typedef struct {
  char path[PATH_BYTES];
  bool told; // that it cannot be written
} Folder;

struct Ratings {
  Row      rows[RATINGS_MAX]; // a ring: `next` is the oldest when it is full
  uint32_t row_count;
  uint32_t next;
  Folder*  folders; // [RATINGS_FOLDERS_MAX]
  uint32_t folder_count;
};

// row_count: there is none.
static uint32_t
find_row(const Ratings* ratings, const char* digest)
{
  uint32_t at = 0;
  while (at < ratings->row_count &&
         strcmp(ratings->rows[at].digest, digest) != 0) {
    ++at;
  }
  return at;
}

Rating
ratings_find(const Ratings* ratings, const char* digest)
{
  const uint32_t at = find_row(ratings, digest);
  return at < ratings->row_count ? ratings->rows[at].rating : RATING_NONE;
}

static void
remember(Ratings* ratings, const char* digest, Rating rating)
{
  uint32_t at = find_row(ratings, digest);
  if (at == ratings->row_count) {
    at            = ratings->next;
    ratings->next = (ratings->next + 1) % RATINGS_MAX;
    if (ratings->row_count < RATINGS_MAX) {
      ++ratings->row_count;
    }
    snprintf(ratings->rows[at].digest, DIGEST_BYTES, "%s", digest);
  }
  ratings->rows[at].rating = rating;
}

// --- Reading -----------------------------------------------------------------

static bool
is_digest(const char* text)
{
  return strlen(text) == DIGEST_BYTES - 1 &&
         strspn(text, "0123456789abcdef") == DIGEST_BYTES - 1;
}

// What people wrote in between is passed over.
static void
take_line(Ratings* ratings, char* line)
{
  char*             rest   = line;
  const char* const time   = strsep(&rest, "\t");
  const char* const digest = strsep(&rest, "\t");
  const char* const name   = strsep(&rest, "\t");
  if (!time || !digest || !name || !is_digest(digest)) {
    return;
  }
  for (int i = RATING_KEEP; i <= RATING_REJECT; ++i) {
    if (!strcmp(name, rating_names[i])) {
      remember(ratings, digest, (Rating)i);
    }
  }
}

static void
read_ratings(Ratings* ratings, const char* folder)
{
  char path[PATH_BYTES + sizeof RATINGS_FILE];
  snprintf(path, sizeof path, "%s/" RATINGS_FILE, folder);
  const int   file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat info;
  if (file < 0) {
    return;
  }
  char* const text = malloc(RATINGS_READ_BYTES_MAX + 1);
  if (text && !fstat(file, &info) && S_ISREG(info.st_mode)) {
    const off_t   max    = RATINGS_READ_BYTES_MAX;
    const off_t   begin  = info.st_size > max ? info.st_size - max : 0;
    const ssize_t length = pread(file, text, RATINGS_READ_BYTES_MAX, begin);
    text[length > 0 ? length : 0] = '\0';
    // Begins within a line where the file's first part is left out.
    char* rest = text;
    if (begin) {
      strsep(&rest, "\n");
    }
    for (char* line; (line = strsep(&rest, "\n"));) {
      take_line(ratings, line);
    }
  }
  free(text);
  close(file);
}

// NULL: there is no room.
static Folder*
folder_beside(Ratings* ratings, const char* path)
{
  const char* const slash = strrchr(path, '/');
  char              name[PATH_BYTES];
  const int         length = slash == path ? 1 : (int)(slash - path);
  snprintf(name, sizeof name, "%.*s", slash ? length : 1, slash ? path : ".");
  for (uint32_t i = 0; i < ratings->folder_count; ++i) {
    if (!strcmp(ratings->folders[i].path, name)) {
      return ratings->folders + i;
    }
  }
  if (ratings->folder_count == RATINGS_FOLDERS_MAX) {
    return NULL;
  }
  Folder* const folder = ratings->folders + ratings->folder_count++;
  memcpy(folder->path, name, sizeof folder->path);
  read_ratings(ratings, name);
  return folder;
}

void
ratings_read_beside(Ratings* ratings, const char* path)
{
  folder_beside(ratings, path);
}

// False: there is no home.
static bool
state_folder(char path[PATH_BYTES])
{
  const char* const state = getenv("XDG_STATE_HOME");
  const char* const home  = getenv("HOME");
  // A relative one is to be ignored, says the standard.
  const int length =
    state && *state == '/' ? snprintf(path, PATH_BYTES, "%s/meander", state)
    : home && *home
      ? snprintf(path, PATH_BYTES, "%s/.local/state/meander", home)
      : 0;
  return length > 0 && (size_t)length < PATH_BYTES;
}

Status
ratings_open(Ratings** out, Error* error)
{
  *out                   = NULL;
  Ratings* const ratings = calloc(1, sizeof *ratings);
  if (ratings) {
    ratings->folders = calloc(RATINGS_FOLDERS_MAX, sizeof *ratings->folders);
  }
  if (!ratings || !ratings->folders) {
    free(ratings);
    return error_set(error, STATUS_NO_MEMORY, "no memory for ratings");
  }
  char path[PATH_BYTES];
  if (state_folder(path)) {
    read_ratings(ratings, path);
  }
  *out = ratings;
  return STATUS_OK;
}

void
ratings_close(Ratings* ratings)
{
  if (ratings) {
    free(ratings->folders);
    free(ratings);
  }
}

// --- Writing -----------------------------------------------------------------

// Where a hand or a full disk left a line without its end, ours begins anew.
static bool
lacks_line_end(int file)
{
  struct stat info;
  char        last = '\n';
  return !fstat(file, &info) && info.st_size > 0 &&
         pread(file, &last, 1, info.st_size - 1) == 1 && last != '\n';
}

static Status
append(const char* folder, const char* line, Error* error)
{
  char path[PATH_BYTES + sizeof RATINGS_FILE];
  char text[LINE_BYTES + 1];
  snprintf(path, sizeof path, "%s/" RATINGS_FILE, folder);
  const int file =
    open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
  const bool begins = file >= 0 && lacks_line_end(file);
  snprintf(text, sizeof text, "%s%s", begins ? "\n" : "", line);
  const ssize_t length  = (ssize_t)strlen(text);
  errno                 = file < 0 ? errno : ENOSPC; // of a part written
  const ssize_t written = file < 0 ? -1 : write(file, text, (size_t)length);
  const int     reason  = errno;
  if (file >= 0) {
    close(file);
  }
  return written == length ? STATUS_OK
                           : error_set(error,
                                       STATUS_IO,
                                       "%s: cannot write: %s",
                                       path,
                                       strerror(reason));
}

// What would end a field or a line becomes '?'.
static void
clean(char* text)
{
  for (; *text; ++text) {
    if ((unsigned char)*text < 0x20 || *text == 0x7f) {
      *text = '?';
    }
  }
}

static void
format_line(const RatingLine* line, const char* name, char text[LINE_BYTES])
{
  char         when[32];
  char         step[16] = "-";
  char         file[1100];
  const time_t now = time(NULL);
  struct tm    utc;
  strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
  if (line->has_step) {
    snprintf(step, sizeof step, "%" PRIu32, line->step);
  }
  snprintf(file, sizeof file, "%s", name);
  clean(file);
  snprintf(text,
           LINE_BYTES,
           "%s\t%s\t%s\t%s\t%s\t%" PRIu64 "\n",
           when,
           line->digest,
           rating_names[line->rating],
           file,
           step,
           line->seed);
}

static Status
append_to_state(const RatingLine* line, char folder[PATH_BYTES], Error* error)
{
  char        text[LINE_BYTES];
  char        parent[PATH_BYTES];
  char* const full = realpath(line->path, NULL);
  if (!state_folder(folder)) {
    free(full);
    return error_set(
      error, STATUS_IO, "neither XDG_STATE_HOME nor HOME is set");
  }
  // Its parents, the nearest first missing one on.
  for (char* slash = strchr(folder + 1, '/'); slash;
       slash       = strchr(slash + 1, '/')) {
    snprintf(parent, sizeof parent, "%.*s", (int)(slash - folder), folder);
    mkdir(parent, 0700);
  }
  format_line(line, full ? full : line->path, text);
  free(full);
  const Status status = file_make_directory(folder, error);
  return status ? status : append(folder, text, error);
}

Status
ratings_add(Ratings* ratings, const RatingLine* line, Error* error)
{
  char              text[LINE_BYTES];
  Error             beside;
  Error             state;
  const char* const slash  = strrchr(line->path, '/');
  Folder* const     folder = folder_beside(ratings, line->path);
  remember(ratings, line->digest, line->rating);
  format_line(line, slash ? slash + 1 : line->path, text);
  Status status =
    folder
      ? append(folder->path, text, &beside)
      : error_set(
          &beside, STATUS_LIMIT, "%s: ratings in too many folders", line->path);
  if (!status) {
    return STATUS_OK;
  }
  char         other[PATH_BYTES] = "";
  const Status kept              = append_to_state(line, other, &state);
  const bool   told              = folder && folder->told;
  if (folder) {
    folder->told = true;
  }
  if (kept) {
    return error_set(error,
                     status,
                     "%.220s; %.160s: the rating is only remembered until the "
                     "end; make one of them writable",
                     beside.text,
                     state.text);
  }
  return told ? STATUS_OK
              : error_set(error,
                          status,
                          "%.240s; ratings go to %.160s/" RATINGS_FILE,
                          beside.text,
                          other);
}
