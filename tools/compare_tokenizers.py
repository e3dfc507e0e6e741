#!/usr/bin/env python3
"""Compares tokenizers with the libraries that made them: ids, places and decoded text.

    tools/compare_tokenizers.py PROBE files DATA [--bytes N] [--only WORD]   every tokenizer below DATA on its texts
    tools/compare_tokenizers.py PROBE fuzz SECONDS [--seed N]                random tokenizers on random texts
    tools/compare_tokenizers.py PROBE pieces SECONDS [--seed N]              random SentencePiece models
    tools/compare_tokenizers.py PROBE speed FILE TEXT                        MB/s beside the library's

PROBE is the program tokenizer_probe of the build. DATA has the folders tokenizers, tokenizer_goldens, text, hostile.
Needs the packages tokenizers, sentencepiece and tiktoken. Prints each difference and a last line with their number.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("RUST_BACKTRACE", "0")

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors  # noqa: E402

MAX_SHOWN = 40


class Probe:
    def __init__(self, program, *words):
        self.process = subprocess.Popen([program, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, question):
        try:
            self.process.stdin.write(json.dumps(question).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it said why and ended
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the probe ended: %s" % self.process.wait())
        try:
            return json.loads(line)
        except ValueError:
            raise RuntimeError(line.decode().strip()) from None

    def close(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.stdout.close()
        self.process.wait()


def random_char(rng):
    kind = rng.random()
    if kind < 0.35:
        return chr(rng.randrange(32, 127))
    if kind < 0.45:
        return rng.choice(" \n\t\r\u00a0\u3000\u2581\u200b\u200d\ufeff\u0085\u2028\u0000\ufffd")
    if kind < 0.55:
        return chr(rng.randrange(0x80, 0x250))
    if kind < 0.62:
        return chr(rng.randrange(0x300, 0x370))
    if kind < 0.90:
        code = rng.randrange(0x250, 0x10000)
    else:
        code = rng.randrange(0x10000, 0x20000) if kind < 0.97 else rng.randrange(0x20000, 0x110000)
    return "a" if 0xD800 <= code < 0xE000 else chr(code)


def random_text(rng, most=60):
    return "".join(random_char(rng) for _ in range(rng.randrange(most)))


def texts_of(data, n_bytes, seed=1):
    rng = random.Random(seed)
    for path in sorted((data / "text").iterdir()):
        if path.suffix == ".gz":
            continue
        text = path.read_text(encoding="utf-8")
        for _ in range(max(1, n_bytes // 4000)):
            begin = rng.randrange(max(1, len(text) - 4000))
            yield text[begin:begin + rng.randrange(4000)]
    yield from json.loads((data / "hostile/blns.json").read_text(encoding="utf-8"))
    for _ in range(n_bytes // 60):
        yield random_text(rng)
    yield from ["a" * 3000, " " * 500, "\n" * 300, "\u65e5\u672c" * 200]


class Count:
    def __init__(self):
        self.texts = 0
        self.differences = 0

    def check(self, where, text, what, ours, theirs):
        if ours == theirs:
            return
        self.differences += 1
        if self.differences > MAX_SHOWN:
            return
        if isinstance(ours, list) and isinstance(theirs, list):
            at = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
            ours, theirs = (at, ours[max(0, at - 2):at + 6], len(ours)), (theirs[max(0, at - 2):at + 6], len(theirs))
        print("%s: %s of %s:\n  ours   %s\n  theirs %s" % (where, what, ascii(text)[:300], ascii(ours)[:300], ascii(theirs)[:300]))


def compare_text(count, where, probe, tokenizer, text, offsets=True):
    ours = probe.ask(text)
    try:
        theirs = tokenizer.encode(text)
        plain = tokenizer.encode(text, add_special_tokens=False).ids
    except BaseException as error:  # errors of the library, and its panics
        if isinstance(error, KeyboardInterrupt):
            raise
        return
    count.texts += 1
    if "error" in ours:
        count.check(where, text, "error", ours["error"], None)
        return
    count.check(where, text, "ids", ours["ids"], theirs.ids)
    count.check(where, text, "plain ids", ours["plain"], plain)
    if "located" in ours:
        count.check(where, text, "located ids", ours["located"], theirs.ids)
    elif offsets and ours["ids"] == theirs.ids:
        count.check(where, text, "offsets", [tuple(o) for o in ours["offsets"]], theirs.offsets)
        # A post-processor has names of its own for what it adds.
        named = [i for i, mask in enumerate(theirs.special_tokens_mask) if not mask and theirs.offsets[i] != (0, 0)]
        count.check(where, text, "tokens", [ours["tokens"][i] for i in named], [theirs.tokens[i] for i in named])
    if ours["ids"] == theirs.ids:
        compare_decoded(count, where, ours, tokenizer, theirs.ids, text)


def compare_decoded(count, where, ours, tokenizer, ids, text):
    for name, skip in (("text", True), ("whole", False)):
        try:
            expected = tokenizer.decode(ids, skip_special_tokens=skip)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            continue
        count.check(where, text, "decoded " + name, ours[name], expected)


class SentencePiece:
    """A SentencePiece model under the names of the other library."""

    def __init__(self, path):
        import sentencepiece
        self.processor = sentencepiece.SentencePieceProcessor(model_file=str(path))

    def ids(self, text):
        return self.processor.encode(text)


def files_command(options):
    data = Path(options.data)
    count = Count()
    texts = list(texts_of(data, options.bytes))
    for path in sorted((data / "tokenizers").rglob("tokenizer.json")):
        if options.only not in str(path):
            continue
        before, begin = count.differences, time.time()
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        probe = Probe(options.probe, path)
        rng = random.Random(2)
        for text in texts:
            compare_text(count, path.parent.name, probe, tokenizer, text)
        for _ in range(300):
            ids = [rng.randrange(tokenizer.get_vocab_size()) for _ in range(rng.randrange(12))]
            compare_decoded(count, path.parent.name, probe.ask(ids), tokenizer, ids, ids)
        probe.close()
        print("%s: %d differences, %.0f s" % (path.parent.name, count.differences - before, time.time() - begin), flush=True)
    for path in sorted((data / "tokenizers").rglob("*.model*")):
        if options.only not in str(path) or path.read_bytes()[:1] != b"\n":
            continue
        before = count.differences
        theirs, probe = SentencePiece(path), Probe(options.probe, path)
        for text in texts:
            if "\0" in text:
                continue
            count.texts += 1
            answer = probe.ask({"plain_text": text})
            count.check(path.name, text, "ids", answer.get("plain", answer), theirs.ids(text))
        probe.close()
        print("%s: %d differences" % (path.name, count.differences - before), flush=True)
    return count


LETTERS = "abcABC \u00e9\u0301\u4e2d\u65e5\u2581.,!'12\n\u00df\ufb01"
BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]


def some(rng, make, most):
    return [make(rng) for _ in range(rng.randrange(most + 1))]


def random_pattern(rng):
    return rng.choice(["a", " ", "\u2581", "ab", "\u4e2d", Regex(r"\s+"), Regex(r"\p{P}"), Regex(r"[ab]+"), Regex(r"\p{N}{1,2}"), Regex(r"x*b"),
                       Regex(r"(?i:ab|c)"), Regex(r"\w+|[^\w\s]+"), Regex(r"(?<=a)b"), Regex(r"a(?!b)"), Regex(r"^a|b$"), Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+"),
                       Regex(r"\p{Lu}\p{Ll}*"), Regex(r"[[:punct:]]"), Regex(r"(\p{L})\1"), Regex(r"\bab"), Regex(r"\d{1,3}(?=(?:\d{3})*\b)")])


def protobuf_fields(data):
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        if key & 7 == 0:
            value, at = read_varint(data, at)
        elif key & 7 == 2:
            size, at = read_varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            size = 8 if key & 7 == 1 else 4
            value, at = data[at:at + size], at + size
        yield key >> 3, value


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


CHARSMAPS = {}


def charsmap(name):
    """The table of a rule of SentencePiece."""
    if name not in CHARSMAPS:
        import io

        import sentencepiece
        out = io.BytesIO()
        lines = ["%s%s %s" % (a, b, c) for a in "abcdefgh" for b in "ijklmn" for c in "opqr"]
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=out, vocab_size=30, hard_vocab_limit=False, minloglevel=2,
                                                 normalization_rule_name=name, num_threads=1)
        spec = next(value for field, value in protobuf_fields(out.getvalue()) if field == 3)
        CHARSMAPS[name] = next(bytes(value) for field, value in protobuf_fields(spec) if field == 2)
    return CHARSMAPS[name]


def random_normalizer(rng):
    n = normalizers
    return rng.choice([
        lambda: n.NFC(), lambda: n.NFD(), lambda: n.NFKC(), lambda: n.NFKD(), lambda: n.Lowercase(), lambda: n.StripAccents(),
        lambda: n.Strip(rng.random() < 0.7, rng.random() < 0.7), lambda: n.Prepend(rng.choice(["\u2581", "x", "ab"])),
        lambda: n.Replace(random_pattern(rng), rng.choice(["", "x", "\u2581", " ", "bc", "\u00e9\u4e2d"])), lambda: n.Nmt(),
        lambda: n.Precompiled(charsmap(rng.choice(["nfkc", "nmt_nfkc", "nfkc_cf", "nmt_nfkc_cf"]))),
        lambda: n.Sequence(some(rng, random_normalizer, 2)) if rng.random() < 0.3 else n.NFC(),
        lambda: n.BertNormalizer(rng.random() < 0.8, rng.random() < 0.8, rng.choice([None, True, False]), rng.random() < 0.7)])()


def random_pre_tokenizer(rng):
    p = pre_tokenizers
    return rng.choice([
        lambda: p.BertPreTokenizer(), lambda: p.Whitespace(), lambda: p.WhitespaceSplit(), lambda: p.Digits(rng.random() < 0.5),
        lambda: p.Punctuation(rng.choice(BEHAVIORS)), lambda: p.UnicodeScripts(), lambda: p.CharDelimiterSplit(rng.choice("b \u4e2d")),
        lambda: p.FixedLength(rng.randrange(1, 5)),
        lambda: p.Metaspace(rng.choice(["\u2581", "\u2581", "_", "a"]), rng.choice(["always", "never", "first"]), rng.random() < 0.6),
        lambda: p.Sequence(some(rng, random_pre_tokenizer, 2)) if rng.random() < 0.3 else p.WhitespaceSplit(),
        lambda: p.Split(random_pattern(rng), rng.choice(BEHAVIORS), rng.random() < 0.3)])()


def random_pieces(rng, n):
    pieces = []
    for _ in range(n):
        piece = "".join(rng.choice(LETTERS) for _ in range(rng.randrange(1, 4)))
        if piece not in pieces:
            pieces.append(piece)
    return pieces


def random_unigram(rng):
    pieces = ["<unk>", *[c for c in LETTERS if rng.random() < 0.7], *random_pieces(rng, 30)]
    pieces = list(dict.fromkeys(pieces))
    fallback = rng.random() < 0.4
    if fallback:
        pieces += ["<0x%02X>" % i for i in range(256)]
    return models.Unigram([(p, -rng.randrange(1, 12) * rng.choice([1.0, 0.37])) for p in pieces], 0, fallback)


def random_word_piece(rng):
    prefix = rng.choice(["##", "", "@"])
    pieces = ["[UNK]", *[c for c in LETTERS if rng.random() < 0.7], *[prefix + c for c in LETTERS if rng.random() < 0.8], *random_pieces(rng, 20),
              *[prefix + p for p in random_pieces(rng, 20)]]
    vocab = {p: i for i, p in enumerate(dict.fromkeys(pieces))}
    return models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=rng.choice([3, 100]), continuing_subword_prefix=prefix)


def random_word_level(rng):
    pieces = ["<unk>", *LETTERS, *random_pieces(rng, 60)]
    return models.WordLevel({p: i for i, p in enumerate(dict.fromkeys(pieces))}, unk_token="<unk>")


def random_bpe(rng):
    prefix, suffix = rng.choice([(None, None)] * 3 + [("##", None), (None, "</w>"), ("@", "</w>")])
    letters = [c for c in LETTERS if rng.random() < 0.8] or ["a"]
    pieces, merges = ["<unk>", *letters], []
    if prefix:
        pieces += [prefix + c for c in letters]
    if suffix:
        pieces += [p + suffix for p in pieces[1:]]
    for _ in range(rng.randrange(60)):
        left, right = rng.choice(pieces[1:]), rng.choice(pieces[1:])
        if suffix and left.endswith(suffix) or prefix and not right.startswith(prefix):
            continue
        joined = left + (right[len(prefix):] if prefix else right)
        if joined not in pieces and (left, right) not in merges:
            merges.append((left, right))
            pieces.append(joined)
    fallback = rng.random() < 0.3 and not prefix and not suffix
    if fallback:
        pieces += ["<0x%02X>" % i for i in range(256)]
    more = {key: value for key, value in (("continuing_subword_prefix", prefix), ("end_of_word_suffix", suffix)) if value}
    return models.BPE({p: i for i, p in enumerate(dict.fromkeys(pieces))}, merges, unk_token=rng.choice([None, "<unk>"]), fuse_unk=rng.random() < 0.5,
                      byte_fallback=fallback, ignore_merges=rng.random() < 0.2, **more)


def random_byte_level(rng):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces, merges = list(alphabet), []
    for _ in range(60):
        pair = rng.choice(pieces[30:110] + pieces[len(alphabet):]), rng.choice(pieces[30:110] + pieces[len(alphabet):])
        if "".join(pair) not in pieces:
            merges.append(pair)
            pieces.append("".join(pair))
    return models.BPE({p: i for i, p in enumerate(pieces)}, merges, ignore_merges=rng.random() < 0.5)


LINES = [line for path in sorted(Path(__file__).resolve().parent.parent.glob("docs/*.md")) for line in path.read_text(encoding="utf-8").splitlines() if line]


def trained(rng):
    """A tokenizer that the library's own trainers make."""
    from tokenizers import trainers
    size = rng.choice([80, 300, 600])
    special = ["<unk>", *rng.choice([[], ["<s>", "</s>"], ["[CLS]", "[SEP]"]])]
    kind = rng.choice(["bpe", "bytes", "unigram", "piece", "level"])
    if kind == "bpe":
        suffix, prefix = rng.choice([(None, None), ("</w>", None), (None, "##")])
        more = {k: v for k, v in (("end_of_word_suffix", suffix), ("continuing_subword_prefix", prefix)) if v}
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=rng.random() < 0.5, **more))
        trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False, **more)
    elif kind == "bytes":
        tokenizer = Tokenizer(models.BPE(ignore_merges=rng.random() < 0.5))
        trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    elif kind == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=special, unk_token="<unk>", show_progress=False)
    elif kind == "piece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
        trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    else:
        tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
        trainer = trainers.WordLevelTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    parts = some(rng, random_normalizer, 2)
    if parts:
        tokenizer.normalizer = normalizers.Sequence(parts)
    if kind == "bytes":
        set_byte_level(rng, tokenizer)
    else:
        set_words(rng, tokenizer, at_least=1)
    try:
        tokenizer.train_from_iterator(rng.sample(LINES, 120), trainer)
    except Exception:  # too few tokens for all characters
        tokenizer.model = random_word_level(rng)
    return tokenizer


