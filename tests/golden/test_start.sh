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
# No JACK server, and a file for an audio device.
export JACK_DEFAULT_SERVER=meander-test-none TERM=dumb
export MEANDER_AUDIO_DRIVER=file MEANDER_AUDIO_FILE=$work/audio.wav

fail() {
  echo "FAIL: $*"
  cat "$work"/*.log
  exit 1
}

start_as_it_comes() { # start_as_it_comes LOG OPTION...
  log=$work/$1.log
  shift
  "$work/tree/start" "$@" >"$log" 2>&1
}

start() {
  log_name=$1
  shift
  start_as_it_comes "$log_name" --backend null "$@"
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

start_as_it_comes five --seconds 2 || fail 'nothing named'
grep -q 'backend synth' "$work/five.log" || fail 'an audio device is not taken'
[ "$(wc -c <"$work/audio.wav")" -gt 300000 ] || fail 'no sound'
[ -z "$(tail -c +45 "$work/audio.wav" | tr -d '\000' | head -c 1)" ] && fail 'silence'
echo "plays: $(grep 'first note' "$work/one.log")"
