#!/usr/bin/env python3
"""Writes src/jinja/text/unicode_{tables.h,cases.cc,classes.cc}: the character facts that Python's str methods use."""
import pathlib
import sys
import unicodedata

POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def ranges(test):
    out = []
    for c in POINTS:
        if not test(chr(c)):
            continue
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def mapping(convert):
    return runs([(c, ord(convert(chr(c))) - c) for c in POINTS
                 if len(convert(chr(c))) == 1 and convert(chr(c)) != chr(c)])


def long_cases():
    """Letters that have several in another case: the letter, its upper, title and folded case, filled up with 0."""
    def points(text):
        return [ord(c) for c in text] + [0] * (3 - len(text))
    return [[c, points(chr(c).upper()), points(chr(c).title()), points(chr(c).casefold())] for c in POINTS
            if max(len(chr(c).upper()), len(chr(c).title()), len(chr(c).casefold())) > 1]


def folding():
    """Where folding one letter to one is not its lower case."""
    return runs([(c, ord(chr(c).casefold()) - c) for c in POINTS
                 if len(chr(c).casefold()) == 1 and chr(c).casefold() != chr(c).lower()])


def strided(test):
    return runs([(c, 0) for c in POINTS if test(chr(c))])


def runs(pairs):
    """Runs of one distance and one stride (1 or 2)."""
    out = []
    for c, delta in pairs:
        if out and out[-1][2] == delta:
            step = c - out[-1][1]
            if step in (1, 2) and (out[-1][3] == 0 or out[-1][3] == step):
                out[-1][1], out[-1][3] = c, step
                continue
        out.append([c, c, delta, 0])
    return [[a, b, d, s or 1] for a, b, d, s in out]


def braced(cell):
    return "{%s}" % ", ".join(map(str, cell)) if isinstance(cell, list) else str(cell)


def packed(kind, name, rows):
    cells, lines, line = ["{%s}," % ", ".join(map(braced, row)) for row in rows], [], "   "
    for cell in cells:
        if len(line) + 1 + len(cell) > 98:
            lines.append(line)
            line = "   "
        line += " " + cell
    lines.append(line)
    return ("const %s %s[%d] = {\n%s\n};\n" % (kind, name, len(rows), "\n".join(lines)),
            "extern const %s %s[%d];\n" % (kind, name, len(rows)))


def main():
    folder = pathlib.Path(__file__).resolve().parent.parent / "src/jinja/text"
    cases = [
        packed("CaseRun", "kToUpper", mapping(str.upper)),
        packed("CaseRun", "kToLower", mapping(str.lower)),
        packed("CaseRun", "kToTitle", mapping(str.title)),
        packed("CaseRun", "kToFolded", folding()),
        packed("LongCase", "kLongCases", long_cases()),
    ]
    classes = [
        packed("CaseRun", "kUpper", strided(str.isupper)),
        packed("CaseRun", "kLower", strided(str.islower)),
        packed("Range", "kAlpha", ranges(str.isalpha)),
        packed("Range", "kDecimal", ranges(str.isdecimal)),
        packed("Range", "kDigit", ranges(str.isdigit)),
        packed("Range", "kNumeric", ranges(str.isnumeric)),
        packed("Range", "kUnprintable", ranges(lambda c: not c.isprintable())),
    ]
    head = "// Made by tools/make_jinja_unicode.py from Unicode %s; edit that instead.\n" % \
        unicodedata.unidata_version
    for name, parts in (("unicode_cases.cc", cases), ("unicode_classes.cc", classes)):
        (folder / name).write_text(
            head + '#include "jinja/text/unicode_tables.h"\n\nnamespace openllm::jinja::unicode {\n\n'
            "// clang-format off\n" + "\n".join(p[0] for p in parts) +
            "// clang-format on\n\n}  // namespace openllm::jinja::unicode\n")
    (folder / "unicode_tables.h").write_text(
        head + "#pragma once\n\n#include <cstdint>\n\nnamespace openllm::jinja::unicode {\n\n"
        "/// Code points first..last, both included.\nstruct Range {\n  std::uint32_t first;\n"
        "  std::uint32_t last;\n};\n\n/// Code points first..last in steps of `stride` map to "
        "themselves plus `delta`.\nstruct CaseRun {\n  std::uint32_t first;\n  std::uint32_t last;"
        "\n  std::int32_t delta;\n  std::uint32_t stride;\n};\n\n"
        "/// A letter that is several in another case; 0 where there are fewer.\nstruct LongCase {\n"
        "  std::uint32_t letter;\n  std::uint32_t upper[3];\n  std::uint32_t title[3];\n"
        "  std::uint32_t folded[3];\n};\n\n" +
        "".join(p[1] for p in cases + classes) + "\n}  // namespace openllm::jinja::unicode\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
