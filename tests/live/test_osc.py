"""The OSC server, from outside: raw sockets, and liblo's own oscsend and
oscdump as second clients."""
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from live import SKIP, expect, run_tests
from osc import Client, Host, bundle, encode, soon

ROOT = "/meander/"
NOTHING, PARAM, PARAM_TEXT, PARAM_ALONE, NUMBER, TEXT = range(6)
CHOICE = 2


def oscsend(port, path, *arguments):
    subprocess.run(["oscsend", "127.0.0.1", str(port), path, *arguments],
                   check=True)


def value_of(client, name):
    path, arguments = client.ask(f"{ROOT}param/{name}")
    expect(path == f"{ROOT}param/{name}" and len(arguments) == 1,
           f"{name}: {path} {arguments}")
    return arguments[0]


def near(a, b):
    return abs(a - b) <= 1e-5 * max(1, abs(b))


def test_every_parameter():
    """By oscsend, read back by a raw socket."""
    host = Host()
    client = Client(host.port)
    expect(len(host.params) > 30, f"{len(host.params)} parameters")
    for name, (kind, low, high, may_be_auto, choices) in host.params.items():
        path = f"{ROOT}param/{name}"
        for text in choices:
            oscsend(host.port, path, "s", text)
            soon(lambda: value_of(client, name) == text, f"{name} {text}")
        for value in [low, high]:
            oscsend(host.port, path, "f", repr(value))
            want = choices[int(value)] if kind == CHOICE else value
            soon(lambda: value_of(client, name) == want if kind == CHOICE
                 else near(value_of(client, name), want), f"{name} {value}")
        if may_be_auto:
            oscsend(host.port, path, "s", "auto")
            soon(lambda: value_of(client, name) == "auto", f"{name} auto")
        for share in [1.0, 0.0]:
            client.send(f"{ROOT}share/{name}", share)
            answer = client.ask(f"{ROOT}share/{name}")
            expect(answer == (f"{ROOT}share/{name}", [share]), f"{answer}")
    counters, _ = host.finish()
    expect(not counters["refused"] and not counters["unknown"], f"{counters}")


def action_arguments(takes, low, high):
    """As oscsend wants them, and what the host then says."""
    return {
        NOTHING: ([], "- 0 ''"),
        PARAM: (["sf", "tempo", f"{(low + high) / 2 or 1}"],
                f"tempo {(low + high) / 2 or 1:g} ''"),
        PARAM_TEXT: (["ss", "mode", "walk"], "mode 0 'walk'"),
        PARAM_ALONE: (["s", "swing"], "swing 0 ''"),
        NUMBER: (["i", f"{high:.0f}"], f"- {high:g} ''"),
        TEXT: (["s", "some name"], "- 0 'some name'"),
    }[takes]


def test_every_action():
    host = Host()
    for name, (takes, low, high) in host.actions.items():
        arguments, says = action_arguments(takes, low, high)
        oscsend(host.port, ROOT + name, *arguments)
        line = host.line()
        expect(line == f"action {name} {says}", f"{name}: {line}")
    client = Client(host.port)
    # A button: pressed and let go.
    client.send(ROOT + "panic", 1.0)
    expect(host.line() == "action panic - 0 ''", "panic 1.0")
    # Arguments that lie askew.
    client.send(ROOT + "set", "bpm", 97.5, types="sd")
    expect(host.line() == "action set bpm 97.5 ''", "set by a double")
    client.send(ROOT + "nudge", "loop_beats", 3, types="sh")
    expect(host.line() == "action nudge loop_beats 3 ''", "nudge by a long")
    client.send(ROOT + "panic", 0.0)
    client.send(ROOT + "panic", False)
    client.raw(bundle(encode(ROOT + "store", 3), bundle(encode(ROOT + "recall", 4.0))))
    expect(host.line() == "action store - 3 ''", "store in a bundle")
    expect(host.line() == "action recall - 4 ''", "recall in a bundle in it")
    client.ping()
    counters, lines = host.finish()
    expect(not lines and not counters["refused"], f"{lines} {counters}")


