"""The session manager's client against a server of ours that follows the
protocol (New Session Manager API 1.1.2): Debian 12 has no nsmd."""
import os
import signal
import socket
import tempfile
import threading

from home import Home, Stage
from live import expect, run_tests
from osc import Client, Failure, Host, decode, encode, soon

ANNOUNCE = "/nsm/server/announce"


class Server:
    """nsmd: hears on all addresses, as liblo's servers do."""

    def __init__(self, reply=("/reply", ANNOUNCE, "Howdy", "Test Manager",
                              ":server-control:broadcast:optional-gui:")):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("0.0.0.0", 0))
        self.socket.settimeout(10)
        self.reply = reply
        self.client = None
        self.announced = None

    @property
    def url(self):
        return f"osc.udp://localhost:{self.socket.getsockname()[1]}/"

    def receive(self):
        try:
            data, self.client = self.socket.recvfrom(65536)
        except TimeoutError:
            raise Failure("the client says nothing") from None
        return decode(data)

    def send(self, *message):
        self.socket.sendto(encode(*message), self.client)

    def welcome(self, *then):
        """Answers the announcement and sends a message; runs beside the host's
        start, which waits for that."""
        def run():
            self.announced = self.receive()
            if self.reply:
                self.send(*self.reply)
            if then:
                self.send(*then)
        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def start(self, path):
        thread = self.welcome("/nsm/client/open", path, "My Song", "meander.nABC")
        host = Host("none", NSM_URL=self.url)
        thread.join()
        expect(self.receive() == ("/reply", ["/nsm/client/open", "OK"]),
               "open is not answered")
        return host


def test_session():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "meander.nABC")
        server = Server()
        host = server.start(path)
        name, arguments = server.announced
        expect(name == ANNOUNCE and arguments[:3] ==
               ["meander", ":dirty:", "control_host"], f"{arguments}")
        expect(arguments[3:5] == [1, 1] and arguments[5] == host.process.pid,
               f"{arguments}")
        expect(host.said == [f"open '{path}' 'My Song' 'meander.nABC'"],
               f"{host.said}")
        expect(not os.listdir(folder), "it wrote before it was asked to")
        for _ in range(2):
            server.send("/nsm/client/save")
            expect(server.receive() == ("/reply", ["/nsm/client/save", "OK"]),
                   "save is not answered")
        with open(path + ".state") as file:
            expect(file.read() == "tempo 1\n", "the state is wrong")
        # What needs no answer, or is not for us, gets none.
        server.send("/nsm/client/session_is_loaded")
        server.send("/nsm/client/show_optional_gui")
        server.send("/nsm/client/hide_optional_gui")
        server.send("/nsm/client/unheard_of", 1)
        server.send("/nsm/client/save", "too much")
        server.send("/reply", ANNOUNCE, "again", "Other", "")
        server.send("/nsm/client/open", path, "Other", "meander.nXYZ")
        path_back, arguments = server.receive()
        expect(path_back == "/error" and arguments[:2] == ["/nsm/client/open", -8]
               and "switch" in arguments[2], f"{path_back} {arguments}")
        host.finish()


def test_dirty():
    """Told once when there is something to save, and again when it is saved."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server()
        thread = server.welcome("/nsm/client/open", os.path.join(folder, "a"),
                                "a", "a")
        host = Host(NSM_URL=server.url)
        thread.join()
        server.receive()
        client = Client(host.port)
        client.send("/meander/param/tempo", 2.0)
        expect(server.receive() == ("/nsm/client/is_dirty", []), "is_dirty")
        client.send("/meander/param/tempo", 3.0)
        client.ping()
        server.send("/nsm/client/save")
        expect(server.receive()[0] == "/reply", "save")
        expect(server.receive() == ("/nsm/client/is_clean", []), "is_clean")
        with open(os.path.join(folder, "a.state")) as file:
            expect(file.read() == "tempo 3\n", "the state is wrong")
        host.finish()


def test_save_fails():
    server = Server()
    host = server.start("/nowhere/at/all/a")
    server.send("/nsm/client/save")
    path, arguments = server.receive()
    expect(path == "/error" and arguments[0] == "/nsm/client/save" and
           arguments[1] < 0 and "/nowhere/at/all" in arguments[2], f"{arguments}")
    host.finish()


def refused_start(server, says, *then):
    thread = server.welcome(*then)
    try:
        Host("none", NSM_URL=server.url)
    except Failure as failure:
        expect(says in str(failure), f"{failure}")
    else:
        raise Failure("it started")
    thread.join()


def test_open_fails():
    server = Server()
    refused_start(server, "does not answer", "/nsm/client/open",
                  "/tmp/corrupt", "a", "a")
    path, arguments = server.receive()
    expect(path == "/error" and arguments[:2] == ["/nsm/client/open", -9] and
           "not a state" in arguments[2], f"{arguments}")


def test_refused():
    refused_start(Server(("/error", ANNOUNCE, -2, "too old")), "too old")
    refused_start(Server(None), "does not answer")
    for url in ["nonsense", "osc.tcp://localhost:1/", "osc.udp://localhost/",
                "osc.udp://localhost:99999/", "osc.udp://", ""]:
        try:
            Host("none", NSM_URL=url)
        except Failure as failure:
            expect("NSM_URL is" in str(failure), f"{url}: {failure}")
        else:
            raise Failure(f"it started with {url!r}")


def test_strangers_and_garbage():
    """Only the server is obeyed, and only in OSC."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server()
        host = server.start(os.path.join(folder, "a"))
        stranger = Client(server.client[1])
        stranger.send("/nsm/client/save")
        expect(not stranger.receive(0.3), "a stranger is answered")
        expect(not os.listdir(folder), "a stranger is obeyed")
        for data in [b"", b"x", b"/nsm/client/save", bytes(range(256)),
                     encode("/nsm/client/open", "a"), encode("/reply", 1, 2, 3),
                     encode("/error", ANNOUNCE)]:
            server.socket.sendto(data, server.client)
        server.send("/nsm/client/save")
        expect(server.receive() == ("/reply", ["/nsm/client/save", "OK"]), "save")
        counters, _ = host.finish()
        expect(counters["nsm_strangers"] == 1 and counters["nsm_malformed"] == 4,
               f"{counters}")


