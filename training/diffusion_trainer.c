// Training of the diffusion model: the state of a run, one step of it, held-out
// figures, and what is saved.
#include "diffusion_trainer.h"

#include "diffusion_checkpoint.h"
#include "run_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Held-out figures: enough to tell recipes apart, few enough to be cheap. Cut
// into passes of its own, so that the figures do not depend on the recipe.
#define JUDGE_PASSES 8u
#define JUDGE_CHUNK 32u
#define JUDGE_SEED 1u

// A GPU takes as many slots at once as fit well in its memory.
#define GPU_CHUNK_SLOTS 1024u

// Four lengths, with an estimate and without, in a step's first, middle and
// last pass; or, of a student, in so many substeps. Held-out figures have some
// more.
#define RECORDED_PASSES 64u

// What a lane has room for.
static uint32_t
lane_chunk(const DiffusionTrainer* t)
{
  return t->chunk > JUDGE_CHUNK ? t->chunk : JUDGE_CHUNK;
}

static Status
open_source(DiffusionTrainer* t, Error* error)
{
  Device* const device = t->optimiser.devices[0];
  Status        status =
    draw_source_notes(device, t->dataset, &t->source.notes, error);
  t->judge_source.notes = t->source.notes;
  if (status == STATUS_OK) {
    status =
      draw_source_slots(device, t->dataset, false, &t->source.units, error);
  }
  if (status == STATUS_OK) {
    status = draw_source_slots(
      device, t->dataset, true, &t->judge_source.units, error);
  }
  return status;
}

static void pass_ops(void* lane, const void* key);

static Status
open_lane(DiffusionTrainer* t, uint32_t i, Error* error)
{
  DiffusionLane* const lane = &t->lanes[i];
  lane->trainer             = t;
  lane->number              = i;
  replay_open(
    &lane->passes, t->optimiser.devices[i], RECORDED_PASSES, pass_ops, lane);
  Status status = sequence_pass_create(&lane->pass, lane_chunk(t), error);
  if (status == STATUS_OK) {
    status = tensor_allocate(
      t->optimiser.devices[i], 1, DRAW_NOW_FLOATS, &lane->now, error);
  }
  if (status == STATUS_OK) {
    status = diffusion_create(t->optimiser.devices[i],
                              &t->recipe.settings,
                              lane_chunk(t),
                              true,
                              t->lanes[0].diffusion,
                              &lane->diffusion,
                              error);
  }
  if (status == STATUS_OK) {
    t->optimiser.gradients[i] =
      denoiser_gradients(diffusion_net(lane->diffusion));
  }
  return status;
}

static Status
open_lanes(DiffusionTrainer* t, Error* error)
{
  const RunRecipe* const run    = &t->recipe.run;
  const uint32_t         lanes  = t->optimiser.lanes;
  const uint32_t         share  = (run->batch + lanes - 1) / lanes;
  Status                 status = STATUS_OK;
  t->lane_passes                = (share + t->chunk - 1) / t->chunk;
  for (uint32_t i = 0; i < lanes && status == STATUS_OK; ++i) {
    status = open_lane(t, i, error);
  }
  if (status != STATUS_OK) {
    return status;
  }
  Denoiser* const net = diffusion_net(t->lanes[0].diffusion);
  uint32_t        count;
  denoiser_parameters(&t->recipe.settings.net, t->table, &count);
  status = denoiser_initialise(net, run->seed, error);
  if (t->lanes[0].teacher) {
    op_copy(t->optimiser.devices[0],
            denoiser_weights(diffusion_net(t->lanes[0].teacher)),
            denoiser_weights(net));
  }
  return status == STATUS_OK
           ? optimiser_bind(
               &t->optimiser, t->table, count, denoiser_weights(net), error)
           : status;
}

// --- The teacher -------------------------------------------------------------

// A student is its teacher's twin, or it could not begin with its weights.
static Status
check_teacher(const DiffusionRecipe* recipe,
              const Checkpoint*      checkpoint,
              const Dataset*         dataset,
              Error*                 error)
{
  DiffusionSettings settings;
  EncodingStats     stats;
  Status            status =
    diffusion_checkpoint_settings(checkpoint, &settings, &stats, error);
  if (status != STATUS_OK) {
    return status;
  }
  const bool is_student  = settings.student_steps > 0;
  settings.student_steps = recipe->settings.student_steps;
  if (is_student ||
      memcmp(&settings, &recipe->settings, sizeof settings) != 0 ||
      memcmp(&stats, dataset_stats(dataset), sizeof stats) != 0) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "%s: a teacher must not be a student itself, and must "
                     "have the recipe's network and the data set's encoding",
                     checkpoint_path(checkpoint));
  }
  return STATUS_OK;
}

