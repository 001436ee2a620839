// control/audition with real checkpoints, its real threads and files, and an
// instrument that swaps when it is told to: what each key does, what comes of
// new files, and that each model is freed once and none too early.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "audition_world.h"
#include "rng.h"

static void
write_three(void)
{
  write_vae(in_folder("a.safetensors"), 1, "100");
  write_vae(in_folder("b.safetensors"), 2, "200");
  write_vae(in_folder("c.safetensors"), 3, NULL);
}

static const char* const three[] = { "a.safetensors",
                                     "b.safetensors",
                                     "c.safetensors" };

static void
test_next_and_previous(void** state)
{
  (void)state;
  static const struct {
    ActionKind  kind;
    const char* plays;
    size_t      index;
  } way[] = { { ACTION_NEXT, "b", 2 },     { ACTION_NEXT, "c", 3 },
              { ACTION_NEXT, "a", 1 },     { ACTION_PREVIOUS, "c", 3 },
              { ACTION_PREVIOUS, "b", 2 }, { ACTION_PREVIOUS, "a", 1 } };
  write_three();
  start_named(3, three, NULL);
  assert_sides('A', "a", "");
  assert_int_equal(status_now().index, 1);
  assert_int_equal(status_now().playing.step, 100);
  for (size_t i = 0; i < sizeof way / sizeof *way; ++i) {
    act(way[i].kind);
    WAIT_UNTIL(plays(way[i].plays), turn());
    assert_sides('A', way[i].plays, "");
    assert_int_equal(status_now().index, way[i].index);
    assert_int_equal(status_now().count, 3);
    // Nothing is kept that is on no side.
    WAIT_UNTIL(held_left() == 1, turn());
  }
  assert_true(status_now().playing.has_step);
  finish();
}

static void
test_two_sides(void** state)
{
  (void)state;
  write_three();
  start_named(3, three, NULL);
  act(ACTION_NEXT);
  WAIT_UNTIL(plays("b"), turn());
  // An empty side gets the neighbour, here the one before.
  act(ACTION_AB);
  WAIT_UNTIL(plays("a"), turn());
  assert_sides('B', "a", "b");
  // From then on both are at hand.
  const int loads = held_loaded();
  for (int i = 0; i < 10; ++i) {
    act(ACTION_AB);
    turn();
    assert_true(plays(i % 2 ? "a" : "b"));
  }
  assert_int_equal(held_loaded(), loads);
  WAIT_UNTIL(held_left() == 2, turn());
  // Next changes the side that plays; the other stays.
  act(ACTION_PREVIOUS);
  WAIT_UNTIL(plays("c"), turn());
  assert_sides('B', "c", "b");
  // What is on the other side already is not loaded twice.
  act(ACTION_PREVIOUS);
  WAIT_UNTIL(plays("b"), turn());
  assert_sides('A', "b", "c");
  assert_int_equal(held_loaded(), loads + 1);
  finish();
}

static void
break_file(const char* name)
{
  FILE* const file = fopen(in_folder(name), "wb");
  fputs("rubbish", file);
  fclose(file);
}

// Swaps that were asked for by then, and whether the last one compares.
static void
assert_asked(int count, bool compares)
{
  assert_int_equal(instrument.asked, count);
  assert_true(instrument.compares == compares);
}

// Only what `ab` asked for is at the point that sounds.
static void
test_only_ab_compares(void** state)
{
  (void)state;
  Error error = { 0 };
  write_three();
  start_named(3, three, NULL);
  act(ACTION_NEXT);
  WAIT_UNTIL(plays("b"), turn());
  assert_asked(1, false);
  // Of a neighbour that has to be loaded first, too.
  act(ACTION_AB);
  WAIT_UNTIL(plays("a"), turn());
  assert_asked(2, true);
  act(ACTION_AB);
  turn();
  assert_asked(3, true);
  assert_int_equal(audition_choose(audition, 2, &error), STATUS_OK);
  WAIT_UNTIL(plays("c"), turn());
  assert_asked(4, false);
  // Overtaken before it was handed out.
  act(ACTION_AB);
  act_text(ACTION_LOAD, in_folder("b.safetensors"), &error);
  WAIT_UNTIL(plays("b"), turn());
  assert_false(instrument.compares);
  finish();
}

