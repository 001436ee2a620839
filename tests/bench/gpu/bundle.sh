#!/bin/sh
# Puts what run.sh needs into build-gpu/bundle, for a machine with a GPU that has
# none of the libraries: the programs, the module and their shared libraries, but
# for the C library's and CUDA's own.
set -eu
cd "$(dirname "$0")/../../.."
[ -f build-gpu/build.ninja ] || meson setup build-gpu -Dbuildtype=release -Dcuda=enabled \
  -Dgpu_archs="${GPU_ARCHS:-90}"
ninja -C build-gpu
rm -rf build-gpu/bundle
mkdir -p build-gpu/bundle/lib
for name in meander-train bench_gpu libmeander_cuda.so parity_basic parity_optimiser \
  parity_transformer parity_models parity_data test_kernels test_kernels_linear \
  test_kernels_optimiser test_kernels_transformer test_kernels_attention \
  test_kernels_fused test_replay; do
  path=$(find build-gpu -path build-gpu/bundle -prune -o -type f -name "$name" -perm -u+x -print |
    head -n 1)
  [ -n "$path" ] || continue
  strip -o "build-gpu/bundle/$name" "$path"
  chmod +x "build-gpu/bundle/$name"
  ldd "$path" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }'
done | sort -u | grep -Ev '/(libc|libm|libdl|librt|libpthread|libcu[a-z]*)\.so' |
  xargs -I{} cp -L {} build-gpu/bundle/lib/
du -sh build-gpu/bundle