static Status
open_teachers(DiffusionTrainer* t, const Checkpoint* checkpoint, Error* error)
{
  DiffusionSettings settings = t->recipe.settings;
  const uint32_t substeps = settings.student_steps * t->recipe.teacher_substeps;
  settings.student_steps  = 0;
  Status status           = STATUS_OK;
  for (uint32_t i = 0; i < t->optimiser.lanes && status == STATUS_OK; ++i) {
    status = diffusion_create(t->optimiser.devices[i],
                              &settings,
                              lane_chunk(t),
                              true,
                              t->lanes[0].teacher,
                              &t->lanes[i].teacher,
                              error);
    if (status == STATUS_OK) {
      status = diffusion_make_teacher(t->lanes[i].teacher, substeps, error);
    }
  }
  return status == STATUS_OK
           ? diffusion_checkpoint_load(
               checkpoint, t->optimiser.devices[0], t->lanes[0].teacher, error)
           : status;
}

static Status
load_teacher(DiffusionTrainer* t, const char* path, Error* error)
{
  if (!path && !t->recipe.settings.student_steps) {
    return STATUS_OK;
  }
  if (!path || !t->recipe.settings.student_steps) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "--teacher and a recipe with student_steps go together");
  }
  Checkpoint* checkpoint;
  Status      status = checkpoint_open(path, &checkpoint, error);
  if (status != STATUS_OK) {
    return status;
  }
  snprintf(t->teacher_digest,
           sizeof t->teacher_digest,
           "%s",
           checkpoint_digest(checkpoint));
  status = check_teacher(&t->recipe, checkpoint, t->dataset, error);
  if (status == STATUS_OK) {
    status = open_teachers(t, checkpoint, error);
  }
  checkpoint_close(checkpoint);
  return status;
}

const char*
diffusion_trainer_teacher(const DiffusionTrainer* t)
{
  return t->teacher_digest[0] ? t->teacher_digest : NULL;
}

static Status
open_judge(DiffusionTrainer* t, Error* error)
{
  DiffusionRecipe* const r = &t->judge_recipe;
  *r                       = diffusion_recipe_default();
  r->settings              = t->recipe.settings;
  r->teacher_substeps      = t->recipe.teacher_substeps;
  r->run.seed              = JUDGE_SEED;
  r->run.batch             = JUDGE_PASSES * JUDGE_CHUNK;
  r->run.transpose         = 0;
  r->run.tempo_spread      = 0.0f;
  r->run.velocity_spread   = 0.0f;
  t->judge_rule            = sequence_rule(r, t->dataset);
  const Status status      = tensor_allocate(
    t->optimiser.devices[0], 1, t->optimiser.weights.columns, &t->kept, error);
  t->judge_losses = calloc(JUDGE_PASSES, sizeof *t->judge_losses);
  return status == STATUS_OK && !t->judge_losses
           ? error_set(
               error, STATUS_NO_MEMORY, "no memory for held-out figures")
           : status;
}

Status
diffusion_trainer_open(DiffusionTrainer*      t,
                       const DiffusionRecipe* recipe,
                       const char*            teacher_path,
                       const Dataset*         dataset,
                       const char*            device,
                       uint32_t               thread_count,
                       Error*                 error)
{
  *t            = (DiffusionTrainer){ .recipe = *recipe, .dataset = dataset };
  Status status = diffusion_recipe_check(&t->recipe, error);
  if (status == STATUS_OK) {
    status = shuffle_init(&t->shuffle,
                          draw_source_slot_count(dataset, false),
                          recipe->run.batch,
                          "sequences",
                          error);
  }
  if (status == STATUS_OK) {
    status = optimiser_open(
      &t->optimiser, &t->recipe.run, device, thread_count, error);
  }
  if (status == STATUS_OK) {
    t->rule  = sequence_rule(&t->recipe, dataset);
    t->chunk = optimiser_chunk(&t->optimiser, recipe->chunk, GPU_CHUNK_SLOTS);
    status   = open_source(t, error);
  }
  if (status == STATUS_OK) {
    status = load_teacher(t, teacher_path, error);
  }
  if (status == STATUS_OK) {
    status = open_lanes(t, error);
  }
  return status == STATUS_OK ? open_judge(t, error) : status;
}

