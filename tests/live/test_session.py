#!/usr/bin/env python3
"""What a preset changes in play, and what stays the player's: the model, the rig,
controllers, stored points, and what is saved of all that. By OSC, with small
models in place of the shipped ones."""
import glob
import os
import time

from home import Home, Stage
from live import expect, refused, run_tests

def test_saved_model():
    """The one that plays, or is on its way; not what the preset once named."""
    home = Home(glassy='model = "vae"\n')
    own = home.model(home.path("runs/run1/checkpoint.safetensors"))
    with Stage(home, "--preset", "glassy") as stage:
        stage.tell("save", "zero")
        stage.tell("load", "student")
        stage.tell("save", "early")
        stage.sounds("student")
        stage.tell("save", "late")
        stage.tell("load", own)
        stage.sounds("run1")
        stage.tell("save", "mine")
        stage.tell("load", "vae")
        stage.sounds("vae")
        stage.tell("preset", "mine")
        stage.sounds("run1")
        stage.end()
    for name, model in (("zero", "vae"), ("early", "student"), ("late", "student"),
                        ("mine", own)):
        text = home.read(f"presets/{name}.cfg")
        expect(f'model = "{model}"\n' in text, f"{name}: {text}")
    with Stage(home, "--preset", "mine") as stage:
        stage.sounds("run1")
        # Saved over itself a preset keeps its number; elsewhere it has none.
        home.write(f"{home.presets}/song.cfg", "program = 7\n")
        stage.tell("program", 7)
        stage.tell("save", "song")
        stage.tell("save", "other")
        expect("program = 7" in home.read("presets/song.cfg"), "no number")
        expect("program" not in home.read("presets/other.cfg"), "a number")
        os.remove(own)
        stage.tell("load", "vae")
        stage.sounds("vae")
        answers = stage.tell("preset", "mine")
        expect(any(own in str(answer) for answer in answers), f"{answers}")
        stage.sounds("vae")
        stage.end()
    refused(1, None, "--backend", "null", "--preset", "mine", env=home.environment,
            says=["mine", own, "put it back"])


def test_relative_path():
    """What was named from where one stood is found from elsewhere."""
    home = Home()
    home.model(home.path("run2/checkpoint.safetensors"))
    with Stage(home, "--model", "run2/checkpoint.safetensors",
               cwd=home.folder.name) as stage:
        stage.tell("save", "far")
        stage.end()
    text = home.read("presets/far.cfg")
    path = os.path.realpath(home.path("run2/checkpoint.safetensors"))
    expect(f'model = "{path}"\n' in text, text)


def test_rig():
    """Only a preset that names what belongs to the rig changes it, and lends it."""
    home = Home(plain="tempo = 0.5\n", far="channel = 5\nlisten = \"seed\"\n",
                heir='inherits = "far"\ntempo = 2.0\n')
    rig = {"channel": 3, "latency": -20, "listen": "respond", "echo": "on",
           "beats_per_bar": 3, "clock_out": "on", "program_change": "checkpoint",
           "bpm": 90, "count_in": 1, "hold": "on", "mute": "on", "freeze": "on"}
    typed = ["--channel", 3, "--latency", -20, "--listen", "respond"]
    with Stage(home, *typed) as stage:
        stage.stands(channel=3, latency=-20, listen="respond")
        for name, value in rig.items():
            stage.tell(f"param/{name}", value if isinstance(value, str) else float(value))
        stage.tell("param/swing", 0.5)
        stage.tell("preset", "plain")
        stage.stands(tempo=0.5, swing=0, **rig)
        stage.tell("preset", "far")
        stage.stands(**{**rig, "channel": 5, "listen": "seed"}, tempo=1)
        stage.tell("preset", "heir")
        stage.stands(**{**rig, "channel": 5, "listen": "seed"}, tempo=2)
        stage.tell("param/channel", 7.0)  # the player's hand
        stage.tell("preset", "plain")
        stage.stands(**{**rig, "channel": 7})
        stage.end()
    # At the start a preset sets all, and what it set is the player's.
    with Stage(home, "--preset", "far", "--listen", "off") as stage:
        stage.stands(channel=5, listen="off")
        stage.tell("preset", "plain")
        stage.stands(channel=5, listen="off")
        stage.end()


def bindings(text):
    return [line.strip().strip(',"') for line in text.splitlines() if " = " in line
            and line.startswith("  ")]


