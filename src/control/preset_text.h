// The text of a preset: what preset.c reads and preset_save.c writes. Control
// thread.
#pragma once

#include "control/preset.h"
#include "control/text_file.h"

// As a binding: what came before it is forgotten.
#define PRESET_NO_BINDINGS "none"

// `program` stays as it is where the setting is none.
Status preset_read_program(const config_setting_t* setting,
                           int*                    program,
                           Error*                  error);

// As preset_load_checked(), of `text` as if it stood in `path`, which need not
// exist, as the preset `name` (or empty).
Status preset_text_parse(const char*        name,
                         const char*        path,
                         const char*        text,
                         PresetBindingCheck check,
                         Preset*            preset,
                         Error*             error);
