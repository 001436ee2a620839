#!/bin/sh
# Puts what run.sh needs into build-gpu/bundle.tar.gz, for a machine with a GPU that has
# none of the libraries: the programs, the module and their shared libraries, but
# for the C library's and CUDA's own.
set -eu
cd "$(dirname "$0")/../../.."
[ -f build-gpu/build.ninja ] || meson setup build-gpu -Dbuildtype=release -Dcuda=enabled \
  -Dgpu_archs="${GPU_ARCHS:-90}"
ninja -C build-gpu
rm -rf build-gpu/bundle
mkdir -p build-gpu/bundle/lib
. tests/bench/gpu/tests.sh
for name in meander-train bench_gpu libmeander_cuda.so parity_models $tests; do
  path=$(find build-gpu -path build-gpu/bundle -prune -o -type f -name "$name" -perm -u+x -print |
    head -n 1)
  strip -o "build-gpu/bundle/$name" "$path"
  chmod +x "build-gpu/bundle/$name"
  ldd "$path" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }'
done | sort -u | grep -Ev '/(libc|libm|libdl|librt|libpthread|libcu[a-zA-Z]*)\.so' |
  xargs -I{} cp -L {} build-gpu/bundle/lib/
tar -C build-gpu -czf build-gpu/bundle.tar.gz bundle
ls -l build-gpu/bundle.tar.gz
