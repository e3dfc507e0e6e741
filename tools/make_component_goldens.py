#!/usr/bin/env python3
"""Writes tests/data/tokenizer/components.golden.json: what single components of the Hugging Face library make of texts.

Needs the Python package `tokenizers`. A Metaspace with the replacement `|`
marks where the words of a pre-tokenizer begin.
"""

import json
import pathlib

from tokenizers import Regex, normalizers, pre_tokenizers
from tokenizers import normalizers as N
from tokenizers import pre_tokenizers as P

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "tokenizer" / "components.golden.json"

# Each pattern's matches are replaced by <>.
REGEX = [
    # Code points newer than PCRE2's Unicode.
    (r"\p{N}", "a\U0001E5F9 \U00010D40"), (r"\p{L}+", "\U00031350\U0002EBF0 \u1c89"), (r"[^\s\p{L}\p{N}]+", "\U0001E5F9\U0001F6DC\U00014210!"),
    (r"\p{M}", "a\u0897"), (r"\p{S}", "\U0001F6DC"), (r"\P{L}", "\U00031350x1"), (r"[^\P{L}x]", "\U00031350x1"), (r"\p{Cn}", "\U0001E5F9\u0378a"),
    # Sets of characters.
    (r"\w", "a_1\u0301\u00b2\u24b6\u200d-"), (r"[\w]", "a_1\u0301\u00b2\u24b6-"), (r"\W", "a\u00bd-"), (r"[\W_]", "_\u00bda"), (r"\d", "1\u0661\u00b2\U00010D40"),
    (r"\h+", "0aFg"), (r"\H", "ag"), (r"[\H]", "ag"), (r"\s", " \u0085\u180e\u3000"), (r"[\S\n]", "a \n\t"),
    (r"[[:alpha:]]+", "a\u0345\u0363\u24b61"), (r"[[:punct:]]", "$a\u00a2!+\u2603"), (r"[[:space:]]", " \u180e\u2028"), (r"[[:word:]]", "\u00b2_a"),
    (r"[[:^alpha:]]", "a1 "), (r"[[:upper:][:digit:]]+", "AB1\u2160a"), (r"\p{Han}+", "\u65e5\u3001\u3006\U0002EBF0\u30fb"), (r"\p{Hiragana}+", "\u3042\u30fc\u3001"),
    (r"\p{Lowercase_Letter}", "aB\u00df"), (r"\p{^L}", "a1"), (r"\P{^L}", "a1"), (r"\pL", "apL"), (r"\p{Alphabetic}", "a\u24b61"), (r"\p{Punct}", "$!"),
    (r"[a[bc]]", "abcd"), (r"[^a[bc]]", "abcd"), (r"[a-z&&b-d]", "abcde"), (r"[^a-z&&b-d]", "abcde"), (r"[\p{L}&&[^\p{Han}]]+", "ab\u65e5c1"), (r"[\w&&[^\d]&&[^a]]", "ab1_"),
    (r"[\s-]", "a -b"), (r"[]a]", "a]b"), (r"[a\]]", "a]b"), (r"[\b]", "\bb"),
    # Repetition.
    (r"\p{N}{1,3}+", "12345678 12"), (r"a{2}?", "aaaa"), (r"a{,2}", "aaa"), (r"a{1,2}?", "aaa"), (r"a{1,2}{2}", "aaaaa"), (r"a**", "aaab"), (r"(?:ab|c){1,2}+d", "abcabcd"),
    (r"a++b", "aab"), (r"a{", "a{"), (r"a{1", "a{1"), (r"{,}", "{,}"), (r"[ab]{2}+", "abababa"), (r"(a|b){2}{2}", "ababa"),
    # Groups and options.
    (r"(?m:.)", "a\nb"), (r".", "a\nb"), (r"^a$", "a\na\nb"), (r"(?i)a(?-i)b", "AbABab"), (r"a(?i)b|c", "aBCaCc"), (r"(?i:'s)", "'\u017f'S"), (r"(?<n>a)\k<n>", "aaa"),
    (r"(?<=a+)b", "aab b ab"), (r"(?<!a*)b", "aab b"), (r"(?<=\s*a)b", " ab"), (r"(?<=ab?c{1,2})d", "acd abccd abcccd bcd"), (r"(?<!x\p{L}?)b", "xab xb aab b"),
    (r"(?<=a{2,}|c)b", "ab aab aaab cb"), (r"(?<=^a?)b", "ab\nb aab"), (r"(?<=[ab]?\d)x", "a1x 1x ax"), (r"a(?#x)b", "ab"), (r"(?>a|ab)c", "abcac"), (r"(?<!a)b", "abbb"),
    # Escapes.
    (r"\u0061", "ab"), (r"\x{61}\x62", "abb"), (r"\v", "a\x0bb\x0c"), (r"\O", "a\nb"), (r"\N", "a\nb"), (r"\e\t", "\x1b\t"), (r"\Q", "Q"), (r"(a)\1", "aaa"),
    (r"\b", "ab \u00b2c\u200d d"), (r"\B", "ab \u00b2c"), (r"\b.", "a\u0301b c"), (r"", "ab"), (r"x*", "axxb"), (r"\A.", "aa"), (r".\z", "aa"), (r"\R", "a\r\nb"),
]
BAD_REGEX = [r"(?s:.)", r"(?a:.)", r"(?x: a)", r"\y", r"\xE3", r"(*ACCEPT)", r"[a", r"(a", r"a)", r"[]", r"\p{L", r"\p{NoSuch}", r"[a&&]", r"\C-a", r"\M-a", r"(?~a)",
             r"\u12", r"(?<a", r"(?(1)a)"]

