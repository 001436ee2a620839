# What ./start and ./check share: the packages and how they get installed. To be
# sourced by a POSIX shell; configure() wants the source tree as the current
# directory.

packages_build='build-essential meson ninja-build pkg-config libjack-jackd2-dev
libasound2-dev libconfig-dev libopenblas-pthread-dev libcjson-dev libfluidsynth-dev
libglib2.0-dev liblo-dev libncurses-dev'

# To hear something: a General MIDI soundfont, and a synth for JACK. Of what Debian
# has this one has the best piano: 20 stereo recordings at 32 kHz, a minute in all.
# timgm6mb-soundfont (5 MB to fetch, not 120) has 9 mono ones at 22 kHz, four
# seconds in all; it comes with libfluidsynth3 and plays where this one is missing.
packages_play='fluidsynth fluid-soundfont-gm'

packages_test='libcmocka-dev jackd2 alsa-utils liblo-tools tmux clang libclang-rt-14-dev
clang-format python3 python3-numpy perl qemu-system-x86 busybox-static cpio kmod xz-utils procps'

say() {
  printf '%s: %s\n' "${0##*/}" "$*"
}

stop() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# need PACKAGE...: installs those that are missing, asking for root only then.
need() {
  if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-query >/dev/null 2>&1; then
    say "this script installs with apt, which is not here. On your distribution, install what stands for:"
    printf '  %s\n' "$@"
    stop 'then: meson setup build -Dbuildtype=release -Dtests=false && ninja -C build && build/meander'
  fi
  missing=
  for package in "$@"; do
    if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
      missing="$missing $package"
    fi
  done
  [ -z "$missing" ] && return 0
  say "installing:$missing"
  if [ "$(id -u)" = 0 ]; then
    root=
  elif command -v sudo >/dev/null 2>&1; then
    root=sudo
  else
    stop "run as root: apt-get install --no-install-recommends$missing"
  fi
  # shellcheck disable=SC2086
  { $root apt-get update -q && $root env DEBIAN_FRONTEND=noninteractive \
      apt-get install -q -y --no-install-recommends $missing; } >setup.log 2>&1 || {
    tail -n 20 setup.log >&2
    stop "apt could not install:$missing (all of its output is in setup.log)"
  }
  rm -f setup.log
}

# The CUDA module takes a minute to compile: only where there is a GPU, for that
# one, and where NVIDIA's compiler is installed.
gpu_options() {
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null |
    head -n 1 | tr -dc 0-9)
  if [ -n "$capability" ]; then
    printf '%s' "-Dcuda=auto -Dgpu_archs=$capability"
  else
    printf '%s' -Dcuda=disabled
  fi
}

# configure DIRECTORY OPTION...: a build directory with these options, whether it
# is there already or not, and whatever version of the tree it was made for.
configure() {
  directory=$1
  shift
  again=
  [ ! -f "$directory/build.ninja" ] || again=--reconfigure
  # shellcheck disable=SC2086
  mkdir -p "$directory"
  meson setup $again "$directory" "$@" >"$directory/setup.log" 2>&1 || {
    cat "$directory/setup.log" >&2
    stop "meson could not set up $directory; if it is from another time, remove it and try again"
  }
}
