#!/usr/bin/env python3
"""The terminal view as a person meets it: in tmux, key by key, at several
sizes; on terminals that can little, that take nothing, or that are none; and
that the terminal comes back whatever ends the program. Screens are printed.
Most of it is about view_demo, which plays the view alone."""
import fcntl
import itertools
import os
import pty
import re
import shlex
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time

from live import (MAKE_MODEL, MEANDER, SKIP, Failure, Workplace, at_once,
                  check_stops, expect, run_tests)

DEMO = os.environ.get("VIEW_DEMO", "view_demo")
SLOW = bool(os.environ.get("SLOW"))
NUMBERS = itertools.count()
FOLDER = tempfile.TemporaryDirectory(prefix="meander-view-")
UTF8 = {"LC_ALL": "C.UTF-8", "TERM": "tmux-256color"}
SHELL = "bash --norc --noprofile"


def path(name):
    return os.path.join(FOLDER.name, f"{next(NUMBERS)}-{name}")


def read(name):
    try:
        with open(name, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def until(condition, what, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.03)
    raise Failure(what)


class Screen:
    """A pane of a tmux of its own."""

    def __init__(self, command, columns=80, rows=24, **environment):
        self.socket = path("tmux")
        settings = " ".join(f"{k}={shlex.quote(v)}"
                            for k, v in {**UTF8, **environment}.items())
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns),
                  "-y", str(rows), f"env {settings} {command}", ";",
                  "set", "-g", "remain-on-exit", "on", ";",
                  "set", "-g", "status", "off", ";",
                  "set", "-g", "window-size", "manual")
        self.resize(columns, rows)

    def tmux(self, *arguments):
        return subprocess.run(
            ["tmux", "-u", "-S", self.socket, *arguments], check=True,
            stdout=subprocess.PIPE, text=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"}).stdout

    def resize(self, columns, rows):
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def keys(self, *keys):
        """Those of one kind at once: named keys, or characters."""
        for typed, group in itertools.groupby(keys, lambda key: len(key) == 1):
            self.tmux("send-keys", *(["-l", "--"] if typed else ["--"]), *group)

    def text(self, *flags):
        return self.tmux("capture-pane", "-p", *flags)

    def wait(self, *texts, seconds=15):
        """The screen, once all of the texts are on it."""
        def shown():
            text = self.text()
            return all(t in text for t in texts) and text
        try:
            return until(shown, f"{texts} is not on the screen", seconds)
        except Failure:
            print(self.text())
            raise

    def gone(self, text):
        until(lambda: text not in self.text(), f"{text!r} stays on the screen")

    def close(self):
        try:
            self.tmux("kill-server")
        except subprocess.CalledProcessError:
            pass


class Demo(Screen):
    """view_demo in a pane, with its log of actions."""

    def __init__(self, *arguments, columns=80, rows=24, seconds=60, **environment):
        self.log, self.pid_file = path("log"), path("pid")
        self.modes = path("modes")
        # What a shell finds before and after.
        inner = (f"echo $$ >{self.pid_file}; exec "
                 f"{shlex.join([DEMO, self.log, str(seconds), *arguments])}")
        super().__init__(
            "sh -c " + shlex.quote(
                f"trap : INT; echo before; stty -g >{self.modes}; sh -c {shlex.quote(inner)};"
                f" echo code $?; stty -g >>{self.modes}; exec cat"),
            columns, rows, **environment)

    def actions(self):
        return read(self.log).splitlines()

    def kill(self, number):
        os.kill(int(until(lambda: read(self.pid_file).strip(), "no process")),
                number)

    def expect_given_back(self, code=0):
        text = self.wait(f"code {code}")
        before, after = until(
            lambda: len(read(self.modes).split()) == 2 and read(self.modes),
            "no stty").split()
        expect(before == after, f"the terminal's modes changed: {after}")
        expect("before" in text, f"the screen before is gone:\n{text}")
        expect(self.tmux("display", "-p", "#{alternate_on}#{cursor_flag}"
                         "#{keypad_cursor_flag}") .strip() == "010",
               "alternate screen, cursor or keypad are not as before")
        return text


def show(what, text):
    print(f"--- {what}")
    print("\n".join("    |" + line for line in text.rstrip("\n").split("\n")))


def width(text):
    return max(len(line) for line in text.split("\n"))


def check_play_page(text, columns):
    for word in ("120.0 bpm", "free", " A ", "vae 0123abcd", "preset calm",
                 "buffer 1.9/2.0 s", "cpu 3.1/7.9 ms", "null>2", "notes ",
                 "seed 12345", "xrun 0", "late 3", "drop 0", "starved 0",
                 "fewer 0", "fallback 0", "repeat 0", "points none", "C6",
                 ">mode", "? help", "p panic", "to meander:notes: 2",
                 "prior: unrelated windows"):
        expect(word in text, f"no {word!r}:\n{text}")
    expect(width(text) <= columns, "too wide")


def test_sizes():
    demo = Demo(columns=80, rows=24)
    wide = Demo(columns=132, rows=43)
    try:
        time.sleep(3)
        text = demo.wait("late 3")
        show("80 x 24", text)
        check_play_page(text, 80)
        big = wide.wait("late 3")
        show("132 x 43", big)
        check_play_page(big, 132)

        def roll_rows(of):
            return sum(1 for line in of.split("\n") if re.search("[█▀▄]", line[:80]))

        expect(roll_rows(text) >= 6, "the roll is low")
        expect(roll_rows(big) >= 25, "no taller with more room")
        expect("CC 74" in big and "walk_step" in big, "no bindings")
        expect(big.count("\n") == 43, "rows")
        keyboard = next(line for line in big.split("\n") if "C7" in line)
        expect(len(keyboard.rstrip()) >= 88, "not all of a piano's keys")
        first, later = demo.text(), (time.sleep(0.5), demo.text())[1]
        expect(first != later, "nothing moves")
    finally:
        demo.close()
        wide.close()


def fixed_parts(text):
    """What does not change from second to second. No note of the demo's hides
    the name of C6."""
    lines = text.split("\n")
    return lines[0], lines[2], lines[12][:50], lines[-2], lines[-3], lines[-4]


def test_resize():
    demo = Demo()
    try:
        before = demo.wait("late 3", "meander:notes: 2")
        sizes = ((20, 5), (1, 1), (2, 2), (3, 9), (20, 5), (300, 100), (40, 12),
                 (59, 7), (80, 1), (1, 24), (132, 43))
        for columns, rows in sizes:
            demo.resize(columns, rows)
            time.sleep(0.25)
            text = demo.text()
            if (columns, rows) in ((20, 5), (40, 12)):
                show(f"{columns} x {rows}", text)
                expect("buffer 1.9/2.0 s" in text and "mode auto" in text,
                       f"at {columns} x {rows}:\n{text}")
            expect(width(text) <= columns, f"too wide at {columns} x {rows}")
            expect("\ufffd" not in text and "^[" not in text, "garbage")
        demo.keys("Tab", "Tab", "?", "?")  # every page small, too
        for _ in range(5):
            demo.resize(9, 4)
            demo.keys("Tab")
            time.sleep(0.1)
            demo.resize(1, 2)
            time.sleep(0.1)
        demo.resize(80, 24)
        demo.keys("Tab", "Tab", "Tab")
        after = demo.wait("late 3", ">mode", "? help")
        expect(fixed_parts(before) == fixed_parts(after),
               f"not the same after resizing:\n{before}\n{after}")
        check_play_page(after, 80)
        demo.keys("q", "y")
        demo.expect_given_back()
    finally:
        demo.close()


KEYS = (
    (["p"], "panic"), (["Space"], "text freeze on"), (["Space"], "text freeze off"),
    (["m"], "text mute on"), (["h"], "text hold on"),
    (["3"], "recall 3"), (["0"], "recall 10"), (["s", "4"], "store 4"),
    (["s", "0"], "store 10"), (["s", "f"], "store 16"), (["g", "b"], "recall 12"),
    (["a"], "ab"), (["n"], "next"), (["N"], "previous"),
    (["+"], "accept"), (["-"], "reject"), (["k"], "keep 60"),
    (["K", "Enter"], "keep_bars 8"),
    (["K", "C-u", "1", "2", "Enter"], "keep_bars 12"),
    (["r"], "record 1"), (["r"], "record 0"),
    (["Down", "Down", "Right"], "nudge pull 1"), (["Left"], "nudge pull -1"),
    (["]"], "nudge pull 10"), (["["], "nudge pull -10"),
    (["S-Right"], "nudge pull 10"), (["S-Left"], "nudge pull -10"),
    (["l"], "learn pull"), (["L"], "unlearn pull"),
    (["Up", "Enter", "0", ".", "7", "5", "Enter"], "text walk_step 0.75"),
    (["Home", "Enter", *"walk", "Enter"], "text mode walk"),
    (["Enter", *"x", "BSpace", *"auto", "Enter"], "text mode auto"),
    (["PageDown", "Right"], "nudge temperature 1"),
    (["End", "Left"], "nudge phrase_pause -1"),
    (["o", *"calm", "Enter"], "preset calm"), (["w", *"my own", "Enter"], "save my own"),
    (["O", *"a.safetensors", "Enter"], "load a.safetensors"),
    (["b", *"panic", "Enter"], "learn_action panic"),
    (["Escape", "Escape"], "panic"),
)


def test_keys():
    demo = Demo()
    try:
        demo.wait("late 3")
        for keys, action in KEYS:
            before = len(demo.actions())
            demo.keys(*keys)
            got = until(lambda: demo.actions()[before:], f"{keys}: no action")
            expect(got == [action], f"{keys}: {got}, not {action}")
        # Each key on the help page was pressed here, or does not act.
        before = len(demo.actions())
        for keys in (["x"], ["F5"], ["C-l"], ["Enter", "Escape"], ["s", "Escape"],
                     ["o", "Enter"], ["Enter", *"p1 q", "Escape"], ["Tab", "BTab"],
                     ["?", "Down", "?"]):
            demo.keys(*keys)
            time.sleep(0.7)  # the next Esc is none of a pair
        expect(demo.actions()[before:] == [],
               f"these keys do nothing: {demo.actions()[before:]}")
        return f"{len(KEYS)} keys"
    finally:
        demo.close()


def test_states_and_refusals():
    demo = Demo()
    try:
        demo.wait("late 3")
        demo.keys("Space", "m", "r", "s", "2", "l")
        demo.wait(" FROZEN ", " MUTED ", " REC 1:15 ", " LEARN mode ", "points 2")
        demo.keys("Down", "Enter")
        demo.wait("walk_step (now 0.35) = _")
        demo.keys(*"7x")
        demo.wait("walk_step (now 0.35) = 7x_")
        demo.keys("Enter")
        show("a refusal", demo.wait("walk_step is '7x', use a number", "? help"))
        demo.keys("Enter", *"7", "Enter")
        demo.wait("walk_step is 7, out of its range 0 to 1")
        expect("walk_step       0.35" in demo.text(), "a refused value was taken")
        demo.keys("K", *"x", "Enter")
        demo.wait("bars to keep: '8x' is no number from 1 to 600")
        demo.keys("O", *"nowhere", "Enter")
        demo.wait("nowhere: no such checkpoint; what plays goes on")
        demo.keys("Escape")
        demo.wait("Esc once more ends every note")
        # A question that is not answered goes, and takes no other key with it.
        demo.keys("q")
        demo.wait("quit? y ends the music")
        demo.keys("n")
        demo.gone("quit?")
        demo.keys("s")
        demo.wait("store this point")
        demo.gone("store this point")
        expect(demo.actions()[-1] == "next", "the key after a question is lost")
        demo.keys("Escape", "Enter", *"né€x", "BSpace", "BSpace")
        demo.wait("(now 0.35) = né_")
        demo.keys("Escape")
    finally:
        demo.close()


def test_pages():
    demo = Demo()
    try:
        demo.wait("late 3", "to meander:notes: 2")
        demo.keys("Tab")
        show("parameters", demo.wait("program_change", ">mode", "beats_per_bar"))
        demo.keys("Tab")
        time.sleep(2.5)
        text = demo.wait("C6", " mode auto ")
        show("roll", text)
        expect(sum("█" in line for line in text.split("\n")) >= 12, "a low roll")
        demo.keys("Tab")
        text = demo.wait("●", "2")
        show("walk", text)
        expect(re.search("[\u2801-\u28ff]", text), "no way")
        demo.keys("Tab")
        demo.gone("●")
        show("log", demo.wait("seed 12345, before the screen"))
        demo.keys("Tab")
        demo.wait(">mode", "C6")
        demo.keys("?")
        show("help", demo.wait("ends every note, in synths too", "more"))
        demo.keys("End")
        demo.wait("quits, when y is pressed after it")
        demo.keys("Escape")
        demo.wait(">mode")
    finally:
        demo.close()


def test_a_paste_is_no_key():
    demo = Demo()
    try:
        demo.wait("late 3")
        demo.tmux("set-buffer", "qynpk\n3")
        demo.tmux("paste-buffer", "-p")
        time.sleep(0.3)
        expect(demo.actions() == [], f"a paste acts: {demo.actions()}")
        demo.keys("o")
        demo.tmux("set-buffer", "two words\n")
        demo.tmux("paste-buffer", "-p")
        demo.wait("preset to take: two words_")
        demo.keys("Enter")
        until(lambda: demo.actions() == ["preset two words"], "no action")
    finally:
        demo.close()


def look(case):
    """The screen of a case of poor_terminals, and the same with colours."""
    demo = Demo(**case[1])
    try:
        time.sleep(2)
        text = demo.wait("late 3", "C6", ">mode")
        drawn = demo.text("-e")
        demo.keys("m")
        demo.wait(" MUTED ")
        demo.keys("q", "y")
        demo.wait("code 0")
        return text, drawn
    finally:
        demo.close()


def test_poor_terminals():
    """ASCII where that is all, no colours where there are none."""
    cases = (("C and vt100", {"LC_ALL": "C", "TERM": "vt100"}, True, 0),
             ("UTF-8 and vt100", {"TERM": "vt100"}, False, 0),
             ("C and 256 colours", {"LC_ALL": "C"}, True, 256),
             ("8 colours", {"TERM": "xterm"}, False, 8),
             ("the Linux console", {"TERM": "linux"}, False, 8))
    for (what, environment, ascii_only, colours), (text, drawn) in zip(
            cases, at_once(look, cases)):
        show(what, text)
        expect(text.isascii() == ascii_only, f"{what}: signs")
        expect(environment.get("TERM") != "linux" or
               not re.search("[\u2801-\u28ff]", text), f"{what}: Braille")
        seen = 256 if ";5;" in drawn else \
            8 if re.search(r"\x1b\[(\d+;)*[34][1-7]m", drawn) else 0
        expect(seen == colours, f"{what}: {seen} colours")


def play_elsewhere(case):
    """view_demo with another end than a screen: (standard output, log)."""
    what, term, seconds = case
    log = path("log")
    environment = {**os.environ, **UTF8, "TERM": term}
    if what == "pipe":
        out = subprocess.run([DEMO, log, str(seconds)], env=environment,
                             stdout=subprocess.PIPE, timeout=60).stdout
        return out, read(log)
    master, slave = pty.openpty()
    process = subprocess.Popen([DEMO, log, str(seconds)], env=environment,
                               stdin=slave, stdout=slave, start_new_session=True)
    os.close(slave)
    out = b""
    try:
        while chunk := os.read(master, 4096):
            out += chunk
    except OSError:
        pass
    expect(process.wait(60) == 0, f"{case}: exit code")
    os.close(master)
    return out, read(log)


def test_without_a_terminal():
    cases = (("pipe", "xterm", 6), ("pty", "dumb", 6), ("pty", "", 1),
             ("pty", "no-such-terminal", 1))
    for case, (out, log) in zip(cases, at_once(play_elsewhere, cases)):
        lines = out.decode().replace("\r", "").splitlines()
        expect(b"\x1b" not in out, f"{case}: escape sequences")
        expect(all(line.startswith("meander: ") for line in lines), f"{lines}")
        expect(lines[0] == "meander: seed 12345, before the screen" and
               lines[-1].startswith("meander: played "), f"{case}: {lines}")
        status = [line for line in lines if " buffer 1.9/2.0 s cpu 3.1/7.9 ms" in line]
        expect(len(status) == case[2] // 5, f"{case}: {lines}")
        expect(", 0 frames" in log, f"{case}: drawn")
    show("a pipe", "\n".join(lines))


def end(case):
    """The screen after view_demo was ended in one of many ways."""
    how, code = case
    demo = Demo(*(["crash"] if how == "crash" else []),
                seconds=3 if how == "crash" else 60)
    try:
        demo.wait("late 3")
        if how == "Ctrl-C":
            demo.keys("C-c")
        elif how != "crash":
            demo.kill(how)
        return demo.expect_given_back(code)
    finally:
        demo.close()


def test_end_gives_the_terminal_back():
    cases = ((signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGHUP, 0),
             ("Ctrl-C", 0), (signal.SIGSEGV, 139), (signal.SIGABRT, 134),
             (signal.SIGQUIT, 131), ("crash", 134))
    texts = at_once(end, cases)
    for (how, code), text in zip(cases, texts):
        expect(code or ("meander: played " in text and
                        text.count("before the screen") == 1 and
                        "meander: inputs that listen" in text),
               f"{how}: log lines are lost or twice:\n{text}")
    show("after SIGTERM", texts[0])


def test_ctrl_z():
    log, modes = path("log"), path("modes")
    screen = Screen(SHELL)
    try:
        screen.keys("PS1='ready> '", "Enter")
        screen.wait("ready>")
        screen.keys(f"clear; stty -g >{modes}; {DEMO} {log} 60", "Enter")
        for _ in range(3):
            screen.wait("late 3", ">mode")
            screen.keys("C-z")
            screen.wait("Stopped")
            screen.keys(f"echo $((6*7)); stty -g >>{modes}", "Enter")
            screen.wait("\n42\n")
            screen.keys("clear; fg", "Enter")
        text = screen.wait("late 3", ">mode", "? help", "C6")
        show("after fg", text)
        stty = read(modes).split()
        expect(len(stty) == 4 and len(set(stty)) == 1, f"modes: {stty}")
        actions = read(log).splitlines()
        expect(actions == ["hush"] * 3, f"notes before the stop: {actions}")
        screen.keys("a")
        until(lambda: read(log).endswith("ab\n"), "no key after fg")
        # In the background it plays on and leaves the terminal alone.
        screen.keys("C-z")
        screen.wait("Stopped")
        screen.keys("clear; bg", "Enter")
        screen.wait("ready>")
        time.sleep(0.6)
        screen.keys("echo $((40+2)); jobs", "Enter")
        text = screen.wait("\n42\n", "Running")
        expect(">mode" not in text, f"it draws in the background:\n{text}")
        screen.keys("fg", "Enter")
        screen.wait("late 3", ">mode")
        screen.keys("q", "y")
        screen.wait("meander: played ")
    finally:
        screen.close()


def test_ctrl_z_in_play():
    work, trace = Workplace(), path("trace")
    screen = Screen(SHELL)
    try:
        screen.keys("PS1='ready> '", "Enter")
        screen.wait("ready>")
        screen.keys(f"clear; {MEANDER} --backend null --density 4 --tempo 2 "
                    f"--model {work.model} --osc-port 0 --trace {trace}", "Enter")
        for _ in range(2):
            screen.wait("buffer", "late")
            time.sleep(1)
            screen.keys("C-z")
            screen.wait("Stopped")
            time.sleep(2.5)
            screen.keys("clear; fg", "Enter")
        screen.wait("buffer", "late")
        time.sleep(2)
        screen.keys("q", "y")
        screen.wait("meander: played ")
        check_stops(trace, 2)
    finally:
        screen.close()


def turns_ms(log):
    found = re.search(r"turns ([\d.]+) ms apart at most", log)
    expect(found, f"it did not end: {log}")
    return float(found[1])


def test_ctrl_s():
    """A terminal that is stopped stops nothing else."""
    demo = Demo()
    try:
        demo.wait("late 3")
        demo.keys("C-s")
        time.sleep(0.3)
        before = demo.text()
        demo.keys("n")
        until(lambda: demo.actions() == ["next"], "keys do nothing")
        time.sleep(2.5)
        expect(demo.text() == before, "it is not stopped")
        demo.keys("C-q")
        until(lambda: demo.text() != before, "it does not go on")
        check_play_page(demo.wait(">mode", "late 3"), 80)
        demo.keys("C-s", "q", "y")
        demo.expect_given_back()
        longest = turns_ms(read(demo.log))
        expect(longest < 1200, f"it waited {longest} ms")
        return f"turns at most {longest} ms apart"
    finally:
        demo.close()


def test_a_reader_that_is_gone():
    """Nobody reads: neither a terminal's other end nor a pipe's. It ends soon
    after it is told to."""
    def play(kind):
        log = path("log")
        ends = pty.openpty() if kind == "pty" else os.pipe()
        if kind == "pty":
            fcntl.ioctl(ends[0], termios.TIOCSWINSZ,
                        struct.pack("4H", 50, 200, 0, 0))
        process = subprocess.Popen(
            [DEMO, log, "60"], env={**os.environ, **UTF8}, stdin=subprocess.DEVNULL,
            stdout=ends[1], start_new_session=True)
        time.sleep(6)
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        expect(process.wait(20) == 0, "exit code")
        took = time.monotonic() - began
        for end in ends:
            os.close(end)
        expect(took < 5, f"{kind}: it took {took:.1f} s to end")
        expect(turns_ms(read(log)) < 2500, f"{kind}: {read(log)}")
        return f"{kind} {turns_ms(read(log)):.0f} ms"
    return "turns at most " + ", ".join(at_once(play, ("pty", "pipe")))


def test_a_frame_costs_little():
    """Milliseconds are printed: a benchmark, not a test."""
    def play(size):
        demo = Demo(columns=size[0], rows=size[1], seconds=4)
        try:
            demo.wait("code 0")
            found = re.search(r"(\d+) frames of ([\d.]+) ms, ([\d.]+)",
                              read(demo.log))
            expect(found, "it did not end")
            count = int(found[1])
            expect(count <= 4 * 25 + 2, f"{count} frames in 4 s")
            expect(SLOW or count > 40, f"only {count} frames in 4 s")
            return f"{size[0]} x {size[1]}: {found[2]} ms (at most {found[3]})"
        finally:
            demo.close()
    return ", ".join(at_once(play, ((80, 24), (132, 43), (300, 100))))


def test_bare_status():
    demo = Demo("bare")
    try:
        demo.wait("SERVER GONE", "no parameters here", "buffer 0.0/0.0 s")
        demo.keys("Tab")
        demo.wait("no parameters here")
        demo.keys("Right", "Enter", *"1", "Enter", "Space", "r", "q", "y")
        demo.expect_given_back()
        expect(demo.actions()[:4] == ["nudge mode 1", "text mode 1",
                                      "text freeze on", "record 1"],
               f"{demo.actions()}")
    finally:
        demo.close()


def test_meander():
    work = Workplace()
    code = path("code")
    screen = Screen("sh -c " + shlex.quote(
        f"{MEANDER} --backend null --seed 5 --model {work.model} "
        f"--keep-dir {work.path('keep')} --osc-port 0; "
        f"echo $? >{code}; exec cat"))
    try:
        screen.wait("buffer", "C1", "seed 5", "null>", "late 0")
        time.sleep(3)
        text = screen.text()
        show("meander", text)
        expect(re.search("[█▀▄]", text), "no notes")
        for key, badge in (("Space", "FROZEN"), ("m", "MUTED"), ("r", "REC")):
            screen.keys(key)
            screen.wait(f" {badge} ")
            screen.keys(key)
            screen.gone(f" {badge} ")
        screen.keys("?")
        screen.wait("ends every note, in synths too")
        screen.keys("q")
        screen.wait("quit? y")
        screen.keys("y")
        until(lambda: read(code), "it does not end")
        expect(read(code) == "0\n", f"exit code {read(code)}")
        show("meander, ended", screen.wait("meander: seed 5", "meander: played "))
    finally:
        screen.close()


def meander_screen(work, *arguments):
    """(meander in a pane, the file that its exit code goes to)"""
    code = path("code")
    os.makedirs(work.path("home"), exist_ok=True)
    command = shlex.join([MEANDER, *arguments, "--backend", "null", "--osc-port",
                          "0", "--keep-dir", work.path("keep")])
    return Screen("sh -c " + shlex.quote(f"{command}; echo $? >{code}; exec cat"),
                  HOME=work.path("home"), XDG_STATE_HOME=work.path("state"),
                  XDG_CONFIG_HOME=work.path("config")), code


def roll_of(text):
    """Whether there are notes above the keyboard, which are to come, and below
    it, which were."""
    lines = text.split("\n")
    keys = next(i for i, line in enumerate(lines) if "C3" in line and "C5" in line)
    return tuple(any(re.search("[█▀▄]", line[:80]) for line in part)
                 for part in (lines[keys - 3:keys], lines[keys + 1:keys + 4]))


def test_meander_resized():
    """The program itself, while it plays: what is planned and what was played
    in its roll, at 80 x 24, at 20 x 5, and so on back."""
    work = Workplace()
    screen, code = meander_screen(work, "play", "--seed", "5", "--model", work.model,
                                  "--density", "3")

    def count():
        found = re.search(r"notes (\d+)", screen.text())
        return int(found[1]) if found else -1

    def is_whole():
        text = screen.text()
        return "C3" in text and roll_of(text) == (True, True) and text
    try:
        screen.wait("buffer", "C3", "seed 5")
        until(is_whole, "no notes to come, or none that were")
        before = count()
        for columns, rows in ((20, 5), (1, 1), (20, 5), (300, 100), (20, 5)):
            screen.resize(columns, rows)
            time.sleep(0.3)
            text = screen.text()
            expect(width(text) <= columns, f"too wide at {columns} x {rows}")
            expect("\ufffd" not in text and "^[" not in text, "garbage")
        show("meander, 20 x 5", screen.wait("buffer"))
        screen.keys("m")  # keys act at any size
        screen.resize(80, 24)
        screen.wait(" MUTED ", ">mode", "? help")
        screen.keys("m")
        screen.gone(" MUTED ")
        show("meander, 80 x 24 again", until(is_whole, "not as before"))
        expect(count() > before, "it stopped playing")
        screen.keys("q", "y")
        until(lambda: read(code), "it does not end")
        expect(read(code) == "0\n", f"exit code {read(code)}")
    finally:
        screen.close()


def test_audition_readout():
    """Which checkpoint plays, of which step and how rated; which comes and why
    it is not there yet."""
    work = Workplace()
    models = []
    for run in ("one", "two"):
        os.makedirs(work.path(f"runs/{run}"))
        models.append(work.path(f"runs/{run}/best.safetensors"))
        subprocess.run([MAKE_MODEL, "vae", models[-1], str(len(models))], check=True)
    screen, code = meander_screen(work, "audition", *models, "--watch",
                                  work.path("runs"), "--tempo", "4")
    try:
        screen.wait("one/best", "C3", "notes ")
        screen.keys("+")
        screen.wait("one/best, rated keep")
        screen.keys("n")
        screen.wait("plays two/best", " two/best ")
        screen.keys("a")
        screen.wait("plays one/best, rated keep (B)", " B   one/best, rated keep ")
        screen.keys("Space")
        screen.wait(" FROZEN ")
        screen.keys("a")
        show("a comparison that waits",
             screen.wait("two/best waits: the music is frozen"))
        # Whatever is said before them, the counts of faults stand.
        screen.keys("m", "h", "r")
        screen.wait(" MUTED ", " REC ", "late 0", "drop 0", "fallback 0",
                    "repeat 0")
        screen.keys("m", "h", "r")
        screen.keys("Space")
        screen.wait("plays two/best (A)", " A   two/best ")
        screen.keys("q", "y")
        until(lambda: read(code) == "0\n", "it does not end well")
    finally:
        screen.close()


if __name__ == "__main__":
    if not shutil.which("tmux"):
        print("skipped: there is no tmux")
        raise SystemExit(SKIP)
    run_tests([(name[5:], function) for name, function in list(globals().items())
               if name.startswith("test_")])
