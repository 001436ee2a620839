#!/usr/bin/env python3
"""What a training run's log.csv tells, a JSON object a line, for run.sh.

usage: training_log.py NAME log.csv"""
import csv
import json
import sys

HELD_OUT = "valid_"
RATES = ("windows_per_s", "notes_per_s")


def number(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def figures(name, rows):
    """The last step, the median of the second half of the rates (the first has
    the warm-up in it), and the held-out figures that came last."""
    if not rows:
        return {}
    found = {f"{name}_steps": number(rows[-1]["step"])}
    for column in rows[0]:
        values = [v for v in (number(row[column]) for row in rows) if v is not None]
        if column in RATES and values:
            late = sorted(values[len(values) // 2:])
            found[f"{name}_{column}"] = late[len(late) // 2]
        if column.startswith(HELD_OUT) and values:
            found[f"{name}_{column}"] = values[-1]
    return found


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[2], encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for key, value in figures(sys.argv[1], rows).items():
        print(json.dumps({key: value}))


if __name__ == "__main__":
    main()
