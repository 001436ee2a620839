#!/bin/sh
# ./start in a fresh copy of the tree, from another folder: builds, plays, and
# leaves a recording where it says; two at once do not disturb each other; a
# wrong option is one line and no recording.
#
# usage: test_start.sh SOURCE_ROOT
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/tree" "$work/elsewhere"
# What git knows, as it stands here; without git, all but build folders.
(cd "$1" && { git ls-files -co --exclude-standard 2>/dev/null || find . -path './build*' -prune -o -path ./.git -prune -o -type f -print; } |
  tar -cf - -T -) | tar -xf - -C "$work/tree"
cd "$work/elsewhere"
export MEANDER_SYNTH=none TERM=dumb

fail() {
  echo "FAIL: $*"
  cat "$work"/*.log
  exit 1
}

start() { # start LOG OPTION...
  log=$work/$1.log
  shift
  "$work/tree/start" --backend null "$@" >"$log" 2>&1
}

start one --seconds 2 &
first=$!
start two --seconds 2 --record mine.mid || fail 'the second player'
wait "$first" || fail 'the first player'
recording=$(sed -n 's/^meander: recorded in //p' "$work/one.log")
for file in "$recording" mine.mid; do
  [ "$(head -c 4 "$file" 2>/dev/null)" = MThd ] || fail "no MIDI file in '$file'"
done
case $recording in
"$work"/tree/recordings/*.mid) ;;
*) fail "recorded in '$recording'" ;;
esac

if start three --tempo 100; then
  fail '--tempo 100 was taken'
fi
grep -q -- '--tempo' "$work/three.log" || fail 'the error does not name --tempo'
[ "$(ls "$work/tree/recordings" | wc -l)" = 1 ] || fail 'an error left a recording'
start four --help || fail '--help'
grep -q -- '--connect' "$work/four.log" || fail '--help does not help'
echo "plays: $(grep 'first note' "$work/one.log")"