def test_argument_types():
    host = Host()
    client = Client(host.port)
    for arguments, types, name, want in [
            ((2,), "i", "tempo", 2), ((2.5,), "f", "tempo", 2.5),
            ((3.5,), "d", "tempo", 3.5), ((1,), "h", "tempo", 1),
            (("1.25",), "s", "tempo", 1.25), (("1.5",), "S", "tempo", 1.5),
            ((True,), None, "freeze", "on"), ((False,), None, "freeze", "off"),
            ((1,), "i", "freeze", "on"), ((3.0,), "f", "grid", "1/16"),
            ((True,), None, "tempo", 1), ((7.0,), "f", "channel", 7)]:
        client.send(f"{ROOT}param/{name}", *arguments, types=types)
        got = value_of(client, name)
        expect(got == want, f"{name} {arguments} {types}: {got}")
    host.finish()


REFUSED = [  # path, arguments, what the answer says
    ("param/tempo", (9.0,), "out of its range"),
    ("param/tempo", (float("nan"),), "out of its range"),
    ("param/tempo", (float("inf"),), "out of its range"),
    ("param/tempo", ("fast",), "use a number"),
    ("param/tempo", (1.0, 2.0), "one number or text"),
    ("param/tempo", (b"\1\2",), "one number or text"),
    ("param/channel", (1.5,), "use a whole number"),
    ("param/freeze", (2,), "the place of no name"),
    ("param/freeze", (0.5,), "the place of no name"),
    ("param/freeze", ("perhaps",), "off, on"),
    ("share/tempo", (1.5,), "out of its range 0 to 1"),
    ("share/tempo", ("1",), "one number from 0 to 1"),
    ("store", (), "use 1"),
    ("store", (17,), "out of its range 1 to 16"),
    ("store", (1.5,), "whole number"),
    ("store", ("one",), "use a number"),
    ("panic", ("now",), "use 0"),
    ("panic", (1.0, 1.0), "use 0"),
    ("set", ("tempo",), "use 2"),
    ("set", ("volume", 1.0), "no such parameter"),
    ("set", (1.0, 1.0), "parameter's name comes first"),
    ("nudge", ("tempo", 1e9), "out of its range"),
    ("text", ("mode", 1.0), "use text"),
    ("learn", (1,), "parameter's name comes first"),
    ("load", (1,), "use text"),
    ("load", ("",), "wants a name"),
    ("load", ("x" * 512,), "too long"),
    ("save", ("a\nb",), "control characters"),
    ("load", ("\x1b[2J",), "control characters"),
    ("param/tempo", ("\xe9\u65e5",), "'?????'"),
    ("subscribe", (0,), "a port from 1 to 65535"),
    ("subscribe", ("there",), "a port from 1 to 65535"),
]
UNKNOWN = ["/meander", "/", "/other/tempo", "/meander/", "/meander/param",
           "/meander/param/", "/meander/param/volume", "/meander/share/volume",
           "/meander/param/tempo/", "/meander/param/*", "/meander/{panic,quit}",
           "/meander/Panic", "//", "/meander/param/" + "x" * 100]


def test_refusals():
    """Nothing changes; the sender is told, but not more than 20 times a
    second."""
    host = Host(speed=50)
    client = Client(host.port)
    for path, arguments, says in REFUSED:
        path_back, (text, *_) = client.ask(ROOT + path, *arguments)
        expect(path_back == ROOT + "error" and says in text,
               f"{path} {arguments}: {path_back} {text}")
        expect(path in text, f"{path} is not named: {text}")
        time.sleep(0.002)
    for path in UNKNOWN:
        expect(client.ask(path)[0] == ROOT + "error", f"{path}: no error")
        time.sleep(0.002)
    expect(value_of(client, "tempo") == 1 and value_of(client, "freeze") == "off",
           "something was set")
    # What is an answer gets none, or two of us would talk for ever.
    for answer in ["error", "pong", "status"]:
        client.send(ROOT + answer, "x")
    expect(not client.ping(), "an answer was answered")
    counters, lines = host.finish()
    expect(not lines, f"{lines}")
    expect(counters["refused"] == len(REFUSED), f"{counters}")
    expect(counters["unknown"] == len(UNKNOWN) + 3, f"{counters}")
    expect(not counters["unanswered"], f"{counters}")


def test_error_rate():
    host = Host()
    client = Client(host.port)
    began = time.monotonic()
    told = 0
    for i in range(2000):
        client.send("/nowhere")
        if i % 20 == 19:
            told += len(client.ping())
    seconds = time.monotonic() - began
    expect(20 <= told <= 20 * (seconds + 1), f"{told} errors in {seconds:.1f} s")
    counters, _ = host.finish()
    expect(counters["unknown"] == 2000, f"{counters}")
    expect(counters["unanswered"] == 2000 - told, f"{counters} {told}")


