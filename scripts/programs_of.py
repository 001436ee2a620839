#!/usr/bin/env python3
"""What the tests of some suites are and run, as targets of ninja.

usage: meson introspect --tests --targets BUILD | programs_of.py BUILD SUITE...
"""
import json
import os
import sys

build, suites = os.path.abspath(sys.argv[1]), {f"meander:{s}" for s in sys.argv[2:]}
known = json.load(sys.stdin)
files = {target["id"]: target["filename"] for target in known["targets"]}
needed = {path for test in known["tests"] if suites & set(test["suite"])
          for id in test["depends"] for path in files[id]}
print(*sorted(os.path.relpath(path, build) for path in needed), sep="\n")
