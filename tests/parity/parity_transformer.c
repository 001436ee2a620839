// The transformer's ops, attention, products of few rows and the fused ops of
// sampling against the CPU, each at several sizes (parity_cases.h).
#include "parity_cases.h"

// --- Shapes and ops ---------------------------------------------------------

// Operands are in the order of the ops' arguments.

#define PUT(r, c, what) PUT_INDEX(r, c, what, 0)
#define PUT_INDEX(r, c, what, end)                                             \
  operands[count++] = (Operand)                                                \
  {                                                                            \
    r, c, what, end, false                                                     \
  }
#define PUT_SCRATCH(r, c, what)                                                \
  operands[count++] = (Operand)                                                \
  {                                                                            \
    r, c, what, 0, true                                                        \
  }

// Sizes: rows, columns, rows of the modulation; d: the index runs.
static Operand
index_of(const Size* z)
{
  return (Operand){ z->a, 1, z->d ? RUNS : INDEX, z->c, false };
}

static int
shape_gelu(const Size* z, Operand* operands)
{
  int count = 0;
  PUT(z->a, z->b, NOISE);
  PUT(z->a, z->b, POISON);
  return count;
}

static void
run_gelu(Device* device, const Tensor* t, const Size* z)
{
  (void)z;
  op_gelu(device, t[0], t[1]);
  op_gelu(device, t[0], t[0]);
}

static int
shape_gelu_backward(const Size* z, Operand* operands)
{
  int count = 0;
  PUT(z->a, z->b, NOISE);
  PUT(z->a, z->b, NOISE);
  PUT(z->a, z->b, POISON);
  return count;
}

static void
run_gelu_backward(Device* device, const Tensor* t, const Size* z)
{
  (void)z;
  op_gelu_backward(device, t[0], t[1], t[2]);
  op_gelu_backward(device, t[0], t[1], t[1]);
}

static int
shape_norm(const Size* z, Operand* operands)
{
  int count = 0;
  PUT(z->a, z->b, NOISE);
  operands[count++] = index_of(z);
  PUT(z->c, 2 * z->b, NOISE);
  PUT(z->a, z->b, POISON);
  PUT(z->a, 1, POISON);
  PUT(z->a, z->b, POISON);
  return count;
}

static void
run_norm(Device* device, const Tensor* t, const Size* z)
{
  (void)z;
  op_modulated_norm(device, t[0], t[1], t[2], t[3], t[4], t[5]);
}

static void
run_norm_place(Device* device, const Tensor* t, const Size* z)
{
  (void)z;
  op_modulated_norm(device, t[0], t[1], t[2], t[3], t[4], t[0]);
}

static int
shape_norm_backward(const Size* z, Operand* operands)
{
  int count         = 0;
  operands[count++] = index_of(z);
  PUT(z->c, 2 * z->b, NOISE);
  PUT(z->a, z->b, NOISE);
  PUT(z->a, 1, POSITIVE);
  PUT(z->a, z->b, NOISE);
  PUT(z->a, z->b, NOISE);
  PUT(z->c, 2 * z->b, NOISE);
  return count;
}

static void
run_norm_backward(Device* device, const Tensor* t, const Size* z)
{
  (void)z;
  op_modulated_norm_backward(device, t[0], t[1], t[2], t[3], t[4], t[5], t[6]);
}

static int
shape_gated(const Size* z, Operand* operands)
{
  int count = 0;
  PUT(z->a, z->b, NOISE);
  operands[count++] = index_of(z);
  PUT(z->c, z->b, NOISE);
  PUT(z->a, z->b, NOISE);
  return count;
}

static void
run_gated(Device* device, const Tensor* t, const Size* z)
{
  (void)z;
  op_gated_add(device, t[0], t[1], t[2], t[3]);
}

static int
shape_gated_backward(const Size* z, Operand* operands)
{
  int count = shape_gated(z, operands);
  PUT(z->a, z->b, POISON);
  PUT(z->c, z->b, NOISE);
  return count;
}

