#!/usr/bin/env python3
"""Presets as a player meets them: their own in ~/.config/meander/presets beside
the shipped ones, what `meander presets` says of them, and what inherits."""
import os
import re
import tempfile

import live
from live import (Workplace, expect, read_recording, render, run_meander,
                  run_tests)


class Home:
    """A home of its own, in which presets can be written."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="meander-home-")
        self.environment = {**os.environ, "HOME": self.folder.name}
        self.environment.pop("XDG_CONFIG_HOME", None)
        self.presets = os.path.join(self.folder.name, ".config/meander/presets")

    def write(self, name, text):
        os.makedirs(self.presets, exist_ok=True)
        with open(os.path.join(self.presets, name), "w") as file:
            file.write(text)

    def lines(self):
        code, out, err = run_meander(None, "presets", env=self.environment)
        expect(code == 0 and not err, f"exit code {code}: {err}")
        return out.splitlines()

    def refused(self, name, *says):
        live.refused(1, WORK, "--backend", "null", "--preset", name,
                     says=list(says), env=self.environment)


def test_shipped():
    lines = Home().lines()
    expect(len(lines) >= 10, f"only {len(lines)} presets")
    for number, line in enumerate(lines):
        found = re.fullmatch(r"([a-z]+) +(\d+)  (.{20,})", line)
        expect(found and int(found[2]) == number, f"not a preset's line: {line}")
        expect(len(line) <= 100 and "yours" not in line, line)
    names = [line.split()[0] for line in lines]
    expect(names == sorted(names), f"not by name: {names}")
    return f"{len(lines)} presets"


def test_yours():
    home = Home()
    shipped = len(home.lines())
    home.write("aah.cfg", 'description = "my own"\ninherits = "toccata"\n')
    home.write("calm.cfg", 'description = "calmer"\n')
    home.write("broken.cfg", "\ntempo = 77\n")
    home.write("round.cfg", 'inherits = "round"\n')
    home.write("mute one.cfg", "")
    home.write("note.txt", "no preset")
    lines = home.lines()
    expect(len(lines) == shipped + 4, f"{len(lines)} lines: {lines}")
    by_name = {line.split()[0]: line for line in lines}
    expect(by_name["answer"].startswith("answer            0  "), by_name["answer"])
    expect(" 4  yours, over" in by_name["calm"], by_name["calm"])
    expect(by_name["aah"].endswith(" 64  yours: my own"), by_name["aah"])
    expect(by_name["calm"].endswith("  yours, over the shipped one: calmer"),
           by_name["calm"])
    for name, says in (("broken", "broken.cfg:2: tempo is 77"),
                       ("round", "circle")):
        expect("yours: cannot be used: " in by_name[name] and says in by_name[name],
               by_name[name])
    expect(any("mute one.cfg: cannot be used: 'mute one'" in line for line in lines),
           f"nothing on a name that cannot be: {lines}")


def test_what_sounds():
    home = Home()

    def made(preset, *arguments):
        os.environ["HOME"] = home.folder.name
        render(WORK, 5, 20, "a.mid", "--preset", preset, *arguments)
        return read_recording(WORK.path("a.mid"))

    home.write("same.cfg", 'inherits = "toccata"\n')
    expect(len(made("toccata")) > 100, "hardly a note")
    expect(made("same") == made("toccata"), "an heir is not what it inherits")
    home.write("slow.cfg", 'inherits = "same"\ntempo = 0.5\n')
    expect(made("slow") == made("toccata", "--tempo", "0.5"), "tempo 0.5")
    expect(made("slow", "--tempo", "2.2") == made("toccata"),
           "an option does not win over a preset that inherits")
    home.write("toccata.cfg", 'inherits = "calm"\n')
    expect(made("toccata") == made("calm"), "yours does not stand first")
    expect(made("slow") == made("calm", "--tempo", "0.5"), "by the same search")


def test_refused():
    home = Home()
    home.write("one.cfg", 'inherits = "two"\n')
    home.write("two.cfg", 'inherits = "one"\n')
    home.refused("one", "one.cfg:1: inherits two, which inherits one: a circle")
    home.write("deep.cfg", "tempo = " + "(" * 60000)
    home.refused("deep", "deep.cfg:1: ")
    home.write("long.cfg", "#" * 100000)
    home.refused("long", "larger")
    home.write("nul.cfg", "tempo = 1.0\0\n")
    home.refused("nul", "NUL")
    home.write("inc.cfg", '@include "/etc/passwd"\n')
    home.refused("inc", "inherits")
    home.refused("..", "letters")
    os.mkfifo(os.path.join(home.presets, "pipe.cfg"))
    home.refused("pipe", "not a regular file")


WORK = Workplace()
os.environ.pop("XDG_CONFIG_HOME", None)
run_tests([
    ("shipped presets are listed", test_shipped),
    ("one's own are listed, and what is wrong", test_yours),
    ("what inherits sounds like it", test_what_sounds),
    ("bad ones are refused in one line", test_refused),
])
