#!/usr/bin/env python3
"""Records beam searches of Hugging Face transformers on tiny models, for the engine: tests/data/beams/goldens.json.

A list of objects: `model` below tests/data/models, `prompt` (of an encoder-decoder model what its encoder reads),
`options` under transformers' names, `ids` and `scores` of the answers, best first.

transformers 5 has no search in groups any more (num_beam_groups); those cases are computed here, by its definition
(Vijayakumar et al. 2016, arXiv 1610.02424): each group is a beam search of its own, in which a token loses
diversity_penalty for each beam of the groups before that has just taken it.

Usage: tools/make_beam_goldens.py       needs torch, transformers
"""

import json
from pathlib import Path

import torch
import transformers

ROOT = Path(__file__).resolve().parent.parent / "tests" / "data"
# Names, and the last token that a length forces, as the configurations of BART and Marian have it.
MODELS = {"t5": None, "bart": [2], "marian": [0], "llama": None, "lfm2": None, "mamba2": None}
# Their states are computed anew for every step, whatever caches make of beams that change places.
RECURRENT = ("lfm2", "mamba2")


def load(name):
    config = transformers.AutoConfig.from_pretrained(ROOT / "models" / name)
    kind = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    model = kind.from_pretrained(ROOT / "models" / name, dtype=torch.float32).eval()
    model.generation_config = transformers.GenerationConfig()  # else it fills in what options leave open
    return model


def cut(ids, ends):
    """The answer up to its end; behind it is padding."""
    for i, token in enumerate(ids):
        if token in ends:
            return ids[:i + 1]
    return ids


def start_of(model):
    return model.config.decoder_start_token_id if model.config.is_encoder_decoder else None


def generate(model, prompt, options):
    start = start_of(model)
    extra = {} if start is None else {"decoder_start_token_id": start}
    # Nothing but the options: what the configurations of classes have by default is not asked for.
    plain = transformers.GenerationConfig(do_sample=False, pad_token_id=1, output_scores=True,
                                          return_dict_in_generate=True,
                                          use_cache=model.config.model_type not in RECURRENT, **extra, **options)
    with torch.no_grad():
        output = model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                                generation_config=plain)
    begin = 1 if start is not None else len(prompt)
    ids = [cut(row[begin:], options["eos_token_id"]) for row in output.sequences.tolist()]
    return ids, output.sequences_scores.tolist()


def logprobs(model, prompt, answer):
    with torch.no_grad():
        if model.config.is_encoder_decoder:
            logits = model(input_ids=torch.tensor([prompt]),
                           decoder_input_ids=torch.tensor([[start_of(model)] + answer]), use_cache=False).logits
        else:
            logits = model(input_ids=torch.tensor([prompt + answer]), use_cache=False).logits
    return torch.log_softmax(logits[0, -1].float(), -1)


def search_in_groups(model, prompt, options):
    n_groups, ends, most = options["num_beam_groups"], options["eos_token_id"], options["max_new_tokens"]
    size = options["num_beams"] // n_groups
    power = options.get("length_penalty", 1.0)
    groups = [{"running": [(0.0, [])], "done": [], "over": False} for _ in range(n_groups)]
    for length in range(1, most + 1):
        taken = []
        for group in groups:
            if group["over"]:
                continue
            found = []
            for score, answer in group["running"]:
                lowered = logprobs(model, prompt, answer)
                for token in taken:
                    lowered[token] -= options["diversity_penalty"]
                found += [(score + value, answer + [token]) for token, value in enumerate(lowered.tolist())]
            found = sorted(found, key=lambda one: -one[0])[:max(2, 1 + len(ends)) * size]
            stops = [length == most or answer[-1] in ends for _, answer in found]
            new = [(score / length ** power, answer) for (score, answer), stop in zip(found[:size], stops) if stop]
            group["done"] = sorted(group["done"] + new, key=lambda one: -one[0])[:size]
            group["running"] = [one for one, stop in zip(found, stops) if not stop][:size]
            taken += [answer[-1] for _, answer in group["running"]]
            full = len(group["done"]) == size
            hopeless = full and (not group["running"] or
                                 group["running"][0][0] / length ** power <= group["done"][-1][0])
            group["over"] = not group["running"] or hopeless or (full and options.get("early_stopping") is True)
    best = sorted((one for group in groups for one in group["done"]), key=lambda one: -one[0])
    best = best[:options["num_return_sequences"]]
    return [answer for _, answer in best], [score for score, _ in best]


def cases(greedy):
    ends = [greedy[4]]
    base = dict(max_new_tokens=12, eos_token_id=ends)
    yield dict(base, num_beams=4, num_return_sequences=4)
    yield dict(base, num_beams=3, num_return_sequences=2, length_penalty=2.0, early_stopping=True)
    yield dict(base, num_beams=3, num_return_sequences=3, length_penalty=-0.7, early_stopping=False)
    yield dict(base, num_beams=4, num_return_sequences=2, length_penalty=0.6, early_stopping="never")
    yield dict(base, num_beams=2, num_return_sequences=2, eos_token_id=[greedy[3], greedy[6]], min_new_tokens=5)
    yield dict(base, num_beams=4, num_return_sequences=3, repetition_penalty=1.4, no_repeat_ngram_size=2,
               bad_words_ids=[[greedy[0]], [greedy[1], greedy[2]]])
    yield dict(base, num_beams=3, num_return_sequences=3, forced_eos_token_id=[7], max_new_tokens=7)
    yield dict(base, num_beams=5, num_return_sequences=5, eos_token_id=[2], max_new_tokens=16)
    yield dict(base, num_beams=4, num_return_sequences=4, num_beam_groups=2, diversity_penalty=1.5)
    yield dict(base, num_beams=6, num_return_sequences=4, num_beam_groups=3, diversity_penalty=0.4, length_penalty=0.3,
               early_stopping=True)


def main():
    goldens = []
    for name, last in MODELS.items():
        model = load(name)
        golden = json.loads((ROOT / "models" / name / "golden.json").read_text())
        prompt = golden["source"] if model.config.is_encoder_decoder else golden["prompt"]
        answer = []
        while len(answer) < 12:
            answer.append(int(logprobs(model, prompt, answer).argmax()))
        for options in cases(answer):
            search = search_in_groups if "num_beam_groups" in options else generate
            if last and search is generate:
                options = {"forced_eos_token_id": last} | options
            ids, scores = search(model, prompt, options)
            goldens.append(dict(model=name, prompt=prompt, options=options, ids=ids, scores=scores))
        if model.config.is_encoder_decoder:  # a first token that is given
            options = dict(max_new_tokens=8, eos_token_id=[2], num_beams=3, num_return_sequences=3,
                           forced_bos_token_id=9) | ({"forced_eos_token_id": last} if last else {})
            ids, scores = generate(model, prompt, options)
            goldens.append(dict(model=name, prompt=prompt, options=options, ids=ids, scores=scores))
    lines = ",\n".join(json.dumps(golden) for golden in goldens)
    (ROOT / "beams" / "goldens.json").write_text(f"[\n{lines}\n]\n")
    print(f"{len(goldens)} searches")


if __name__ == "__main__":
    main()
