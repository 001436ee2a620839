// Finds what ships with the program (presets/, models/weights/): in
// $MEANDER_DATA, beside a source tree's build folder, or where it was
// installed. Control thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define DATA_DIRECTORIES_MAX 3

// The folders to look in, best first; those that cannot be named are left out.
// Returns how many.
size_t data_directories(char paths[DATA_DIRECTORIES_MAX][1024]);

// Finds `relative` ("presets/calm.cfg") in the first folder that has it.
bool data_find(const char* relative, char* path, size_t size);

// Calls `visit` with the path of each file in `folder` ("presets") that ends in
// `suffix`, by name, the first folder's where a name occurs twice.
void data_list(const char* folder,
               const char* suffix,
               void (*visit)(const char* path, const char* name));
