// music/scale: the classes of scales by name, in every key.
#include "music/scale.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static unsigned
key_of(const char* name)
{
  unsigned key = 0;
  while (strcmp(scale_key_names[key], name)) {
    ++key;
    assert_true(key < SCALE_KEY_COUNT);
  }
  return key;
}

static void
expect_classes(Scale scale, const char* key, const char* classes)
{
  static const char* const names[] = { "C", "c", "D", "d", "E", "F",
                                       "f", "G", "g", "A", "a", "B" };
  const uint16_t           set     = scale_classes(scale, key_of(key));
  for (int i = 0; i < 12; ++i) {
    assert_int_equal(set >> i & 1, strstr(classes, names[i]) != NULL);
  }
  assert_int_equal(set >> 12, 0);
}

// A small letter is the black key above.
static void
test_by_ear(void** state)
{
  (void)state;
  expect_classes(SCALE_CHROMATIC, "E", "CcDdEFfGgAaB");
  expect_classes(SCALE_MAJOR, "C", "CDEFGAB");
  expect_classes(SCALE_MAJOR, "D", "DEfGABc");
  expect_classes(SCALE_MAJOR, "B", "BcdEfga");
  expect_classes(SCALE_MINOR, "A", "ABCDEFG");
  expect_classes(SCALE_HARMONIC_MINOR, "A", "ABCDEFg");
  expect_classes(SCALE_DORIAN, "D", "DEFGABC");
  expect_classes(SCALE_MIXOLYDIAN, "G", "GABCDEF");
  expect_classes(SCALE_PENTATONIC, "F#", "fgacd");
  expect_classes(SCALE_MINOR_PENTATONIC, "A", "ACDEG");
  expect_classes(SCALE_BLUES, "A", "ACDdEG");
  expect_classes(SCALE_WHOLE_TONE, "Db", "cdFGAB");
}

static void
test_one_key_two_names(void** state)
{
  (void)state;
  const char* const pairs[][2] = { { "C#", "Db" },
                                   { "D#", "Eb" },
                                   { "F#", "Gb" },
                                   { "G#", "Ab" },
                                   { "A#", "Bb" } };
  for (int i = 0; i < 5; ++i) {
    assert_int_equal(scale_classes(SCALE_BLUES, key_of(pairs[i][0])),
                     scale_classes(SCALE_BLUES, key_of(pairs[i][1])));
  }
}

static void
test_transposing(void** state)
{
  (void)state;
  const uint16_t c = scale_classes(SCALE_MAJOR, key_of("C"));
  assert_int_equal(scale_transpose(c, 2),
                   scale_classes(SCALE_MAJOR, key_of("D")));
  assert_int_equal(scale_transpose(c, -1),
                   scale_classes(SCALE_MAJOR, key_of("B")));
  for (int octaves = -4; octaves <= 4; ++octaves) {
    assert_int_equal(scale_transpose(c, 12 * octaves), c);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_by_ear),
    cmocka_unit_test(test_one_key_two_names),
    cmocka_unit_test(test_transposing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