def test_status():
    host = Host()
    path, arguments = Client(host.port).ask(ROOT + "status")
    expect(path == ROOT + "status" and arguments[0] == "version" and
           arguments[2:] == ["buffered_s", 1.5, "model", "vae"], f"{arguments}")
    host.finish()


def pushed(client, seconds):
    """{path: last arguments} of what comes in a time."""
    until, heard = time.monotonic() + seconds, {}
    while time.monotonic() < until:
        message = client.receive(0.05)
        if message:
            heard[message[0]] = message[1]
    return heard


def test_subscribe():
    host = Host()
    one, two = Client(host.port), Client(host.port)
    one.send(ROOT + "subscribe")
    heard = pushed(one, 1)
    for name in host.params:
        expect(f"{ROOT}param/{name}" in heard and f"{ROOT}share/{name}" in heard,
               f"{name} was not pushed")
    expect(ROOT + "status" in heard, "no status")
    two.send(ROOT + "param/tempo", 2.0)
    heard = pushed(one, 1)
    expect(heard.get(ROOT + "param/tempo") == [2.0], f"{heard}")
    expect(set(heard) == {ROOT + "param/tempo", ROOT + "share/tempo",
                          ROOT + "status"}, f"{heard}")
    one.send(ROOT + "param/tempo", 3.0)  # it knows that
    expect(set(pushed(one, 1)) == {ROOT + "status"}, "an echo")
    one.send(ROOT + "unsubscribe")
    pushed(one, 0.3)
    two.send(ROOT + "param/tempo", 1.0)
    expect(not pushed(one, 0.6), "pushed after unsubscribe")
    host.finish()


def test_subscriptions_end():
    """60 s, at 100 times the speed; renewing helps; the ninth is refused."""
    host = Host(speed=100)
    clients = [Client(host.port) for _ in range(9)]
    for client in clients:
        client.send(ROOT + "subscribe")
    answer = clients[8].receive()
    expect(answer[0] == ROOT + "error" and "eight" in answer[1][0], f"{answer}")
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        clients[0].send(ROOT + "subscribe")
        for client in clients:
            client.drain()
        time.sleep(0.02)
    expect(clients[0].receive(0.3), "it was renewed")
    expect(not clients[1].receive(0.3), "60 s are over")
    host.finish()


def test_never_talks_to_itself():
    host = Host(speed=10)
    client = Client(host.port)
    client.send(ROOT + "subscribe", host.port)
    time.sleep(0.3)
    client.ping()
    counters, _ = host.finish()
    expect(counters["packets"] > 50, f"it was not tried: {counters}")
    expect(counters["messages"] == 2, f"it obeys itself: {counters}")


def test_oscdump():
    """A second client of liblo's own hears the pushes at a port it chose."""
    host = Host()
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    probe.close()
    # oscdump holds its lines back where they do not go to a terminal.
    with tempfile.TemporaryFile("w+") as out:
        dump = subprocess.Popen(["stdbuf", "-oL", "oscdump", str(port)],
                                stdout=out)
        try:
            oscsend(host.port, ROOT + "subscribe", "i", str(port))
            oscsend(host.port, ROOT + "param/bpm", "f", "97.5")

            def heard():
                oscsend(host.port, ROOT + "subscribe", "i", str(port))
                out.seek(0)
                return "/meander/param/bpm f 97.5" in out.read()

            soon(heard, "oscdump hears the bpm")
        finally:
            dump.kill()
            dump.wait()
    host.finish()


def own_address():
    """One of this machine that is not loopback, or None."""
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        probe.connect(("192.0.2.1", 9))
        address = probe.getsockname()[0]
        return None if address.startswith("127.") else address
    except OSError:
        return None


