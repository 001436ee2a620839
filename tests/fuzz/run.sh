#!/bin/sh
# Fuzzes MIDI file reading for SECONDS (default 30) on one core. Seeds: the
# bytes of the golden cases, and real files where the data is at hand. Leaves
# nothing in the tree; an input that breaks it is printed and kept in /tmp.
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
mkdir "$work/corpus"

"$clang" -std=gnu17 -D_GNU_SOURCE -g -O1 -I"$root/core" \
  -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
  "$root/tests/fuzz/fuzz_smf.c" \
  "$root/core/music/smf.c" "$root/core/music/smf_write.c" \
  "$root/core/music/tempo_map.c" "$root/core/music/condense.c" \
  "$root/core/music/note.c" "$root/core/file.c" "$root/core/status.c" \
  -lm -o "$work/fuzz_smf"

# One seed for each golden case.
cat "$root"/tests/golden/smf/*.txt | perl -ne '
  if (/^== /) { close S; open S, ">:raw", "$dir/golden" . ++$n or die $!; }
  elsif (s/^< //) { s/#.*|\s//sg; print S pack "H*", $_; }
  BEGIN { $dir = shift; }
' "$work/corpus"
if [ -d "$data" ]; then
  # The smallest of each folder: a fuzzer does best with small seeds.
  for folder in "$data"/*/; do
    find "$folder" -name '*.mid' -printf '%s %p\n' | sort -n | head -n 20 |
      while read -r _ file; do
        cp "$file" "$work/corpus/real-$(cksum <"$file" | tr -d ' ')"
      done
  done
fi
echo "fuzz: $(ls "$work/corpus" | wc -l) seeds, $seconds s"

log=$work/log
if ! "$work/fuzz_smf" -max_total_time="$seconds" -timeout=10 \
  -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 -verbosity=0 \
  -artifact_prefix="$work/crash-" "$work/corpus" >"$log" 2>&1; then
  keep=$(mktemp -d)
  cp "$work"/crash-* "$keep" 2>/dev/null || true
  tail -n 40 "$log"
  echo "fuzz: FAILED; the input is kept in $keep"
  exit 1
fi
grep -E 'number_of_executed_units|average_exec|peak_rss' "$log" || true
echo 'fuzz: nothing found'