def random_decoder(rng, depth=0):
    d = decoders
    if depth == 0 and rng.random() < 0.2:
        return d.Sequence([random_decoder(rng, 1) or d.Fuse() for _ in range(rng.randrange(1, 4))])
    return rng.choice([
        lambda: None, lambda: d.WordPiece(rng.choice(["##", "@"]), rng.random() < 0.5), lambda: d.BPEDecoder(rng.choice(["</w>", "a"])),
        lambda: d.CTC(rng.choice(["a", "<unk>"]), rng.choice(["b", "|"]), rng.random() < 0.5), lambda: d.Metaspace("\u2581", rng.choice(["always", "never", "first"])),
        lambda: d.Sequence([d.Replace("\u2581", " "), d.ByteFallback(), d.Fuse(), d.Strip(" ", 1, 0)]), lambda: d.ByteFallback(), lambda: d.Fuse(),
        lambda: d.ByteLevel(), lambda: d.Replace(random_pattern(rng), rng.choice(["", " ", "x"])), lambda: d.Strip(rng.choice(" ab"), rng.randrange(3), rng.randrange(3))])()


def random_processor(rng, depth=0):
    p = processors
    pair = ("a", 1), ("b", 2)
    named = [("a", 1), ("b", 2)]
    return rng.choice([
        lambda: None, lambda: p.BertProcessing(*pair), lambda: p.RobertaProcessing(*pair, rng.random() < 0.7, rng.random() < 0.5),
        lambda: p.ByteLevel(trim_offsets=rng.random() < 0.7), lambda: p.TemplateProcessing("a $A b", "a $A b $B", named),
        lambda: p.TemplateProcessing("$A:0 b", "$A:0 b:1 $B:1 b:1", named), lambda: p.TemplateProcessing("a a $A", "$B b $A", named),
        lambda: p.TemplateProcessing("a:1 $A:1", "a $A:0 $B:1 b:1", named),
        lambda: p.Sequence([random_processor(rng, 1) or p.ByteLevel() for _ in range(rng.randrange(1, 3))]) if depth == 0 else None,
        lambda: p.Sequence([p.ByteLevel(trim_offsets=True), p.TemplateProcessing("a $A", "a $A $B", [("a", 1)])])])()


