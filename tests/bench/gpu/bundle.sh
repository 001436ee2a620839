#!/bin/sh
# Puts what run.sh needs into build-gpu/bundle.tar.gz, for a machine with a GPU that has
# none of the libraries: the programs, the module and their shared libraries, but
# for the C library's and CUDA's own, and the data set of the shipped weights.
#
# usage: tests/bench/gpu/bundle.sh [FOLDER]
# FOLDER: of the music, with test-pieces.txt in it; ../shared/data unless told.
# Without it the bundle has no data set, and nothing is learnt from what it trains on.
set -eu
music=$(realpath -m "${1:-$(dirname "$0")/../../../../shared/data}")
cd "$(dirname "$0")/../../.."
[ -f build-gpu/build.ninja ] || meson setup build-gpu -Dbuildtype=release -Dcuda=enabled \
  -Dgpu_archs="${GPU_ARCHS:-90}"
ninja -C build-gpu
bundle=build-gpu/bundle
rm -rf $bundle
mkdir -p $bundle/lib
# shellcheck source=tests/bench/gpu/tests.sh
. tests/bench/gpu/tests.sh
# shellcheck disable=SC2086
for name in meander-train tests/bench/bench_gpu kernels/cuda/libmeander_cuda.so \
  tests/parity/parity_models $(printf 'tests/parity/%s ' $parity_tests) \
  $(printf 'tests/unit/%s ' $unit_tests); do
  strip -o "$bundle/${name##*/}" "build-gpu/$name"
  chmod +x "$bundle/${name##*/}"
  ldd "build-gpu/$name" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }'
done | sort -u | grep -Ev '/(libc|libm|libdl|librt|libpthread|libcu[a-zA-Z]*)\.so' |
  xargs -I{} cp -L {} $bundle/lib/
git describe --always --dirty >$bundle/revision
if [ -f "$music/test-pieces.txt" ]; then
  build-gpu/meander-train prepare "$music"/*/ -o $bundle/notes.data \
    --test-list "$music/test-pieces.txt"
fi
tar -C build-gpu -czf $bundle.tar.gz bundle
ls -l $bundle.tar.gz
