#!/usr/bin/env python3
"""Checks rules about sources that no compiler knows.

    tools/check_sources.py [ROOT]

  - the decoder and everything in src/model outside arch/ names no model family;
  - the layers below llm never print, abort or exit;
  - files of at most 700 lines, in ASCII (tables made by tools are exempt);
  - no marks of unfinished work.
"""

import re
import sys
from pathlib import Path

FAMILIES = re.compile(r"\b(llama|mistral|mixtral|qwen\d?|gemma\d?|phi\d?|gpt2|gpt_?neox|falcon|deepseek|smollm)\b",
                      re.IGNORECASE)
# The program and main functions may; the library may not.
ENDS_PROGRAM = re.compile(r"\b(std::cout|std::cerr|printf\s*\(|fprintf\s*\(|puts\s*\(|abort\s*\(|std::exit|::exit\s*\("
                          r"|_Exit)")
MARKS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
COMMENT = re.compile(r"//.*|\"(?:\\.|[^\"\\])*\"")
MAX_LINES = 700


def check_file(path, name):
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    generated = "Made by tools/" in (lines[0] if lines else "")
    is_test = path.stem.endswith("_test") or path.name.startswith("test_")
    if len(lines) > MAX_LINES and not generated:
        yield "%s: %d lines (at most %d)" % (name, len(lines), MAX_LINES)
    layer = name.split("/")[1] if name.startswith("src/") else ""
    for number, line in enumerate(lines, 1):
        where = "%s:%d" % (name, number)
        if not line.isascii() and not generated:
            yield "%s: not ASCII (write an escape)" % where
        if MARKS.search(line):
            yield "%s: a mark of unfinished work" % where
        code = COMMENT.sub("", line)
        if layer and layer != "cli" and not is_test and ENDS_PROGRAM.search(code):
            yield "%s: the library never prints, aborts or exits" % where
        if name.startswith("src/model/") and not name.startswith("src/model/arch/") and not is_test:
            if FAMILIES.search(code):
                yield "%s: names a model family (only src/model/arch may)" % where


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent)
    problems = []
    for folder in ("include", "src", "examples"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".h", ".cc"):
                problems += check_file(path, path.relative_to(root).as_posix())
    for problem in problems:
        print(problem)
    if not problems:
        print("sources: in order")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