def set_byte_level(rng, tokenizer):
    p = pre_tokenizers
    last = p.ByteLevel(rng.random() < 0.5, use_regex=rng.random() < 0.7)
    parts = [p.Split(random_pattern(rng), rng.choice(BEHAVIORS), rng.random() < 0.2), p.Digits(rng.random() < 0.5), p.Punctuation(rng.choice(BEHAVIORS))]
    before = rng.sample(parts, rng.choice([0, 0, 1, 2]))
    behind = rng.sample(parts, rng.choice([0, 0, 0, 1]))
    tokenizer.pre_tokenizer = p.Sequence([*before, last, *behind]) if before or behind else last
    tokenizer.decoder = decoders.ByteLevel()


def set_words(rng, tokenizer, at_least=0):
    parts = some(rng, random_pre_tokenizer, 2)
    while len(parts) < at_least:
        parts.append(random_pre_tokenizer(rng))
    if parts:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts)
    decoder = random_decoder(rng)
    if decoder is not None:
        tokenizer.decoder = decoder


def add_tokens(rng, tokenizer):
    contents = ["ab", "\u4e2d", "a ", "XY", "c", "Ab", "<x>", " b", "\u00e9", "aba", "\n"]

    special = rng.random() < 0.4  # normalized ones that are special are no longer special to the library

    def token(content, normalized=False):
        return AddedToken(content, lstrip=rng.random() < 0.3, rstrip=rng.random() < 0.3, single_word=rng.random() < 0.2, normalized=normalized)

    tokens = [token(rng.choice(contents)) for _ in range(rng.randrange(1, 4))]
    if not special and rng.random() < 0.5:  # of several that become alike, the library takes one by chance
        tokens[0] = token(rng.choice([c for c in contents if c.strip()]), True)
    (tokenizer.add_special_tokens if special else tokenizer.add_tokens)(tokens)


