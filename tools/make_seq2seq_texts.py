#!/usr/bin/env python3
"""Records what Hugging Face transformers answers to texts with a tiny encoder-decoder model: tests/data/seq2seq.

The model is tests/data/models/mt5; its tokenizer (tokenizer.json, tokenizer_config.json) is made here. goldens.json has
`logits`, those of the answer's first position for the prompt `logits_ids`, and `cases`: `text`, its ids `prompt`, `options`
under transformers' names, and the answers' `ids` and `texts`, best first.

Usage: tools/make_seq2seq_texts.py       needs torch, transformers, tokenizers
"""

import json
from pathlib import Path

import tokenizers
import torch
import transformers

ROOT = Path(__file__).resolve().parent.parent / "tests" / "data"
FOLDER = ROOT / "seq2seq"
PIECES = ["\u2581", *"abcdefghijklmnopqrstuvwxyz", *".,:;!?'-", "th", "he", "in", "er", "an", "re", "on", "at", "en", "nd"]


def make_tokenizer(n_vocab):
    pieces = PIECES + ["\u2581" + piece for piece in PIECES[1:]]
    pieces = pieces[:n_vocab - 3]
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocab += [(piece, -2.0 - i / 50 - 1.5 / len(piece)) for i, piece in enumerate(pieces)]
    made = tokenizers.Tokenizer(tokenizers.models.Unigram(vocab, unk_id=2, byte_fallback=False))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    made.decoder = tokenizers.decoders.Metaspace()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="</s>",
                                                unk_token="<unk>")


def generate(model, prompt, options):
    plain = transformers.GenerationConfig(do_sample=False, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
                                          **options)
    with torch.no_grad():
        rows = model.generate(torch.tensor([prompt]), generation_config=plain).tolist()
    answers = []
    for row in rows:
        ids = row[1:]
        answers.append(ids[:ids.index(1) + 1] if 1 in ids else ids)
    return answers


def main():
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(ROOT / "models" / "mt5", dtype=torch.float32).eval()
    model.generation_config = transformers.GenerationConfig()
    tokenizer = make_tokenizer(model.config.vocab_size)
    assert len(tokenizer) <= model.config.vocab_size
    FOLDER.mkdir(exist_ok=True)
    tokenizer.save_pretrained(FOLDER)
    cases = []
    for text in ("translate this: the cat, and then?", "An end", "hello\u2603 there"):
        prompt = tokenizer(text).input_ids
        for options in (dict(max_new_tokens=10), dict(max_new_tokens=10, num_beams=3, num_return_sequences=2),
                        dict(max_new_tokens=6, num_beams=4, length_penalty=2.0, early_stopping=True),
                        dict(max_length=9, min_length=6, forced_bos_token_id=23, forced_eos_token_id=44)):
            answers = generate(model, prompt, options)
            texts = [tokenizer.decode(ids, skip_special_tokens=True) for ids in answers]
            cases.append(dict(text=text, prompt=prompt, options=options, ids=answers, texts=texts))
    prompt = cases[0]["prompt"]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt]), decoder_input_ids=torch.tensor([[0]])).logits[0, 0].tolist()
    lines = ",\n".join(json.dumps(case) for case in cases)
    (FOLDER / "goldens.json").write_text(
        f'{{"logits_ids": {json.dumps(prompt)},\n"logits": {json.dumps(logits)},\n"cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
