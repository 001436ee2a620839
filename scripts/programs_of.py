#!/usr/bin/env python3
"""The programs that are the tests of a suite, as targets of ninja.

usage: meson introspect --tests BUILD | programs_of.py SUITE BUILD
"""
import json
import os
import sys

suite, build = sys.argv[1], os.path.abspath(sys.argv[2])
for test in json.load(sys.stdin):
    program = test["cmd"][0]
    if f"meander:{suite}" in test["suite"] and program.startswith(build + os.sep):
        print(os.path.relpath(program, build))
