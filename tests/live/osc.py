"""OSC for the tests: messages and bundles to bytes and back, and the host
program of test_osc.py and test_nsm.py. Standard library only."""
import os
import queue
import select
import signal
import socket
import struct
import subprocess
import threading
import time

from live import Failure, expect

CONTROL_HOST = os.environ.get("CONTROL_HOST", "control_host")


def text_bytes(text):
    data = text.encode() if isinstance(text, str) else text
    return data + b"\0" * (4 - len(data) % 4)


def encode(path, *arguments, types=None):
    """An int is i, a float f, a bool T or F, text s, bytes b."""
    letters, data = ",", b""
    for i, argument in enumerate(arguments):
        letter = types[i] if types else {
            bool: "T" if argument else "F", int: "i", float: "f", str: "s",
            bytes: "b"}[type(argument)]
        letters += letter
        if letter in "sS":
            data += text_bytes(argument)
        elif letter == "b":
            data += struct.pack(">I", len(argument)) + argument
            data += b"\0" * (-len(argument) % 4)
        elif letter in "ifdh":
            data += struct.pack({"i": ">i", "f": ">f", "d": ">d", "h": ">q"}[letter],
                                argument)
    return text_bytes(path) + text_bytes(letters) + data


def bundle(*elements):
    return b"#bundle\0" + struct.pack(">Q", 1) + b"".join(
        struct.pack(">I", len(element)) + element for element in elements)


def take_text(data, at):
    end = data.index(b"\0", at)
    return data[at:end].decode(), (end + 4) & ~3


def decode(data):
    """(path, [arguments])"""
    path, at = take_text(data, 0)
    types, at = take_text(data, at)
    arguments = []
    for letter in types[1:]:
        if letter in "sS":
            value, at = take_text(data, at)
        else:
            value, = struct.unpack_from({"i": ">i", "f": ">f"}[letter], data, at)
            at += 4
        arguments.append(value)
    expect(at == len(data), f"{path}: {len(data) - at} bytes too many")
    return path, arguments


class Client:
    def __init__(self, port, address="127.0.0.1"):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind(("0.0.0.0", 0))
        self.to = (address, port)

    @property
    def port(self):
        return self.socket.getsockname()[1]

    def send(self, path, *arguments, types=None):
        self.socket.sendto(encode(path, *arguments, types=types), self.to)

    def raw(self, data):
        self.socket.sendto(data, self.to)

    def receive(self, timeout=5.0):
        """None: nothing came."""
        if not select.select([self.socket], [], [], timeout)[0]:
            return None
        return decode(self.socket.recv(65536))

    def ask(self, path, *arguments, types=None):
        self.send(path, *arguments, types=types)
        answer = self.receive()
        expect(answer, f"{path} {arguments}: no answer")
        return answer

    def drain(self):
        """All that came so far."""
        heard = []
        while select.select([self.socket], [], [], 0)[0]:
            heard.append(decode(self.socket.recv(65536)))
        return heard

    def ping(self):
        """Waits until all that was sent is done; what else came meanwhile."""
        heard = []
        self.send("/meander/ping")
        while True:
            answer = self.receive(20)
            expect(answer, "no answer to a ping")
            if answer[0] == "/meander/pong":
                return heard
            heard.append(answer)


class Host:
    def __init__(self, address="127.0.0.1", port=0, speed=1, **environment):
        self.process = subprocess.Popen(
            [CONTROL_HOST, address, str(port), str(speed)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **environment})
        self.params, self.actions, self.port, self.said = {}, {}, None, []
        for line in self.process.stdout:
            words = line.split()
            if words[0] == "param":
                self.params[words[1]] = (int(words[2]), float(words[3]),
                                         float(words[4]), bool(int(words[5])),
                                         words[6:])
            elif words[0] == "does":
                self.actions[words[1]] = (int(words[2]), float(words[3]),
                                          float(words[4]))
            elif words[0] == "port":
                self.port = int(words[1])
                break
            else:
                self.said.append(line.strip())
        if self.port is None:
            raise Failure(f"control_host: {self.process.communicate()[1]}")

        # Read on, or it would wait for us with a full pipe.
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.strip())

    def line(self):
        try:
            return self.lines.get(timeout=10)
        except queue.Empty:
            raise Failure("control_host says nothing") from None

    def finish(self):
        """({counter: value}, [lines that were not read])"""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failure("control_host does not end") from None
        self.reader.join()
        err = self.process.stderr.read()
        expect(code == 0 and not err, f"control_host ended with {code}: {err}")
        *lines, last = [self.lines.get() for _ in range(self.lines.qsize())]
        words = last.split()[1:]
        return dict(zip(words[::2], map(int, words[1::2]))), lines


def soon(condition, what, seconds=10):
    until = time.monotonic() + seconds
    while not condition():
        expect(time.monotonic() < until, f"not within {seconds} s: {what}")
        time.sleep(0.01)
