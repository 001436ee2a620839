// Samplers as the user writes them.
#include "sampler_spec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static SamplerSpec
parsed(const char* text)
{
  SamplerSpec spec;
  Error       error;
  assert_int_equal(sampler_spec_parse(text, &spec, &error), STATUS_OK);
  assert_string_equal(spec.name, text);
  return spec;
}

static void
test_good(void** state)
{
  (void)state;
  SamplerSpec spec = parsed("ddim-20");
  assert_true(spec.sampler == SAMPLER_DDIM && spec.steps == 20 &&
              spec.eta == 0.0f && !spec.student);
  spec = parsed("ddim-20@0.5");
  assert_true(spec.steps == 20 && spec.eta == 0.5f);
  spec = parsed("ddim@1");
  assert_true(spec.steps == 0 && spec.eta == 1.0f);
  spec = parsed("dpm++-10");
  assert_true(spec.sampler == SAMPLER_DPM && spec.steps == 10);
  spec = parsed("ddpm-1000");
  assert_true(spec.sampler == SAMPLER_DDPM && spec.steps == 1000);
  spec = parsed("student-4");
  assert_true(spec.sampler == SAMPLER_DDIM && spec.steps == 4 && spec.student);
  assert_true(parsed("ddpm").steps == 0);
}

static void
test_bad(void** state)
{
  (void)state;
  static const char* const texts[] = {
    "",
    "ddi",
    "ddimm-3",
    "ddim-",
    "ddim-0",
    "ddim--4",
    "ddim-4x",
    "ddim- 4",
    "ddim-4@",
    "ddim-4@1.5",
    "ddim-4@-1",
    "ddim-4@nan",
    "dpm++-4@0.5",
    "ddpm-4@0.5",
    "student-4@0.5",
    "DDIM-4",
    "ddim-99999999999",
    "ddim-000000000000000000000000000004",
  };
  for (size_t i = 0; i < sizeof texts / sizeof *texts; ++i) {
    SamplerSpec spec;
    Error       error;
    assert_int_equal(sampler_spec_parse(texts[i], &spec, &error),
                     STATUS_BAD_ARGUMENT);
    assert_non_null(strstr(error.text, texts[i]));
  }
}

static void
test_lists(void** state)
{
  (void)state;
  SamplerSpec specs[SAMPLER_SPECS_MAX];
  uint32_t    count;
  Error       error;
  assert_int_equal(
    sampler_specs_parse("ddim-4,dpm++-10,student-2", specs, &count, &error),
    STATUS_OK);
  assert_int_equal(count, 3);
  assert_string_equal(specs[1].name, "dpm++-10");
  assert_int_equal(sampler_specs_parse("ddim-4,,ddim", specs, &count, &error),
                   STATUS_BAD_ARGUMENT);
  char text[5 * (SAMPLER_SPECS_MAX + 1) + 1] = "";
  for (uint32_t i = 0; i < SAMPLER_SPECS_MAX; ++i) {
    strcat(text, "ddim,");
  }
  assert_int_equal(sampler_specs_parse(text, specs, &count, &error), STATUS_OK);
  assert_int_equal(count, SAMPLER_SPECS_MAX);
  strcat(text, "ddim");
  assert_int_equal(sampler_specs_parse(text, specs, &count, &error),
                   STATUS_BAD_ARGUMENT);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_good),
    cmocka_unit_test(test_bad),
    cmocka_unit_test(test_lists),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
