// A soundfont small enough to be written here: one tone of one loudness and
// pitch for every key, that begins and ends at once, so that a test can hear
// when; or a click, that ends by itself.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define TONE_SAMPLES 512u
#define TONE_ZEROS 46u // after the sample, as the format wants

typedef struct {
  uint8_t bytes[4096];
  size_t  size;
} ToneFont;

static inline void
tone_put(ToneFont* font, const void* bytes, size_t size)
{
  memcpy(font->bytes + font->size, bytes, size);
  font->size += size;
}

static inline void
tone_u16(ToneFont* font, unsigned value)
{
  const uint8_t bytes[2] = { value & 0xff, (value >> 8) & 0xff };
  tone_put(font, bytes, 2);
}

static inline void
tone_u32(ToneFont* font, uint32_t value)
{
  tone_u16(font, value & 0xffff);
  tone_u16(font, value >> 16);
}

static inline void
tone_name(ToneFont* font, const char* name)
{
  char bytes[20] = { 0 };
  snprintf(bytes, sizeof bytes, "%s", name);
  tone_put(font, bytes, sizeof bytes);
}

// Returns where the chunk's size is to be written.
static inline size_t
tone_begin(ToneFont* font, const char* id)
{
  tone_put(font, id, 4);
  tone_u32(font, 0);
  return font->size;
}

static inline void
tone_end(ToneFont* font, size_t begin)
{
  const uint32_t size = (uint32_t)(font->size - begin);
  for (int i = 0; i < 4; ++i) {
    font->bytes[begin - 4 + (size_t)i] = (uint8_t)(size >> (8 * i));
  }
}

// A chunk of 16-bit numbers.
static inline void
tone_numbers(ToneFont* font, const char* id, const int* numbers, size_t count)
{
  const size_t chunk = tone_begin(font, id);
  for (size_t i = 0; i < count; ++i) {
    tone_u16(font, (unsigned)numbers[i]);
  }
  tone_end(font, chunk);
}
#define TONE_NUMBERS(font, id, ...)                                            \
  tone_numbers(font,                                                           \
               id,                                                             \
               (const int[]){ __VA_ARGS__ },                                   \
               sizeof(int[]){ __VA_ARGS__ } / sizeof(int))

static inline void
tone_preset(ToneFont* font, const char* name, unsigned bank, unsigned bag)
{
  tone_name(font, name);
  tone_u16(font, 0);
  tone_u16(font, bank);
  tone_u16(font, bag);
  tone_u32(font, 0);
  tone_u32(font, 0);
  tone_u32(font, 0);
}

static inline void
tone_sample(ToneFont* font, const char* name, uint32_t end, uint32_t rate_hz)
{
  tone_name(font, name);
  const uint32_t numbers[] = { 0, end, 64, end ? end - 64 : 0, rate_hz };
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; ++i) {
    tone_u32(font, numbers[i]);
  }
  tone_u16(font, 60); // root key, no correction
  tone_u16(font, 0);
  tone_u16(font, 1); // mono
}

static inline void
tone_articulation(ToneFont* font, unsigned bank, bool is_click)
{
  const size_t list = tone_begin(font, "LIST");
  tone_put(font, "pdta", 4);
  size_t chunk = tone_begin(font, "phdr");
  tone_preset(font, "tone", bank, 0);
  tone_preset(font, "EOP", 0, 1);
  tone_end(font, chunk);
  TONE_NUMBERS(font, "pbag", 0, 0, 1, 0);
  TONE_NUMBERS(font, "pmod", 0, 0, 0, 0, 0);
  TONE_NUMBERS(font, "pgen", 41, 0, 0, 0); // instrument 0
  chunk = tone_begin(font, "inst");
  tone_name(font, "tone");
  tone_u16(font, 0);
  tone_name(font, "EOI");
  tone_u16(font, 1);
  tone_end(font, chunk);
  TONE_NUMBERS(font, "ibag", 0, 0, 4, 0);
  TONE_NUMBERS(font, "imod", 0, 0, 0, 0, 0);
  // Release of 8 ms, looped or not, the same pitch for all keys, sample 0.
  TONE_NUMBERS(font, "igen", 38, -8400, 54, !is_click, 56, 0, 53, 0, 0, 0);
  chunk = tone_begin(font, "shdr");
  tone_sample(font, "tone", TONE_SAMPLES, 48000);
  tone_sample(font, "EOS", 0, 0);
  tone_end(font, chunk);
  tone_end(font, list);
}

// A triangle of 16 samples, 3 kHz at 48000 Hz; a click lasts 11 ms. Its preset
// is `bank`, program 0. False: it could not be written.
static inline bool
tone_font_write(const char* path, unsigned bank, bool is_click)
{
  ToneFont     font = { .size = 0 };
  const size_t riff = tone_begin(&font, "RIFF");
  tone_put(&font, "sfbk", 4);
  size_t list = tone_begin(&font, "LIST");
  tone_put(&font, "INFO", 4);
  TONE_NUMBERS(&font, "ifil", 2, 1);
  size_t chunk = tone_begin(&font, "isng");
  tone_put(&font, "EMU8000", 8);
  tone_end(&font, chunk);
  chunk = tone_begin(&font, "INAM");
  tone_put(&font, "tone\0", 6);
  tone_end(&font, chunk);
  tone_end(&font, list);

  list = tone_begin(&font, "LIST");
  tone_put(&font, "sdta", 4);
  chunk = tone_begin(&font, "smpl");
  for (int i = 0; i < (int)(TONE_SAMPLES + TONE_ZEROS); ++i) {
    const int step = i % 16 < 8 ? i % 16 : 15 - i % 16;
    tone_u16(&font,
             (unsigned)(i < (int)TONE_SAMPLES ? 7000 * step - 24500 : 0));
  }
  tone_end(&font, chunk);
  tone_end(&font, list);
  tone_articulation(&font, bank, is_click);
  tone_end(&font, riff);

  FILE* const file = fopen(path, "wb");
  if (!file) {
    return false;
  }
  const bool written = fwrite(font.bytes, 1, font.size, file) == font.size;
  return fclose(file) == 0 && written;
}