void
diffusion_trainer_close(DiffusionTrainer* t)
{
  Device* const device = t->optimiser.devices[0];
  free(t->judge_losses);
  tensor_free(device, &t->kept);
  tensor_free(device, &t->source.notes);
  tensor_free(device, &t->source.units);
  tensor_free(device, &t->judge_source.units);
  // Lane 0 last: the others use its weights.
  for (uint32_t i = t->optimiser.lanes; i-- > 0;) {
    replay_close(&t->lanes[i].passes);
    diffusion_free(t->lanes[i].diffusion);
    diffusion_free(t->lanes[i].teacher);
    sequence_pass_free(&t->lanes[i].pass);
    tensor_free(t->optimiser.devices[i], &t->lanes[i].now);
  }
  optimiser_close(&t->optimiser);
}

// --- One step ----------------------------------------------------------------

// What a recording of a pass was made for.
typedef struct {
  DiffusionPass pass;
  OptimiserPart part;
  uint32_t      judges; // held-out notes
} PassKey;
_Static_assert(sizeof(PassKey) <= REPLAY_KEY_BYTES, "a key fits its slot");

static void
pass_ops(void* owner, const void* key_bytes)
{
  DiffusionLane* const    lane = owner;
  DiffusionTrainer* const t    = lane->trainer;
  PassKey                 key;
  memcpy(&key, key_bytes, sizeof key);
  const DiffusionNotes to =
    diffusion_notes(lane->diffusion, key.pass.sequences, key.pass.notes);
  optimiser_begin(&t->optimiser, lane->number, key.part);
  op_draw_sequences(t->optimiser.devices[lane->number],
                    key.judges ? &t->judge_rule : &t->rule,
                    key.judges ? &t->judge_source : &t->source,
                    lane->now,
                    key.pass.notes,
                    to.pitch,
                    to.channels,
                    to.clean);
  if (lane->teacher) {
    diffusion_distil(lane->diffusion, lane->teacher, &key.pass);
  } else if (key.judges) {
    diffusion_judge(lane->diffusion, &key.pass);
  } else {
    diffusion_learn(lane->diffusion, &key.pass);
  }
  optimiser_end(&t->optimiser, key.part);
}

static DiffusionBatch
batch_of(const DiffusionRecipe* recipe, const SequencePass* plan)
{
  const bool student = recipe->settings.student_steps > 0;
  return (DiffusionBatch){
    .pass           = { .sequences      = plan->sequences,
                        .notes          = plan->notes,
                        .self_condition = !student && plan->self_condition,
                        .substeps       = student ? plan->substeps : 0,
                        // Of all notes, given or not: a note weighs the same in
                        // every step.
                        .gradient_scale =
                          1.0f / ((float)recipe->run.batch * SEQUENCE_NOTES),
                        .channel_weight = recipe->channel_weight,
                        .snr_low        = recipe->snr_low,
                        .snr_high       = recipe->snr_high },
    .t              = plan->t,
    .next           = student ? plan->next : NULL,
    .seed           = recipe->run.seed,
    .first_sequence = plan->first_sequence,
  };
}

// Runs the lane's planned pass.
static void
run_pass(DiffusionLane*         lane,
         const DiffusionRecipe* recipe,
         const PassPlace*       place,
         OptimiserPart          part)
{
  DiffusionTrainer* const t     = lane->trainer;
  const DiffusionBatch    batch = batch_of(recipe, &lane->pass);
  const PassKey key = { batch.pass, part, recipe == &t->judge_recipe };
  float         now[DRAW_NOW_FLOATS];
  sequence_pass_now(recipe, place, now);
  tensor_write(t->optimiser.devices[lane->number], lane->now, now);
  if (lane->teacher) {
    diffusion_write_jumps(lane->diffusion, lane->teacher, &batch);
  } else {
    diffusion_write_batch(lane->diffusion, &batch);
  }
  replay_run(&lane->passes, &key, sizeof key);
}

static void
lane_passes(void* context, uint32_t i)
{
  DiffusionTrainer* const      t    = context;
  const DiffusionRecipe* const r    = &t->recipe;
  const Optimiser* const       o    = &t->optimiser;
  DiffusionLane* const         lane = &t->lanes[i];
  const uint32_t end   = optimiser_share_begin(o, r->run.batch, i + 1);
  PassPlace      place = {
         .step       = o->step,
         .pass       = i * t->lane_passes,
         .pass_count = o->lanes * t->lane_passes,
         .epoch      = shuffle_epoch(&t->shuffle, o->step),
         .order      = shuffle_first(&t->shuffle, o->step),
         .first      = optimiser_share_begin(o, r->run.batch, i),
  };
  for (; place.first < end; place.first += place.count, ++place.pass) {
    const uint32_t left = end - place.first;
    place.count         = left < t->chunk ? left : t->chunk;
    sequence_pass_plan(r, &place, &lane->pass);
    run_pass(lane, r, &place, optimiser_part(o, i, place.first, place.count));
    lane->notes += (uint64_t)lane->pass.sequences * lane->pass.notes;
  }
}