def random_tokenizer(rng):
    if rng.random() < 0.2:
        tokenizer = trained(rng)
    elif rng.random() < 0.25:
        tokenizer = Tokenizer(random_byte_level(rng))
        parts = some(rng, random_normalizer, 2)
        if parts:
            tokenizer.normalizer = normalizers.Sequence(parts)
        set_byte_level(rng, tokenizer)
    else:
        letters_of_bytes = rng.random() < 0.05
        make = random_byte_level if letters_of_bytes else rng.choice([random_unigram, random_word_piece, random_bpe, random_word_level])
        tokenizer = Tokenizer(make(rng))
        parts = [*some(rng, random_normalizer, 3), *([normalizers.ByteLevel()] if letters_of_bytes else [])]
        if parts:
            tokenizer.normalizer = normalizers.Sequence(parts) if len(parts) > 1 else parts[0]
        set_words(rng, tokenizer)
    processor = random_processor(rng)
    if processor is not None:
        tokenizer.post_processor = processor
    if rng.random() < 0.4:
        add_tokens(rng, tokenizer)
    return respelled(rng, tokenizer)


def respelled(rng, tokenizer):
    """The same file as older versions of the library, and people, write it."""
    if rng.random() < 0.7:
        return tokenizer
    data = json.loads(tokenizer.to_str())
    model = data["model"]
    if "merges" in model and rng.random() < 0.5 and not any(" " in part for pair in model["merges"] for part in pair):
        model["merges"] = [" ".join(pair) for pair in model["merges"]]
    if rng.random() < 0.3:
        data["truncation"] = {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0}
    if rng.random() < 0.3:
        data["padding"] = {"strategy": {"Fixed": 40}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 1, "pad_type_id": 0, "pad_token": "a"}
    for key in ("dropout", "byte_fallback", "ignore_merges", "fuse_unk", "continuing_subword_prefix", "end_of_word_suffix"):
        if rng.random() < 0.3 and key in model and not model[key]:
            del model[key]
    data["model"] = model
    try:
        return Tokenizer.from_str(json.dumps(data))
    except Exception:
        return tokenizer


