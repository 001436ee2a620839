// What the tests of auditions share: a folder of their own, small checkpoints
// written as meander-train does, and waiting. Include after cmocka.h.
#pragma once

#include "clock.h"
#include "diffusion_checkpoint.h"
#include "vae_checkpoint.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static inline int
set_up(void** state)
{
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/meander-audition-XXXXXX");
  return mkdtemp(folder) && !setenv("XDG_STATE_HOME", folder, 1) ? 0 : -1;
}

static inline int
tear_down(void** state)
{
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command);
}

// Of a file in the folder, till the next-but-seven call.
static inline const char*
in_folder(const char* name)
{
  static char paths[8][1024];
  static int  at;
  char* const path = paths[at++ % 8];
  snprintf(path, sizeof *paths, "%s/%s", folder, name);
  return path;
}

static inline void
make_folder(const char* name)
{
  assert_int_equal(mkdir(in_folder(name), 0777), 0);
}

static const EncodingStats fixture_stats = { .u_mean = 1.6f,
                                             .u_std  = 0.9f,
                                             .w_mean = -1.2f,
                                             .w_std  = 0.8f,
                                             .v_mean = 0.5f,
                                             .v_std  = 0.15f };

// A VAE whose weights are drawn with `seed`, renamed into place.
static inline void
write_vae(const char* path, uint32_t seed, const char* training_step)
{
  const VaeSizes sizes = {
    .pitch_embedding = 4, .encoder_hidden = 4, .latent = 4, .decoder_hidden = 8
  };
  const CheckpointText provenance = { "step", training_step };
  Device*              device;
  Vae*                 vae;
  LatentPrior          prior;
  Parameter            table[VAE_PARAMETER_COUNT];
  Error                error = { 0 };
  assert_int_equal(device_open_cpu(NULL, &device, &error), 0);
  assert_int_equal(vae_create(device, &sizes, 1, false, NULL, &vae, &error), 0);
  assert_int_equal(vae_initialise(vae, seed, &error), 0);
  float* const weights = calloc(vae_parameters(&sizes, table), sizeof *weights);
  assert_non_null(weights);
  tensor_read(device, vae_weights(vae), weights);
  assert_int_equal(latent_prior_create(&prior, sizes.latent, &error), 0);
  assert_int_equal(vae_checkpoint_write(path,
                                        &sizes,
                                        &fixture_stats,
                                        weights,
                                        &prior,
                                        &provenance,
                                        training_step ? 1 : 0,
                                        &error),
                   0);
  latent_prior_free(&prior);
  free(weights);
  vae_free(vae);
  device_close(device);
}

static inline size_t
read_whole(const char* path, uint8_t* bytes, size_t max)
{
  FILE* const file = fopen(path, "rb");
  assert_non_null(file);
  const size_t count = fread(bytes, 1, max, file);
  fclose(file);
  assert_in_range(count, 1, max - 1);
  return count;
}

// Without a rename: as a slow copy does.
static inline void
append_bytes(FILE* file, const uint8_t* bytes, size_t count)
{
  assert_int_equal(fwrite(bytes, 1, count, file), count);
  assert_int_equal(fflush(file), 0);
}

static inline void
assert_says(const char* text, const char* part)
{
  if (!strstr(text, part)) {
    fail_msg("'%s' does not say '%s'", text, part);
  }
}

// Far longer than anything here takes, on a busy machine, too.
#define WAIT_S_MAX 20.0

#define WAIT_UNTIL(condition, turn)                                            \
  do {                                                                         \
    const double deadline_s = clock_now_s() + WAIT_S_MAX;                      \
    for (turn; !(condition); turn) {                                           \
      if (clock_now_s() > deadline_s) {                                        \
        fail_msg("in vain: %s", #condition);                                   \
      }                                                                        \
      clock_sleep_ns(1000000);                                                 \
    }                                                                          \
  } while (0)
