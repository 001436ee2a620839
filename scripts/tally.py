#!/usr/bin/env python3
"""Adds up meson's JSON test logs into the closing line of ./check.

usage: tally.py FUZZ_EXIT_STATUS LOG.json...
The fuzz run counts as one test (77: skipped). A log that is missing or empty counts as a failure: a run that did not happen
has not passed.
"""
import json
import sys

fuzz = int(sys.argv[1])
passed, failed, skipped = int(fuzz == 0), int(fuzz not in (0, 77)), int(fuzz == 77)
for path in sys.argv[2:]:
    results = []
    try:
        with open(path) as log:
            results = [json.loads(line) for line in log if line.strip()]
    except OSError as error:
        print(f"tally: {error}")
    if not results:
        print(f"tally: {path}: no test ran")
        failed += 1
    for result in results:
        if result["result"] in ("OK", "EXPECTEDFAIL"):
            passed += 1
        elif result["result"] == "SKIP":
            skipped += 1
            print(f"skipped: {result['name']}")
        else:
            failed += 1
            print(f"FAILED: {result['name']} ({result['result']}), {path}")
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(1 if failed or not passed else 0)
