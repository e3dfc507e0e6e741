#!/usr/bin/env python3
"""extract_example.py README.md OUT.cc: writes the first ```cpp block of the README."""

import re
import sys
from pathlib import Path

block = re.search(r"^```cpp\n(.*?)^```", Path(sys.argv[1]).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
if not block:
    sys.exit("the README has no C++ example")
out = Path(sys.argv[2])
if not out.exists() or out.read_text(encoding="utf-8") != block.group(1):
    out.write_text(block.group(1), encoding="utf-8")
