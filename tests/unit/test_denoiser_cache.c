// Sampling with remembered clean notes gives what one pass over all notes
// gives, where clean notes see only each other.
#include "diffusion_fixture.h"

enum { TOKENS, POSITIONS, LEVEL, TIME, ALLOWED, HEAD, CACHE_TENSORS };

typedef struct {
  Fixture  f;
  uint32_t before;
  uint32_t notes;
  uint32_t all;
  Tensor   whole[CACHE_TENSORS]; // of every note
  Tensor   part[CACHE_TENSORS];  // of the clean or of the noised ones
} Cache;

static bool
is_given(const Cache* c, uint32_t row)
{
  const uint32_t i = row % c->all;
  return i < c->before || i >= c->before + c->notes;
}

static void
fill_cache(Cache* c)
{
  const DenoiserSizes* const net  = &diffusion_settings(c->f.diffusion)->net;
  const uint32_t             rows = SEQUENCES * c->all;
  const uint32_t             widths[CACHE_TENSORS] = { net->input, 1,
                                                       1,          DENOISER_TIME_FEATURES,
                                                       c->all,     net->output };
  static float               host[SEQUENCES * SEQUENCE_NOTES * SEQUENCE_NOTES];
  Device* const              device = c->f.device;
  Rng                        rng    = rng_make(4, RNG_USE_TEST, 0);
  for (int i = 0; i < CACHE_TENSORS; ++i) {
    const uint32_t r = i == TIME ? 2 : rows;
    assert_int_equal(tensor_allocate(device, r, widths[i], &c->whole[i], NULL),
                     STATUS_OK);
    assert_int_equal(tensor_allocate(device, r, widths[i], &c->part[i], NULL),
                     STATUS_OK);
  }
  rng_normals(&rng, host, (size_t)rows * net->input);
  tensor_write(device, c->whole[TOKENS], host);
  rng_normals(&rng, host, 2 * DENOISER_TIME_FEATURES);
  tensor_write(device, c->whole[TIME], host);
  for (uint32_t r = 0; r < rows; ++r) {
    const float place = (float)(r % c->all);
    const float level = is_given(c, r) ? 1.0f : 0.0f;
    tensor_write(device, tensor_rows(c->whole[POSITIONS], r, 1), &place);
    tensor_write(device, tensor_rows(c->whole[LEVEL], r, 1), &level);
    for (uint32_t k = 0; k < c->all; ++k) {
      host[(size_t)r * c->all + k] = !is_given(c, r) || is_given(c, k);
    }
  }
  tensor_write(device, c->whole[ALLOWED], host);
}

// The rows that are given, or those that are not, as a network input.
static DenoiserInput
cut_cache(Cache* c, bool given)
{
  uint32_t rows = 0;
  for (uint32_t r = 0; r < SEQUENCES * c->all; ++r) {
    if (is_given(c, r) == given) {
      for (int i = TOKENS; i <= POSITIONS; ++i) {
        op_copy(c->f.device,
                tensor_rows(c->whole[i], r, 1),
                tensor_rows(c->part[i], rows, 1));
      }
      ++rows;
    }
  }
  op_fill(c->f.device, c->part[LEVEL], 0.0f);
  return (DenoiserInput){
    .sequences = SEQUENCES,
    .notes     = rows / SEQUENCES,
    .tokens    = tensor_rows(c->part[TOKENS], 0, rows),
    .position  = tensor_rows(c->part[POSITIONS], 0, rows),
    .level     = tensor_rows(c->part[LEVEL], 0, rows),
    .time      = tensor_rows(c->whole[TIME], given, 1),
  };
}

static void
assert_same_heads(const Cache* c)
{
  const uint32_t columns = c->whole[HEAD].columns;
  for (uint32_t s = 0; s < SEQUENCES; ++s) {
    for (uint32_t i = 0; i < c->notes; ++i) {
      float          a[ENCODING_PITCHES + CHANNEL_COUNT];
      float          b[ENCODING_PITCHES + CHANNEL_COUNT];
      const uint32_t row = s * c->all + c->before + i;
      tensor_read(c->f.device, tensor_rows(c->whole[HEAD], row, 1), a);
      tensor_read(
        c->f.device, tensor_rows(c->part[HEAD], s * c->notes + i, 1), b);
      for (uint32_t k = 0; k < columns; ++k) {
        assert_true(fabsf(a[k] - b[k]) < 1e-4f * (1.0f + fabsf(a[k])));
      }
    }
  }
}

// One network seen twice: all notes at once, where clean ones see only each
// other, and the clean ones first, remembered.
static void
check_cache(DenoiserKind kind, uint32_t before, uint32_t notes, uint32_t after)
{
  const DiffusionSettings settings =
    settings_of(kind, PITCH_BITS, PREDICT_DATA);
  Cache c = { .before = before, .notes = notes, .all = before + notes + after };
  open_fixture(&c.f, &settings, false);
  fill_cache(&c);
  Denoiser* const net = diffusion_net(c.f.diffusion);
  Denoiser*       trained;
  assert_int_equal(denoiser_create(c.f.device,
                                   &diffusion_settings(c.f.diffusion)->net,
                                   SEQUENCES * SEQUENCE_NOTES,
                                   SEQUENCES,
                                   true,
                                   net,
                                   &trained,
                                   NULL),
                   STATUS_OK);
  DenoiserInput input = { .sequences = SEQUENCES,
                          .notes     = c.all,
                          .tokens    = c.whole[TOKENS],
                          .position  = c.whole[POSITIONS],
                          .level     = c.whole[LEVEL],
                          .time      = c.whole[TIME],
                          .allowed   = c.whole[ALLOWED] };
  denoiser_forward(trained, &input, c.whole[HEAD]);
  denoiser_free(trained);
  input = cut_cache(&c, true);
  denoiser_context(net, &input);
  input = cut_cache(&c, false);
  // Twice: what is remembered does not wear off.
  const Tensor head = tensor_rows(c.part[HEAD], 0, SEQUENCES * notes);
  for (int i = 0; i < 2; ++i) {
    denoiser_step(net, &input, head);
  }
  assert_same_heads(&c);
  // The levels told beforehand, once for both; again with the context new.
  denoiser_levels(net, c.whole[TIME]);
  input       = cut_cache(&c, true);
  input.time  = (Tensor){ 0 };
  input.known = 1;
  denoiser_context(net, &input);
  input       = cut_cache(&c, false);
  input.time  = (Tensor){ 0 };
  input.known = 0;
  op_fill(c.f.device, head, NAN);
  denoiser_step(net, &input, head);
  assert_same_heads(&c);
  for (int i = 0; i < CACHE_TENSORS; ++i) {
    tensor_free(c.f.device, &c.whole[i]);
    tensor_free(c.f.device, &c.part[i]);
  }
  close_fixture(&c.f);
}

static void
test_clean_notes_are_remembered(void** state)
{
  (void)state;
  check_cache(DENOISER_TRANSFORMER, 0, 8, 0);
  check_cache(DENOISER_TRANSFORMER, 5, 8, 0);
  check_cache(DENOISER_TRANSFORMER, 24, 8, 0);
  check_cache(DENOISER_TRANSFORMER, 3, 4, 7);
  check_cache(DENOISER_TRANSFORMER, 0, 1, 31);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_clean_notes_are_remembered),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
