#!/bin/sh
# Fuzzes the reading of MIDI files, checkpoints, presets, stored points and OSC
# packets, SECONDS (default 30) on one core each. Seeds: the bytes of the golden
# cases, a small checkpoint, the shipped presets, a bundle, and real MIDI files
# where the data is at hand. Leaves nothing in the tree; an input that breaks a
# reader is kept and its place printed. Exit code 77: no clang.
set -eu

seconds=${1:-30}
root=$(cd "$(dirname "$0")/../.." && pwd)
data=${MEANDER_DATA_DIR:-$root/../shared/data}
clang=$(command -v clang || command -v clang-14 || true)
if [ -z "$clang" ]; then
  echo 'fuzz: skipped, there is no clang here'
  exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/smf" "$work/checkpoint" "$work/preset" "$work/points" "$work/osc"

# fuzz NAME ARGUMENT...: builds fuzz_NAME.c with these sources and libraries, and
# runs it on the seeds of $work/NAME.
fuzz() {
  name=$1
  shift
  log=$work/$name.log
  (cd "$root" && "$clang" -std=gnu17 -D_GNU_SOURCE -g -O1 -Icore -Ikernels -Imodels -Isrc -Itests/unit \
    -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
    "tests/fuzz/fuzz_$name.c" "$@" -lm -o "$work/fuzz_$name")
  echo "fuzz $name: $(ls "$work/$name" | wc -l) seeds, $seconds s"
  if ! "$work/fuzz_$name" -max_total_time="$seconds" -timeout=10 \
    -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 -verbosity=0 \
    -artifact_prefix="$work/crash-$name-" "$work/$name" >"$log" 2>&1; then
    keep=$(mktemp -d)
    cp "$work/crash-$name-"* "$keep" 2>/dev/null || true
    tail -n 40 "$log"
    echo "fuzz $name: FAILED; the input is kept in $keep"
    exit 1
  fi
  sed -n 's/^stat::number_of_executed_units: */runs: /p' "$log"
  echo "fuzz $name: nothing found"
}

# One seed for each golden case.
cat "$root"/tests/golden/smf/*.txt | perl -ne '
  if (/^== /) { close S; open S, ">:raw", "$dir/golden" . ++$n or die $!; }
  elsif (s/^< //) { s/#.*|\s//sg; print S pack "H*", $_; }
  BEGIN { $dir = shift; }
' "$work/smf"
if [ -d "$data" ]; then
  # The smallest of each folder: a fuzzer does best with small seeds.
  for folder in "$data"/*/; do
    find "$folder" -name '*.mid' -printf '%s %p\n' | sort -n | head -n 20 |
      while read -r _ file; do
        cp "$file" "$work/smf/real-$(cksum <"$file" | tr -d ' ')"
      done
  done
fi
fuzz smf core/music/smf.c core/music/smf_write.c core/music/tempo_map.c \
  core/music/condense.c core/music/note.c core/file.c core/status.c

perl -e 'my $h = q({"__metadata__":{"kind":"vae","size":"8"},)
  . q("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}});
  $h .= " " x (-length($h) % 8);
  print pack("Q<", length $h), $h, pack("f<2", 1, 2);' >"$work/checkpoint/one"
fuzz checkpoint models/checkpoint.c models/checkpoint_header.c \
  models/checkpoint_json.c models/checkpoint_write.c core/file.c \
  core/status.c -lcjson

perl -e 'sub m { pack "Z*x!4", $_[0] } my $a = m("/a") . m(",isb") .
  pack("N", 1) . m("xyz") . pack("Nx4", 2); my $b = m("/b") . m(",TNhd") .
  "\0" x 16; sub p { "#bundle\0" . "\0" x 8 . join "", map { pack("N/a*", $_) } @_ }
  print p($a, p($b, $a), $b);' >"$work/osc/one"
fuzz osc src/control/osc_packet.c src/control/osc_socket.c core/status.c -llo

# A home of its own, for what gets saved.
mkdir -p "$work/home/meander/presets"
export XDG_CONFIG_HOME="$work/home" XDG_STATE_HOME="$work/home" MEANDER_DATA="$root"
cp "$root"/presets/*.cfg "$work/preset"
printf '%s\n' 'inherits = ( "calm", "glass" )' 'eta = 0.5; sampler = "ddim"' \
  'bindings = [ "cc 1 = tempo", "none", "cc 2 = \"pull\"" ]' >"$work/preset/all"
fuzz preset -DMEANDER_INSTALLED_DATA='"/nowhere"' src/control/preset.c \
  src/control/preset_list.c src/control/preset_save.c src/control/text_file.c \
  src/control/midi_binding.c src/control/midi_in.c src/control/midi_learn.c \
  src/control/midi_map.c src/control/action.c src/control/action_text.c \
  src/data_path.c src/live/params.c core/music/scale.c core/file.c core/status.c -lconfig

printf '%s\n' 'meander_points = 1' \
  'points = ({ slot = 1; model = "0a"; stored = 5L; z = [0.5, -1e-7] },' \
  '{ slot = 2; model = "0123456789abcdef"; stored = -1; z = (3.0) })' >"$work/points/two"
fuzz points -DMEANDER_INSTALLED_DATA='"/nowhere"' src/control/state_file.c \
  src/control/text_file.c src/data_path.c core/file.c core/status.c -lconfig
