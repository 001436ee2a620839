#!/usr/bin/python3
# Fails on an include that climbs a stair (DESIGN.md, "The house"). The self-test
# plants each violation in a tree of its own and must see it refused.
#   includes.py ROOT | includes.py --self-test
import os
import re
import sys
import tempfile

# Which floors each may include, in the order of their include roots.
SEES = {
    "core": ["core"],
    "kernels": ["kernels", "core"],
    "models": ["models", "kernels", "core"],
    "src": ["src", "models", "kernels", "core"],
    "training": ["training", "models", "kernels", "core"],
}
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
DEVICE = re.compile(r"^(jack|alsa)/")


def sources(root):
    for floor in SEES:
        for folder, _, names in os.walk(os.path.join(root, floor)):
            for name in sorted(names):
                if name.endswith((".c", ".h", ".cu", ".cuh")):
                    yield floor, os.path.relpath(
                        os.path.join(folder, name), root
                    )


def resolve(root, path, include):
    """The file a quoted include means, relative to the root, or None."""
    here = os.path.dirname(path)
    for base in [here] + list(SEES):
        candidate = os.path.normpath(os.path.join(base, include))
        if os.path.isfile(os.path.join(root, candidate)):
            return candidate
    return None


def check_line(root, floor, path, quoted, angled):
    name = quoted or angled
    if ".." in name.split("/"):
        return "an include with '..'"
    if name.startswith(("/", "tests/")):
        return "an include of tests or of an absolute path"
    if DEVICE.match(name) and not path.startswith("src/backend/"):
        return "only src/backend/ includes <%s>" % name
    target = resolve(root, path, name)
    if quoted and not target:
        return "no such file on any floor"
    if not target:
        return None
    if target.split("/")[0] not in SEES[floor]:
        return "%s may not include %s" % (floor, target)
    process = path.startswith("src/live/process.")
    if process and target.startswith("models/"):
        return "live/process may not include models"
    return None


def reaches_models(root, path):
    """A way from a file to models/ through its headers, or None."""
    ways = [[path]]
    seen = {path}
    while ways:
        way = ways.pop()
        with open(os.path.join(root, way[-1]), encoding="utf-8") as file:
            found = [INCLUDE.match(line) for line in file]
        for match in filter(None, found):
            target = resolve(root, way[-1], match[1] or match[2])
            if target and target.startswith("models/"):
                return way + [target]
            if target and target not in seen:
                seen.add(target)
                ways.append(way + [target])
    return None


def check(root):
    complaints = []
    count = 0
    for floor, path in sources(root):
        count += 1
        with open(os.path.join(root, path), encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                match = INCLUDE.match(line)
                reason = match and check_line(root, floor, path, *match.groups())
                if reason:
                    complaints.append(
                        "%s:%d: %s: %s" % (path, number, line.strip(), reason)
                    )
        way = path.startswith("src/live/process.") and reaches_models(root, path)
        if way:
            complaints.append("%s: live/process reaches models" % " > ".join(way))
    return complaints, count


TREE = {
    "core/ring.h": "",
    "core/music/note.h": "",
    "kernels/kernels.h": '#include "ring.h"\n',
    "models/model.h": '#include "kernels.h"\n#include "music/note.h"\n',
    "src/app.h": '#include "model.h"\n',
    "src/live/process.h": '#include "ring.h"\n',
    "src/live/worker.h": '#include "model.h"\n',
    "src/backend/jack.c": "#include <jack/jack.h>\n",
    "training/vae.c": '#include "model.h"\n#include <stdio.h>\n',
    "training/data.h": "",
    "tests/help.h": "",
}
PLANTS = [
    ("core/a.c", '#include "kernels.h"'),
    ("core/a.c", "#include <kernels.h>"),
    ("core/a.c", '#include "../models/model.h"'),
    ("core/a.c", '#include "../core/ring.h"'),
    ("kernels/a.c", '#include "model.h"'),
    ("kernels/cpu/a.c", '  #  include "model.h"'),
    ("models/a.c", '#include "app.h"'),
    ("models/a.c", '#include "live/process.h"'),
    ("models/a.c", '#include "data.h"'),
    ("training/a.c", '#include "app.h"'),
    ("training/a.c", '#include "backend/../app.h"'),
    ("src/a.c", '#include "data.h"'),
    ("src/a.c", '#include "nowhere.h"'),
    ("src/a.c", '#include "tests/help.h"'),
    ("src/live/process.c", '#include "model.h"'),
    ("src/live/process.c", '#include "live/worker.h"'),
    ("src/live/clock.c", "#include <jack/jack.h>"),
    ("src/a.c", "#include <alsa/asoundlib.h>"),
]


def self_test():
    def put(root, path, text):
        os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
        with open(os.path.join(root, path), "w", encoding="utf-8") as file:
            file.write(text + "\n")

    for plant in [None] + PLANTS:
        with tempfile.TemporaryDirectory() as root:
            for path, text in TREE.items():
                put(root, path, text)
            if plant:
                put(root, *plant)
            complaints, _ = check(root)
            if bool(complaints) != bool(plant):
                sys.exit("self-test: %s gave %s" % (plant, complaints))
    print("%d planted violations, all refused" % len(PLANTS))


if sys.argv[1] == "--self-test":
    self_test()
else:
    found, files = check(sys.argv[1])
    print("\n".join(found + ["%d files, %d complaints" % (files, len(found))]))
    sys.exit(1 if found or not files else 0)