// A comparison that fails when it is loaded, or is overtaken meanwhile, leaves
// nothing for the swap after it.
static void
test_comparison_that_fails(void** state)
{
  (void)state;
  write_three();
  start_named(3, three, NULL);
  break_file("c.safetensors"); // a's neighbour
  act(ACTION_AB);
  WAIT_UNTIL(was_said("not played: "), turn());
  act(ACTION_NEXT); // past what failed and what plays
  WAIT_UNTIL(plays("b"), turn());
  assert_false(instrument.compares);
  finish();
  write_three();
  start_named(3, three, NULL);
  held_hold(HELD_LOAD);
  act(ACTION_AB);
  turn();
  held_await();
  act(ACTION_PREVIOUS);
  held_release();
  WAIT_UNTIL(plays("b"), turn());
  assert_asked(1, false);
  finish();
}

static void
test_names_that_differ(void** state)
{
  (void)state;
  static const char* const names[] = {
    "x/one/best.safetensors",       "x/two/best.safetensors",
    "y/two/best.safetensors",       "x/one/checkpoint.safetensors",
    "x/two/checkpoint.safetensors", "x/../y/two/best.safetensors"
  };
  static const char* const told[]    = { "one/best", "x/two/best", "y/two/best",
                                         "one",      "two",        "y/two/best" };
  static const char* const folders[] = { "x", "x/one", "x/two", "y", "y/two" };
  for (size_t i = 0; i < 5; ++i) {
    make_folder(folders[i]);
  }
  for (uint32_t i = 0; i < 5; ++i) {
    write_vae(in_folder(names[i]), i + 1, NULL);
  }
  start_named(6, names, NULL);
  for (size_t i = 1; i < 6; ++i) {
    act(ACTION_NEXT);
    WAIT_UNTIL(plays(told[i]), turn());
  }
  act(ACTION_NEXT);
  WAIT_UNTIL(plays(told[0]), turn());
  finish();
}

static void
test_one_alone(void** state)
{
  (void)state;
  Error error = { 0 };
  write_three();
  start_named(1, three, NULL);
  static const ActionKind kinds[] = { ACTION_AB, ACTION_NEXT, ACTION_PREVIOUS };
  for (int i = 0; i < 3; ++i) {
    assert_int_equal(act_text(kinds[i], "", &error), STATUS_NOT_FOUND);
    assert_says(error.text, "no other checkpoint");
  }
  act(ACTION_REJECT); // is done, though there is nowhere to go
  turn();
  assert_true(plays("a"));
  assert_int_equal(status_now().playing.rating, RATING_REJECT);
  finish();
}

static void
test_quick_fingers(void** state)
{
  (void)state;
  write_three();
  start_named(3, three, NULL);
  held_hold(HELD_LOAD);
  act(ACTION_NEXT);
  turn();
  held_await();
  for (int i = 0; i < 7; ++i) { // c, a, b, c, a, b, c
    act(ACTION_NEXT);
    turn();
  }
  assert_true(plays("a") || *status_now().pending);
  assert_true(status_now().loading);
  assert_string_equal(status_now().pending, "c");
  held_release();
  WAIT_UNTIL(plays("c"), turn());
  assert_int_equal(instrument.swaps, 1);
  assert_true(held_loaded() <= 3); // a at first; b was under way
  finish();
}

static void
test_before_the_phrase_ends(void** state)
{
  (void)state;
  write_three();
  start_named(3, three, NULL);
  act(ACTION_NEXT);
  WAIT_UNTIL(plays("b"), turn());
  act(ACTION_AB);
  WAIT_UNTIL(plays("a"), turn());
  instrument.at_once = false;
  for (int i = 0; i < 9; ++i) {
    act(ACTION_AB);
    turn();
    end_phrase(); // what it has may have been overtaken
    act(ACTION_AB);
    turn();
    act(ACTION_AB);
    turn();
    WAIT_UNTIL(held_left() == 2, turn());
  }
  assert_true(instrument.overtaken > 0);
  end_phrase();
  turn();
  assert_true(plays(instrument.sounds ? status_now().playing.name : ""));
  finish();
}

// What plays is handed out once more, where a swap to the other was overtaken:
// it comes back twice, and only then is it free.
static void
test_handed_out_twice(void** state)
{
  (void)state;
  write_three();
  start_named(3, three, NULL);
  act(ACTION_AB);
  WAIT_UNTIL(plays("c"), turn());
  instrument.at_once = false;
  act(ACTION_AB);
  turn();
  act(ACTION_AB);
  turn();
  end_phrase();
  assert_int_equal(instrument.overtaken, 1);
  assert_true(plays("c"));
  act(ACTION_PREVIOUS); // c is on no side any more, and sounds
  WAIT_UNTIL(instrument.waits, turn());
  for (int i = 0; i < 20; ++i) {
    turn();
    sound(instrument.sounds);
    clock_sleep_ns(1000000);
  }
  assert_int_equal(held_left(), 3);
  end_phrase();
  WAIT_UNTIL(held_left() == 2, turn());
  finish();
}

