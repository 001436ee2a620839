"""A player's home, and meander playing in it without a terminal or a server, told
what to do by OSC. Standard library only."""
import os
import signal
import subprocess
import tempfile

from live import MAKE_MODEL, Failure, expect, finish, start_meander
from osc import Client, soon

ROOT = "/meander/"


class Home:
    """A home and shipped files of its own."""

    def __init__(self, **presets):
        self.folder = tempfile.TemporaryDirectory(prefix="meander-home-")
        self.weights = self.path("data/models/weights")
        self.presets = self.path(".config/meander/presets")
        for folder in (self.weights, self.presets, self.path("data/presets")):
            os.makedirs(folder)
        for name, kind, seed in (("vae", "vae", "1"), ("diffusion", "diffusion", "2"),
                                 ("student", "diffusion", "3")):
            self.model(f"{self.weights}/{name}.safetensors", kind, seed)
        for name, text in presets.items():
            self.write(f"{self.presets}/{name}.cfg", text)
        self.environment = {**os.environ, "HOME": self.folder.name,
                            "MEANDER_DATA": self.path("data")}
        for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "NSM_URL"):
            self.environment.pop(name, None)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    @staticmethod
    def model(path, kind="vae", seed="9"):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        subprocess.run([MAKE_MODEL, kind, path, seed], check=True)
        return path

    @staticmethod
    def write(path, text):
        with open(path, "w") as file:
            file.write(text)

    def read(self, name):
        with open(self.path(".config/meander/" + name)) as file:
            return file.read()


class Stage:
    """meander without a terminal or a server, and OSC to it."""

    def __init__(self, home, *arguments, command="play", **settings):
        self.log, self.process = [], start_meander(
            None, command, *arguments, "--backend", "null", "--osc-port", 0,
            env=home.environment, **settings)
        port = None
        for line in self.process.stdout:
            self.log.append(line)
            if "OSC at" in line:
                port = int(line.rsplit(":", 1)[1])
            if "first note" in line:
                break
        if not port:
            raise Failure(f"it does not play: {self.process.communicate()}")
        self.client = Client(port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def tell(self, path, *arguments):
        """What was refused meanwhile."""
        self.client.send(ROOT + path, *arguments)
        return self.client.ping()

    def ask(self, name):
        return self.client.ask(f"{ROOT}param/{name}")[1][0]

    def status(self):
        _, arguments = self.client.ask(ROOT + "status")
        return dict(zip(arguments[::2], arguments[1::2]))

    def sounds(self, name):
        soon(lambda: self.status()["name"] == name, f"{name} sounds")

    def stands(self, **values):
        for name, value in values.items():
            got = self.ask(name)
            expect(got == value, f"{name} is {got}, not {value}")

    def end(self):
        """All that it said."""
        self.process.send_signal(signal.SIGTERM)
        code, out, err = finish(self.process)
        expect(code == 0, f"exit code {code}: {out}{err}")
        return "".join(self.log) + out
