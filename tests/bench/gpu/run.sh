#!/bin/sh
# Everything of ours that waits for a GPU, in one call of under ten minutes:
# builds, holds the GPU against the CPU (parity, also under compute-sanitizer),
# measures sampling and training beside PyTorch's in the same run, trains the
# default diffusion recipe, and writes OUT/gpu.json and OUT/gpu.md.
#
# usage: tests/bench/gpu/run.sh OUT [DATA_SET]
# DATA_SET: of meander-train prepare; else the one in the bundle; else one is
# made up, which is good for rates alone.
#
# What breaks, or takes longer than its limit, is named in the report, and the
# rest goes on; the exit code is then 1. Limits in seconds:
#   setup 90; checks 120 (all at once, and PyTorch compiles meanwhile);
#   sampling 85; three short trainings 15 each; PyTorch 90;
#   the recipe what is left of 570
# That is the sum; joining and cleaning up take seconds.
#
# OUT gets seven files of a few MB: gpu.md, gpu.json, what they were made of
# (ours.jsonl, torch.jsonl, stages.jsonl), run.log, recipe.safetensors.
#
# Where the libraries to build with are missing, it runs what bundle.sh made on
# another machine and was carried here as build-gpu/bundle.tar.gz. For tests:
# DEVICE=cpu, BUILD=(a folder that is built) and QUICK=1 (a few of everything).
set -u
absolute() {
  case $1 in
    /*) printf '%s\n' "$1" ;;
    *) printf '%s\n' "$PWD/$1" ;;
  esac
}
out=$(absolute "${1:?usage: run.sh OUT [DATA_SET]}")
data=${2:+$(absolute "$2")}
build=${BUILD:+$(absolute "$BUILD")}
cd "$(dirname "$0")/../../.." || exit
here=tests/bench/gpu
device=${DEVICE:-cuda}
mkdir -p "$out" || exit
rm -f "$out/gpu.md" "$out/gpu.json" "$out"/*.jsonl "$out/recipe.safetensors"
: >"$out/run.log" || exit
: >"$out/stages.jsonl"
# Logs of what runs at once, and trainings: never in the way of another run.
work=$(mktemp -d) || exit
trap 'rm -rf "$work"' EXIT
started=$(date +%s)
exec 3>&1

say() {
  printf '== %4d s  %s\n' "$(($(date +%s) - started))" "$*" >&3
}

# record KIND NAME LIMIT SECONDS STATUS: STATUS is an exit code or a word.
record() {
  printf '{"kind": "%s", "stage": "%s", "limit_s": %d, "seconds": %d, "status": "%s"}\n' \
    "$1" "$2" "$3" "$4" "$5" >>"$out/stages.jsonl"
  say "$2: $5"
}

# limited KIND NAME LIMIT COMMAND...: no longer than LIMIT seconds; a test on a busy
# machine has ten times as long.
limited() {
  kind=$1 name=$2 limit=$3${QUICK:+0}
  shift 3
  begun=$(date +%s)
  status=0
  timeout -k 5 "$limit" "$@" || status=$?
  record "$kind" "$name" "$limit" "$(($(date +%s) - begun))" "$status"
  return "$status"
}

# ours KIND NAME LIMIT PROGRAM ARGUMENT...: a program of ours, with the libraries
# that came with it, which nothing else here may see.
ours() {
  kind=$1 name=$2 limit=$3 program=$(program "$4")
  shift 4
  limited "$kind" "$name" "$limit" env \
    ${libraries:+"LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"} \
    ${module:+"MEANDER_CUDA_MODULE=$module"} "MEANDER_DATA=$PWD" "$program" "$@"
}

# Where NAME lies in a build or in a bundle, nowhere else.
program() {
  for folder in tests/parity tests/unit tests/bench; do
    if [ -x "$build/$folder/$1" ]; then
      printf '%s\n' "$build/$folder/$1"
      return
    fi
  done
  printf '%s\n' "$build/$1"
}

# 3: written, and it names what failed.
report() {
  status=0
  timeout 15 python3 $here/report.py "$out" || status=$?
  case $status in
    0 | 3) ;;
    *) say "report.py: exit code $status" ;;
  esac
  return $status
}

# --- Setup -------------------------------------------------------------------

can_build() {
  pkg-config --exists cmocka libcjson libconfig jack alsa openblas 2>/dev/null
}

build_here() {
  build=$PWD/build-gpu
  if [ ! -f "$build/build.ninja" ]; then
    limited setup configure 20 meson setup "$build" -Dbuildtype=release -Dcuda=enabled \
      -Dgpu_archs="${GPU_ARCHS:-90}" || return
  fi
  limited setup build 70 ninja -C "$build"
} >>"$out/run.log" 2>&1

# lib64 is a link as a rule, hence -L.
find_cublas() {
  for folder in /usr/local/cuda*/lib64 /usr/local/cuda*/targets/*/lib /opt; do
    found=$(find -L "$folder" -name libcublas.so.13 2>/dev/null | head -n 1)
    if [ -n "$found" ]; then
      dirname "$found"
      return
    fi
  done
}

unpack_bundle() {
  build=$PWD/build-gpu/bundle
  rm -rf "$build"
  limited setup bundle 30 tar -C build-gpu -xzf build-gpu/bundle.tar.gz >>"$out/run.log" 2>&1 ||
    return
  # The toolkit and the driver want the machine's own, no older, which came with
  # its compiler.
  for library in libstdc++.so.6 libgcc_s.so.1; do
    if ldconfig -p 2>/dev/null | grep -q "$library"; then
      rm -f "$build/lib/$library"
    fi
  done
  record revision "$(cat "$build/revision")" 0 0 0
  cublas=$(find_cublas)
  libraries=$build/lib${cublas:+:$cublas}
}

libraries=
module=
if [ -z "$build" ]; then
  { can_build && build_here; } || { [ -f build-gpu/bundle.tar.gz ] && unpack_bundle; } || {
    record setup build 0 0 'nothing to run: cannot build here, and no bundle'
    report
    exit 1
  }
fi
for file in "$build/libmeander_cuda.so" "$build/kernels/cuda/libmeander_cuda.so"; do
  # Named, a program that cannot use it fails: it does not make do with the CPU.
  if [ "$device" != cpu ] && [ -f "$file" ]; then
    module=$file
  fi
done

# shellcheck source=tests/bench/gpu/tests.sh
. $here/tests.sh
sanitised=$parity_tests
latencies=1000 many=10000 batch_vae=4096 batch_diffusion=1024
# 1,050 steps of 4,096 windows: the 4.3 million of one epoch of GiantMIDI.
steps_vae=1050 steps_diffusion=200 steps_probe=300 pieces=200 torch_latencies=300
if [ -n "${QUICK:-}" ]; then
  unit_tests=test_kernels_optimiser
  latencies=2 many=4 batch_vae=8 batch_diffusion=4 torch_latencies=2
  steps_vae=2 steps_diffusion=2 steps_probe=1 pieces=10
fi
vae=models/weights/vae.safetensors
diffusion=models/weights/diffusion.safetensors

if [ -n "$data" ]; then
  record data 'the one given' 0 0 0
elif [ -f "$build/notes.data" ]; then
  data=$build/notes.data
  record data 'that of the shipped weights, from the bundle' 0 0 0
else
  data=$work/notes.data
  {
    python3 $here/made_up.py "$work/midi" $pieces
    ours data 'made up, no music' 20 meander-train prepare "$work/midi" -o "$data"
  } >>"$out/run.log" 2>&1
fi

# --- Checks: all at once, since nothing is timed -----------------------------

# sanitise TOOL TEST LIMIT: not every virtual machine lets the sanitizer in.
sanitise() {
  log=$work/$1-$2.log
  begun=$(date +%s)
  status=0
  PARITY_QUICK=1 timeout -k 5 "$3" env \
    ${libraries:+"LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"} \
    ${module:+"MEANDER_CUDA_MODULE=$module"} \
    compute-sanitizer --tool "$1" --error-exitcode 9 "$(program "$2")" >"$log" 2>&1 || status=$?
  if grep -q 'Device not supported' "$log"; then
    status='the device is not supported'
  fi
  record sanitizer "$1 $2" "$3" "$(($(date +%s) - begun))" "$status"
}

reference() {
  limited "$1" "$2" "$3" python3 $here/reference.py "$device" $vae $diffusion $torch_latencies \
    $many $batch_vae $batch_diffusion
}

say 'checks'
# What it compiles now it finds in its cache later.
export TORCHINDUCTOR_CACHE_DIR="$work/inductor" TRITON_CACHE_DIR="$work/triton"
reference setup 'PyTorch compiles' 120 >"$work/compile.log" 2>&1 &
for test in $parity_tests $unit_tests; do
  ours parity "$test" 100 "$test" >"$work/$test.log" 2>&1 &
done
ours parity parity_models 100 parity_models models/weights/*.safetensors \
  >"$work/parity_models.log" 2>&1 &
for tool in memcheck racecheck; do
  for test in $sanitised; do
    if [ "$device" = cpu ]; then
      record sanitizer "$tool $test" 0 0 'no GPU'
    elif command -v compute-sanitizer >/dev/null; then
      sanitise $tool "$test" 110 &
    else
      record sanitizer "$tool $test" 0 0 'no compute-sanitizer here'
    fi
  done
done
wait
for log in "$work"/*.log; do
  printf '\n== %s\n' "${log##*/}"
  tail -n 200 "$log"
