#!/usr/bin/env python3
"""Trains the small tokenizers of tests/data/tokenizer and records what the Hugging Face library makes of tricky texts.

Needs the Python package `tokenizers`. Usage: tools/make_tokenizer_goldens.py [TEXT_FILE...]
Without text files it trains on the documentation of this project.
"""

import json
import pathlib
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "tests" / "data" / "tokenizer"

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")

TEXTS = [
    "", " ", "  ", "a", " a", "a ", "\n", "\n\n\n", "\r\n\r\n a\r\n", "\t\t x", "Hello world", "Hello, world!  How are you?",
    "I'm sure you'RE right, we'Ll see; they'd've known. K's \u017fs '\u017f",
    "1234567890 12 3.14 \u0661\u0662\u0663 \u00b2\u00b3\u00bd \u2167",
    "\U0001F468\u200d\U0001F469\u200d\U0001F467\u200d\U0001F466 \U0001F3F3\ufe0f\u200d\U0001F308 \U0001F600",
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8\u3002 \u4e2d\u6587", "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645",
    "e\u0301 \u00e9 \ufb01 \u2460 \u0130 \u00df \u212b", "\u0939\u093f\u0928\u094d\u0926\u0940 \u0e44\u0e17\u0e22",
    "\u180e x\u180ey \u200b\u200d\ufeff \u00a0\u3000\u2028\u0085z", "\x00\x01\x7f", "a" * 300, " " * 70 + "x" + "\n" * 40 + "y",
    "def f(x):\n    return x ** 2  # comment\n\n\tpass", "<s> a</s>b <unk><|end|> <|end|>x<|end", "x <mask> y<mask>z  <mask>  w",
    "foo bar foobar", "\u2581a \u2581\u2581b", "http://a.b/c?d=e&f=%20", "<0x41><0x0A>", "[INST] hi [/INST]", "\ufffd", "a\u0300\u0301\u0302b",
    "the the the  the   the", "UPPER lower MiXeD", "--- === ***", "$100, \u20ac5, \u00a37", "Na\u00efve caf\u00e9 \u2014 \u201cquotes\u201d \u2026",
]

SPECIALS = ["<unk>", "<s>", "</s>", "<|end|>"]


def train(tokenizer, files, vocab_size, alphabet):
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=SPECIALS, initial_alphabet=alphabet,
                                  show_progress=False)
    tokenizer.train_from_iterator((pathlib.Path(f).read_text(encoding="utf-8")[:200_000] for f in files), trainer)
    return tokenizer


def byte_level(files, split, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if split is None:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(split), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    return train(tokenizer, files, 700, alphabet)


def with_template(tokenizer):
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))])
    return tokenizer


def sentencepiece_style(files, metaspace):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if metaspace:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
        tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="first")])
    else:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
        tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(),
                                               decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    # Training without a pre-tokenizer would make one word of each file.
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=SPECIALS[:3] + [f"<0x{b:02X}>" for b in range(256)],
                                  limit_alphabet=70, show_progress=False)
    trained.train_from_iterator((pathlib.Path(f).read_text(encoding="utf-8")[:200_000] for f in files), trainer)
    state = json.loads(trained.to_str())["model"]
    tokenizer.model = models.BPE(vocab=state["vocab"], merges=[tuple(m) for m in state["merges"]], unk_token="<unk>",
                                 fuse_unk=True, byte_fallback=True)
    tokenizer.add_special_tokens(SPECIALS)
    return with_template(tokenizer)


def make_all(files):
    yield "gpt2_style", byte_level(files, None)
    llama3 = with_template(byte_level(files, LLAMA3, ignore_merges=True))
    llama3.add_tokens([AddedToken("<mask>", lstrip=True, rstrip=True, normalized=False),
                       AddedToken("foo", single_word=True), "   "])
    yield "llama3_style", llama3
    qwen2 = byte_level(files, QWEN2)
    qwen2.normalizer = normalizers.NFC()
    yield "qwen2_style", qwen2
    yield "llama2_style", sentencepiece_style(files, metaspace=False)
    yield "mistral_style", sentencepiece_style(files, metaspace=True)


def random_ids(tokenizer, rng):
    size = tokenizer.get_vocab_size()
    fallback = [i for i in (tokenizer.token_to_id(f"<0x{b:02X}>") for b in range(256)) if i is not None]
    for _ in range(40):
        pool = fallback if fallback and rng.random() < 0.5 else range(size)
        yield [rng.choice(pool) if rng.random() < 0.8 else rng.randrange(size) for _ in range(rng.randint(0, 9))]


def main():
    files = sys.argv[1:] or sorted(str(p) for p in ROOT.glob("docs/*.md"))
    OUT.mkdir(parents=True, exist_ok=True)
    for name, tokenizer in make_all(files):
        state = json.loads(tokenizer.to_str())
        (OUT / f"{name}.json").write_text(json.dumps(state, ensure_ascii=False, separators=(",", ":")) + "\n",
                                          encoding="utf-8")
        rng = random.Random(7)
        golden = {
            "encode": [[t, tokenizer.encode(t).ids, tokenizer.encode(t, add_special_tokens=False).ids] for t in TEXTS],
            "decode": [[ids, tokenizer.decode(ids), tokenizer.decode(ids, skip_special_tokens=False)]
                       for ids in [tokenizer.encode(t).ids for t in TEXTS] + list(random_ids(tokenizer, rng))],
        }
        (OUT / f"{name}.golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