static void
run_gated_backward(Device* device, const Tensor* t, const Size* z)
{
  (void)z;
  op_gated_add_backward(device, t[0], t[1], t[2], t[3], t[4], t[5]);
}

// Sizes: rows, heads, half of a head, places.
static int
shape_rotate(const Size* z, Operand* operands)
{
  int count = 0;
  PUT_INDEX(z->a, 1, INDEX, z->d);
  PUT(z->d, z->c, NOISE);
  PUT(z->d, z->c, NOISE);
  PUT(z->a, 2 * z->b * z->c, NOISE);
  PUT(z->a, 2 * z->b * z->c, NOISE);
  return count;
}

static void
run_rotate(Device* device, const Tensor* t, const Size* z)
{
  op_rotate(device, z->b, t[0], t[1], t[2], false, t[3]);
  op_rotate(device, z->b, t[0], t[1], t[2], true, t[4]);
}

// Sizes: sequences, heads, queries, keys, width of a head.
static int
shape_attention(const Size* z, Operand* operands)
{
  int count = 0;
  PUT(z->a * z->c, z->b * z->e, NOISE);
  PUT(z->a * z->d, z->b * z->e, NOISE);
  PUT(z->a * z->d, z->b * z->e, NOISE);
  PUT(z->a * z->c, z->d, MASK);
  PUT(z->a * z->b * z->c, z->d, POISON);
  PUT(z->a * z->c, z->b * z->e, POISON);
  PUT(z->a * z->b * z->c, z->d, POISON);
  PUT(z->a * z->c, z->b * z->e, POISON);
  return count;
}

static void
run_attention(Device* device, const Tensor* t, const Size* z)
{
  op_attention(device, z->a, z->b, t[0], t[1], t[2], t[3], t[4], t[5]);
  op_attention(device, z->a, z->b, t[0], t[1], t[2], (Tensor){ 0 }, t[6], t[7]);
}

static int
shape_attention_backward(const Size* z, Operand* operands)
{
  int count = 0;
  PUT(z->a * z->c, z->b * z->e, NOISE);
  PUT(z->a * z->d, z->b * z->e, NOISE);
  PUT(z->a * z->d, z->b * z->e, NOISE);
  PUT(z->a * z->b * z->c, z->d, SOFT);
  PUT(z->a * z->c, z->b * z->e, NOISE);
  PUT(z->a * z->c, z->b * z->e, POISON);
  PUT(z->a * z->d, z->b * z->e, POISON);
  PUT(z->a * z->d, z->b * z->e, POISON);
  return count;
}

static void
run_attention_backward(Device* device, const Tensor* t, const Size* z)
{
  op_attention_backward(
    device, z->a, z->b, t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7]);
}

// Sizes: sequences, heads, new notes, notes before, half of a head.
static int
shape_attend(const Size* z, Operand* operands)
{
  const uint32_t rows  = z->a * z->c;
  const uint32_t d     = 2 * z->b * z->e;
  int            count = 0;
  PUT_SCRATCH(rows, 3 * d, NOISE); // spent
  PUT_INDEX(rows, 1, PLACE, 40);
  PUT(40, z->e, NOISE);
  PUT(40, z->e, NOISE);
  PUT(z->a * (z->c + z->d), 2 * d, NOISE);
  PUT_SCRATCH(z->b * rows, z->c + z->d, POISON);
  PUT(rows, d, POISON);
  return count;
}

static void
run_attend(Device* device, const Tensor* t, const Size* z)
{
  op_attend(device, z->a, z->b, t[0], t[1], t[2], t[3], z->d, t[4], t[5], t[6]);
}

// Sizes: rows, columns in, columns out, levels.
static int
shape_norm_affine(const Size* z, Operand* operands)
{
  int count = 0;
  PUT(z->a, z->b, NOISE);
  PUT_INDEX(z->a, 1, INDEX, z->d);
  PUT(z->d, 2 * z->b, NOISE);
  PUT(z->c, z->b, NOISE);
  PUT(1, z->c, NOISE);
  PUT_SCRATCH(z->a, 2 * z->b + 1, POISON);
  PUT(z->a, z->c, POISON);
  return count;
}

