#!/usr/bin/python3
# Functions fit a screen or so and files stay short, unless a file's first
# comment says why it is long ("Long because ...").
#   sizes.py ROOT
import os
import sys

FUNCTION_LINES_MAX = 80
FILE_LINES_MAX = 600

root = sys.argv[1]
complaints = []
count = 0


def first_comment(lines):
    comment = []
    for line in lines:
        if not line.startswith("//"):
            break
        comment.append(line[2:].strip())
    return " ".join(comment)


for floor in ["core", "kernels", "models", "src", "training", "tests"]:
    for folder, _, names in sorted(os.walk(os.path.join(root, floor))):
        for name in sorted(n for n in names if n.endswith((".c", ".h", ".cu"))):
            path = os.path.join(folder, name)
            shown = os.path.relpath(path, root)
            with open(path, encoding="utf-8") as file:
                lines = file.read().splitlines()
            count += 1
            comment = first_comment(lines)
            if not comment:
                complaints.append("%s: does not begin with a comment" % shown)
            if "Long because" in comment:
                continue
            if len(lines) > FILE_LINES_MAX:
                complaints.append("%s: %d lines" % (shown, len(lines)))
            # In this layout a function's braces stand alone in column 1.
            begin = None
            for number, line in enumerate(lines, 1):
                if line == "{":
                    begin = number
                elif line == "}" and begin:
                    if number - begin - 1 > FUNCTION_LINES_MAX:
                        complaints.append(
                            "%s:%d: a function of %d lines"
                            % (shown, begin, number - begin - 1)
                        )
                    begin = None
print("\n".join(complaints + ["%d files, %d complaints" % (count, len(complaints))]))
sys.exit(1 if complaints or not count else 0)