def fuzz_text(rng):
    if rng.random() < 0.5:
        return "".join(rng.choice(LETTERS) if rng.random() < 0.9 else random_char(rng) for _ in range(rng.randrange(40)))
    return rng.choice(LINES)[:60] if rng.random() < 0.2 else random_text(rng, 30)


def compare_pair(count, where, probe, tokenizer, first, second):
    try:
        theirs = tokenizer.encode(first, second)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return
    ours = probe.ask({"pair": [first, second]})
    if "error" in ours:
        if "no form for two texts" not in ours["error"]:
            count.check(where, [first, second], "error of a pair", ours["error"], None)
        return
    count.check(where, [first, second], "pair", ours["ids"], theirs.ids)
    if ours["ids"] == theirs.ids:
        count.check(where, [first, second], "types", ours["types"], theirs.type_ids)


def fuzz_command(options):
    count = Count()
    end = time.time() + options.seconds
    seed, refused, reasons = options.seed, 0, {}
    folder = Path(options.folder)
    while time.time() < end:
        rng = random.Random(seed)
        tokenizer = random_tokenizer(rng)
        path = folder / ("fuzz-%d.json" % seed)
        tokenizer.save(str(path))
        tokenizer = Tokenizer.from_file(str(path))  # one that was put together remembers more than its file
        tokenizer.no_truncation()
        tokenizer.no_padding()
        probe = Probe(options.probe, path)
        before = count.differences
        try:
            for _ in range(30):
                compare_text(count, "seed %d" % seed, probe, tokenizer, fuzz_text(rng))
            for _ in range(3):
                compare_pair(count, "seed %d" % seed, probe, tokenizer, fuzz_text(rng), fuzz_text(rng))
            size = tokenizer.get_vocab_size()
            for _ in range(10):
                ids = [rng.randrange(size) for _ in range(rng.randrange(10))]
                compare_decoded(count, "seed %d" % seed, probe.ask(ids), tokenizer, ids, ids)
        except RuntimeError as error:
            refused += 1
            reasons[str(error)] = reasons.get(str(error), 0) + 1
            if " behind " not in str(error) and " beside " not in str(error):
                count.differences += 1
                print("seed %d: %s" % (seed, error))
        probe.close()
        if count.differences == before:
            path.unlink()
        else:
            print("seed %d: %s" % (seed, {k: v for k, v in json.loads(path.read_text()).items() if k != "model"}), flush=True)
        seed += 1
    for reason, n in sorted(reasons.items(), key=lambda item: -item[1]):
        print("%5d %s" % (n, reason))
    print("%d tokenizers, %d refused by name" % (seed - options.seed, refused))
    return count


