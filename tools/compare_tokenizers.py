#!/usr/bin/env python3
"""Compares tokenizers with the libraries that made them: ids, places and decoded text.

    tools/compare_tokenizers.py PROBE files DATA [--bytes N] [--only WORD]   every tokenizer below DATA on its texts
    tools/compare_tokenizers.py PROBE fuzz SECONDS [--seed N]                random tokenizers on random texts
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
        self.process.stdin.write(json.dumps(question).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the probe ended: %s" % self.process.wait())
        try:
            return json.loads(line)
        except ValueError:
            raise RuntimeError(line.decode().strip()) from None

    def close(self):
        self.process.stdin.close()
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
        named = [i for i, mask in enumerate(theirs.special_tokens_mask) if not mask]
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


def some(rng, make, most):
    return [make(rng) for _ in range(rng.randrange(most + 1))]


def random_pattern(rng):
    return rng.choice(["a", " ", "\u2581", "ab", Regex(r"\s+"), Regex(r"\p{P}"), Regex(r"[ab]+"), Regex(r"\p{N}{1,2}"), Regex(r"x*b")])


def random_normalizer(rng):
    n = normalizers
    return rng.choice([
        lambda: n.NFC(), lambda: n.NFD(), lambda: n.NFKC(), lambda: n.NFKD(), lambda: n.Lowercase(), lambda: n.StripAccents(),
        lambda: n.Strip(rng.random() < 0.7, rng.random() < 0.7), lambda: n.Prepend(rng.choice(["\u2581", "x", "ab"])),
        lambda: n.Replace(random_pattern(rng), rng.choice(["", "x", "\u2581", " ", "bc"])), lambda: n.Nmt(),
        lambda: n.BertNormalizer(rng.random() < 0.8, rng.random() < 0.8, rng.choice([None, True, False]), rng.random() < 0.7)])()


def random_pre_tokenizer(rng):
    p = pre_tokenizers
    behaviors = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
    return rng.choice([
        lambda: p.BertPreTokenizer(), lambda: p.Whitespace(), lambda: p.WhitespaceSplit(), lambda: p.Digits(rng.random() < 0.5),
        lambda: p.Punctuation(rng.choice(behaviors)), lambda: p.UnicodeScripts(), lambda: p.CharDelimiterSplit("b"), lambda: p.FixedLength(rng.randrange(1, 5)),
        lambda: p.Metaspace("\u2581", rng.choice(["always", "never", "first"]), rng.random() < 0.6),
        lambda: p.Split(random_pattern(rng), rng.choice(behaviors), rng.random() < 0.3)])()


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


def random_bpe(rng):
    letters = [c for c in LETTERS if rng.random() < 0.8] or ["a"]
    pieces, merges = ["<unk>", *letters], []
    for _ in range(rng.randrange(40)):
        pair = rng.choice(pieces[1:]), rng.choice(pieces[1:])
        if "".join(pair) not in pieces and pair not in merges:
            merges.append(pair)
            pieces.append("".join(pair))
    fallback = rng.random() < 0.3
    if fallback:
        pieces += ["<0x%02X>" % i for i in range(256)]
    return models.BPE({p: i for i, p in enumerate(pieces)}, merges, unk_token=rng.choice([None, "<unk>"]), fuse_unk=rng.random() < 0.5, byte_fallback=fallback)


def random_byte_level(rng):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces, merges = list(alphabet), []
    for _ in range(60):
        pair = rng.choice(pieces[30:110] + pieces[256:]), rng.choice(pieces[30:110] + pieces[256:])
        if "".join(pair) not in pieces:
            merges.append(pair)
            pieces.append("".join(pair))
    return models.BPE({p: i for i, p in enumerate(pieces)}, merges, ignore_merges=rng.random() < 0.5)


def random_decoder(rng):
    d = decoders
    return rng.choice([
        lambda: None, lambda: d.WordPiece(rng.choice(["##", "@"]), rng.random() < 0.5), lambda: d.BPEDecoder(rng.choice(["</w>", "a"])),
        lambda: d.CTC(rng.choice(["a", "<unk>"]), rng.choice(["b", "|"]), rng.random() < 0.5), lambda: d.Metaspace("\u2581", rng.choice(["always", "never"])),
        lambda: d.Sequence([d.Replace("\u2581", " "), d.ByteFallback(), d.Fuse(), d.Strip(" ", 1, 0)]), lambda: d.ByteFallback(), lambda: d.Fuse()])()


def random_processor(rng):
    p = processors
    pair = ("a", 1), ("b", 2)
    return rng.choice([
        lambda: None, lambda: p.BertProcessing(*pair), lambda: p.RobertaProcessing(*pair, rng.random() < 0.7, rng.random() < 0.5),
        lambda: p.ByteLevel(trim_offsets=True), lambda: p.TemplateProcessing("a $A b", "a $A b $B", [("a", 1), ("b", 2)]),
        lambda: p.Sequence([p.ByteLevel(trim_offsets=True), p.TemplateProcessing("a $A", None, [("a", 1)])])])()


def random_tokenizer(rng):
    is_bytes = rng.random() < 0.2
    model = random_byte_level(rng) if is_bytes else rng.choice([random_unigram, random_word_piece, random_bpe])(rng)
    tokenizer = Tokenizer(model)
    parts = some(rng, random_normalizer, 2)
    if parts:
        tokenizer.normalizer = normalizers.Sequence(parts)
    if is_bytes:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(rng.random() < 0.5, use_regex=rng.random() < 0.7)
        tokenizer.decoder = decoders.ByteLevel()
    else:
        parts = some(rng, random_pre_tokenizer, 2)
        if parts:
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts)
        decoder = random_decoder(rng)
        if decoder is not None:
            tokenizer.decoder = decoder
    processor = random_processor(rng)
    if processor is not None:
        tokenizer.post_processor = processor
    if rng.random() < 0.4:
        tokenizer.add_tokens([AddedToken(rng.choice(["ab", "\u4e2d", "a ", "XY", "c"]), lstrip=rng.random() < 0.3, rstrip=rng.random() < 0.3,
                                         single_word=rng.random() < 0.2, normalized=False) for _ in range(2)])
    return tokenizer


def fuzz_text(rng):
    if rng.random() < 0.5:
        return "".join(rng.choice(LETTERS) if rng.random() < 0.9 else random_char(rng) for _ in range(rng.randrange(40)))
    return random_text(rng, 30)


def fuzz_command(options):
    count = Count()
    end = time.time() + options.seconds
    seed, refused = options.seed, 0
    folder = Path(options.folder)
    while time.time() < end:
        rng = random.Random(seed)
        tokenizer = random_tokenizer(rng)
        path = folder / ("fuzz-%d.json" % seed)
        tokenizer.save(str(path))
        probe = Probe(options.probe, path)
        before = count.differences
        try:
            for _ in range(30):
                compare_text(count, "seed %d" % seed, probe, tokenizer, fuzz_text(rng))
        except RuntimeError as error:
            refused += 1
            if " behind " not in str(error) and " beside " not in str(error):
                count.differences += 1
                print("seed %d: %s" % (seed, error))
        probe.close()
        if count.differences == before:
            path.unlink()
        seed += 1
    print("%d tokenizers, %d refused by name" % (seed - options.seed, refused))
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
    speed = commands.add_parser("speed")
    speed.add_argument("file")
    speed.add_argument("text")
    options = parser.parse_args()
    count = {"files": files_command, "fuzz": fuzz_command, "speed": speed_command}[options.command](options)
    print("%d texts, %d differences" % (count.texts, count.differences))
    return 1 if count.differences else 0


if __name__ == "__main__":
    sys.exit(main())
