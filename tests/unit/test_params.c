// live/params: the table makes sense, and every way in refuses what is out of
// range, naming it.
#include "live/params.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
test_table(void** state)
{
  (void)state;
  const Params standard = params_standard();
  Error        error;
  assert_int_equal(params_check(&standard, &error), STATUS_OK);
  for (int id = 0; id < PARAM_COUNT; ++id) {
    const ParamInfo* const info = &param_table[id];
    assert_non_null(info->name);
    assert_true(info->low < info->high);
    const bool is_auto = info->flags & PARAM_MAY_BE_AUTO;
    assert_true(info->standard >= info->low - is_auto);
    assert_true(info->standard <= info->high);
    assert_true(params_is_auto(&standard, (ParamId)id) == is_auto);
    assert_true(strlen(info->help) > 0);
    assert_int_equal(params_find(info->name), id);
    assert_true((info->type == PARAM_CHOICE) == (info->choices != NULL));
    // What is printed can be typed again.
    char   text[32];
    Params params = standard;
    params_format(&standard, (ParamId)id, text, sizeof text);
    assert_int_equal(params_set_text(&params, (ParamId)id, text, &error), 0);
    assert_true(params.value[id] == standard.value[id]);
  }
  assert_int_equal(params_find("volume"), PARAM_COUNT);
  assert_int_equal(params_find(""), PARAM_COUNT);
}

static void
test_ranges(void** state)
{
  (void)state;
  for (int id = 0; id < PARAM_COUNT; ++id) {
    const ParamInfo* const info   = &param_table[id];
    Params                 params = params_standard();
    const double           good[] = { info->low, info->high };
    const double bad[] = { info->low - 1, info->high + 1, NAN, INFINITY };
    Error        error;
    if (info->type == PARAM_CHOICE) {
      assert_int_not_equal(params_set_number(&params, (ParamId)id, 0, &error),
                           STATUS_OK);
      continue;
    }
    for (int i = 0; i < 2; ++i) {
      assert_int_equal(params_set_number(&params, (ParamId)id, good[i], &error),
                       STATUS_OK);
      assert_true(params.value[id] == good[i]);
    }
    for (int i = 0; i < 4; ++i) {
      assert_int_equal(params_set_number(&params, (ParamId)id, bad[i], &error),
                       STATUS_BAD_ARGUMENT);
      assert_non_null(strstr(error.text, info->name));
      assert_true(params.value[id] == info->high); // as it was
    }
    if (info->type == PARAM_INTEGER) {
      assert_int_equal(
        params_set_number(&params, (ParamId)id, info->low + 0.5, &error),
        STATUS_BAD_ARGUMENT);
    }
  }
}

static void
test_text(void** state)
{
  (void)state;
  Params params = params_standard();
  Error  error;
  assert_int_equal(params_set_text(&params, PARAM_MODE, "prior", &error), 0);
  assert_int_equal((int)params.value[PARAM_MODE], GENERATOR_PRIOR);
  assert_int_not_equal(params_set_text(&params, PARAM_MODE, "x", &error), 0);
  assert_non_null(strstr(error.text,
                         "prior, walk, interpolate, continue, mutate, "
                         "bridge, auto"));
  assert_int_equal(params_set_text(&params, PARAM_TEMPO, "1.5", &error), 0);
  const char* const bad[] = { "", " ", "1.5x", "fast", "nan", "inf", "-1" };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
    assert_int_not_equal(params_set_text(&params, PARAM_TEMPO, bad[i], &error),
                         STATUS_OK);
    assert_true(params.value[PARAM_TEMPO] == 1.5);
  }
}

// Left to the model by its name only: 0 steps are out of range.
static void
test_auto(void** state)
{
  (void)state;
  Params params = params_standard();
  Error  error;
  assert_int_equal(params_set_text(&params, PARAM_STEPS, "8", &error), 0);
  assert_false(params_is_auto(&params, PARAM_STEPS));
  assert_int_not_equal(params_set_text(&params, PARAM_STEPS, "0", &error), 0);
  assert_non_null(strstr(error.text, "steps is 0"));
  assert_int_equal(params_set_text(&params, PARAM_STEPS, "auto", &error), 0);
  assert_true(params_is_auto(&params, PARAM_STEPS));
  assert_int_equal(params_set_text(&params, PARAM_CONTEXT, "0", &error), 0);
  assert_false(params_is_auto(&params, PARAM_CONTEXT));
  assert_int_not_equal(params_set_text(&params, PARAM_ETA, "auto", &error), 0);
  assert_int_equal(params_set_text(&params, PARAM_MODE, "walk", &error), 0);
  assert_int_equal(params_set_text(&params, PARAM_MODE, "auto", &error), 0);
  assert_true(params_is_auto(&params, PARAM_MODE));
  assert_int_not_equal(params_set_text(&params, PARAM_KEY, "auto", &error), 0);
}

