// Gradient-boosted trees on histograms.
#include "boosted_trees.h"

#include "rng.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX (2 * TREES_LEAVES_MAX - 1)
#define CURVATURE_MIN 1e-3f // added to sums of second derivatives

// First and second derivatives of the loss, and rows, summed.
typedef struct {
  float    gradient;
  float    curvature;
  uint32_t rows;
} Bin;

typedef struct {
  int32_t column; // -1: a leaf
  float   threshold;
  int32_t child; // where x < threshold; else the one after it
  float   value; // of a leaf
} Node;

struct BoostedTrees {
  uint32_t columns;
  uint32_t tree_count;
  float    prior; // log odds before any tree
  Node*    nodes; // [tree_count][NODES_MAX]
};

// A leaf that may still be split.
typedef struct {
  uint32_t node;
  uint32_t begin; // its rows in Grower's order
  uint32_t end;
  uint32_t slot; // of its histogram
  float    gain; // of its best split; 0: none
  uint32_t column;
  uint32_t bin; // rows of lower bins go to the first child
} Leaf;

// What training needs besides the result.
typedef struct {
  const TreesSettings* settings;
  uint32_t             rows;
  uint32_t             columns;
  const uint8_t*       label;
  float*               edges;      // [columns][TREES_BINS - 1], rising
  uint32_t*            edge_count; // [columns]
  uint8_t*             code;       // [columns][rows]: bin of each value
  uint32_t*            used;       // columns of this tree
  uint32_t             used_count;
  uint32_t*            order;      // [rows]: rows, leaf by leaf
  uint32_t*            moved;      // [rows] scratch
  float*               score;      // [rows]
  float*               slope;      // [rows][2]: gradient, curvature
  float*               gathered;   // [rows][2]: the same in a leaf's order
  Bin*                 histograms; // [leaves][columns][TREES_BINS]
  Leaf                 leaves[TREES_LEAVES_MAX];
  uint32_t             leaf_count;
} Grower;

static int
compare_floats(const void* a, const void* b)
{
  const float x = *(const float*)a;
  const float y = *(const float*)b;
  return (x > y) - (x < y);
}

