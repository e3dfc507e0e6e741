#!/usr/bin/env python3
"""Writes tests/data/tokenizer/small.golden.json: tokenizers of a few tokens, one for each option.

What is expected is what the Hugging Face tokenizers library makes of the same tokenizer.json.

    tools/make_small_tokenizer_goldens.py
"""
import json
import pathlib

from tokenizers import Tokenizer, pre_tokenizers

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/data/tokenizer/small.golden.json"
META = "\u2581"


def bpe(vocab, merges, **options):
    if not isinstance(vocab, dict):
        vocab = {piece: i for i, piece in enumerate(vocab)}
    return {"type": "BPE", "vocab": vocab, "merges": merges, **options}


def word_piece(vocab, **options):
    vocab = {piece: i for i, piece in enumerate(vocab)}
    return {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
            "vocab": vocab, **options}


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


PIECES = ["[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "##a", "a", "##", "able", "##ff", "\u00e9", "##\u00e9t", "n", "'", "t", "##t", ".", "do",
          "not", ",", "s", "\u4e2d", "##un", "x</w>"]
PIECE_TEXTS = ["", "unaffable", "UNaff able", "una\u0301", "\u00e9\u00e9t", "a" * 99, "a" * 100, "a" * 101, "\u00e9t" * 40, "unx", "x", "##a", "##", "do n't, not.",
               "\u4e2da\u4e2d un", " a\tb\u200ba ", "[CLS] un[SEP]", "a\u0000\ufffda", "a'a't"]


def word_pieces():
    bert = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}
    split = {"type": "BertPreTokenizer"}
    frame = {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]}
    special = [added(1, "[CLS]", special=True), added(2, "[SEP]", special=True)]
    ids = [[], [3, 4, 5], [4], [1, 3, 5, 2], [18, 13, 14, 15, 17], [18, 19], [7, 17, 20, 7], [8, 8], [14, 15], [7, 14, 21], [3, 14, 7, 24, 24]]
    for cleanup in (True, False):
        yield {"model": word_piece(PIECES), "added_tokens": special, "normalizer": bert, "pre_tokenizer": split, "post_processor": frame,
               "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": cleanup}}, PIECE_TEXTS, ids
    for options in ({"max_input_chars_per_word": 3}, {"continuing_subword_prefix": ""}, {"unk_token": "a"}, {"continuing_subword_prefix": "#"}):
        yield {"model": word_piece(PIECES, **options), "pre_tokenizer": split}, PIECE_TEXTS, []
    yield {"model": word_piece(PIECES)}, PIECE_TEXTS, []
    level = {"type": "WordLevel", "vocab": {"[UNK]": 0, "un": 1, "a": 2, "do n": 3}, "unk_token": "[UNK]"}
    yield {"model": level, "pre_tokenizer": split}, PIECE_TEXTS, [[1, 2], [0]]
    yield {"model": level}, ["do n", "a", "do"], [[1, 3]]


def unigram(pieces, **options):
    return {"type": "Unigram", "unk_id": 0, "vocab": [list(piece) for piece in pieces], "byte_fallback": False, **options}


def unigrams():
    pieces = [("<unk>", 0.0), ("a", -2.0), ("b", -2.5), (META, -3.0), (META + "a", -3.5), ("ab", -3.0), ("abab", -6.0), ("xy", -30.0), ("\u4e2d", -4.0),
              ("ba", -4.5), ("c", -2.0), ("cc", -4.0), ("ccc", -6.0)]
    texts = ["", "a", "abab", "ababab", "xy", "xyx", "axya", "a b", "\u4e2d\u6587a", "x" * 20, "cccccccc", "ba ab", "<unk>a", "x<unk>"]
    meta = {"pre_tokenizer": META_SPLIT, "decoder": {"type": "Metaspace", "replacement": META, "prepend_scheme": "always", "split": True}}
    for parts in ({}, meta):
        yield {"model": unigram(pieces), **parts}, texts, [[4, 1, 3, 5], [3, 4]]
    fallback = pieces + [("<0x%02X>" % i, -20.0) for i in range(256)]
    yield {"model": unigram(fallback, byte_fallback=True), **meta}, texts, [[4, 13 + 0xE4, 13 + 0xB8, 13 + 0xAD]]


def other_decoders():
    pieces = bpe(["a", "b</w>", "ab</w>", "|", "<pad>", "c .", " 's", "</w>"], [])
    ids = [[], [0], [1], [0, 1], [1, 2], [0, 0, 1, 1, 0], [4, 0, 4, 0, 3, 3, 4], [5, 6], [7], [1, 7, 0], [4, 4]]
    for suffix in ("</w>", "a"):
        yield {"model": pieces, "decoder": {"type": "BPEDecoder", "suffix": suffix}}, [], ids[1:]
    for cleanup in (True, False):
        yield {"model": pieces, "decoder": {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": cleanup}}, [], ids


def places():
    """Tokenizers whose places in the text are not where one would look first."""
    texts = ["", " a", "a  b ", "\u00e9a\u0301 b", "\u1e9b\u0323 \ufb01a", "\uac01a", "\u4e2da\u6587", "ab ab\u00a0a", "A\u0130B", " <s>a </s> b", "a\u0327\u0301b"]
    letters = bpe(["a", "b", " ", META, "<u>", "ab", "<s>", "</s>", "\u00e9", "e", "\u0301"], ["a b"], unk_token="<u>")
    special = [added(6, "<s>", special=True, rstrip=True), added(7, "</s>", special=True, normalized=True)]
    bert = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}
    kinds = [{"type": kind} for kind in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt")] + [bert]
    kinds += [{"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "Prepend", "prepend": META},
              {"type": "Replace", "pattern": {"String": " "}, "content": "ab"}, {"type": "Replace", "pattern": {"Regex": "a+"}, "content": ""},
              sequence("normalizers", {"type": "NFD"}, {"type": "StripAccents"}, {"type": "Prepend", "prepend": "b"})]
    for normalizer in kinds:
        yield {"model": letters, "added_tokens": special, "normalizer": normalizer}, texts, []
    for scheme in ("always", "first", "never"):
        yield {"model": letters, "added_tokens": special, "pre_tokenizer": {**META_SPLIT, "prepend_scheme": scheme}}, texts, []
    for options in ({}, {"fuse_unk": True}, {"unk_token": None}):
        yield {"model": {**letters, **options}, "pre_tokenizer": {"type": "UnicodeScripts"}}, texts, []
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    spelled = bpe(alphabet + ["\u0120a", "\u00c3\u00a9", "ab"], ["\u0120 a", "\u00c3 \u00a9", "a b"])
    for prefix in (True, False):
        level = {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": True}
        frame = {"type": "RobertaProcessing", "cls": ["a", 1], "sep": ["b", 2], "trim_offsets": True, "add_prefix_space": prefix}
        for post in (level, frame, {**level, "trim_offsets": False}):
            yield {"model": spelled, "pre_tokenizer": level, "post_processor": post, "decoder": level}, texts, []


def cases():
    yield from word_pieces()
    yield from unigrams()
    yield from other_decoders()
    yield from places()
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
        whole_texts = [(t, tokenizer.encode(t)) for t in texts]
        encode = [[t, e.ids, tokenizer.encode(t, add_special_tokens=False).ids, e.offsets] for t, e in whole_texts]
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