// The instrument cannot swap (its queue is full, the parameters do not fit).
static void
test_given_back_unplayed(void** state)
{
  (void)state;
  AuditionEvent event = { 0 };
  write_three();
  start_named(3, three, NULL);
  act(ACTION_NEXT);
  WAIT_UNTIL(event.model, audition_poll(audition, &params, &event));
  audition_retired(audition, event.model);
  assert_true(plays("a"));
  // Asked again, it is handed out again.
  act(ACTION_NEXT);
  WAIT_UNTIL(plays("c") || plays("b"), turn());
  finish();
}

static void
test_bad_file_in_the_list(void** state)
{
  (void)state;
  write_three();
  FILE* const file = fopen(in_folder("b.safetensors"), "wb");
  fputs("rubbish", file);
  fclose(file);
  start_named(3, three, NULL);
  act(ACTION_NEXT);
  WAIT_UNTIL(was_said("not played: "), turn());
  assert_true(was_said("b.safetensors: 7 bytes are too short"));
  assert_true(plays("a"));
  assert_false(status_now().loading);
  act(ACTION_NEXT); // goes on from it
  WAIT_UNTIL(plays("c"), turn());
  act(ACTION_PREVIOUS); // passes it over
  WAIT_UNTIL(plays("a"), turn());
  // Until it changes.
  write_vae(in_folder("b.safetensors"), 2, NULL);
  act(ACTION_NEXT);
  WAIT_UNTIL(plays("b"), turn());
  finish();
}

static void
test_ratings(void** state)
{
  (void)state;
  char line[256] = "";
  write_three();
  start_named(3, three, NULL);
  act(ACTION_ACCEPT);
  turn();
  assert_true(was_said(": keep"));
  assert_true(plays("a"));
  assert_int_equal(status_now().playing.rating, RATING_KEEP);
  act(ACTION_NEXT);
  WAIT_UNTIL(plays("b"), turn());
  assert_int_equal(status_now().playing.rating, RATING_NONE);
  act(ACTION_REJECT);
  WAIT_UNTIL(plays("c"), turn());
  // What sounds is rated, not what is on its way.
  instrument.at_once = false;
  act(ACTION_NEXT);
  WAIT_UNTIL(instrument.waits, turn());
  act(ACTION_REJECT);
  turn();
  assert_string_equal(status_now().playing.name, "c");
  assert_int_equal(status_now().playing.rating, RATING_REJECT);
  assert_string_equal(status_now().pending, "a"); // not one further
  finish();
  FILE* const file = fopen(in_folder(RATINGS_FILE), "r");
  assert_non_null(fgets(line, sizeof line, file));
  assert_says(line, "\tkeep\ta.safetensors\t100\t7\n");
  fclose(file);
  // Another day.
  start_named(3, three, NULL);
  assert_int_equal(status_now().playing.rating, RATING_KEEP);
  act(ACTION_NEXT);
  WAIT_UNTIL(plays("b"), turn());
  assert_int_equal(status_now().playing.rating, RATING_REJECT);
  finish();
}

static void
test_load_and_choose(void** state)
{
  (void)state;
  Error error = { 0 };
  write_three();
  start_named(2, three, NULL);
  assert_int_equal(act_text(ACTION_LOAD, "no-such", &error), STATUS_NOT_FOUND);
  assert_says(error.text, "no checkpoint 'no-such'");
  assert_int_equal(act_text(ACTION_LOAD, in_folder("no.safetensors"), &error),
                   STATUS_NOT_FOUND);
  assert_int_equal(act_text(ACTION_LOAD, folder, &error), STATUS_BAD_ARGUMENT);
  assert_int_equal(status_now().count, 2);
  assert_int_equal(act_text(ACTION_LOAD, in_folder("c.safetensors"), &error),
                   STATUS_OK);
  WAIT_UNTIL(plays("c"), turn());
  assert_int_equal(status_now().index, 3);
  assert_int_equal(act_text(ACTION_LOAD, "vae", &error), STATUS_OK);
  WAIT_UNTIL(plays("vae"), turn());
  assert_int_equal(audition_choose(audition, 1, &error), STATUS_OK);
  WAIT_UNTIL(plays("b"), turn());
  assert_int_equal(audition_choose(audition, 4, &error), STATUS_NOT_FOUND);
  assert_says(error.text, "no checkpoint 5");
  const Action panic = { .kind = ACTION_PANIC };
  assert_false(audition_takes(ACTION_PANIC));
  assert_int_equal(audition_do(audition, &panic, &error), STATUS_BAD_ARGUMENT);
  finish();
}

