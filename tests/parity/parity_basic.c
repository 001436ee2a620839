// Ops on memory, random numbers, elements, rows, LSTM, losses, tokens, latent
// and sums against the CPU (parity_cases.h). The optimiser has
// parity_optimiser.c.
#include "parity_cases.h"

static float
beta_of(const Size* size)
{
  const float betas[] = { 1.0f, 0.0f, -0.5f };
  return betas[size->c % 3];
}

#define RUN(name)                                                              \
  static void run_##name(Device* d, const Tensor* t, const Size* size)

// clang-format off
RUN(fill) { (void)size; op_fill(d, t[0], 0.3f); }
RUN(copy) { (void)size; op_copy(d, t[1], t[0]); }
RUN(normals) { op_normals(d, t[1], RNG_USE_NOISE, 7 * size->c, t[0]); }
RUN(uniforms) { op_uniforms(d, t[1], RNG_USE_TOKENS, size->c, t[0]); }
RUN(broadcast) { (void)size; op_broadcast_row(d, t[1], t[0]); }
RUN(sum_rows) { op_sum_rows(d, t[1], beta_of(size), t[0]); }
RUN(sum_rows_fresh) { (void)size; op_sum_rows(d, t[1], 0.0f, t[0]); }
RUN(tanh) { (void)size; op_tanh(d, t[1], t[0]); }
RUN(tanh_place) { (void)size; op_tanh(d, t[0], t[0]); }
RUN(tanh_backward) { (void)size; op_tanh_backward(d, t[1], t[2], t[0]); }
RUN(tanh_backward_place) { (void)size; op_tanh_backward(d, t[1], t[0], t[0]); }
RUN(accumulate) { (void)size; op_accumulate(d, t[1], t[0]); }
RUN(combine) { (void)size; op_combine(d, 0.7f, t[1], -1.3f, t[2], t[0]); }
RUN(combine_x) { (void)size; op_combine(d, 0.7f, t[0], -1.3f, t[1], t[0]); }
RUN(combine_y) { (void)size; op_combine(d, 0.7f, t[1], -1.3f, t[0], t[0]); }
RUN(combine_rows) { (void)size; op_combine_rows(d, t[1], t[2], t[3], t[4], t[0]); }
RUN(clamp) { (void)size; op_clamp(d, -0.5f, 1.25f, t[0]); }
RUN(scale_rows) { (void)size; op_scale_rows(d, t[1], t[0]); }
RUN(select) { (void)size; op_select_rows(d, t[1], t[2], t[3], t[0]); }
RUN(select_place) { (void)size; op_select_rows(d, t[1], t[0], t[2], t[0]); }
RUN(gather) { (void)size; op_gather(d, t[1], t[2], t[0]); }
RUN(scatter) { (void)size; op_scatter_add(d, t[1], t[2], t[0]); }
RUN(cell) { (void)size; op_lstm_cell(d, t[0], t[1], t[2], t[3]); }
RUN(cell_place) { (void)size; op_lstm_cell(d, t[0], t[1], t[1], t[2]); }
RUN(cell_backward) { (void)size; op_lstm_cell_backward(d, t[2], t[3], t[4], t[5], t[0], t[1]); }
RUN(gates) { (void)size; op_overwrite_gates(d, t[2], t[0], t[1]); }
RUN(gates_backward) { (void)size; op_overwrite_gates_backward(d, t[1], t[2], t[3], t[0]); }
RUN(overwrite) { (void)size; op_overwrite(d, t[1], t[2], t[3], t[0]); }
RUN(overwrite_backward) { (void)size; op_overwrite_backward(d, t[3], t[4], t[5], t[0], t[1], t[2]); }
RUN(overwrite_backward_place) { (void)size; op_overwrite_backward(d, t[3], t[4], t[0], t[0], t[1], t[2]); }
RUN(sample) { (void)size; op_sample(d, t[1], t[3], t[2], t[0]); }
RUN(softmax) { (void)size; op_softmax(d, t[1], t[2], t[0]); }
RUN(softmax_place) { (void)size; op_softmax(d, t[0], t[1], t[0]); }
RUN(cross) { (void)size; op_cross_entropy(d, t[2], t[3], 0.3f, t[0], t[1]); }
RUN(soft) { (void)size; op_soft_cross_entropy(d, t[2], t[3], t[4], 0.3f, t[0], t[1]); }
RUN(squared) { (void)size; op_squared_error(d, t[2], t[3], 0.3f, t[0], t[1]); }
RUN(latent) { (void)size; op_latent(d, t[1], t[2], t[0]); }
RUN(latent_backward) { op_latent_backward(d, t[2], t[3], t[4], t[5], (float)size->b, t[0], t[1]); }
RUN(sum) { op_sum(d, t[1], beta_of(size), t[0]); }
RUN(sum_fresh) { (void)size; op_sum(d, t[1], 0.0f, t[0]); }
RUN(square_sum) { op_square_sum(d, t[1], beta_of(size), t[0]); }
RUN(square_sum_fresh) { (void)size; op_square_sum(d, t[1], 0.0f, t[0]); }

