// Where weights lie: apart from one another, and so that a device can read
// them by four.
#include "denoiser.h"
#include "vae.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NET_INPUT 39u // of the shipped diffusion model
#define NET_OUTPUT 131u

static DenoiserSizes
net_sizes(DenoiserKind kind, uint32_t width)
{
  return (DenoiserSizes){ .kind       = kind,
                          .width      = width,
                          .layers     = 2,
                          .heads      = 1,
                          .bottleneck = 2 * width,
                          .time_width = width,
                          .input      = NET_INPUT,
                          .output     = NET_OUTPUT };
}

// In order, without overlap, on 64-byte boundaries.
static void
check_layout(const Parameter* table, size_t count, size_t floats)
{
  size_t end = 0;
  size_t sum = 0;
  for (size_t i = 0; i < count; ++i) {
    assert_int_equal(table[i].offset % 16, 0);
    assert_in_range(table[i].offset, end, end + 15);
    end = table[i].offset + parameter_size(&table[i]);
    sum += parameter_size(&table[i]);
  }
  assert_in_range(floats, end, end + 15);
  assert_int_equal(parameters_weights(table, count), sum);
}

// Every weight whose columns are a multiple of four, as CUDA's by_four() asks.
static void
check_views(const Parameter* table, size_t count, Tensor flat)
{
  size_t fours = 0;
  for (size_t i = 0; i < count; ++i) {
    const Tensor view = parameter_view(&table[i], flat);
    assert_non_null(view.data);
    assert_int_equal((uintptr_t)view.data % 64, 0);
    fours += view.columns % 4 == 0;
  }
  assert_true(fours > count / 2);
}

static void
test_weights_of_a_denoiser(void** state)
{
  (void)state;
  Device* device;
  assert_int_equal(device_open_cpu(NULL, &device, NULL), STATUS_OK);
  for (int kind = DENOISER_TRANSFORMER; kind <= DENOISER_LSTM; ++kind) {
    for (uint32_t width = 6; width <= 48; width += 42) {
      const DenoiserSizes sizes = net_sizes((DenoiserKind)kind, width);
      Parameter           table[DENOISER_PARAMETERS_MAX];
      uint32_t            count;
      Denoiser*           net;
      const size_t        floats = denoiser_parameters(&sizes, table, &count);
      check_layout(table, count, floats);
      assert_int_equal(
        denoiser_create(device, &sizes, 32, 1, true, NULL, &net, NULL),
        STATUS_OK);
      assert_int_equal(denoiser_weights(net).columns, floats);
      if (width % 4 == 0) {
        check_views(table, count, denoiser_weights(net));
        check_views(table, count, denoiser_gradients(net));
      }
      denoiser_free(net);
    }
  }
  device_close(device);
}

static void
test_weights_of_a_vae(void** state)
{
  (void)state;
  const VaeSizes sizes = { .pitch_embedding = 13,
                           .encoder_hidden  = 16,
                           .latent          = 12,
                           .decoder_hidden  = 20 };
  Parameter      table[VAE_PARAMETER_COUNT];
  Device*        device;
  Vae*           vae;
  const size_t   floats = vae_parameters(&sizes, table);
  check_layout(table, VAE_PARAMETER_COUNT, floats);
  assert_int_equal(device_open_cpu(NULL, &device, NULL), STATUS_OK);
  assert_int_equal(vae_create(device, &sizes, 1, true, NULL, &vae, NULL),
                   STATUS_OK);
  check_views(table, VAE_PARAMETER_COUNT, vae_weights(vae));
  check_views(table, VAE_PARAMETER_COUNT, vae_gradients(vae));
  vae_free(vae);
  device_close(device);
}

// What lies between is 0 from the start.
static void
test_first_weights(void** state)
{
  (void)state;
  const DenoiserSizes sizes = net_sizes(DENOISER_LSTM, 6);
  Parameter           table[DENOISER_PARAMETERS_MAX];
  uint32_t            count;
  Device*             device;
  Denoiser*           net;
  const size_t        floats  = denoiser_parameters(&sizes, table, &count);
  const size_t        weights = parameters_weights(table, count);
  float* const        flat    = malloc(floats * sizeof *flat);
  float* const        packed  = malloc(weights * sizeof *packed);
  float* const        again   = calloc(floats, sizeof *again);
  assert_int_equal(device_open_cpu(NULL, &device, NULL), STATUS_OK);
  assert_int_equal(
    denoiser_create(device, &sizes, 32, 1, false, NULL, &net, NULL), STATUS_OK);
  assert_int_equal(denoiser_initialise(net, 3, NULL), STATUS_OK);
  tensor_read(device, denoiser_weights(net), flat);
  parameters_pack(table, count, flat, packed);
  parameters_spread(table, count, packed, again);
  assert_memory_equal(flat, again, floats * sizeof *flat);
  assert_true(weights < floats);
  denoiser_free(net);
  device_close(device);
  free(flat);
  free(packed);
  free(again);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_weights_of_a_denoiser),
    cmocka_unit_test(test_weights_of_a_vae),
    cmocka_unit_test(test_first_weights),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