Status
diffusion_trainer_step(DiffusionTrainer* t, Error* error)
{
  return optimiser_step(&t->optimiser, lane_passes, t, error);
}

static void
add_loss(DiffusionLoss* sum, const DiffusionLoss* loss)
{
  sum->notes += loss->notes;
  sum->pitch_nats += loss->pitch_nats;
  sum->code_error += loss->code_error;
  for (int i = 0; i < CHANNEL_COUNT; ++i) {
    sum->squared_error[i] += loss->squared_error[i];
  }
}

void
diffusion_trainer_take_loss(DiffusionTrainer* t,
                            DiffusionLoss*    loss,
                            uint64_t*         notes)
{
  for (uint32_t i = 0; i < t->optimiser.lanes; ++i) {
    DiffusionLane* const lane = &t->lanes[i];
    diffusion_take_loss(lane->diffusion, &lane->loss);
    add_loss(loss, &lane->loss);
    *notes += lane->notes;
    lane->loss  = (DiffusionLoss){ 0 };
    lane->notes = 0;
  }
}

// --- Held-out figures --------------------------------------------------------

static void
lane_judge(void* context, uint32_t i)
{
  DiffusionTrainer* const      t    = context;
  const DiffusionRecipe* const r    = &t->judge_recipe;
  DiffusionLane* const         lane = &t->lanes[i];
  // What was learnt since the last report is not part of these figures.
  diffusion_take_loss(lane->diffusion, &lane->loss);
  for (uint32_t p = i; p < JUDGE_PASSES; p += t->optimiser.lanes) {
    const PassPlace place = {
      .pass       = p,
      .pass_count = JUDGE_PASSES,
      .first      = p * JUDGE_CHUNK,
      .count      = JUDGE_CHUNK,
    };
    sequence_pass_plan(r, &place, &lane->pass);
    // As in sampling, where all but the first step have an estimate.
    lane->pass.self_condition = r->settings.self_condition;
    t->judge_losses[p]        = (DiffusionLoss){ 0 };
    // A gradient that comes with it is cleared by the next step.
    run_pass(lane, r, &place, (OptimiserPart){ 0 });
    diffusion_take_loss(lane->diffusion, &t->judge_losses[p]);
  }
}

Status
diffusion_trainer_validate(DiffusionTrainer* t,
                           DiffusionLoss*    loss,
                           Error*            error)
{
  Optimiser* const o      = &t->optimiser;
  Device* const    device = o->devices[0];
  *loss                   = (DiffusionLoss){ 0 };
  if (!t->judge_source.units.data) {
    return STATUS_OK;
  }
  op_copy(device, o->weights, t->kept);
  op_copy(device, o->average, o->weights);
  optimiser_run(o, lane_judge, t);
  op_copy(device, t->kept, o->weights);
  for (uint32_t p = 0; p < JUDGE_PASSES; ++p) {
    add_loss(loss, &t->judge_losses[p]);
  }
  Status status = STATUS_OK;
  for (uint32_t i = 0; i < t->optimiser.lanes && status == STATUS_OK; ++i) {
    status = device_status(o->devices[i], error);
  }
  return status;
}

// --- Saving ------------------------------------------------------------------

Status
diffusion_trainer_save(DiffusionTrainer* t, const char* directory, Error* error)
{
  const Optimiser* const o    = &t->optimiser;
  float* const           host = malloc(o->average.columns * sizeof *host);
  if (!host) {
    return error_set(error, STATUS_NO_MEMORY, "no memory to save the weights");
  }
  RunTexts texts;
  run_state_texts(o,
                  &diffusion_recipe_format,
                  t->dataset,
                  diffusion_trainer_teacher(t),
                  &texts);
  char path[RUN_PATH_BYTES];
  run_path(directory, "checkpoint.safetensors", path);
  tensor_read(o->devices[0], o->average, host);
  const Status status = diffusion_checkpoint_write(path,
                                                   &t->recipe.settings,
                                                   dataset_stats(t->dataset),
                                                   host,
                                                   texts.texts,
                                                   texts.count,
                                                   error);
  free(host);
  return status == STATUS_OK ? run_state_write(o, directory, &texts, error)
                             : status;
}
