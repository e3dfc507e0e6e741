#!/usr/bin/env python3
"""Checks that objects built for one instruction set define no weak symbols.

    tools/check_kernel_objects.py NM OBJECT...

An inline function compiled with -mavx512f and merged by the linker with its copies elsewhere would run on every CPU and
end the program on those without AVX-512. So the files of an instruction set may only define symbols of their own.
"""

import subprocess
import sys

# nm's letters for definitions that the linker may share between objects.
SHARED = "WVu"


def main():
    problems = []
    for path in sys.argv[2:]:
        listing = subprocess.run([sys.argv[1], "-C", "--defined-only", path], capture_output=True, text=True, check=True)
        for line in listing.stdout.splitlines():
            fields = line.split(maxsplit=2)
            if len(fields) == 3 and fields[1] in SHARED:
                problems.append("%s: shared symbol %s" % (path, fields[2]))
    for problem in problems:
        print(problem)
    if not problems:
        print("%d objects: no shared symbols" % (len(sys.argv) - 2))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