TEXTS = ["", " ", "a", "Ab 1\u00bd2  \u0661!?", "a\u0301\u0327\u0903 \u0bcd\u0940", "\uac00\u1100\u1161\u11a8 \u00c5 \ufb01 \u2460 \u212b",
         "\u0130\u00df\u1e9e\u03a3 \u1c89\ua7cb\U00010D50", "x\u200dy\u200cz \u00b2\u24b6", "\u2e43\u061d\u166d\ufe50$+", "\u07fd\u0301 \u0898\u0327 \u1715\u3099",
         "\u32ff\U0001F16C\U00010781", "\U0001E5F9\U00010D40\U00016FF4 9", "  lead trail \t\n", "a,b.c--d", "\U0001F468\u200d\U0001F469 e\ufe0f", "aa.aa", "\u2581a \u2581", "\u4e2d\u6587a\U0002B741\u3400 \uf900", "a\u0000b\u200b\u00adc\ufffd\ue000\t\r\n\u0085\u0600\u08e2", "\u00c9E\u0301 \u01d5\u1734\u0c04\ua9bd"]

NORMALIZERS = [N.NFC(), N.NFD(), N.NFKC(), N.NFKD(), N.Lowercase(), N.StripAccents(), N.Strip(), N.Strip(left=False), N.Prepend("x"), N.Replace("", "-"), N.Replace("a", ""),
               N.Replace(Regex(r"\s+"), " "), N.ByteLevel(), N.Nmt(), N.BertNormalizer(), N.BertNormalizer(strip_accents=False), N.BertNormalizer(clean_text=False, lowercase=False, strip_accents=True),
               N.BertNormalizer(handle_chinese_chars=False, lowercase=False), N.Sequence([N.NFD(), N.StripAccents(), N.Lowercase()])]
BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
PRE_TOKENIZERS = ([P.CharDelimiterSplit("a"), P.CharDelimiterSplit("\u2581"), P.FixedLength(1), P.FixedLength(3), P.Whitespace(), P.WhitespaceSplit(), P.BertPreTokenizer(), P.UnicodeScripts(), P.Digits(True), P.Digits(False)] +
                  [P.Punctuation(b) for b in BEHAVIORS] +
                  [P.Split(pattern, b, invert) for b in BEHAVIORS for invert in (False, True)
                   for pattern in ("a", "", " ", Regex(r"\b"), Regex(r"[\p{P}\p{S}]"), Regex(r"x*"))])


MARK = P.Metaspace("|", "always", split=False)


def component(thing):
    return json.loads(thing.__getstate__().decode())


def main():
    golden = {
        "regex": [[p, t, normalizers.Replace(Regex(p), "<>").normalize_str(t)] for p, t in REGEX],
        "bad_regex": BAD_REGEX,
        "normalizers": [[component(n), [[t, n.normalize_str(t)] for t in TEXTS]] for n in NORMALIZERS],
        "pre_tokenizers": [[component(p), [[t, "".join(w for w, _ in P.Sequence([p, MARK]).pre_tokenize_str(t))] for t in TEXTS]]
                           for p in PRE_TOKENIZERS],
    }
    OUT.write_text(json.dumps(golden, separators=(",", ":")) + "\n", encoding="utf-8")


main()
