#!/usr/bin/env python3
"""Runs a shell script in a virtual machine that has a real ALSA sequencer.

Few test machines load snd-seq, so Debian's own kernel package is booted in QEMU
(software emulation: KVM is not needed and not used), with a root file system
that is built here: busybox, the kernel's sound modules, the programs asked for
and the libraries that they link. Nothing needs root. The guest script finds

  load_sound [NAME...]  loads the sound modules, or only those named
  /out                  its files come back to the caller

    run_vm.py --cache DIR --script FILE [--file HOST=GUEST ...] PROGRAM...

prints the guest's console and exits with the script's status, or with 77 when
QEMU is not installed or apt cannot get the kernel package. Anything else that
is missing is a failure.
"""

import argparse
import fcntl
import io
import lzma
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import time

SKIP = 77

MODULES = """soundcore snd snd-timer snd-hrtimer snd-seq-device snd-rawmidi
snd-ump snd-seq snd-seq-midi-event snd-seq-midi snd-seq-virmidi snd-virmidi
snd-seq-dummy""".split()

# The guest's clock counts its instructions (4 ns each) and jumps over its
# sleeps: a loaded host cannot stall the guest, and timing repeats.
CLOCK = ["-icount", "shift=2,sleep=off", "-rtc", "clock=vm"]

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir /dev/shm
mount -t tmpfs shm /dev/shm
exec </dev/console >/dev/console 2>&1
export PATH=/bin:/usr/bin HOME=/ TERM=dumb LD_LIBRARY_PATH=%(libraries)s
ip link set lo up
echo guest: up
cd /
sh /guest.sh
echo $? >/out/status
stty -F /dev/ttyS1 raw
tar c -C /out . >/dev/ttyS1
poweroff -f
"""

LOAD_SOUND = """#!/bin/sh
for name in ${*:-%(modules)s}; do
  test -e /modules/$name.ko && insmod /modules/$name.ko
done
"""


class Skip(Exception):
    """What is missing on this machine, for the notice."""


class Broken(Exception):
    """What else keeps the machine from starting: a failure."""


def run_tool(command, problem, **options):
    """Its output. Raises `problem` (Skip or Broken) when it fails."""
    try:
        return subprocess.run(
            command, check=True, capture_output=True, text=True, **options
        ).stdout
    except FileNotFoundError as error:
        raise problem(f"{command[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip().splitlines()
        raise problem(
            f"{' '.join(command)}: {reason[-1] if reason else error}"
        ) from error


def fetch_kernel(cache):
    """Downloads and unpacks the kernel package once; returns (image, modules)."""
    os.makedirs(cache, exist_ok=True)
    with open(os.path.join(cache, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        return unpack_kernel(cache)


def unpack_kernel(cache):
    done = os.path.join(cache, "kernel")
    if not os.path.isdir(done):
        depends = run_tool(["apt-cache", "depends", "linux-image-amd64"], Skip)
        package = re.search(r"Depends: (linux-image-\S+)", depends)
        if not package:
            raise Skip("apt knows no linux-image-amd64 (a Debian package)")
        partial = done + ".partial"  # of a run that was killed
        shutil.rmtree(partial, ignore_errors=True)
        os.makedirs(partial)
        run_tool(["apt-get", "download", package.group(1)], Skip, cwd=partial)
        package_file = os.path.join(partial, os.listdir(partial)[0])
        unpack = subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", package_file],
            stdout=subprocess.PIPE,
        )
        wanted = ["./boot/vmlinuz-*", "*/kernel/sound/*"]
        run_tool(
            ["tar", "x", "-C", partial, "--wildcards"] + wanted,
            Broken,
            stdin=unpack.stdout,
        )
        if unpack.wait() != 0:
            raise Broken(f"{package_file} does not unpack")
        os.remove(package_file)
        os.rename(partial, done)
    image = None
    modules = {}
    for folder, _, names in os.walk(done):
        for name in names:
            path = os.path.join(folder, name)
            if name.startswith("vmlinuz-"):
                image = path
            match = re.fullmatch(r"(.*)\.ko(\.xz)?", name)
            if match:
                modules[match.group(1)] = path
    if not image or not modules:
        raise Broken(f"{done} holds no kernel or no modules: remove it")
    return image, modules


def read_module(path):
    opener = lzma.open if path.endswith(".xz") else open
    with opener(path, "rb") as file:
        return file.read()


class Archive:
    """An initramfs in cpio's "newc" format; device nodes need no root here."""

    def __init__(self):
        self.out = io.BytesIO()
        self.folders = {""}
        self.files = set()

    def _entry(self, name, mode, data=b"", device=(0, 0)):
        encoded = name.encode() + b"\0"
        fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0]
        self.out.write(b"070701" + b"".join(b"%08x" % f for f in fields))
        self.out.write(encoded)
        self._pad()
        self.out.write(data)
        self._pad()

    def _pad(self):
        self.out.write(b"\0" * (-self.out.tell() % 4))

    def folder(self, path):
        path = path.strip("/")
        if path not in self.folders:
            self.folder(os.path.dirname(path))
            self.folders.add(path)
            self._entry(path, stat.S_IFDIR | 0o755)

    def file(self, path, data, mode=0o755):
        if path not in self.files:
            self.files.add(path)
            self.folder(os.path.dirname(path))
            self._entry(path.strip("/"), stat.S_IFREG | mode, data)

    def copy(self, host, guest):
        if os.path.isdir(host):
            for name in sorted(os.listdir(host)):
                self.copy(os.path.join(host, name), os.path.join(guest, name))
        elif os.path.isfile(host):
            with open(host, "rb") as file:
                self.file(guest, file.read())

    def device(self, path, major, minor):
        self.folder(os.path.dirname(path))
        self._entry(
            path.strip("/"), stat.S_IFCHR | 0o600, device=(major, minor)
        )

    def finish(self):
        self._entry("TRAILER!!!", 0)
        return self.out.getvalue()