def test_loopback_only():
    host = Host()
    with open("/proc/net/udp") as file:
        bound = [line.split()[1] for line in file
                 if line.split()[1].endswith(f":{host.port:04X}")]
    expect(bound == [f"0100007F:{host.port:04X}"], f"bound to {bound}")
    others = [a for a in ["127.0.0.2", own_address()] if a]
    for address in others:
        client = Client(host.port, address)
        try:
            client.send(ROOT + "panic")
        except OSError:
            continue
        expect(not client.receive(0.2), f"it answers at {address}")
    counters, lines = host.finish()
    expect(not lines and not counters["packets"], f"{lines} {counters}")
    wide = Host("0.0.0.0")
    for address in others:
        expect(Client(wide.port, address).ping() == [], f"silent at {address}")
    wide.finish()
    return None if own_address() else "not tried: an address beside loopback"


def refused_start(*arguments):
    process = subprocess.run([os.environ["CONTROL_HOST"], *arguments, "1"],
                             capture_output=True, text=True, timeout=20)
    return process.returncode, process.stderr


def test_bad_addresses():
    host = Host()
    code, err = refused_start("127.0.0.1", str(host.port))
    expect(code == 1 and str(host.port) in err and "--osc-port" in err, err)
    host.finish()
    for address, port, says in [("192.0.2.7", "0", "192.0.2.7"),
                                ("no such name", "0", "no such name"),
                                ("127.0.0.1", "65536", "0 to 65535")]:
        code, err = refused_start(address, port)
        expect(code == 1 and says in err and err.count("\n") == 1, err)


def mutate(random_, data):
    data = bytearray(data)
    for _ in range(random_.randrange(1, 6)):
        where = random_.randrange(len(data))
        kind = random_.randrange(4)
        if kind == 0:
            data[where] = random_.randrange(256)
        elif kind == 1:
            data[where] ^= 1 << random_.randrange(8)
        elif kind == 2:
            del data[where:where + random_.randrange(1, 9)]
        else:
            data[where:where] = random_.randbytes(random_.randrange(1, 9))
        if not data:
            break
    return bytes(data)


def nested(depth):
    data = encode(ROOT + "panic")
    for _ in range(depth):
        data = bundle(data)
    return data


def random_packet(random_, valid):
    kind = random_.randrange(20)
    if kind < 6:
        return random_.randbytes(random_.randrange(0, 600))
    if kind < 7:
        return b"/" + random_.randbytes(4 * random_.randrange(1, 100) - 1)
    if kind < 8:
        return encode(ROOT + "param/tempo", random_.randbytes(60000))
    if kind < 9:
        return nested(random_.choice([7, 8, 9, 100, 2000]))
    if kind < 10:
        return bundle(*[random_.choice(valid) for _ in range(300)])
    return mutate(random_, bundle(*random_.sample(valid, 5)))


def test_garbage():
    """10,000 packets; it goes on answering all the while."""
    host = Host()
    client = Client(host.port)
    random_ = random.Random(5)
    valid = [encode(f"{ROOT}param/{name}", value)
             for name in host.params for value in [1.0, 1, "auto", True]]
    valid += [encode(ROOT + name, *arguments) for name in host.actions
              for arguments in [(), (1,), ("tempo", 1.0), ("x",)]]
    waiting = pings = 0
    for _ in range(10000):
        packet = random_packet(random_, valid)
        client.raw(packet)
        # The system's queue for a socket is short.
        waiting += len(packet) + 2000
        if waiting > 50000:
            client.ping()
            waiting, pings = 0, pings + 1
    client.ping()
    client.send(ROOT + "param/tempo", 1.0)
    expect(value_of(client, "tempo") == 1, "it lost its senses")
    counters, lines = host.finish()
    expect(counters["packets"] == 10000 + pings + 3, f"packets were lost: {counters}")
    expect(counters["malformed"] > 5000, f"{counters}")
    expect(counters["refused"] + counters["unknown"] > 500, f"{counters}")
    return f"{counters}, {len(lines)} actions"


if not shutil.which("oscsend"):
    print("skipped: there is no oscsend (liblo-tools)")
    sys.exit(SKIP)
run_tests([
    ("every parameter", test_every_parameter),
    ("every action", test_every_action),
    ("argument types", test_argument_types),
    ("refusals", test_refusals),
    ("error rate", test_error_rate),
    ("status", test_status),
    ("subscribe", test_subscribe),
    ("subscriptions end", test_subscriptions_end),
    ("never talks to itself", test_never_talks_to_itself),
    ("oscdump", test_oscdump),
    ("loopback only", test_loopback_only),
    ("bad addresses", test_bad_addresses),
    ("garbage", test_garbage),
])
