#!/usr/bin/env python3
"""`meander doctor` itself: the player's own files, the JACK server that was named,
and a meander there that nobody hears; the command that it prints mends that."""
import re
import shutil
import subprocess
import sys

from home import Home
from live import (SKIP, Capture, Jackd, await_first_note, expect, finish, run_meander,
                  run_tests, start_meander)


def examine(home, *arguments):
    code, out, err = run_meander(None, "doctor", *arguments, env=home.environment)
    expect(code == 0 or "nothing would be heard" in err, f"{code}: {out}{err}")
    return code, out


def test_own_files():
    home = Home(odd="\ntempo = 77\n", good="tempo = 2.0\n")
    code, out = examine(home)
    path = f"{home.presets}/odd.cfg"
    expect(re.search(rf"^FAIL  your files  {path}:2: tempo is 77.* -> "
                     rf"\$\{{EDITOR:-nano\}} \+2 '{path}'$", out, re.M), out)
    expect("1 presets and bindings of yours can be read" in out, out)
    home.write(path, "tempo = 2.0\n")
    code, out = examine(home)
    expect("your files  2 presets" in out and "tempo is" not in out, out)
    broken = f"{home.weights}/vae.safetensors"
    home.write(broken, "half a file")
    _, out = examine(home)
    expect(re.search(r"^FAIL  checkpoint  .*vae.safetensors.* -> \S", out, re.M), out)


def test_nobody_hears():
    home = Home()
    server = Jackd(256)
    processes = []
    try:
        _, out = examine(home, "--jack-server", "meander-test-nowhere")
        expect("JACK        no server runs" in out, out)
        capture = Capture(server, home.path("heard"))
        processes.append(capture.process)
        player = start_meander(None, "play", "--backend", "jack", "--jack-server",
                               server.name, "--no-osc", env=home.environment)
        processes.append(player)
        await_first_note(player)
        code, out = examine(home, "--jack-server", server.name)
        expect(code == 1 and "48000 Hz, period 256" in out, out)
        expect("meander:control" not in out, f"it could hear itself: {out}")
        last = out.splitlines()[-1]
        expect(last.startswith("silent link: a meander plays to nobody in JACK -> "),
               last)
        subprocess.run(last.split(" -> ")[1], shell=True, check=True)
        code, out = examine(home, "--jack-server", server.name)
        expect(code == 0 and "meander:notes plays, and is connected" in out, out)
        player.terminate()
        expect(finish(player)[0] == 0, "it did not end well")
        expect(capture.finish(), "nothing was heard")
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        server.stop()


if not shutil.which("jackd") or not shutil.which("jack_connect"):
    print("skipped: there is no jackd")
    sys.exit(SKIP)
run_tests([
    ("own files", test_own_files),
    ("nobody hears", test_nobody_hears),
])