def test_ends_by_signal():
    """nsmd ends its clients with SIGTERM, also while they wait for it."""
    server = Server()
    thread = server.welcome()
    outcome = []

    def run():
        try:
            Host("none", NSM_URL=server.url)
        except Failure as failure:
            outcome.append(str(failure))
    waiting = threading.Thread(target=run)
    waiting.start()
    thread.join()
    os.kill(server.announced[1][5], signal.SIGTERM)
    soon(lambda: outcome, "it ends", 2)
    waiting.join()
    expect("given up" in outcome[0], f"{outcome}")


def play(server, home, path, *arguments):
    """meander itself, opened at `path`."""
    thread = server.welcome("/nsm/client/open", path, "My Song", "meander.nABC")
    home.environment["NSM_URL"] = server.url
    stage = Stage(home, *arguments)
    thread.join()
    expect(server.receive() == ("/reply", ["/nsm/client/open", "OK"]), "open")
    return stage


def test_meander():
    """What plays is what was saved: the model, too, wherever its file is."""
    home = Home(mine='bindings = "cc 20 = tempo"\n')
    own = home.model(home.path("runs/run1/checkpoint.safetensors"))
    path = home.path("a.nABC")
    server = Server()

    def save():
        server.send("/nsm/client/save")
        expect(server.receive() == ("/reply", ["/nsm/client/save", "OK"]), "save")

    def heard(what):
        expect(server.receive() == (f"/nsm/client/{what}", []), what)

    with play(server, home, path) as stage:
        expect(server.announced[1][2] == "meander", f"{server.announced}")
        stage.sounds("diffusion")
        stage.tell("load", "vae")
        heard("is_dirty")
        stage.sounds("vae")
        stage.tell("param/channel", 3.0)
        save()
        heard("is_clean")
        stage.tell("preset", "mine")
        heard("is_dirty")
        stage.tell("param/channel", 4.0)
        save()
        heard("is_clean")
        stage.end()
    with play(server, home, path) as stage:
        expect(stage.status()["name"] == "vae", f"{stage.status()}")
        stage.stands(channel=4)
        stage.tell("preset", "mine")  # the session's rig is the player's
        stage.stands(channel=4)
        heard("is_dirty")
        stage.tell("load", own)
        stage.sounds("run1")
        save()
        heard("is_clean")
        stage.end()
    with open(path + ".cfg") as file:
        text = file.read()
    expect(f'model = "{own}"' in text and "cc 20 = tempo" in text, text)
    with play(server, home, path) as stage:
        expect(stage.status()["name"] == "run1", f"{stage.status()}")
        stage.end()
    with play(server, home, path, "--model", "student") as stage:
        expect(stage.status()["name"] == "student", f"{stage.status()}")
        stage.end()
    os.remove(own)
    try:
        play(server, home, path)
    except Failure as failure:
        expect(own in str(failure) and "put it back" in str(failure), f"{failure}")
    else:
        raise Failure("it plays without its model")


run_tests([
    ("session", test_session),
    ("meander itself", test_meander),
    ("dirty", test_dirty),
    ("save fails", test_save_fails),
    ("open fails", test_open_fails),
    ("refused", test_refused),
    ("strangers and garbage", test_strangers_and_garbage),
    ("ends by a signal", test_ends_by_signal),
])
