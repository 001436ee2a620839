#!/bin/sh
# Everything of ours that waits for a GPU, in one call of under ten minutes:
# builds, holds the GPU against the CPU (parity, also under compute-sanitizer),
# measures sampling and training beside PyTorch's in the same run, and writes
# OUT/gpu.json and OUT/gpu.md.
#
# usage: tests/bench/gpu/run.sh OUT [DATA_SET]
# DATA_SET: of meander-train prepare; without one nothing is trained.
#
# Where the libraries to build with are missing, it runs what bundle.sh made on
# another machine and was carried here as build-gpu/bundle.tar.gz.
set -eu
cd "$(dirname "$0")/../../.."
out=${1:?usage: run.sh OUT [DATA_SET]}
data=${2:-}
mkdir -p "$out"
started=$(date +%s)

say() {
  printf '== %4d s  %s\n' "$(($(date +%s) - started))" "$*"
}

build=build-gpu
if pkg-config --exists cmocka libcjson libconfig 2>/dev/null; then
  say 'building'
  [ -f $build/build.ninja ] || meson setup $build -Dbuildtype=release -Dcuda=enabled \
    -Dgpu_archs="${GPU_ARCHS:-90}" >"$out/build.log"
  ninja -C $build >>"$out/build.log"
elif [ -f $build/bundle.tar.gz ]; then
  say 'using the bundle'
  tar -C $build -xzf $build/bundle.tar.gz
  build=$build/bundle
  export MEANDER_CUDA_MODULE="$PWD/$build/libmeander_cuda.so"
  cuda=$(find /usr/local/cuda*/lib64 /opt -name 'libcublas.so.13' 2>/dev/null | head -n 1)
  export LD_LIBRARY_PATH="$PWD/$build/lib:${cuda%/*}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
else
  echo 'run.sh: no libraries to build with, and no build-gpu/bundle.tar.gz' >&2
  exit 1
fi
program() { # NAME: where it lies in a build or in a bundle
  find "$build" -type f -name "$1" -perm -u+x | head -n 1
}

say 'parity'
failed=0
. tests/bench/gpu/tests.sh
for test in $tests; do
  path=$(program "$test")
  status=0
  "$path" >"$out/$test.log" 2>&1 || status=$?
  echo "$test: exit code $status"
  [ $status = 0 ] || failed=$((failed + 1))
done
status=0
"$(program parity_models)" models/weights/*.safetensors >"$out/parity_models.log" 2>&1 || status=$?
echo "parity_models: exit code $status"
[ $status = 0 ] || failed=$((failed + 1))
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck; do
    status=0
    timeout 90 compute-sanitizer --tool $tool --error-exitcode 9 "$(program parity_transformer)" \
      >"$out/$tool.log" 2>&1 || status=$?
    echo "compute-sanitizer $tool: exit code $status"
    [ $status = 0 ] || failed=$((failed + 1))
  done
fi
echo "$failed" >"$out/parity_failures"

say 'sampling'
vae=models/weights/vae.safetensors
diffusion=models/weights/diffusion.safetensors
"$(program bench_gpu)" cuda $vae $diffusion 2000 10000 >"$out/ours.json"

batch_vae=4096
batch_diffusion=1024
if [ -n "$data" ]; then
  say 'training'
  train=$(program meander-train)
  # 1,050 steps of 4,096 windows: the 4.3 million of one epoch of GiantMIDI.
  "$train" vae --data "$data" --config training/vae.cfg --out "$out/run-vae" \
    --device cuda --batch $batch_vae --steps 1050 >"$out/train-vae.log"
  "$train" diffusion --data "$data" --config training/diffusion.cfg \
    --out "$out/run-diffusion" --device cuda --batch $batch_diffusion --steps 200 \
    >"$out/train-diffusion.log"
fi

say 'PyTorch'
python3 tests/bench/gpu/reference.py $vae $diffusion 500 10000 $batch_vae $batch_diffusion \
  >"$out/torch.json" 2>"$out/torch.log" || echo "reference.py failed, see torch.log"

python3 tests/bench/gpu/report.py "$out"
say 'done'
cat "$out/gpu.md"
