#!/usr/bin/env python3
"""Records what the Hugging Face library makes of texts in which some control words are tokens and others are text.

Needs the Python package `tokenizers`. The library has no such choice, so the words that are tokens get another spelling,
in the text and in a copy of the tokenizer: then those that keep theirs are ordinary text, and everything is cut as it is
when it stands in one text. Writes tests/data/tokenizer/guards.golden.json: for each tokenizer of that folder rows of
[text, places inside of the words that are text, ids].
"""

import json
import pathlib
import random

from tokenizers import Tokenizer

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "tokenizer"
STYLES = ["gpt2_style", "llama2_style", "llama3_style", "mistral_style", "qwen2_style"]
WORDS = ["<s>", "</s>", "<|end|>", "<unk>"]
SPELLINGS = {word: chr(0xE000 + i) for i, word in enumerate(WORDS)}
PLAIN = ["hi", " hi", "\n", "\n\n", " ", "<", ">", "|", "a<b", "x.", " The end", "3", "e\u0301", "\u00fc", "don't"]


def respell(tokenizer, normalized):
    """The same tokenizer, where the words have their other spelling; `normalized`: they are looked for behind the normalizer."""
    copy = json.loads(json.dumps(tokenizer))
    for token in copy["added_tokens"]:
        if token["content"] in SPELLINGS:
            token["content"] = SPELLINGS[token["content"]]
            token["normalized"] = normalized
    vocab = copy["model"]["vocab"]
    for word, spelling in SPELLINGS.items():
        if word in vocab:
            vocab[spelling] = vocab.pop(word)
    if copy["model"].get("unk_token") in SPELLINGS:
        copy["model"]["unk_token"] = SPELLINGS[copy["model"]["unk_token"]]
    copy["post_processor"] = None
    return Tokenizer.from_str(json.dumps(copy))


def cases(rng):
    for _ in range(60):
        text, respelt, places = "", "", []
        for _ in range(rng.randint(1, 8)):
            kind = rng.random()
            if kind < 0.3:
                word = rng.choice(WORDS)
                text, respelt = text + word, respelt + SPELLINGS[word]
            elif kind < 0.6:
                word = rng.choice(WORDS)
                places.append(len((text + word[0]).encode()))
                text, respelt = text + word, respelt + word
            else:
                piece = rng.choice(PLAIN)
                text, respelt = text + piece, respelt + piece
        # Plain pieces may have made a word of their own.
        if sum(respelt.count(word) for word in WORDS) == len(places):
            yield text, respelt, places


def main():
    out = {}
    for style in STYLES:
        tokenizer = json.loads((FOLDER / f"{style}.json").read_text())
        # A normalizer that writes in front of every word makes another token of a respelt one.
        for normalized in [False] if style == "llama2_style" else [False, True]:
            library = respell(tokenizer, normalized)
            rng = random.Random(f"{style} {normalized}")
            out[f"{style}{' normalized' if normalized else ''}"] = [
                [text, places, library.encode(respelt, add_special_tokens=False).ids] for text, respelt, places in cases(rng)]
    lines = ",\n".join(json.dumps(name) + ": [\n" + ",\n".join(json.dumps(row) for row in rows) + "]" for name, rows in out.items())
    (FOLDER / "guards.golden.json").write_text("{" + lines + "}\n")


if __name__ == "__main__":
    main()
