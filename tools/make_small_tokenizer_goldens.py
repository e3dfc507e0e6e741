#!/usr/bin/env python3
"""Writes tests/data/tokenizer/small.golden.json: tokenizers of a few tokens, one for each option.

What is expected is what the Hugging Face tokenizers library makes of the same tokenizer.json.

    tools/make_small_tokenizer_goldens.py
"""
import json
import pathlib

from tokenizers import Tokenizer

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/data/tokenizer/small.golden.json"
META = "\u2581"


def bpe(vocab, merges, **options):
    if not isinstance(vocab, dict):
        vocab = {piece: i for i, piece in enumerate(vocab)}
    return {"type": "BPE", "vocab": vocab, "merges": merges, **options}


def added(id, content, **flags):
    token = {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": False}
    return {**token, **flags}


def template(before, after):
    items = [{"SpecialToken": {"id": t, "type_id": 0}} for t, _ in before]
    items += [{"Sequence": {"id": "A", "type_id": 0}}]
    items += [{"SpecialToken": {"id": t, "type_id": 0}} for t, _ in after]
    special = {t: {"id": t, "ids": ids, "tokens": [t] * len(ids)} for t, ids in before + after}
    return {"type": "TemplateProcessing", "single": items, "pair": items, "special_tokens": special}


def sequence(kind, *parts):
    return {"type": "Sequence", kind: list(parts)}


ABC = ["a", "b", "c", "ab", "bc", "abc", "<u>"]
WORDS = ["a", "b", " ", META, META + "a", "ab", "<s>", "</s>", "foo", "_"]
PLAIN = bpe(WORDS, ["a b", META + " a"])
BYTES = bpe(["a", "<0xC3>", "<0xA9>", "<0xE2>", "<0x96>", "<0x81>", "<0x20>", META, "b", "<0x41>"], [], byte_fallback=True)
WORD_TEXTS = ["", "a", "ab", " ab a", "afoo", "foo", "a foo b", "food", "_foo", "foo_ foo", "a  foo  b", "foofoo",
              "<s>a</s>", " <s> a", "a<s>", "\u00e9foo", "foo\n"]
META_SPLIT = {"type": "Metaspace", "replacement": META, "prepend_scheme": "always", "split": True}


def models():
    letters = ["a", "b", "c", "abc", "ab", "bc", "cab", "aabc", "abcabc", "abbc", "aabbcc", ""]
    yield bpe(ABC, ["b c", "a b", "a bc"]), letters
    yield bpe(ABC, ["a b", "b c", "ab c"]), letters
    yield bpe(ABC, ["b c", "a bc", "a b", "b c"]), letters  # a pair twice: the last counts
    yield bpe(["a", "aa", "aaa", "aaaa"], ["a a", "aa aa", "aa a"]), ["a" * n for n in range(1, 18)]
    yield bpe(["a", "aa", "aaa", "aaaa"], ["a aa", "a a", "aa aa"]), ["a" * n for n in range(1, 18)]
    unknown = ["x", "xx", "axb", "axxb", "xab", "abx", "xxaxx", "\u00e9a\u00e9", "abxabx"]
    for options in [{}, {"unk_token": "<u>"}, {"unk_token": "<u>", "fuse_unk": True}]:
        yield bpe(ABC, ["a b"], **options), unknown
    yield bpe(ABC, ["a b"], ignore_merges=True), letters
    yield bpe(["a", "##b", "##c", "a##b", "ab", "##bc", "b"], ["a ##b", "##b ##c"],
              continuing_subword_prefix="##"), ["ab", "abc", "b", "abb", "a", "bb", "abcc"]
    yield bpe(["a", "b", "b</w>", "ab</w>", "a</w>", "ab"], ["a b</w>", "a b"],
              end_of_word_suffix="</w>"), ["ab", "aba", "a", "abb", "b", "abab"]
    for options in [{}, {"unk_token": "<u>"}, {"unk_token": "<u>", "fuse_unk": True}]:
        yield bpe(["a", "<0xC3>", "<0xA9>", "<u>", "<0x62>"], [], byte_fallback=True, **options), \
            ["a\u00e9", "\u00e9a", "\u00ea", "a\u00ea\u00e9", "\u00ea\u00e9\u00ea\u00eaa", "b", "\u00eab\u00ea"]


def added_tokens():
    for flags in [{}, {"lstrip": True}, {"rstrip": True}, {"lstrip": True, "rstrip": True}, {"single_word": True},
                  {"single_word": True, "lstrip": True, "rstrip": True}, {"special": True}, {"normalized": True}]:
        yield [added(8, "foo", **flags)]
    yield [added(8, "foo"), added(10, "foofoo"), added(11, "fo")]
    yield [added(6, "<s>", special=True), added(7, "</s>", special=True), added(8, "foo", rstrip=True)]
    yield [added(10, " foo"), added(11, "  ")]


def decoders():
    yield None
    yield {"type": "Fuse"}
    for start in (0, 1, 2):
        for stop in (0, 1, 2):
            yield {"type": "Strip", "content": "a", "start": start, "stop": stop}
    yield {"type": "Replace", "pattern": {"String": META}, "content": " "}
    yield {"type": "Replace", "pattern": {"Regex": "[ab]"}, "content": "x"}
    for scheme in ("always", "first", "never"):
        yield {"type": "Metaspace", "replacement": META, "prepend_scheme": scheme, "split": True}
    meta = {"type": "Replace", "pattern": {"String": META}, "content": " "}
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    yield sequence("decoders", meta, {"type": "ByteFallback"}, {"type": "Fuse"}, strip)
    yield sequence("decoders", {"type": "ByteFallback"}, meta)
    yield sequence("decoders", meta, {"type": "Fuse"})


def cases():
    for model, texts in models():
        yield {"model": model}, texts, []
    for tokens in added_tokens():
        for normalizer in (None, {"type": "Prepend", "prepend": "a"}):
            yield {"model": PLAIN, "added_tokens": tokens, "normalizer": normalizer}, WORD_TEXTS, \
                [[8, 0, 8], [0, 8, 6]]
    for before, after in [([("<s>", [6])], []), ([], [("</s>", [7])]), ([("<s>", [6, 6])], [("</s>", [7])])]:
        yield {"model": PLAIN, "post_processor": template(before, after)}, ["", "a", "<s>"], []
    yield {"model": PLAIN, "post_processor": {"type": "BertProcessing", "sep": ["</s>", 7], "cls": ["<s>", 6]}}, ["", "a"], []
    for scheme in ("always", "first", "never"):
        for split in (True, False):
            pre = {**META_SPLIT, "prepend_scheme": scheme, "split": split}
            yield {"model": PLAIN, "pre_tokenizer": pre, "added_tokens": [added(8, "foo")]}, WORD_TEXTS, []
    for decoder in decoders():
        ids = [[], [0], [0, 1], [3, 4], [4, 3, 4], [5, 4, 2], [9, 0, 0, 9], [0, 5, 0], [99, 0]]
        yield {"model": PLAIN, "decoder": decoder}, [], ids
        bytes_ids = [[1, 2], [1], [2, 1], [1, 2, 0], [0, 1, 0], [3, 4, 5], [3, 4], [3, 4, 5, 0, 7, 8], [6, 0], [7, 6],
                     [9, 1, 2, 9, 0]]
        yield {"model": BYTES, "decoder": decoder}, [], bytes_ids


def main():
    rows = []
    for parts, texts, ids in cases():
        whole = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
                 "pre_tokenizer": None, "post_processor": None, "decoder": None, **parts}
        tokenizer = Tokenizer.from_str(json.dumps(whole))
        encode = [[t, tokenizer.encode(t).ids, tokenizer.encode(t, add_special_tokens=False).ids] for t in texts]
        decode = []
        for i in ids:
            try:
                decode.append([i, tokenizer.decode(i), tokenizer.decode(i, skip_special_tokens=False)])
            except BaseException as error:  # the library panics where Strip takes more than there is
                if type(error).__name__ != "PanicException":
                    raise
        rows.append({"tokenizer": parts, "encode": encode, "decode": decode})
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    OUT.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(OUT.name, len(rows), "tokenizers,", OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