#define FULL(content) { HEIGHT, WIDTH, content, 0, false }
#define TIMES(n, content) { HEIGHT, WIDTH * (n), content, 0, false }
#define COLUMN(content) { HEIGHT, 1, content, 0, false }
#define ROW(content) { 1, WIDTH, content, 0, false }
#define SCALAR(content) { 1, 1, content, 0, false }
#define KEY { 1, RNG_KEY_FLOATS, NOISE, 0, false }
#define TABLE_OF(content) { TABLE, WIDTH, content, 0, false }
#define INDICES { HEIGHT, 1, INDEX, TABLE, false }
#define TOKENS { HEIGHT, 1, PLACE, WIDTH, false }

// Rows, columns (below, at and above a warp, a tile, a chunk; odd, of four, a
// warp's, the models' widths, above a block's) and what varies scalars.
static const Size sizes[] = {
  { 1, 1, 0, 0, 0 }, { 1, 7, 1, 0, 0 }, { 3, 4, 2, 0, 0 }, { 5, 33, 3, 0, 0 },
  { 8, 160, 4, 0, 0 }, { 32, 128, 5, 0, 0 }, { 33, 101, 6, 0, 0 }, { 257, 12, 7, 0, 0 },
  { 2, 2052, 8, 0, 0 }, { 3, 1031, 9, 0, 0 }, { 600, 164, 10, 0, 0 }, { 1025, 5, 11, 0, 0 },
  { 1300, 3, 12, 0, 0 }, { 2600, 40, 13, 0, 0 }, { 0 },
};

