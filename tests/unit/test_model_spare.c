// A GPU that fails in any call of a model: the CPU takes over within the call,
// from the same request, and for good; without a spare the call fails.
#include "emulated_gpu.h"
#include "model.h"
#include "vae_checkpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define LATENT 8u
#define ILLEGAL_ADDRESS 700

static char path[64];

static const NoteEvent notes[WINDOW_NOTES] = {
  { 60, 0.5f, 0.1f, 0.3f }, { 64, 0.6f, 0.2f, 0.3f }, { 67, 0.4f, 0.1f, 0.5f },
  { 72, 0.7f, 0.3f, 0.2f }, { 71, 0.5f, 0.1f, 0.3f }, { 67, 0.6f, 0.2f, 0.3f },
  { 64, 0.4f, 0.1f, 0.5f }, { 62, 0.7f, 0.3f, 0.2f },
};

static int
write_model(void** state)
{
  (void)state;
  const VaeSizes      sizes = { .pitch_embedding = 5,
                                .encoder_hidden  = 8,
                                .latent          = LATENT,
                                .decoder_hidden  = 12 };
  const EncodingStats stats = { 1.6f, 0.9f, -1.2f, 0.8f, 0.5f, 0.15f };
  Parameter           table[VAE_PARAMETER_COUNT];
  const size_t        floats  = vae_parameters(&sizes, table);
  float* const        weights = calloc(floats, sizeof *weights);
  Device*             device;
  Vae*                vae;
  LatentPrior         prior;
  snprintf(path, sizeof path, "/tmp/meander-spare-%d.safetensors", getpid());
  assert_int_equal(device_open_cpu(NULL, &device, NULL), STATUS_OK);
  assert_int_equal(vae_create(device, &sizes, 1, false, NULL, &vae, NULL),
                   STATUS_OK);
  assert_int_equal(vae_initialise(vae, 3, NULL), STATUS_OK);
  tensor_read(device, vae_weights(vae), weights);
  assert_int_equal(latent_prior_create(&prior, LATENT, NULL), STATUS_OK);
  assert_int_equal(
    vae_checkpoint_write(path, &sizes, &stats, weights, &prior, NULL, 0, NULL),
    STATUS_OK);
  latent_prior_free(&prior);
  free(weights);
  vae_free(vae);
  device_close(device);
  return 0;
}

static int
remove_model(void** state)
{
  (void)state;
  return unlink(path);
}

typedef struct {
  float     z[LATENT];
  NoteEvent notes[WINDOW_NOTES];
} Made;

// z of the notes, or notes of it.
static Status
call(Model* model, bool encodes, Made* made, Error* error)
{
  static const float z[LATENT] = { 0.4f, -1.0f, 0.2f, 1.5f };
  const ModelRequest request   = {
      .z = z, .count = 1, .temperature = 1.0f, .seed = 4
  };
  return encodes ? model_encode(model, notes, 1, made->z, error)
                 : model_generate(model, &request, made->notes, error);
}

static Model*
load(const char* device, bool keeps_spare)
{
  Model* model;
  if (model_load(path, device, 1, &model, NULL) != STATUS_OK) {
    return NULL;
  }
  assert_int_equal(
    keeps_spare ? model_keep_spare(model, path, NULL) : STATUS_OK, STATUS_OK);
  return model;
}

static void
test_the_spare_takes_over(void** state)
{
  (void)state;
  for (int encodes = 0; encodes < 2; ++encodes) {
    Made         want = { 0 }, got = { 0 }, other = { 0 };
    Error        error;
    Model* const cpu = load("cpu", false);
    Model* const gpu = load("cuda", true);
    assert_int_equal(call(cpu, encodes, &want, NULL), STATUS_OK);
    if (!gpu) {
      model_free(cpu);
      skip();
    }
    assert_int_equal(call(gpu, encodes, &got, &error), STATUS_OK);
    assert_true(model_is_on_gpu(gpu));
    if (!emulated_fail(ILLEGAL_ADDRESS)) {
      model_free(cpu);
      model_free(gpu);
      skip();
    }
    assert_int_equal(call(gpu, encodes, &got, &error), STATUS_OK);
    assert_memory_equal(&want, &got, sizeof want); // the CPU's own
    assert_true(model_lost_gpu(gpu, &error));
    assert_non_null(strstr(error.text, "has lost this GPU"));
    assert_false(model_is_on_gpu(gpu));
    // Whatever comes next.
    assert_int_equal(call(gpu, !encodes, &other, &error), STATUS_OK);
    assert_int_equal(call(cpu, !encodes, &want, &error), STATUS_OK);
    assert_int_equal(call(gpu, encodes, &other, &error), STATUS_OK);
    assert_memory_equal(&want, &other, sizeof want);
    emulated_heal();
    model_free(cpu);
    model_free(gpu);
  }
}

static void
test_without_a_spare(void** state)
{
  (void)state;
  for (int encodes = 0; encodes < 2; ++encodes) {
    Made         made;
    Error        error;
    Model* const gpu = load("cuda", false);
    if (!gpu) {
      skip();
    }
    assert_int_equal(call(gpu, encodes, &made, &error), STATUS_OK);
    if (!emulated_fail(ILLEGAL_ADDRESS)) {
      model_free(gpu);
      skip();
    }
    assert_int_equal(call(gpu, encodes, &made, &error), STATUS_DEVICE);
    assert_non_null(strstr(error.text, "has lost this GPU"));
    emulated_heal();
    model_free(gpu);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_the_spare_takes_over),
    cmocka_unit_test(test_without_a_spare),
  };
  return cmocka_run_group_tests_name(
    "model_spare", tests, write_model, remove_model);
}
