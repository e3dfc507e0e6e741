#!/usr/bin/env python3
"""Writes golden.json: what transformers computes from hf/, checked against llama2.c's own numbers. Needs torch and
transformers. Tokenizer cases come from a plain transcription of llama2.c's encoder, checked against tokenizers."""

import json
import os
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
GREEDY = [403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426, 338, 401, 396, 267, 337, 410, 408,
          419, 292, 411, 322, 265, 282, 295, 433]
LOGITS_AFTER_BOS = [-6.22291, 8.40434, -6.22374, -6.22254]
TEXTS = ["", " ", "a", "Hello world", "Once upon a time, there was a little girl named Lily.", "  two  spaces ",
         "line\nbreak\ttab", "caf\u00e9 \u4f60\u597d \U0001f600", "UPPER lower 12345 !?\"'", "\u2581", "aaaaaaaaaaaaaaa",
         "the the the", "She said, \"I don't know!\"", "don't you'll he's", "\u0000x", "\u00a0\u3000",
         "Tim and Lily went to the park. They saw a big, red ball. " * 3]


def read_vocab(path):
    """The vocabulary as llama2.c has it, read back from tokenizer.json and the GGUF's scores via the converter."""
    sys.path.insert(0, os.path.join(HERE, "..", "..", "..", "tools"))
    import convert_llama2c
    with open(path, "rb") as file:
        return convert_llama2c.Vocab(file.read(), 512)


def llama2c_encode(vocab, text):
    ids = {}
    for index, piece in enumerate(vocab.pieces):
        ids.setdefault(piece.replace("\u2581", " "), index)
    out = [1]
    if text:
        out.append(ids[" "])
    for char in text:
        if char in ids:
            out.append(ids[char])
        else:
            out += [byte + 3 for byte in char.encode("utf-8")]
    spelled = [piece.replace("\u2581", " ") for piece in vocab.pieces]
    while True:
        best, best_at, best_id = -1e10, -1, -1
        for i in range(len(out) - 1):
            joined = ids.get(spelled[out[i]] + spelled[out[i + 1]])
            if joined is not None and vocab.scores[joined] > best:
                best, best_at, best_id = vocab.scores[joined], i, joined
        if best_at < 0:
            return out
        out[best_at:best_at + 2] = [best_id]


def main():
    model = AutoModelForCausalLM.from_pretrained(os.path.join(HERE, "hf"), dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(os.path.join(HERE, "hf"))
    ids = [1]
    with torch.no_grad():
        while len(ids) <= len(GREEDY):
            logits = model(torch.tensor([ids])).logits[0]
            ids.append(int(logits[-1].argmax()))
        logits = model(torch.tensor([ids])).logits[0]
        long_ids = [int(i) for i in model.generate(torch.tensor([[1]]), max_new_tokens=200, do_sample=False)[0]]
    assert ids[1:] == GREEDY, ids
    worst = max(abs(a - b) for a, b in zip(logits[0, :4].tolist(), LOGITS_AFTER_BOS))
    assert worst < 2e-5, worst
    vocab = read_vocab(sys.argv[1])
    cases = []
    for text in TEXTS:
        text_ids = tokenizer(text)["input_ids"]
        assert text_ids == llama2c_encode(vocab, text.replace("\u2581", " ")), text
        cases.append({"text": text, "ids": text_ids, "decoded": tokenizer.decode(text_ids, skip_special_tokens=True)})
    golden = {
        "greedy_ids": GREEDY,
        "greedy_text": tokenizer.decode(ids, skip_special_tokens=True),
        "greedy_ids_200": long_ids[1:],
        "positions": [0, 1, 15, 30],
        "logits": [[round(x, 5) for x in logits[p].tolist()] for p in (0, 1, 15, 30)],
        "tokenizer": cases,
    }
    with open(os.path.join(HERE, "golden.json"), "w", encoding="utf-8") as file:
        json.dump(golden, file)
        file.write("\n")
    print("greedy ids and logits agree, largest difference", worst)


if __name__ == "__main__":
    main()