def test_bindings():
    """A preset's go with it; only what was learnt is kept for good."""
    home = Home(pa='bindings = ("cc 20 = tempo", "note 36 = panic")\n',
                pb='bindings = "cc 20 = density"\n')
    home.write(home.path(".config/meander/controller.cfg"),
               'bindings = ("cc 74 = density", "cc 22 ch 1 = swing",'
               ' "cc 23 ch 1 = pull")\n')
    with Stage(home) as stage:
        stage.tell("preset", "pa")
        stage.tell("save", "sa")
        stage.tell("preset", "pb")
        stage.tell("save", "sb")
        stage.tell("unlearn", "pull")
        stage.tell("preset", "pa")
        stage.tell("unlearn", "swing")
        stage.end()
    expect(bindings(home.read("presets/sa.cfg")) ==
           ["cc 20 = tempo", "note 36 = panic", "cc 22 ch 1 = swing",
            "cc 23 ch 1 = pull"], home.read("presets/sa.cfg"))
    expect(bindings(home.read("presets/sb.cfg")) ==
           ["cc 20 = density", "cc 22 ch 1 = swing", "cc 23 ch 1 = pull"],
           home.read("presets/sb.cfg"))
    # The standard ones that are left are there without their table.
    expect(bindings(home.read("controller.cfg")) == ["cc 74 = density"],
           home.read("controller.cfg"))


def test_controller_file_stays():
    """One that cannot be read is not replaced."""
    home = Home()
    path = home.path(".config/meander/controller.cfg")
    home.write(path, "bindings = (\n")
    with Stage(home) as stage:
        stage.tell("unlearn", "density")
        log = stage.end()
    expect("controller.cfg:" in log and "not kept" in log, log)
    expect(home.read("controller.cfg") == "bindings = (\n", "it was replaced")


def test_named_models_stay():
    home = Home(calmly='model = "vae"\ntempo = 0.5\n',
                dreamy='model = "diffusion"\nmode = "mutate"\n')
    runs = [home.path("r1"), home.path("r2")]
    for run in runs:
        home.model(f"{run}/checkpoint.safetensors")
    for arguments, command, name in (
            (runs, "audition", "r1"),
            (["--model", f"{runs[0]}/checkpoint.safetensors"], "play", "r1"),
            (["--watch", runs[0], "--model", "vae"], "play", "vae")):
        with Stage(home, *arguments, command=command) as stage:
            stage.sounds(name)
            stage.tell("preset", "calmly")
            stage.tell("preset", "dreamy")
            time.sleep(0.5)
            stage.sounds(name)
            log = stage.end()
        expect("preset calmly: its model vae is not taken" in log, log)
        expect("preset dreamy" in log and "mutate needs a diffusion" in log, log)


def test_store_while_swapping():
    """What sounds is stored, whichever model is about to play."""
    home = Home()
    with Stage(home, "--model", "vae", "--tempo", 0.5) as stage:
        for name in ("student", "vae", "student"):
            stage.tell("load", name)
            for _ in range(200):
                refusals = stage.tell("store", 1)
                expect(not refusals, f"{refusals}")
                if stage.status()["name"] == name:
                    break
            stage.sounds(name)
            for _ in range(100):
                refusals = stage.tell("store", 2)
                expect(not refusals, f"{refusals}")
        log = stage.end()
    told = log.count("of the model that sounds and is about to end")
    expect(told > 0, "it was never in between")
    points = glob.glob(home.path(".local/state/meander/points*"))
    expect(len(points) == 1, f"{points}")
    return f"{told} stored in between"


def test_fallback():
    """Beside a VAE none is loaded; one that is needed later comes then."""
    home = Home()
    own = home.model(home.path("mine.safetensors"))
    home.write(f"{home.weights}/vae.safetensors", "half a file")
    with Stage(home, "--model", own) as stage:  # a broken one does not matter
        stage.tell("load", "diffusion")
        stage.sounds("diffusion")
        log = stage.end()
    expect("no VAE stands in where it is too slow: " in log and
           "vae.safetensors" in log, log)
    home.model(f"{home.weights}/vae.safetensors", seed="4")
    with Stage(home, "--model", own) as stage:
        expect("too slow" not in "".join(stage.log), f"{stage.log}")
        stage.tell("load", "diffusion")
        stage.sounds("diffusion")
        stage.tell("load", "student")
        stage.sounds("student")
        log = stage.end()
    expect(log.count("where it is too slow: vae ") == 1, log)
    with Stage(home, "--model", own, "--fallback", "vae") as stage:
        expect("too slow: vae" in "".join(stage.log), f"{stage.log}")
        stage.end()
    refused(1, None, "--backend", "null", "--model", own, "--fallback",
            home.path("nowhere.safetensors"), env=home.environment,
            says="nowhere.safetensors")


run_tests([
    ("a fallback comes when it is needed", test_fallback),
    ("the model that plays is saved", test_saved_model),
    ("by its whole path", test_relative_path),
    ("the rig stays", test_rig),
    ("a preset's bindings go with it", test_bindings),
    ("a broken controller.cfg is not replaced", test_controller_file_stays),
    ("models that were named stay", test_named_models_stay),
    ("a point is stored while models are swapped", test_store_while_swapping),
])