// 0 where nothing is computed; about 4 units in the last place where no more
// than a few sums and products are; what exp and tanh err on a GPU above.
static const Case cases[] = {
  { "fill", NULL, run_fill, 0, sizes, false, false, { FULL(POISON) } },
  { "copy", NULL, run_copy, 0, sizes, false, false, { FULL(POISON), FULL(HOSTILE) } },
  { "normals", NULL, run_normals, 5e-6, sizes, false, false, { FULL(POISON), KEY } },
  { "uniforms", NULL, run_uniforms, 0, sizes, false, false, { COLUMN(POISON), KEY } },
  { "broadcast_row", NULL, run_broadcast, 0, sizes, false, false, { FULL(POISON), ROW(NOISE) } },
  { "sum_rows", NULL, run_sum_rows, 1e-6, sizes, true, false, { ROW(NOISE), FULL(NOISE) } },
  { "sum_rows fresh", NULL, run_sum_rows_fresh, 1e-6, sizes, true, false, { ROW(POISON), FULL(NOISE) } },
  { "tanh", NULL, run_tanh, 1e-6, sizes, false, false, { FULL(POISON), FULL(WIDE) } },
  { "tanh in place", NULL, run_tanh_place, 1e-6, sizes, false, false, { FULL(NOISE) } },
  { "tanh_backward", NULL, run_tanh_backward, 5e-7, sizes, false, false, { FULL(POISON), FULL(NOISE), FULL(NOISE) } },
  { "tanh_backward in place", NULL, run_tanh_backward_place, 5e-7, sizes, false, false, { FULL(NOISE), FULL(NOISE) } },
  { "accumulate", NULL, run_accumulate, 0, sizes, false, false, { FULL(NOISE), FULL(NOISE) } },
  { "combine", NULL, run_combine, 5e-7, sizes, false, false, { FULL(POISON), FULL(NOISE), FULL(NOISE) } },
  { "combine out = x", NULL, run_combine_x, 5e-7, sizes, false, false, { FULL(NOISE), FULL(NOISE) } },
  { "combine out = y", NULL, run_combine_y, 5e-7, sizes, false, false, { FULL(NOISE), FULL(NOISE) } },
  { "combine_rows", NULL, run_combine_rows, 1e-6, sizes, false, false, { FULL(POISON), COLUMN(NOISE), FULL(NOISE), COLUMN(NOISE), FULL(NOISE) } },
  { "combine_rows by one", NULL, run_combine_rows, 1e-6, sizes, false, false, { FULL(POISON), SCALAR(NOISE), FULL(NOISE), COLUMN(NOISE), FULL(NOISE) } },
  { "clamp", NULL, run_clamp, 0, sizes, false, false, { FULL(HOSTILE) } },
  { "scale_rows", NULL, run_scale_rows, 0, sizes, false, false, { FULL(NOISE), COLUMN(NOISE) } },
  { "select_rows", NULL, run_select, 0, sizes, false, false, { FULL(POISON), COLUMN(CHOICE), FULL(HOSTILE), FULL(NOISE) } },
  { "select_rows in place", NULL, run_select_place, 0, sizes, false, false, { FULL(NOISE), COLUMN(CHOICE), FULL(NOISE) } },
  { "gather", NULL, run_gather, 0, sizes, false, false, { FULL(POISON), TABLE_OF(NOISE), INDICES } },
  { "scatter_add", NULL, run_scatter, 1e-6, sizes, true, false, { TABLE_OF(NOISE), INDICES, FULL(NOISE) } },
  { "scatter_add into 1", NULL, run_scatter, 1e-6, sizes, true, false, { ROW(NOISE), INDICES, FULL(NOISE) } },
  { "lstm_cell", NULL, run_cell, 1e-6, sizes, false, false, { TIMES(4, NOISE), FULL(NOISE), FULL(POISON), FULL(POISON) } },
  { "lstm_cell wide", NULL, run_cell, 1e-6, sizes, false, false, { TIMES(4, WIDE), FULL(NOISE), FULL(POISON), FULL(POISON) } },
  { "lstm_cell in place", NULL, run_cell_place, 1e-6, sizes, false, false, { TIMES(4, NOISE), FULL(NOISE), FULL(POISON) } },
  { "lstm_cell_backward", NULL, run_cell_backward, 2e-6, sizes, false, false, { FULL(NOISE), TIMES(4, POISON), TIMES(4, WEIGHT), FULL(NOISE), FULL(NOISE), FULL(NOISE) } },
  { "overwrite_gates", NULL, run_gates, 1e-6, sizes, false, false, { FULL(POISON), FULL(POISON), TIMES(3, WIDE) } },
  { "overwrite_gates_backward", NULL, run_gates_backward, 1e-6, sizes, false, false, { TIMES(3, POISON), TIMES(3, NOISE), FULL(NOISE), FULL(NOISE) } },
  { "overwrite", NULL, run_overwrite, 5e-7, sizes, false, false, { FULL(POISON), FULL(NOISE), FULL(NOISE), FULL(NOISE) } },
  { "overwrite_backward", NULL, run_overwrite_backward, 5e-7, sizes, false, false, { FULL(POISON), FULL(NOISE), FULL(NOISE), FULL(NOISE), FULL(NOISE), FULL(NOISE) } },
  { "overwrite_backward in place", NULL, run_overwrite_backward_place, 5e-7, sizes, false, false, { FULL(NOISE), FULL(NOISE), FULL(NOISE), FULL(NOISE), FULL(NOISE) } },
  { "sample", NULL, run_sample, 0, sizes, false, true, { COLUMN(POISON), FULL(NOISE), COLUMN(UNIFORM), SCALAR(POSITIVE) } },
  { "sample coldly", NULL, run_sample, 0, sizes, false, true, { COLUMN(POISON), FULL(NOISE), COLUMN(UNIFORM), SCALAR(ZERO) } },
  { "sample tied", NULL, run_sample, 0, sizes, false, true, { COLUMN(POISON), FULL(TIED), COLUMN(UNIFORM), SCALAR(CHOICE) } },
  { "sample equal", NULL, run_sample, 0, sizes, false, false, { COLUMN(POISON), FULL(ZERO), COLUMN(EIGHTHS), SCALAR(CHOICE) } },
  { "sample hidden", NULL, run_sample, 0, sizes, false, true, { COLUMN(POISON), FULL(SPIKED), COLUMN(UNIFORM), SCALAR(CHOICE) } },
  { "softmax", NULL, run_softmax, 1e-6, sizes, false, false, { FULL(POISON), FULL(NOISE), SCALAR(POSITIVE) } },
  { "softmax cold", NULL, run_softmax, 0, sizes, false, false, { FULL(POISON), FULL(TIED), SCALAR(ZERO) } },
  { "softmax wide", NULL, run_softmax, 1e-6, sizes, false, false, { FULL(POISON), FULL(WIDE), SCALAR(CHOICE) } },
  { "softmax tied in place", NULL, run_softmax_place, 1e-6, sizes, false, false, { FULL(TIED), SCALAR(CHOICE) } },
  { "softmax hidden in place", NULL, run_softmax_place, 1e-6, sizes, false, false, { FULL(SPIKED), SCALAR(CHOICE) } },
  { "cross_entropy", NULL, run_cross, 2e-6, sizes, false, false, { COLUMN(POISON), FULL(POISON), FULL(NOISE), TOKENS } },
  { "cross_entropy wide", NULL, run_cross, 2e-6, sizes, false, false, { COLUMN(POISON), FULL(POISON), FULL(WIDE), TOKENS } },
  { "soft_cross_entropy", NULL, run_soft, 2e-6, sizes, false, false, { COLUMN(POISON), FULL(POISON), FULL(NOISE), FULL(SOFT), COLUMN(WEIGHT) } },
  { "soft_cross_entropy hostile", NULL, run_soft, 2e-6, sizes, false, false, { COLUMN(POISON), FULL(POISON), FULL(HOSTILE), FULL(SOFT), COLUMN(WEIGHT) } },
  { "squared_error", NULL, run_squared, 5e-6, sizes, false, false, { COLUMN(POISON), FULL(POISON), FULL(NOISE), FULL(NOISE) } },
  { "latent", NULL, run_latent, 1e-6, sizes, false, false, { FULL(POISON), TIMES(2, NOISE), FULL(NOISE) } },
  { "latent_backward", NULL, run_latent_backward, 5e-6, sizes, false, false, { COLUMN(POISON), TIMES(2, POISON), TIMES(2, NOISE), FULL(NOISE), FULL(NOISE), SCALAR(POSITIVE) } },
  { "sum", NULL, run_sum, 1e-6, sizes, false, false, { SCALAR(NOISE), FULL(NOISE) } },
  { "sum fresh", NULL, run_sum_fresh, 1e-6, sizes, false, false, { SCALAR(POISON), FULL(NOISE) } },
  { "square_sum", NULL, run_square_sum, 3e-6, sizes, false, false, { SCALAR(NOISE), FULL(NOISE) } },
  { "square_sum fresh", NULL, run_square_sum_fresh, 3e-6, sizes, false, false, { SCALAR(POISON), FULL(NOISE) } },
};
// clang-format on

int
main(int argc, char** argv)
{
  return run_cases(cases, sizeof cases / sizeof *cases, argc, argv);
}