static void
run_norm_affine(Device* device, const Tensor* t, const Size* z)
{
  (void)z;
  const Tensor none = { 0 };
  op_norm_affine(device, t[0], t[1], t[2], t[3], none, t[4], false, t[5], t[6]);
}

static void
run_norm_affine_gelu(Device* device, const Tensor* t, const Size* z)
{
  (void)z;
  const Tensor none = { 0 };
  op_norm_affine(device, t[0], t[1], t[2], t[3], none, t[4], true, t[5], t[6]);
}

static int
shape_affine(const Size* z, Operand* operands)
{
  int count = 0;
  PUT(z->a, z->b, NOISE);
  PUT(z->c, z->b, NOISE);
  PUT(1, z->c, NOISE);
  PUT(z->a, z->c, POISON);
  return count;
}

static void
run_affine(Device* device, const Tensor* t, const Size* z)
{
  (void)z;
  op_affine(device, t[0], t[1], (Tensor){ 0 }, t[2], t[3]);
}

static int
shape_matmul(const Size* z, Operand* operands)
{
  int count = 0;
  PUT(z->a, z->b, NOISE);
  PUT(z->c, z->b, NOISE);
  PUT(z->a, z->c, z->e ? NOISE : POISON);
  return count;
}

static void
run_matmul(Device* device, const Tensor* t, const Size* z)
{
  const float beta = z->e ? 0.5f : 0.0f;
  op_matmul(device, false, true, -1.5f, t[0], t[1], beta, t[2]);
}

static int
shape_affine_gated(const Size* z, Operand* operands)
{
  int count = 0;
  PUT(z->a, z->b, NOISE);
  PUT(z->c, z->b, NOISE);
  PUT(1, z->c, NOISE);
  PUT_INDEX(z->a, 1, INDEX, z->d);
  PUT(z->d, z->c, NOISE);
  PUT_SCRATCH(z->a, z->c, POISON);
  PUT(z->a, z->c, NOISE);
  return count;
}

static void
run_affine_gated(Device* device, const Tensor* t, const Size* z)
{
  (void)z;
  const Tensor none = { 0 };
  op_affine_gated(device, t[0], t[1], none, t[2], t[3], t[4], t[5], t[6]);
}

// --- The cases --------------------------------------------------------------

