#!/usr/bin/env python3
"""Compares what the shared library shows with the list beside this file.

    exported_symbols.py LIBRARY             fails when they differ
    exported_symbols.py LIBRARY --update    writes the list

The list is one name a line as c++filt writes it: what programs that were linked against an older build of this version
still find. A name that goes is a break for them; a name that comes should be one of the public headers.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

LIST = Path(__file__).with_name("exported_symbols.txt")
OURS = ("openllm::", "typeinfo for openllm::Error", "typeinfo name for openllm::Error", "vtable for openllm::Error")


def exported(library):
    """Name -> kind (as nm tells it) of what the dynamic linker finds in `library`; constructors have several symbols."""
    listing = subprocess.run(["nm", "--dynamic", "--defined-only", "--demangle", "--format=posix", library],
                             capture_output=True, text=True, check=True).stdout
    names = {}
    for line in listing.splitlines():
        name, kind = re.fullmatch(r"(.*) (\S) [0-9a-f]+(?: [0-9a-f]*)?\s*", line).groups()
        names[name] = kind
    return names


def main():
    if shutil.which("nm") is None:
        print("skipped: there is no nm (package binutils)")
        return 77
    kinds = exported(sys.argv[1])
    # Inline functions are the program's own as well: which of them the compiler left in the library does not matter.
    names = {name for name, kind in kinds.items() if kind != "W"}
    if "--update" in sys.argv[2:]:
        LIST.write_text("".join(name + "\n" for name in sorted(names)), encoding="utf-8")
        return 0
    known = set(LIST.read_text(encoding="utf-8").splitlines())
    status = 0
    for title, found in (("no name of ours", {name for name in kinds if not name.startswith(OURS)}),
                         ("not in the list", names - known), ("gone from the library", known - names)):
        for name in sorted(found):
            print("%s: %s" % (title, name))
            status = 1
    if status:
        print("Where this is meant: %s LIBRARY --update" % sys.argv[0])
    return status


if __name__ == "__main__":
    sys.exit(main())
