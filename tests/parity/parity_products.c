// Products against the CPU, with either operand as it is or transposed, that
// add to what is there or fill poison; large ones in TF32 where the device has
// it. Few rows have parity_transformer.c.
#include "parity_cases.h"

// C[a, b] from c products each; d: A is transposed, e: B.
static int
shape_product(const Size* z, Operand* operands, Content c)
{
  const Operand all[] = {
    { z->a, z->b, c, 0, false },
    { z->d ? z->c : z->a, z->d ? z->a : z->c, NOISE, 0, false },
    { z->e ? z->b : z->c, z->e ? z->c : z->b, NOISE, 0, false },
  };
  memcpy(operands, all, sizeof all);
  return 3;
}

static int
shape_fresh(const Size* z, Operand* operands)
{
  return shape_product(z, operands, POISON);
}

static int
shape_added(const Size* z, Operand* operands)
{
  return shape_product(z, operands, NOISE);
}

// Values of about 1.
static float
alpha_of(const Size* z)
{
  return 1.0f / sqrtf((float)z->c);
}

static void
run_fresh(Device* device, const Tensor* t, const Size* z)
{
  op_matmul(device, z->d, z->e, alpha_of(z), t[1], t[2], 0.0f, t[0]);
}

static void
run_added(Device* device, const Tensor* t, const Size* z)
{
  op_matmul(device, z->d, z->e, -alpha_of(z), t[1], t[2], 0.5f, t[0]);
}

static const Size small[] = {
  { 1, 1, 1, 0, 0 },      { 1, 19, 128, 0, 0 },   { 8, 19, 128, 0, 0 },
  { 7, 5, 33, 1, 0 },     { 64, 131, 40, 1, 1 },  { 33, 128, 101, 0, 1 },
  { 131, 96, 257, 1, 0 }, { 96, 39, 512, 1, 0 },  { 300, 100, 3, 1, 1 },
  { 512, 288, 96, 0, 1 }, { 512, 96, 288, 0, 0 }, { 0 },
};

// Of 2^26 multiplications or a little more, where TF32 begins.
static const Size large[] = {
  { 256, 512, 512, 0, 0 },  { 131, 1031, 499, 0, 1 }, { 2048, 64, 520, 1, 0 },
  { 130, 33, 16000, 1, 0 }, { 514, 260, 510, 1, 1 },  { 0 },
};

// Operands of TF32 are off by up to 2^-11, so a sum of products with a variance
// of 1 is by about 4e-4 and, of a hundred thousand, once by five times that.
static const Case cases[] = {
  { "product", shape_fresh, run_fresh, 5e-6, small, false, false, { { 0 } } },
  { "product added",
    shape_added,
    run_added,
    5e-6,
    small,
    false,
    false,
    { { 0 } } },
  { "product in TF32",
    shape_fresh,
    run_fresh,
    4e-3,
    large,
    false,
    false,
    { { 0 } } },
  { "product in TF32 added",
    shape_added,
    run_added,
    4e-3,
    large,
    false,
    false,
    { { 0 } } },
};

int
main(int argc, char** argv)
{
  return run_cases(cases, sizeof cases / sizeof *cases, argc, argv);
}
