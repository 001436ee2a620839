#!/usr/bin/env python3
"""Adds up meson's JSON test logs into the closing line of ./check.

usage: tally.py FUZZ_EXIT_STATUS STATUS:LOG...
The fuzz run counts as one test (77: skipped). STATUS is what `meson test`
returned, LOG.json its log and LOG.list what `meson test --list` names for the
same suites. A run that did not happen, that ended early, or that failed without
saying so counts as a failure.
"""
import json
import sys


def read_lines(path):
    try:
        with open(path) as file:
            return [line for line in file if line.strip()]
    except OSError as error:
        print(f"tally: {error}")
        return []


def read_results(path):
    try:
        return [json.loads(line) for line in read_lines(path)]
    except ValueError as error:
        print(f"tally: {path}: {error}")
        return []


def main():
    fuzz = int(sys.argv[1])
    passed, failed, skipped = int(fuzz == 0), int(fuzz not in (0, 77)), int(fuzz == 77)
    for argument in sys.argv[2:]:
        status, log = argument.split(":", 1)
        failed_before = failed
        results = read_results(log + ".json")
        planned = len(read_lines(log + ".list"))
        if not planned or len(results) != planned:
            print(f"FAILED: {log}: {len(results)} of {planned} tests ran")
            failed += 1
        for result in results:
            if result["result"] in ("OK", "EXPECTEDFAIL"):
                passed += 1
            elif result["result"] == "SKIP":
                skipped += 1
                print(f"skipped: {result['name']}")
            else:
                failed += 1
                print(f"FAILED: {result['name']} ({result['result']}), {log}")
        if status != "0" and failed == failed_before:
            print(f"FAILED: {log}: meson test returned {status}")
            failed += 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed or not passed else 0)


main()