def libraries_of(program):
    try:
        text = subprocess.run(
            ["ldd", program], capture_output=True, text=True, check=False
        ).stdout
    except FileNotFoundError as error:
        raise Broken("ldd is not installed") from error
    return re.findall(r"(/\S+) \(0x", text)


def find_program(name, problem=Broken):
    path = name if os.path.exists(name) else shutil.which(name)
    if not path:
        raise problem(f"{name} is not installed")
    return path


def build_initramfs(modules, script, programs, files):
    archive = Archive()
    for folder in ("proc", "sys", "dev", "tmp", "out", "usr/bin"):
        archive.folder(folder)
    archive.device("dev/console", 5, 1)
    archive.copy(find_program("busybox"), "/bin/busybox")
    folders = []
    for program in map(find_program, programs):
        archive.copy(program, "/usr/bin/" + os.path.basename(program))
        for library in libraries_of(program):
            archive.copy(library, library)
            folders.append(os.path.dirname(library))
    archive.copy("/usr/share/alsa", "/usr/share/alsa")
    for host, guest in files:
        archive.copy(host, guest)
    present = [name for name in MODULES if name in modules]
    for name in present:
        archive.file(f"/modules/{name}.ko", read_module(modules[name]))
    values = {
        "libraries": ":".join(dict.fromkeys(folders)),
        "modules": " ".join(present),
    }
    archive.file("/bin/load_sound", (LOAD_SOUND % values).encode())
    archive.file("/init", (INIT % values).encode())
    archive.file("/guest.sh", script.encode())
    return archive.finish()


def read_results(path):
    """The guest's /out, by name."""
    results = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile():
                    name = member.name.removeprefix("./")
                    results[name] = archive.extractfile(member).read()
    except tarfile.TarError:
        pass  # the guest did not get that far; its console says why
    return results


def run_vm(cache, script, programs, files=(), memory_mb=768, timeout_s=240):
    """Returns (exit status, console text, {name: bytes} of the guest's /out).

    Exit status None: the guest did not end by itself. Raises Skip, Broken.
    """
    qemu = find_program("qemu-system-x86_64", Skip)
    image, modules = fetch_kernel(cache)
    work = os.path.join(cache, f"run-{os.getpid()}")
    os.makedirs(work, exist_ok=True)
    initramfs = os.path.join(work, "initramfs")
    results = os.path.join(work, "results.tar")
    try:
        with open(initramfs, "wb") as file:
            file.write(build_initramfs(modules, script, programs, files))
        command = [qemu, "-accel", "tcg", "-cpu", "max", "-m", str(memory_mb)]
        command += ["-display", "none", "-no-reboot", "-nic", "none"]
        command += ["-serial", "stdio", "-monitor", "none"]
        command += ["-serial", f"file:{results}"]
        command += ["-kernel", image, "-initrd", initramfs]
        command += ["-append", "console=ttyS0 quiet panic=-1"]
        command += CLOCK
        try:
            console = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
            ).stdout
        except subprocess.TimeoutExpired as error:
            console = (error.stdout or b"") + b"\nguest: timed out\n"
        found = read_results(results)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    status = found.pop("status", None)
    return (
        int(status) if status else None,
        console.decode(errors="replace").replace("\r", ""),
        found,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", required=True, help="keeps the kernel")
    parser.add_argument("--script", required=True, help="run in the guest")
    parser.add_argument("--out", help="folder for the guest's /out")
    parser.add_argument("--timeout", type=float, default=240, help="seconds")
    parser.add_argument("--memory", type=int, default=768, help="MB")
    parser.add_argument(
        "--file", action="append", default=[], help="HOST=GUEST, or a folder"
    )
    parser.add_argument("programs", nargs="*")
    options = parser.parse_args()
    with open(options.script, encoding="utf-8") as file:
        script = file.read()
    start = time.monotonic()
    try:
        status, console, results = run_vm(
            options.cache,
            script,
            options.programs,
            [pair.split("=", 1) for pair in options.file],
            options.memory,
            options.timeout,
        )
    except Skip as reason:
        print(f"SKIP: no virtual machine: {reason}")
        return SKIP
    except Broken as reason:
        print(f"FAIL: no virtual machine: {reason}")
        return 1
    print(console, end="")
    print(f"host: {time.monotonic() - start:.1f} s in all")
    if options.out:
        os.makedirs(options.out, exist_ok=True)
        for name, data in results.items():
            with open(os.path.join(options.out, name), "wb") as file:
                file.write(data)
    return 1 if status is None else status


if __name__ == "__main__":
    sys.exit(main())