// Values below edges[k] and not below edges[k - 1] are in bin k.
static uint32_t
bin_of(const float* edges, uint32_t count, float value)
{
  uint32_t low = 0;
  while (low < count) {
    const uint32_t middle = (low + count) / 2;
    if (value < edges[middle]) {
      count = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

// Cuts between neighbouring values at the quantiles; of few values, between
// all.
static uint32_t
cut_column(float* sorted, uint32_t rows, float* edges)
{
  qsort(sorted, rows, sizeof *sorted, compare_floats);
  uint32_t count    = 0;
  uint32_t distinct = 1;
  for (uint32_t i = 1; i < rows; ++i) {
    distinct += sorted[i] > sorted[i - 1];
  }
  double next = distinct <= TREES_BINS ? 0.0 : (double)rows / TREES_BINS;
  for (uint32_t i = 1; i < rows && count < TREES_BINS - 1; ++i) {
    if (sorted[i] > sorted[i - 1] && i >= next) {
      const float middle = 0.5f * sorted[i] + 0.5f * sorted[i - 1];
      edges[count++]     = middle > sorted[i - 1] ? middle : sorted[i];
      if (distinct > TREES_BINS) {
        next = i + (double)(rows - i) / (TREES_BINS - count);
      }
    }
  }
  return count;
}

static void
bin_columns(Grower* g, const float* x)
{
  float* const column = g->gathered; // not in use yet
  for (uint32_t c = 0; c < g->columns; ++c) {
    float* const edges = g->edges + (size_t)c * (TREES_BINS - 1);
    for (uint32_t r = 0; r < g->rows; ++r) {
      column[r] = x[(size_t)r * g->columns + c];
    }
    g->edge_count[c] = cut_column(column, g->rows, edges);
    for (uint32_t r = 0; r < g->rows; ++r) {
      g->code[(size_t)c * g->rows + r] =
        (uint8_t)bin_of(edges, g->edge_count[c], x[(size_t)r * g->columns + c]);
    }
  }
}

static Bin*
histogram(const Grower* g, uint32_t slot, uint32_t column)
{
  return g->histograms + ((size_t)slot * g->columns + column) * TREES_BINS;
}

static void
count_leaf(Grower* g, const Leaf* leaf)
{
  for (uint32_t i = leaf->begin; i < leaf->end; ++i) {
    memcpy(g->gathered + 2 * (size_t)i,
           g->slope + 2 * (size_t)g->order[i],
           2 * sizeof(float));
  }
  for (uint32_t u = 0; u < g->used_count; ++u) {
    const uint8_t* const code = g->code + (size_t)g->used[u] * g->rows;
    Bin* const           bins = histogram(g, leaf->slot, g->used[u]);
    memset(bins, 0, TREES_BINS * sizeof *bins);
    for (uint32_t i = leaf->begin; i < leaf->end; ++i) {
      Bin* const bin = &bins[code[g->order[i]]];
      bin->gradient += g->gathered[2 * (size_t)i];
      bin->curvature += g->gathered[2 * (size_t)i + 1];
      ++bin->rows;
    }
  }
}

// slot `from` -= slot `other`: the histogram of a child is its parent's less
// its sibling's.
static void
subtract(Grower* g, uint32_t from, uint32_t other)
{
  for (uint32_t u = 0; u < g->used_count; ++u) {
    Bin* const       a = histogram(g, from, g->used[u]);
    const Bin* const b = histogram(g, other, g->used[u]);
    for (uint32_t i = 0; i < TREES_BINS; ++i) {
      a[i].gradient -= b[i].gradient;
      a[i].curvature -= b[i].curvature;
      a[i].rows -= b[i].rows;
    }
  }
}

static float
worth(float gradient, float curvature)
{
  return gradient * gradient / (curvature + CURVATURE_MIN);
}

static Bin
sum_of(const Bin* bins)
{
  Bin sum = { 0 };
  for (uint32_t i = 0; i < TREES_BINS; ++i) {
    sum.gradient += bins[i].gradient;
    sum.curvature += bins[i].curvature;
    sum.rows += bins[i].rows;
  }
  return sum;
}

static void
find_split(const Grower* g, Leaf* leaf)
{
  leaf->gain = 0.0f;
  for (uint32_t u = 0; u < g->used_count; ++u) {
    const uint32_t   column = g->used[u];
    const Bin* const bins   = histogram(g, leaf->slot, column);
    const Bin        all    = sum_of(bins);
    const float      whole  = worth(all.gradient, all.curvature);
    Bin              low    = { 0 };
    for (uint32_t i = 0; i < g->edge_count[column]; ++i) {
      low.gradient += bins[i].gradient;
      low.curvature += bins[i].curvature;
      low.rows += bins[i].rows;
      if (low.rows < g->settings->leaf_rows_min) {
        continue;
      }
      if (all.rows - low.rows < g->settings->leaf_rows_min) {
        break;
      }
      const float gain =
        worth(low.gradient, low.curvature) +
        worth(all.gradient - low.gradient, all.curvature - low.curvature) -
        whole;
      if (gain > leaf->gain) {
        leaf->gain   = gain;
        leaf->column = column;
        leaf->bin    = i + 1;
      }
    }
  }
}

// Puts the rows of lower bins first, both sides in order; returns where the
// others begin.
static uint32_t
partition(Grower* g, const Leaf* leaf)
{
  const uint8_t* const code  = g->code + (size_t)leaf->column * g->rows;
  uint32_t             low   = leaf->begin;
  uint32_t             moved = 0;
  for (uint32_t i = leaf->begin; i < leaf->end; ++i) {
    const uint32_t row = g->order[i];
    if (code[row] < leaf->bin) {
      g->order[low++] = row;
    } else {
      g->moved[moved++] = row;
    }
  }
  memcpy(g->order + low, g->moved, moved * sizeof *g->moved);
  return low;
}

static void
split_leaf(Grower* g, Leaf* leaf, Node* nodes, uint32_t* node_count)
{
  const uint32_t middle = partition(g, leaf);
  Node* const    parent = &nodes[leaf->node];
  parent->column        = (int32_t)leaf->column;
  parent->threshold =
    g->edges[(size_t)leaf->column * (TREES_BINS - 1) + leaf->bin - 1];
  parent->child    = (int32_t)*node_count;
  Leaf* const high = &g->leaves[g->leaf_count];
  *high = (Leaf){ .node = *node_count + 1, .begin = middle, .end = leaf->end };
  leaf->node = *node_count;
  leaf->end  = middle;
  *node_count += 2;

  // The smaller child is counted, in a new slot; the larger has the parent's.
  const bool  low_is_small = middle - leaf->begin < high->end - middle;
  Leaf* const small        = low_is_small ? leaf : high;
  Leaf* const large        = low_is_small ? high : leaf;
  large->slot              = leaf->slot;
  small->slot              = g->leaf_count++;
  count_leaf(g, small);
  subtract(g, large->slot, small->slot);
  find_split(g, small);
  find_split(g, large);
}

static void
finish_leaf(Grower* g, const Leaf* leaf, Node* node)
{
  double gradient  = 0.0;
  double curvature = (double)CURVATURE_MIN;
  for (uint32_t i = leaf->begin; i < leaf->end; ++i) {
    gradient += (double)g->slope[2 * (size_t)g->order[i]];
    curvature += (double)g->slope[2 * (size_t)g->order[i] + 1];
  }
  *node = (Node){ .column = -1,
                  .value = (float)(-gradient / curvature) * g->settings->rate };
  for (uint32_t i = leaf->begin; i < leaf->end; ++i) {
    g->score[g->order[i]] += node->value;
  }
}

static void
choose_columns(Grower* g, uint32_t tree)
{
  Rng rng = rng_make(g->settings->seed, RNG_USE_EVALUATE, 1000 + tree);
  for (uint32_t c = 0; c < g->columns; ++c) {
    g->used[c] = c;
  }
  g->used_count =
    (uint32_t)ceilf(g->settings->column_share * (float)g->columns);
  for (uint32_t i = 0; i < g->used_count; ++i) {
    const uint32_t j    = i + rng_below(&rng, g->columns - i);
    const uint32_t held = g->used[i];
    g->used[i]          = g->used[j];
    g->used[j]          = held;
  }
}

static void
grow_tree(Grower* g, uint32_t tree, Node* nodes)
{
  for (uint32_t r = 0; r < g->rows; ++r) {
    const float p               = 1.0f / (1.0f + expf(-g->score[r]));
    g->slope[2 * (size_t)r]     = p - (float)g->label[r];
    g->slope[2 * (size_t)r + 1] = p * (1.0f - p);
    g->order[r]                 = r;
  }
  choose_columns(g, tree);
  uint32_t node_count = 1;
  g->leaves[0]        = (Leaf){ .end = g->rows };
  g->leaf_count       = 1;
  count_leaf(g, &g->leaves[0]);
  find_split(g, &g->leaves[0]);
  while (g->leaf_count < g->settings->leaves) {
    Leaf* best = &g->leaves[0];
    for (uint32_t i = 1; i < g->leaf_count; ++i) {
      best = g->leaves[i].gain > best->gain ? &g->leaves[i] : best;
    }
    if (!(best->gain > 0.0f)) {
      break;
    }
    split_leaf(g, best, nodes, &node_count);
  }
  for (uint32_t i = 0; i < g->leaf_count; ++i) {
    finish_leaf(g, &g->leaves[i], &nodes[g->leaves[i].node]);
  }
}

static void
grower_free(Grower* g)
{
  free(g->edges);
  free(g->edge_count);
  free(g->code);
  free(g->used);
  free(g->order);
  free(g->moved);
  free(g->score);
  free(g->slope);
  free(g->gathered);
  free(g->histograms);
}

static bool
grower_allocate(Grower* g)
{
  const size_t rows    = g->rows;
  const size_t columns = g->columns;
  g->edges             = malloc(columns * (TREES_BINS - 1) * sizeof *g->edges);
  g->edge_count        = malloc(columns * sizeof *g->edge_count);
  g->code              = malloc(columns * rows);
  g->used              = malloc(columns * sizeof *g->used);
  g->order             = malloc(rows * sizeof *g->order);
  g->moved             = malloc(rows * sizeof *g->moved);
  g->score             = malloc(rows * sizeof *g->score);
  g->slope             = malloc(2 * rows * sizeof *g->slope);
  g->gathered          = malloc(2 * rows * sizeof *g->gathered);
  g->histograms =
    malloc(g->settings->leaves * columns * TREES_BINS * sizeof *g->histograms);
  return g->edges && g->edge_count && g->code && g->used && g->order &&
         g->moved && g->score && g->slope && g->gathered && g->histograms;
}

static Status
check(const TreesSettings* s, uint32_t rows, uint32_t columns, Error* error)
{
  const bool good = rows >= 2 && columns >= 1 && columns <= TREES_COLUMNS_MAX &&
                    s->trees >= 1 && s->leaves >= 2 &&
                    s->leaves <= TREES_LEAVES_MAX && s->column_share > 0.0f &&
                    s->column_share <= 1.0f;
  return good ? STATUS_OK
              : error_set(error,
                          STATUS_BAD_ARGUMENT,
                          "a classifier of %u rows and %u columns, %u trees of "
                          "%u leaves",
                          rows,
                          columns,
                          s->trees,
                          s->leaves);
}

Status
trees_train(const TreesSettings* settings,
            uint32_t             rows,
            uint32_t             columns,
            const float*         x,
            const uint8_t*       label,
            BoostedTrees**       out,
            Error*               error)
{
  *out                = NULL;
  const Status status = check(settings, rows, columns, error);
  if (status != STATUS_OK) {
    return status;
  }
  Grower g = {
    .settings = settings, .rows = rows, .columns = columns, .label = label
  };
  BoostedTrees* const trees = calloc(1, sizeof *trees);
  Node* const         nodes =
    calloc((size_t)settings->trees * NODES_MAX, sizeof *nodes);
  if (!grower_allocate(&g) || !trees || !nodes) {
    grower_free(&g);
    free(trees);
    free(nodes);
    return error_set(error, STATUS_NO_MEMORY, "no memory for a classifier");
  }
  double ones = 0.5; // one of each more, so that the odds are finite
  for (uint32_t r = 0; r < rows; ++r) {
    ones += label[r];
  }
  *trees = (BoostedTrees){ .columns    = columns,
                           .tree_count = settings->trees,
                           .prior      = (float)log(ones / (rows + 1.0 - ones)),
                           .nodes      = nodes };
  bin_columns(&g, x);
  for (uint32_t r = 0; r < rows; ++r) {
    g.score[r] = trees->prior;
  }
  for (uint32_t t = 0; t < settings->trees; ++t) {
    grow_tree(&g, t, nodes + (size_t)t * NODES_MAX);
  }
  grower_free(&g);
  *out = trees;
  return STATUS_OK;
}

void
trees_free(BoostedTrees* trees)
{
  if (trees) {
    free(trees->nodes);
    free(trees);
  }
}

void
trees_score(const BoostedTrees* trees,
            uint32_t            rows,
            const float*        x,
            float*              score)
{
  for (uint32_t r = 0; r < rows; ++r) {
    const float* const row = x + (size_t)r * trees->columns;
    float              sum = trees->prior;
    for (uint32_t t = 0; t < trees->tree_count; ++t) {
      const Node* const nodes = trees->nodes + (size_t)t * NODES_MAX;
      const Node*       node  = nodes;
      while (node->column >= 0) {
        node = &nodes[node->child + !(row[node->column] < node->threshold)];
      }
      sum += node->value;
    }
    score[r] = sum;
  }
}
