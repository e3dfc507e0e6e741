#!/usr/bin/env python3
"""Writes src/tokenizer/unicode/unicode_additions.cc: what the Hugging Face library knows about code points that
Unicode 14 (PCRE2 10.42) or Unicode 15 (ICU 72) do not have.

Needs the Python package `tokenizers` and a Python whose unicodedata is of version 14.
"""

import pathlib
import unicodedata

from tokenizers import Regex, normalizers, pre_tokenizers

OUT = pathlib.Path(__file__).resolve().parent.parent / "src" / "tokenizer" / "unicode" / "unicode_additions.cc"
CATEGORIES = ("Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cf").split()


def ranges(values):
    rows = []
    for value in sorted(values):
        if rows and value[0] == rows[-1][1] + 1 and value[1:] == rows[-1][2:]:
            rows[-1] = (rows[-1][0], value[0]) + rows[-1][2:]
        else:
            rows.append((value[0], value[0]) + value[1:])
    return rows


def main():
    assert unicodedata.unidata_version == "14.0.0", unicodedata.unidata_version
    added = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000 and unicodedata.category(chr(c)) == "Cn"]
    text = "".join(map(chr, added))
    categories = []
    for name in CATEGORIES:
        rest = set(normalizers.Replace(Regex(r"\p{%s}" % name), "").normalize_str(text))
        categories += [(ord(c), name) for c in text if c not in rest]
    digits = pre_tokenizers.Digits(individual_digits=True)
    numeric = [(c,) for c in added if len(digits.pre_tokenize_str("a" + chr(c) + "b")) == 3]
    lower = normalizers.Lowercase()
    lowered = [(c, ord(lower.normalize_str(chr(c)))) for c in added if lower.normalize_str(chr(c)) != chr(c)]

    lines = ["// Made by tools/make_tokenizer_unicode.py.", '#include "tokenizer/unicode/unicode_additions.h"', "",
             "namespace openllm::tokenizer {", "namespace {", "", "// clang-format off",
             "constexpr CategoryRange kCategories[] = {"]
    lines += ["    {0x%X, 0x%X, \"%s\"}," % row for row in ranges(categories)]
    lines += ["};", "", "constexpr CodeRange kNumeric[] = {"]
    lines += ["    {0x%X, 0x%X}," % row for row in ranges(numeric)]
    lines += ["};", "", "constexpr CodePair kLower[] = {"]
    lines += ["    {0x%X, 0x%X}," % row for row in lowered]
    lines += ["};", "// clang-format on", "", "}  // namespace", "",
              "std::span<const CategoryRange> added_categories() noexcept { return kCategories; }",
              "std::span<const CodeRange> added_numeric() noexcept { return kNumeric; }",
              "std::span<const CodePair> added_lower() noexcept { return kLower; }", "",
              "}  // namespace openllm::tokenizer", ""]
    OUT.write_text("\n".join(lines))


main()
