// Recordings by key: each key's ops run whenever it is asked for, whatever was
// asked between, also beyond the number of slots; what lies in tensors is read
// anew each time. What is told of a GPU that is lost.
#include "replay.h"

#include "emulated_gpu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SLOTS 16u

typedef struct {
  Device* device;
  Tensor  in, out;
} Owner;

// out = in + key
static void
ops(void* owner, const void* key)
{
  const Owner* const o = owner;
  op_fill(o->device, o->out, (float)*(const uint32_t*)key);
  op_accumulate(o->device, o->in, o->out);
}

static float
run(Replay* replay, const Owner* o, uint32_t key, float in)
{
  float out;
  tensor_write(o->device, o->in, &in);
  replay_run(replay, &key, sizeof key);
  tensor_read(o->device, o->out, &out);
  return out;
}

static void
test_keys(void** state)
{
  (void)state;
  Owner  o;
  Replay replay;
  assert_int_equal(device_open("auto", &o.device, NULL, NULL), STATUS_OK);
  assert_int_equal(tensor_allocate(o.device, 1, 1, &o.in, NULL), STATUS_OK);
  assert_int_equal(tensor_allocate(o.device, 1, 1, &o.out, NULL), STATUS_OK);
  replay_open(&replay, o.device, SLOTS, ops, &o);
  for (uint32_t round = 0; round < 3; ++round) {
    for (uint32_t key = 0; key < 2 * SLOTS; ++key) {
      const float in = 100.0f * (float)(round + 1);
      assert_true(run(&replay, &o, key, in) == in + (float)key);
      // One that is used often stays, and stays right.
      assert_true(run(&replay, &o, 7, 0.5f) == 7.5f);
    }
  }
  assert_int_equal(device_status(o.device, NULL), STATUS_OK);
  replay_close(&replay);
  tensor_free(o.device, &o.in);
  tensor_free(o.device, &o.out);
  device_close(o.device);
}

// What is prepared is there, once, and ran nothing.
static void
test_prepared(void** state)
{
  (void)state;
  Owner          o;
  Replay         replay;
  float          out = -1.0f;
  const uint32_t key = 3;
  assert_int_equal(device_open("auto", &o.device, NULL, NULL), STATUS_OK);
  assert_int_equal(tensor_allocate(o.device, 1, 1, &o.in, NULL), STATUS_OK);
  assert_int_equal(tensor_allocate(o.device, 1, 1, &o.out, NULL), STATUS_OK);
  replay_open(&replay, o.device, SLOTS, ops, &o);
  tensor_write(o.device, o.out, &out);
  assert_true(replay_prepare(&replay, &key, sizeof key));
  assert_false(replay_prepare(&replay, &key, sizeof key));
  tensor_read(o.device, o.out, &out);
  assert_true(out == -1.0f);
  assert_true(run(&replay, &o, key, 2.0f) == 5.0f);
  assert_false(replay_prepare(&replay, &key, sizeof key));
  assert_int_equal(device_status(o.device, NULL), STATUS_OK);
  replay_close(&replay);
  tensor_free(o.device, &o.in);
  tensor_free(o.device, &o.out);
  device_close(o.device);
}

// A device that has failed runs nothing.
static void
test_after_a_fault(void** state)
{
  (void)state;
  Owner  o;
  Replay replay;
  assert_int_equal(device_open("auto", &o.device, NULL, NULL), STATUS_OK);
  assert_int_equal(tensor_allocate(o.device, 1, 1, &o.in, NULL), STATUS_OK);
  assert_int_equal(tensor_allocate(o.device, 1, 1, &o.out, NULL), STATUS_OK);
  replay_open(&replay, o.device, SLOTS, ops, &o);
  run(&replay, &o, 3, 1.0f);
  op_fill(o.device, o.out, -1.0f);
  op_copy(o.device, o.in, (Tensor){ 0 }); // the fault
  const uint32_t key = 3;
  replay_run(&replay, &key, sizeof key);
  assert_int_equal(device_status(o.device, NULL), STATUS_BAD_ARGUMENT);
  device_clear(o.device);
  float out;
  tensor_read(o.device, o.out, &out);
  assert_true(out == -1.0f);
  replay_close(&replay);
  tensor_free(o.device, &o.in);
  tensor_free(o.device, &o.out);
  device_close(o.device);
}

// Whoever finds out, a kernel or cuBLAS.
static void
test_a_lost_gpu(void** state)
{
  (void)state;
  enum { ROWS = 64, ILLEGAL_ADDRESS = 700 };
  for (int product = 0; product < 2; ++product) {
    Device* gpu;
    Tensor  x;
    Error   error;
    if (device_open("cuda", &gpu, NULL, NULL) != STATUS_OK) {
      skip();
    }
    assert_int_equal(tensor_allocate(gpu, ROWS, ROWS, &x, NULL), STATUS_OK);
    op_fill(gpu, x, 0.0f);
    if (!emulated_fail(ILLEGAL_ADDRESS)) {
      skip();
    }
    if (product) {
      op_matmul(gpu, false, false, 1.0f, x, x, 0.0f, x);
    } else {
      op_fill(gpu, x, 1.0f);
    }
    assert_int_equal(device_status(gpu, &error), STATUS_DEVICE);
    assert_true(!strstr(error.text, "cuBLAS") == !product);
    assert_non_null(strstr(error.text, "has lost this GPU"));
    emulated_heal();
    tensor_free(gpu, &x);
    device_close(gpu);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_keys),
    cmocka_unit_test(test_prepared),
    cmocka_unit_test(test_after_a_fault),
    cmocka_unit_test(test_a_lost_gpu),
  };
  return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
