// Opening a device by name. The CUDA device is a module of its own, looked for
// and loaded only when it is asked for, so that the program runs on machines
// without CUDA. Any thread.
#include "cuda_module.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 4096

// `path` becomes the directory of this program; empty where it is not known.
static void
program_directory(char path[PATH_BYTES])
{
  const ssize_t length = readlink("/proc/self/exe", path, PATH_BYTES - 1);
  path[length > 0 ? length : 0] = '\0';
  char* const slash             = strrchr(path, '/');
  if (slash) {
    *slash = '\0';
  } else {
    *path = '\0';
  }
}

// Where the module lies: what MEANDER_CUDA_MODULE names (for tests), else
// beside the program in the build directory (or two above, for the tests'
// programs), else where it was installed.
static bool
find_module(char path[PATH_BYTES])
{
  const char* const given = secure_getenv("MEANDER_CUDA_MODULE");
  if (given) {
    return snprintf(path, PATH_BYTES, "%s", given) < PATH_BYTES &&
           !access(path, R_OK);
  }
  static const char* const places[] = { "%s/kernels/cuda/%s",
                                        "%s/../../kernels/cuda/%s",
                                        "%s/%s",
                                        "%s/../lib/meander/%s" };
  char                     directory[PATH_BYTES];
  program_directory(directory);
  // The name of a place is a format string here, known above.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  for (size_t i = 0; *directory && i < sizeof places / sizeof *places; ++i) {
    if (snprintf(path, PATH_BYTES, places[i], directory, CUDA_MODULE_FILE) <
          PATH_BYTES &&
        !access(path, R_OK)) {
      return true;
    }
  }
#pragma GCC diagnostic pop
  return snprintf(path,
                  PATH_BYTES,
                  "%s/%s",
                  MEANDER_INSTALLED_MODULES,
                  CUDA_MODULE_FILE) < PATH_BYTES &&
         !access(path, R_OK);
}

// Why the module could not be loaded, from what the loader says of `path`:
// "libcublas.so.13: cannot open shared object file: ...".
static Status
cannot_load(const char* path, Error* error)
{
  const char* const said    = dlerror();
  const char* const reason  = said ? said : "unknown";
  const char* const missing = ": cannot open shared object file";
  const char* const end     = strstr(reason, missing);
  if (end && strncmp(reason, path, strlen(path)) != 0) {
    return error_set(error,
                     STATUS_UNSUPPORTED,
                     "%.*s is missing: it comes with the CUDA toolkit",
                     (int)(end - reason),
                     reason);
  }
  return error_set(
    error, STATUS_UNSUPPORTED, "the CUDA module does not load: %.150s", reason);
}

// Modules stay loaded: CUDA's own libraries do not take well to being unloaded.
static Status
load_module(CudaModuleOpen* open, Error* error)
{
  char path[PATH_BYTES];
  if (!find_module(path)) {
    return error_set(
      error, STATUS_UNSUPPORTED, "no CUDA module (built without nvcc)");
  }
  // Before the module, which brings half a gigabyte of libraries. A module that
  // tests name may bring a driver of its own.
  if (!secure_getenv("MEANDER_CUDA_MODULE") &&
      !dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL)) {
    return error_set(error, STATUS_UNSUPPORTED, "no NVIDIA driver");
  }
  void* const module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!module) {
    return cannot_load(path, error);
  }
  // POSIX has it that a data pointer can hold a function's; C has not.
  void* const   abi_symbol  = dlsym(module, CUDA_MODULE_ABI_SYMBOL);
  void* const   open_symbol = dlsym(module, CUDA_MODULE_OPEN_SYMBOL);
  CudaModuleAbi abi;
  memcpy(&abi, &abi_symbol, sizeof abi);
  memcpy(open, &open_symbol, sizeof *open);
  if (!abi_symbol || !open_symbol || abi() != CUDA_MODULE_ABI) {
    return error_set(error,
                     STATUS_UNSUPPORTED,
                     "%.300s is of another build of meander: install both anew",
                     path);
  }
  return STATUS_OK;
}

// `gpu` < 0: the first that works.
static Status
open_cuda(int gpu, Device** out, char* why, Error* error)
{
  CudaModuleOpen open;
  const Status   status = load_module(&open, error);
  return status == STATUS_OK ? open(gpu, out, why, error) : status;
}

static Status
open_auto(Device** out, char* why, Error* error)
{
  Error reason = { 0 };
  if (open_cuda(-1, out, why, &reason) == STATUS_OK) {
    return STATUS_OK;
  }
  const Status status = device_open_cpu(NULL, out, error);
  if (status == STATUS_OK && why) {
    snprintf(
      why, DEVICE_WHY_BYTES, "%s (%.150s)", device_name(*out), reason.text);
  }
  return status;
}

// The number of "cuda:N"; "cuda" is the first. False: another name.
static bool
parse_cuda(const char* name, int* gpu)
{
  *gpu = 0;
  if (strncmp(name, "cuda", 4) != 0) {
    return false;
  }
  const char* const digits = name + 5;
  if (name[4] == ':' && *digits && strspn(digits, "0123456789") < 4) {
    *gpu = atoi(digits);
    return !digits[strspn(digits, "0123456789")];
  }
  return !name[4];
}

Status
device_open(const char* name, Device** out, char* why, Error* error)
{
  int gpu;
  *out = NULL;
  if (why) {
    *why = '\0';
  }
  if (!strcmp(name, "auto")) {
    return open_auto(out, why, error);
  }
  if (!strcmp(name, "cpu")) {
    const Status status = device_open_cpu(NULL, out, error);
    if (status == STATUS_OK && why) {
      snprintf(why, DEVICE_WHY_BYTES, "%s", device_name(*out));
    }
    return status;
  }
  if (!parse_cuda(name, &gpu)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "device '%.40s' does not exist: choose auto, cpu, cuda or "
                     "cuda:N, N the number of a GPU",
                     name);
  }
  Error        reason = { 0 };
  const Status status = open_cuda(gpu, out, why, &reason);
  if (status == STATUS_OK) {
    return STATUS_OK;
  }
  if (why) {
    *why = '\0';
  }
  return error_set(error,
                   status,
                   "device '%s' cannot be used: %.350s; choose auto or cpu to "
                   "run without it",
                   name,
                   reason.text);
}