done >>"$out/run.log"

# --- Figures: one at a time --------------------------------------------------

say 'figures'
ours measure sampling 85 bench_gpu "$device" $vae $diffusion $latencies $many \
  >"$out/ours.jsonl" 2>>"$out/run.log"

# train NAME LIMIT KIND ARGUMENT...: and what its log tells, however it ended.
train() {
  label=$1 most=$2 what=$3
  shift 3
  ours measure "training: $label" "$most" meander-train "$what" --data "$data" \
    --config "training/$what.cfg" --out "$work/$label" --device "$device" "$@" \
    >>"$out/run.log" 2>&1
  if [ -f "$work/$label/log.csv" ]; then
    python3 $here/training_log.py "$label" "$work/$label/log.csv" >>"$out/ours.jsonl"
    cat "$work/$label/log.csv" >>"$out/run.log"
  fi
}
train vae_train 15 vae --batch $batch_vae --steps $steps_vae
train diffusion_train 15 diffusion --batch $batch_diffusion --steps $steps_diffusion
train recipe_probe 15 diffusion --steps $steps_probe
report

reference measure PyTorch 90 >"$out/torch.jsonl" 2>>"$out/run.log"
report

# As it is shipped, with all its saves and held-out figures: a tenth more.
needs=$(python3 $here/report.py --recipe-seconds "$out")
left=$((570 - ($(date +%s) - started)))
if [ -z "$needs" ]; then
  record measure 'training: recipe' 0 0 'the first steps failed'
elif [ $((needs * 11 / 10)) -lt $left ]; then
  train recipe $left diffusion
  cp "$work/recipe/checkpoint.safetensors" "$out/recipe.safetensors" 2>>"$out/run.log"
else
  record measure 'training: recipe' $left 0 "would take $needs s"
fi
status=0
report || status=1
say 'done'
cat "$out/gpu.md"
exit $status