static const Size elements[] = {
  { .a = 1, .b = 1 },
  { .a = 3, .b = 7 },
  { .a = 8, .b = 640 },
  { .a = 33, .b = 160 },
  { .a = 257, .b = 12 },
  { .a = 2, .b = 2051 },
  { 0 },
};
static const Size rows[] = {
  { 1, 1, 1, 0, 0 },      { 3, 4, 2, 0, 0 },
  { 5, 37, 3, 0, 0 },     { 8, 160, 2, 1, 0 },
  { 33, 160, 4, 1, 0 },   { 96, 8, 5, 0, 0 },
  { 31, 256, 40, 0, 0 },  { 65, 260, 3, 1, 0 },
  { 40, 33, 1, 0, 0 },    { 7, 1024, 3, 0, 0 },
  { 3, 1100, 3, 0, 0 },   { 3, 1031, 2, 0, 0 },
  { 1000, 20, 43, 1, 0 }, { 700, 36, 600, 0, 0 },
  { 2600, 5, 3, 0, 0 },   { 2000, 12, 84, 1, 0 },
  { 900, 12, 40, 0, 0 },  { 320, 7, 6, 0, 0 },
  { 17000, 3, 2, 1, 0 },  { 0 },
};
static const Size rotations[] = {
  { 1, 1, 1, 1, 0 },
  { 5, 3, 2, 4, 0 },
  { 33, 10, 16, 32, 0 },
  { 9, 2, 5, 7, 0 },
  { 200, 2, 33, 9, 0 },
  { 8, 1, 4, 40, 0 },
  { 0 },
};
static const Size attentions[] = {
  { 1, 1, 1, 1, 1 },
  { 1, 5, 8, 32, 32 },
  { 2, 3, 5, 7, 3 },
  { 3, 2, 13, 13, 8 },
  { 2, 5, 32, 32, 32 },
  { 1, 2, 33, 33, 20 },
  { 2, 1, 40, 64, 64 },
  { 1, 1, 70, 61, 36 },
  { 1, 2, 9, 6, 100 },
  { 61, 5, 11, 12, 16 },
  { 300, 1, 34, 31, 4 },
  { 280, 1, 9, 40, 12 },
  { 0 },
};
static const Size attends[] = {
  { 1, 1, 1, 0, 1 },    { 1, 5, 8, 24, 16 },  { 1, 5, 8, 0, 16 },
  { 1, 5, 32, 0, 16 },  { 3, 2, 5, 6, 3 },    { 2, 1, 12, 52, 32 },
  { 1, 2, 33, 31, 18 }, { 1, 1, 7, 3, 40 },   { 280, 1, 11, 13, 4 },
  { 300, 1, 9, 25, 3 }, { 2, 3, 20, 12, 12 }, { 0 },
};
// Rows, columns read, columns made; d: rows of the modulation, e: adds up.
static const Size few[] = {
  { 1, 1, 1, 1, 0 },      { 3, 4, 5, 2, 1 },
  { 8, 160, 480, 2, 0 },  { 8, 160, 641, 1, 1 },
  { 9, 161, 30, 3, 0 },   { 32, 160, 37, 2, 1 },
  { 31, 256, 9, 2, 0 },   { 12, 257, 33, 2, 1 },
  { 17, 640, 160, 2, 0 }, { 5, 1024, 34, 2, 1 },
  { 2, 1021, 3, 2, 0 },   { 4, 1500, 6, 2, 1 },
  { 33, 40, 50, 3, 0 },   { 100, 160, 64, 3, 1 },
  { 8, 4096, 7, 2, 0 },   { 1, 320, 1280, 2, 1 },
  { 1, 35, 640, 2, 0 },   { 1, 64, 131, 2, 1 },
  { 1, 643, 9, 2, 0 },    { 0 },
};

#define CASE(title, shapes, runs, most, at)                                    \
  {                                                                            \
    .name = title, .shape = shapes, .run = runs, .tolerance = most,            \
    .sizes = at                                                                \
  }

static const Case cases[] = {
  CASE("gelu", shape_gelu, run_gelu, 1e-6, elements),
  CASE("gelu_backward", shape_gelu_backward, run_gelu_backward, 2e-6, elements),
  CASE("modulated_norm", shape_norm, run_norm, 1e-5, rows),
  CASE("modulated_norm in place", shape_norm, run_norm_place, 1e-5, rows),
  CASE("modulated_norm_backward",
       shape_norm_backward,
       run_norm_backward,
       5e-5,
       rows),
  CASE("gated_add", shape_gated, run_gated, 1e-6, rows),
  CASE("gated_add_backward",
       shape_gated_backward,
       run_gated_backward,
       5e-5,
       rows),
  CASE("rotate", shape_rotate, run_rotate, 1e-6, rotations),
  CASE("attention", shape_attention, run_attention, 5e-6, attentions),
  CASE("attention_backward",
       shape_attention_backward,
       run_attention_backward,
       5e-6,
       attentions),
  CASE("attend", shape_attend, run_attend, 1e-5, attends),
  CASE("norm_affine", shape_norm_affine, run_norm_affine, 5e-5, few),
  CASE("norm_affine gelu", shape_norm_affine, run_norm_affine_gelu, 5e-5, few),
  CASE("affine", shape_affine, run_affine, 5e-5, few),
  CASE("matmul", shape_matmul, run_matmul, 5e-5, few),
  CASE("affine_gated", shape_affine_gated, run_affine_gated, 5e-5, few),
};

int
main(int argc, char** argv)
{
  return run_cases(cases, sizeof cases / sizeof *cases, argc, argv);
}