def random_pieces_model(rng):
    """A SentencePiece model with random settings; None where they do not go together."""
    import io

    import sentencepiece
    kind = rng.choice(["unigram", "unigram", "bpe", "bpe", "word", "char"])
    fallback = rng.random() < 0.3
    settings = {
        "model_type": kind, "vocab_size": rng.choice([90, 150, 300]) + (256 if fallback else 0), "byte_fallback": fallback,
        "normalization_rule_name": rng.choice(["identity", "nfkc", "nmt_nfkc", "nmt_nfkc_cf"]), "add_dummy_prefix": rng.random() < 0.7,
        "remove_extra_whitespaces": rng.random() < 0.6, "treat_whitespace_as_suffix": rng.random() < 0.25, "split_digits": rng.random() < 0.3,
        "allow_whitespace_only_pieces": rng.random() < 0.3, "split_by_whitespace": rng.random() < 0.8,
        "user_defined_symbols": rng.sample(["<ud>", "ab", "\u2581\u2581", "\u4e2d", "the", "  ", "A"], rng.choice([0, 0, 1, 3])),
        "control_symbols": rng.sample(["<ctl>", "[X]"], rng.randrange(2)), "character_coverage": rng.choice([0.98, 1.0])}
    out = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(rng.sample(LINES, 300)), model_writer=out, hard_vocab_limit=False, minloglevel=2,
                                                 num_threads=1, **settings)
    except (RuntimeError, OSError):
        return None, settings
    return out.getvalue(), settings


