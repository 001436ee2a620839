#!/bin/sh
# meander-train prepare, from the outside, on made-up MIDI files: what it takes,
# what it leaves out and says, and that a data set is written whole or not at
# all. Usage: test_prepare.sh MEANDER_TRAIN
set -u

program=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

fail() {
  echo "FAIL: $*"
  failures=$((failures + 1))
}

# expect CODE COMMAND...: runs it into out and err.
expect() {
  wanted=$1
  shift
  "$@" >"$work/out" 2>"$work/err"
  code=$?
  [ "$code" = "$wanted" ] && return
  fail "exit code $code, not $wanted: $*"
  cat "$work/out" "$work/err"
}

# says FILE TEXT: FILE (out or err) holds TEXT.
says() {
  grep -qF -- "$2" "$work/$1" && return
  fail "no '$2' in $1:"
  cat "$work/$1"
}

# midi NOTES FIRST_KEY [FORMAT]: a MIDI file on stdout.
midi() {
  perl -e 'my ($notes, $first, $format) = @ARGV;
    my $track = join "", map { my $key = ($first + $_) % 127 + 1;
      pack "C*", 1, 0x90, $key, 100, 96, 0x80, $key, 64 } 0 .. $notes - 1;
    print "MThd", pack("Nn3", 6, $format, 1, 480),
      "MTrk", pack("N/a*", $track . "\0\xff\x2f\0")' "$1" "$2" "${3:-0}"
}

mkdir -p data/one data/two/deep
midi 20 40 >data/one/a.mid
midi 35 50 >data/one/b.MIDI
midi 16 60 >'data/two/deep/Étude, no. 3.mid'
midi 24 70 >data/two/c.mid
midi 7 40 >data/two/short.mid
midi 20 40 2 >data/two/format2.mid
midi 20 40 | head -c 60 >data/two/cut.mid
printf 'not music' >data/two/text.mid
: >data/two/empty.mid
ln -s /nonexistent data/two/dangling.mid
ln -s .. data/two/loop
printf 'not a .mid' >data/one/readme.txt
printf 'one/a.mid\r\n\ntwo/nowhere.mid\n' >list

expect 0 "$program" prepare data -o set.data --test-list list
says out 'files     10'
says out 'pieces    4 (train 3, test 1)'
says out 'notes     95 (train 75, test 20)'
says out 'windows   11 (train 9, test 2)'
says out 'rejected  6 files'
says out '1 cannot be read'
says out '3 broken or not MIDI'
says out '1 a format that is not read'
says out '1 shorter than a window'
says err 'data/two/cut.mid: byte 14'
says err 'data/two/text.mid: byte 0'
says err 'data/two/empty.mid: byte 0'
says err 'data/two/format2.mid: byte 8: format 2'
says err 'data/two/short.mid: 7 notes, fewer than a window of 8'
says err 'data/two/dangling.mid'
says err 'test list: no file is named two/nowhere.mid'
says err 'test list: 1 names without a file'
for name in one/a.mid one/b.MIDI 'deep/Étude, no. 3.mid' two/c.mid; do
  grep -qaF "$name" set.data || fail "$name is not in the data set"
done
[ "$(ls -A | tr '\n' ' ')" = 'data err list out set.data ' ] ||
  fail "something else was left: $(ls -A)"

# The same pieces make the same bytes: another place, another order of
# directories, one named twice, a path with dots.
mkdir other
cp -r data/two data/one other
expect 0 "$program" prepare other/two other/one/ other/one -o same.data -t list
cmp set.data same.data || fail 'the order of directories matters'
(cd data/one && expect 0 "$program" prepare . ../two -o ../../same.data \
  -t ../../list)
cmp set.data same.data || fail 'the place one stands at matters'

# The seed draws the split: some seed of twenty differs from the first.
expect 0 "$program" prepare data -o seed1.data --seed 1
expect 0 "$program" prepare data -o again.data --seed 1
cmp seed1.data again.data || fail 'one seed, two splits'
differs=0
for seed in $(seq 2 20); do
  "$program" prepare data -o again.data --seed "$seed" >out 2>err
  cmp -s seed1.data again.data || differs=1
done
[ $differs = 1 ] || fail 'the seed changes nothing'

expect 0 "$program" prepare data -o long.data --window 24 -t list
says out 'pieces    2 (train 2, test 0)'
says out 'windows   2 (train 2, test 0)'
says err 'two/deep/Étude, no. 3.mid: 16 notes, fewer than a window of 24'

# Wrong use.
expect 0 "$program" prepare --help
says out 'usage: meander-train prepare'
expect 2 "$program" prepare
expect 2 "$program" prepare data
says err '--output is missing'
expect 2 "$program" prepare -o x.data
says err 'no directory is given'
for wrong in '--seed=x' '--seed=-1' '--window=7' '--window=1e9' '--bogus'; do
  expect 2 "$program" prepare data -o x.data "$wrong"
done
[ -e x.data ] && fail 'wrong use wrote a file'

# What cannot be done says so, and what was there stays.
expect 1 "$program" prepare nowhere -o x.data
says err 'nowhere: cannot look inside: No such file'
expect 1 "$program" prepare data -o x.data -t nolist
says err 'nolist: cannot read'
expect 1 "$program" prepare data -o missing/x.data
says err 'missing/x.data: cannot write: No such file'
expect 1 "$program" prepare data -o data
says err 'data: cannot write: Is a directory'
mkdir empty
cp set.data kept.data
expect 1 "$program" prepare empty -o kept.data
says err 'empty: no .mid or .midi file in it'
cmp set.data kept.data || fail 'a failure changed the old file'

# A disk that takes no more: a limit on file size stands in for it.
midi 4000 1 >data/one/long.mid
(
  trap '' XFSZ
  ulimit -f 8
  "$program" prepare data -o kept.data >out 2>err
) 2>/dev/null
says err 'kept.data: cannot write: File too large'
cmp set.data kept.data || fail 'a full disk changed the old file'

# And a disk that is truly full, where we may mount one.
mkdir disk
if mount -t tmpfs -o size=8k meander disk 2>/dev/null; then
  expect 1 "$program" prepare data -o disk/x.data
  says err 'disk/x.data: cannot write: No space left'
  [ -z "$(ls -A disk)" ] || fail "left on the full disk: $(ls -A disk)"
  umount disk
else
  echo 'no right to mount: the full tmpfs is left out'
fi
ls -A | grep -q '\.tmp' && fail "a temporary file was left: $(ls -A)"

[ $failures = 0 ] && echo 'prepare: all as expected'
exit $((failures > 0))