static void
test_parameters_that_do_not_fit(void** state)
{
  (void)state;
  Error error = { 0 };
  write_three();
  start_named(3, three, NULL);
  assert_int_equal(params_set_text(&params, PARAM_MODE, "continue", &error), 0);
  act(ACTION_NEXT);
  WAIT_UNTIL(plays("b"), turn()); // the instrument decides
  assert_true(was_said("b: mode"));
  finish();
}

static void
test_stuck_at_the_end(void** state)
{
  (void)state;
  write_three();
  start_named(3, three, NULL);
  held_hold(HELD_LOAD);
  act(ACTION_NEXT);
  turn();
  held_await();
  const double start_s = clock_now_s();
  audition_retired(audition, instrument.sounds);
  assert_false(audition_close(audition));
  assert_true(clock_now_s() - start_s < WAIT_S_MAX / 2);
  held_release();
  WAIT_UNTIL(!held_left(), (void)0);
}

// Nothing that lists cannot be listed.
static void
test_bad_setups(void** state)
{
  (void)state;
  Error               error  = { 0 };
  const char* const   path[] = { in_folder("no.safetensors") };
  const AuditionSetup named  = { .paths      = path,
                                 .path_count = 1,
                                 .device     = "cpu" };
  assert_int_equal(audition_open(&named, &audition, &error), STATUS_NOT_FOUND);
  assert_says(error.text, "no.safetensors: cannot read");
  write_three();
  const AuditionSetup watch = { .watch  = in_folder("a.safetensors"),
                                .device = "cpu" };
  assert_int_equal(audition_open(&watch, &audition, &error),
                   STATUS_BAD_ARGUMENT);
}

// Whatever is pressed, whenever a phrase ends and whatever becomes of files: no
// model is used after it was freed, freed twice or forgotten.
static void
test_at_random(void** state)
{
  (void)state;
  static const ActionKind keys[] = {
    ACTION_AB,   ACTION_AB,       ACTION_NEXT,
    ACTION_NEXT, ACTION_PREVIOUS, ACTION_REJECT
  };
  Rng   rng = rng_make(11, RNG_USE_LATENT, 0);
  Error error;
  int   most = 0;
  write_three();
  make_folder("runs");
  make_folder("runs/run");
  start_named(3, three, in_folder("runs"));
  for (int i = 0; i < 4000; ++i) {
    const uint32_t draw = rng_u32(&rng);
    instrument.at_once  = draw >> 8 & 1;
    if (draw % 32 < 6) {
      (void)act_text(keys[draw % 32], "", &error);
    } else if (draw % 32 == 6) {
      write_vae(in_folder("runs/run/checkpoint.safetensors"), draw >> 16, "1");
    } else if (draw % 64 == 7) {
      unlink(in_folder("runs/run/checkpoint.safetensors"));
    } else if (draw % 32 == 8 && instrument.waits) {
      audition_retired(audition, instrument.waits); // it would not
      instrument.waits = NULL;
    }
    turn();
    sound(instrument.sounds);
    most = held_left() > most ? held_left() : most;
    if (draw % 16 == 9) {
      clock_sleep_ns(2000000);
    }
  }
  assert_true(instrument.swaps > 50);
  assert_in_range(most, 2, 10);
  finish();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_next_and_previous),
    TEST(test_two_sides),
    TEST(test_only_ab_compares),
    TEST(test_comparison_that_fails),
    TEST(test_names_that_differ),
    TEST(test_one_alone),
    TEST(test_quick_fingers),
    TEST(test_before_the_phrase_ends),
    TEST(test_handed_out_twice),
    TEST(test_given_back_unplayed),
    TEST(test_bad_file_in_the_list),
    TEST(test_ratings),
    TEST(test_load_and_choose),
    TEST(test_parameters_that_do_not_fit),
    TEST(test_stuck_at_the_end),
    TEST(test_bad_setups),
    TEST(test_at_random),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
