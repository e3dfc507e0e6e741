#!/usr/bin/env python3
"""Compares what the shared library shows with the list beside this file.

    exported_symbols.py LIBRARY             fails when they differ
    exported_symbols.py LIBRARY --update    writes the list

The list is one name a line as c++filt writes it: what programs that were linked against an older build of this version
still find. A name that goes is a break for them; a name that comes should be one of the public headers.
"""

import shutil
import subprocess
import sys
from pathlib import Path

LIST = Path(__file__).with_name("exported_symbols.txt")
OURS = ("openllm::", "typeinfo for openllm::Error", "typeinfo name for openllm::Error", "vtable for openllm::Error")


def exported(library):
    """The names that the dynamic linker finds in `library`, without repetition (constructors have several symbols)."""
    listing = subprocess.run(["nm", "--dynamic", "--defined-only", "--demangle", "--format=posix", library],
                             capture_output=True, text=True, check=True).stdout
    names = set()
    for line in listing.splitlines():
        name = line.rsplit(" ", 3)[0] if line.count(" ") >= 3 else line.split(" ")[0]
        names.add(name)
    return names


def main():
    if shutil.which("nm") is None:
        print("skipped: there is no nm (package binutils)")
        return 77
    names = exported(sys.argv[1])
    if "--update" in sys.argv[2:]:
        LIST.write_text("".join(name + "\n" for name in sorted(names)), encoding="utf-8")
        return 0
    known = set(LIST.read_text(encoding="utf-8").splitlines())
    status = 0
    for title, found in (("no name of ours", {name for name in names if not name.startswith(OURS)}),
                         ("not in the list", names - known), ("gone from the library", known - names)):
        for name in sorted(found):
            print("%s: %s" % (title, name))
            status = 1
    if status:
        print("Where this is meant: %s LIBRARY --update" % sys.argv[0])
    return status


if __name__ == "__main__":
    sys.exit(main())