def pieces_command(options):
    import sentencepiece
    count = Count()
    end = time.time() + options.seconds
    seed, n_models = options.seed, 0
    while time.time() < end:
        rng = random.Random(seed)
        model, settings = random_pieces_model(rng)
        seed += 1
        if model is None:
            continue
        n_models += 1
        path = Path(options.folder) / "pieces.model"
        path.write_bytes(model)
        theirs = sentencepiece.SentencePieceProcessor(model_proto=model)
        probe = Probe(options.probe, path)
        before = count.differences
        for _ in range(60):
            text = fuzz_text(rng).replace("\0", "")
            ids = theirs.encode(text)
            count.texts += 1
            answer = probe.ask({"plain_text": text})
            count.check("seed %d" % (seed - 1), text, "ids", answer.get("plain", answer), ids)
            if theirs.unk_id() not in ids and not text.lstrip().startswith("\u2581"):  # of several the library drops more than one
                count.check("seed %d" % (seed - 1), ids, "text", probe.ask(ids)["whole"], theirs.decode(ids))
        probe.close()
        if count.differences > before:
            print("seed %d: %s" % (seed - 1, settings), flush=True)
    print("%d models" % n_models)
    return count


def speed_command(options):
    text = Path(options.text).read_text(encoding="utf-8")
    ours = subprocess.run([options.probe, options.file, "--bench", options.text], capture_output=True, text=True).stdout
    tokenizer = Tokenizer.from_file(options.file)
    best = 1e9
    for _ in range(3):
        begin = time.perf_counter()
        tokenizer.encode(text)
        best = min(best, time.perf_counter() - begin)
    theirs = len(text.encode()) / best / 1e6
    print("ours %s, theirs %.2f MB/s: %.1f times as fast" % (ours.strip(), theirs, float(ours.split()[0]) / theirs))
    return Count()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("probe")
    commands = parser.add_subparsers(dest="command", required=True)
    files = commands.add_parser("files")
    files.add_argument("data")
    files.add_argument("--bytes", type=int, default=40000)
    files.add_argument("--only", default="")
    fuzz = commands.add_parser("fuzz")
    fuzz.add_argument("seconds", type=float)
    fuzz.add_argument("--seed", type=int, default=1)
    fuzz.add_argument("--folder", default="/tmp", help="where tokenizers with differences stay")
    pieces = commands.add_parser("pieces")
    pieces.add_argument("seconds", type=float)
    pieces.add_argument("--seed", type=int, default=1)
    pieces.add_argument("--folder", default="/tmp")
    speed = commands.add_parser("speed")
    speed.add_argument("file")
    speed.add_argument("text")
    options = parser.parse_args()
    count = {"files": files_command, "fuzz": fuzz_command, "pieces": pieces_command, "speed": speed_command}[options.command](options)
    print("%d texts, %d differences" % (count.texts, count.differences))
    return 1 if count.differences else 0


if __name__ == "__main__":
    sys.exit(main())
