// Opening a device by name, on machines with and without a GPU.
#include "kernels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// Opens `name`, which must fail, and returns what is told.
static const char*
refused(const char* name, Status expected)
{
  static Error error;
  Device*      device = (Device*)&error;
  memset(&error, 0, sizeof error);
  assert_int_equal(device_open(name, &device, NULL, &error), expected);
  assert_null(device);
  assert_null(strchr(error.text, '\n'));
  assert_true(strlen(error.text) < sizeof error.text - 1);
  return error.text;
}

static void
assert_holds(const char* text, const char* part)
{
  assert_non_null(text);
  if (!strstr(text, part)) {
    print_error("'%s' is not in '%s'\n", part, text);
    fail();
  }
}

// 1 + 1 on the device.
static void
assert_works(Device* device)
{
  Tensor      x;
  float       got[2] = { 0 };
  Error       error  = { 0 };
  const float v[2]   = { 1.0f, -2.0f };
  assert_int_equal(tensor_allocate(device, 1, 2, &x, &error), STATUS_OK);
  tensor_write(device, x, v);
  op_accumulate(device, x, x);
  tensor_read(device, x, got);
  assert_int_equal(device_status(device, &error), STATUS_OK);
  assert_true(got[0] == 2.0f && got[1] == -4.0f);
  tensor_free(device, &x);
}

static void
opens_the_cpu(void** state)
{
  (void)state;
  Device* device;
  Error   error;
  char    why[DEVICE_WHY_BYTES] = "left";
  assert_int_equal(device_open("cpu", &device, why, &error), STATUS_OK);
  assert_string_equal(why, device_name(device));
  assert_memory_equal(why, "cpu ", 4);
  assert_works(device);
  device_close(device);
  assert_int_equal(device_open("cpu", &device, NULL, NULL), STATUS_OK);
  device_close(device);
}

static void
auto_always_opens(void** state)
{
  (void)state;
  Device* device;
  Error   error;
  char    why[DEVICE_WHY_BYTES];
  unsetenv("MEANDER_CUDA_MODULE");
  assert_int_equal(device_open("auto", &device, why, &error), STATUS_OK);
  print_message("auto: %s\n", why);
  if (strncmp(why, "cuda:", 5) != 0) {
    // The CPU's name, and why no GPU.
    assert_memory_equal(why, device_name(device), strlen(device_name(device)));
    assert_holds(why, " (");
    assert_int_equal(why[strlen(why) - 1], ')');
    assert_true(strstr(why, "no NVIDIA") || strstr(why, "no CUDA module") ||
                strstr(why, "missing") || strstr(why, "driver"));
    // Asked for by name it is refused for the same reason.
    const char* const reason = strchr(why, '(') + 1;
    char              bare[DEVICE_WHY_BYTES];
    snprintf(bare, sizeof bare, "%.*s", (int)strlen(reason) - 1, reason);
    assert_holds(refused("cuda", STATUS_UNSUPPORTED), bare);
    assert_holds(refused("cuda:9", STATUS_UNSUPPORTED), bare);
  } else {
    assert_string_equal(why, device_name(device));
    assert_holds(refused("cuda:99", STATUS_UNSUPPORTED),
                 "GPU 99 does not exist: there ");
  }
  assert_works(device);
  device_close(device);
}

static void
a_module_that_is_not_there(void** state)
{
  (void)state;
  Device* device;
  char    why[DEVICE_WHY_BYTES];
  setenv("MEANDER_CUDA_MODULE", "/nowhere/libmeander_cuda.so", 1);
  assert_int_equal(device_open("auto", &device, why, NULL), STATUS_OK);
  assert_holds(why, "(no CUDA module (built without nvcc))");
  device_close(device);
  const char* const told = refused("cuda:9", STATUS_UNSUPPORTED);
  assert_holds(told, "device 'cuda:9'");
  assert_holds(told, "no CUDA module");
  assert_holds(told, "choose auto or cpu");
  unsetenv("MEANDER_CUDA_MODULE");
}

static void
a_module_that_is_none(void** state)
{
  (void)state;
  setenv("MEANDER_CUDA_MODULE", "/proc/self/cmdline", 1);
  assert_holds(refused("cuda", STATUS_UNSUPPORTED),
               "the CUDA module does not load");
  // A library, but without the module's names.
  setenv("MEANDER_CUDA_MODULE", "/lib/x86_64-linux-gnu/libm.so.6", 1);
  assert_holds(refused("cuda", STATUS_UNSUPPORTED),
#ifdef __x86_64__
               "of another build"
#else
               "CUDA module"
#endif
  );
  unsetenv("MEANDER_CUDA_MODULE");
}

static void
nonsense_names_are_told_the_choices(void** state)
{
  (void)state;
  static const char* const names[] = {
    "",        "gpu",      "CUDA",    "cuda:", "cuda:x",
    "cuda:1x", "cuda:-1",  "cuda: 1", "cuda1", "cuda:99999999999999",
    "cpu ",    "cuda:0:1", "auto\n",
  };
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
    const char* const told = refused(names[i], STATUS_BAD_ARGUMENT);
    assert_holds(told, "auto, cpu, cuda or cuda:N");
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(opens_the_cpu),
    cmocka_unit_test(auto_always_opens),
    cmocka_unit_test(a_module_that_is_not_there),
    cmocka_unit_test(a_module_that_is_none),
    cmocka_unit_test(nonsense_names_are_told_the_choices),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