// What asks for a diffusion model: its modes, and its own parameters once they
// are changed.
static void
test_need_diffusion(void** state)
{
  (void)state;
  Params params = params_standard();
  for (int id = 0; id < PARAM_COUNT; ++id) {
    assert_false(params_need_diffusion(&params, (ParamId)id));
  }
  params.value[PARAM_STEPS] = 4;
  params.value[PARAM_TEMPO] = 4;
  assert_true(params_need_diffusion(&params, PARAM_STEPS));
  assert_false(params_need_diffusion(&params, PARAM_TEMPO));
  for (int mode = GENERATOR_PRIOR; mode <= GENERATOR_BRIDGE; ++mode) {
    params.value[PARAM_MODE] = mode;
    assert_int_equal(params_need_diffusion(&params, PARAM_MODE),
                     mode >= GENERATOR_CONTINUE);
  }
}

static void
test_names(void** state)
{
  (void)state;
  const struct {
    ParamId     id;
    const char* good;
    const char* bad;
  } cases[] = { { PARAM_SAMPLER, "dpm++", "dpm" },
                { PARAM_KEY, "Bb", "H" },
                { PARAM_SCALE, "minor-pentatonic", "moll" } };
  for (int i = 0; i < 3; ++i) {
    Params params = params_standard();
    Error  error;
    char   text[32];
    assert_int_equal(
      params_set_text(&params, cases[i].id, cases[i].good, &error), 0);
    params_format(&params, cases[i].id, text, sizeof text);
    assert_string_equal(text, cases[i].good);
    assert_int_not_equal(
      params_set_text(&params, cases[i].id, cases[i].bad, &error), 0);
    // All the names are told, to the last.
    const ParamInfo* const info = &param_table[cases[i].id];
    assert_non_null(strstr(error.text, info->choices[(int)info->high]));
  }
}

// A knob's share and back, over all of the range.
static void
test_shares(void** state)
{
  (void)state;
  Params params = params_standard();
  for (int id = 0; id < PARAM_COUNT; ++id) {
    const ParamInfo* const info = &param_table[id];
    params_set_share(&params, (ParamId)id, 0);
    assert_true(params.value[id] == info->low);
    assert_true(params_share(&params, (ParamId)id) == 0);
    params_set_share(&params, (ParamId)id, 1);
    assert_true(params.value[id] == info->high);
    assert_true(params_share(&params, (ParamId)id) == 1);
    double before = info->low;
    for (int i = 0; i <= 127 && info->type == PARAM_REAL; ++i) {
      params_set_share(&params, (ParamId)id, i / 127.0);
      assert_true(params.value[id] >= before);
      before = params.value[id];
      assert_true(fabs(params_share(&params, (ParamId)id) - i / 127.0) < 1e-9);
    }
  }
}

// 1 is in the middle, and it is near there where a knob has no middle.
static void
test_factors(void** state)
{
  (void)state;
  Params params = params_standard();
  for (int id = 0; id < PARAM_COUNT; ++id) {
    const ParamInfo* const info = &param_table[id];
    assert_int_equal(!strcmp(info->unit, "times"),
                     (info->flags & PARAM_FACTOR) != 0);
    if (!(info->flags & PARAM_FACTOR)) {
      continue;
    }
    assert_true(info->low > 0 && info->low < 1 && info->high > 1);
    params_set_share(&params, (ParamId)id, 0.5);
    assert_true(params.value[id] == 1);
    assert_true(params_share(&params, (ParamId)id) == 0.5);
    params_set_share(&params, (ParamId)id, 64 / 127.0);
    assert_true(fabs(params.value[id] - 1) < 0.02);
    params_set_share(&params, (ParamId)id, 0.75);
    assert_true(fabs(params.value[id] - sqrt(info->high)) < 1e-9);
    params_set_share(&params, (ParamId)id, 0.25);
    assert_true(fabs(params.value[id] - sqrt(info->low)) < 1e-9);
  }
}

static void
test_what_no_single_value_breaks(void** state)
{
  (void)state;
  Error  error;
  Params params                    = params_standard();
  params.value[PARAM_VELOCITY_LOW] = 90;
  assert_int_equal(params_check(&params, &error), STATUS_OK);
  params.value[PARAM_VELOCITY_HIGH] = 89;
  assert_int_equal(params_check(&params, &error), STATUS_BAD_ARGUMENT);
  params                            = params_standard();
  params.value[PARAM_REGISTER_LOW]  = 60;
  params.value[PARAM_REGISTER_HIGH] = 71;
  assert_int_equal(params_check(&params, &error), STATUS_OK);
  params.value[PARAM_REGISTER_HIGH] = 70;
  assert_int_equal(params_check(&params, &error), STATUS_BAD_ARGUMENT);
  params                  = params_standard();
  params.value[PARAM_ETA] = 0.5;
  assert_int_equal(params_check(&params, &error), STATUS_OK);
  assert_int_equal(params_set_text(&params, PARAM_SAMPLER, "ddpm", &error), 0);
  assert_int_equal(params_check(&params, &error), STATUS_BAD_ARGUMENT);
  assert_non_null(strstr(error.text, "ddim"));
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_table),
    cmocka_unit_test(test_ranges),
    cmocka_unit_test(test_text),
    cmocka_unit_test(test_auto),
    cmocka_unit_test(test_need_diffusion),
    cmocka_unit_test(test_names),
    cmocka_unit_test(test_shares),
    cmocka_unit_test(test_factors),
    cmocka_unit_test(test_what_no_single_value_breaks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
