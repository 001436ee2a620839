#!/usr/bin/env python3
"""The real-time rule, checked at run time: under the preloaded guard library
meander's process callback calls nothing that allocates, locks, waits, logs or
enters the system. First the guard itself is proved, by planted violations."""
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "live"))
from live import (Capture, Jackd, Workplace, expect, finish, run_meander,
                  run_tests, start_meander)

GUARDED = {**os.environ, "LD_PRELOAD": os.environ["RT_GUARD"]}


def planted(what):
    return subprocess.run([os.environ["PLANTED"], what], env=GUARDED,
                          capture_output=True, text=True)


def test_guard_sees():
    quiet = planted("nothing")
    expect(quiet.returncode == 0 and "watched 1 " in quiet.stderr,
           f"the guard is not there: {quiet}")
    for what, name in (("malloc", "malloc"), ("free", "free"),
                       ("printf", "printf"), ("lock", "pthread_mutex_lock"),
                       ("sleep", "nanosleep"), ("write", "write"),
                       ("syscall", "syscall")):
        seen = planted(what)
        expect(seen.returncode == -signal.SIGABRT and
               f"{name}() in a real-time callback" in seen.stderr,
               f"a planted {what} went unseen: {seen}")


def watched(code, out, err, least):
    expect(code == 0, f"exit code {code}: {out}{err}")
    found = re.search(r"watched (\d+) callbacks", err)
    expect(found and int(found[1]) >= least, f"hardly a callback: {err}")
    return f"{found[1]} callbacks"


def test_null():
    return watched(*run_meander(WORK, "--backend", "null", "--seconds", 4,
                                "--period", 64, "--tempo", 3, env=GUARDED),
                   2000)


def test_jack():
    if not shutil.which("jackd"):
        return "not tried: jackd is not installed"
    server = Jackd(256)
    capture = Capture(server, WORK.path("capture"))
    try:
        process = start_meander(
            WORK, "--backend", "jack", "--jack-server", server.name,
            "--connect", "capture", "--seconds", 20, env=GUARDED)
        time.sleep(2)
        server.tool("jack_bufsize", "512")
        time.sleep(2)
        server.tool("jack_freewheel", "y")
        return watched(*finish(process), 1000)
    finally:
        capture.process.kill()
        server.stop()


WORK = Workplace()
run_tests([("guard_sees", test_guard_sees), ("null", test_null),
           ("jack", test_jack)])
