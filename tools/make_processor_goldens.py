"""Writes tests/data/sampling/processors.json: what Hugging Face transformers' logits processors make of random logits.

Each case is put together by transformers itself (GenerationMixin._get_logits_processor), so its order counts too.
`bad_words` and `allowed_token_ids` are vLLM's: a few lines here, after those of vllm/v1/sample/ops/bad_words.py and of its
mask of allowed tokens. Scores are listed with the id they belong to; those that are missing are -inf.
Run with transformers and torch installed: python tools/make_processor_goldens.py
"""
import json
import pathlib
import random
import types

import torch
from transformers import GenerationConfig, logging
from transformers.generation import GenerationMixin

INF = float("-inf")
VLLM = ("bad_words", "allowed_token_ids")
WARPERS = ("typical_p", "epsilon_cutoff", "eta_cutoff", "temperature", "top_k", "top_p", "min_p")


def processors(fields, prompt, eos):
    do_sample = any(k in fields for k in WARPERS)
    config = GenerationConfig(do_sample=do_sample, **{k: v for k, v in fields.items() if k not in VLLM})
    for name, neutral in (("top_k", 0), ("top_p", 1.0), ("temperature", 1.0), ("repetition_penalty", 1.0)):
        if getattr(config, name) is None:
            setattr(config, name, neutral)
    config._eos_token_tensor = torch.tensor(eos) if eos else None
    model = types.SimpleNamespace(
        config=types.SimpleNamespace(is_encoder_decoder=False),
        _merge_criteria_processor_list=lambda default, custom: default,
    )
    return GenerationMixin._get_logits_processor(model, config, input_ids_seq_length=len(prompt), device="cpu")


def vllm(fields, output, scores):
    for word in fields.get("bad_words", []):
        n = len(word) - 1
        if len(word) <= len(output) + 1 and (output[-n:] if n else []) == word[:n]:
            scores[0, word[-1]] = INF
    if "allowed_token_ids" in fields:
        kept = fields["allowed_token_ids"]
        mask = torch.ones_like(scores, dtype=torch.bool)
        mask[0, kept] = False
        scores = scores.masked_fill(mask, INF)
    return scores


def case(logits, prompt, output, eos, **fields):
    scores = torch.tensor([[INF if x == "-inf" else x for x in logits]])
    ids = torch.tensor([prompt + output])
    chain = processors(fields, prompt, eos)
    if "bad_words" not in fields and "allowed_token_ids" not in fields:
        scores = chain(ids, scores)
    else:
        assert not any(k in fields for k in WARPERS)
        scores = vllm(fields, output, chain(ids, scores))
    scores = scores[0].tolist()
    assert all(x == x for x in scores), fields
    return {
        "fields": fields, "logits": logits, "prompt": prompt, "output": output, "eos": eos,
        "scores": [[i, float(f"{x:.9g}")] for i, x in enumerate(scores) if x != INF],
    }


def logits(size=24, spread=3.0, whole=False):
    values = torch.randn(size) * spread
    return [round(float(v), 0 if whole else 3) + 0.0 for v in values]


def tokens(n, below):
    return [random.randrange(below) for _ in range(n)]


def rule_cases():
    cases = []
    for size in (1, 2, 3, 4, 9):  # also longer than the history
        for length in (1, 2, 6, 30):
            prompt, output = tokens(length, 3), tokens(5, 3)
            cases.append(case(logits(), prompt, output, [2], no_repeat_ngram_size=size))
            cases.append(case(logits(), prompt, [], [2], no_repeat_ngram_size=size))
    same = [7] * 8
    cases.append(case(logits(), same, same, [2], no_repeat_ngram_size=4))

    overlapping = [[1, 2, 3], [2, 3], [3], [2, 3, 4], [1], [4, 4], [5, 6], [5, 6, 7], [2]]  # prefixes of each other too
    for prompt, output in (([1], []), ([9, 1, 2], []), ([1], [2]), ([4], []), ([5], [6]), ([0, 2], [3]), ([8, 8], [4])):
        cases.append(case(logits(), prompt, output, [2], bad_words_ids=overlapping))
        cases.append(case(logits(), prompt, output, [2], bad_words=overlapping))
    cases.append(case(logits(), [5], [], [2], bad_words_ids=[[2]]))  # an end token alone is not bad
    bias = [[[3], -1.5], [[1, 2], 4.0], [[2], 0.25], [[9, 1, 2], 2.5], [[7, 7, 7, 7, 7], 9.0]]
    for prompt, output in (([1], []), ([9, 1], []), ([9], [1]), ([7, 7], [7, 7]), ([7], [7])):
        cases.append(case(logits(), prompt, output, [2], sequence_bias=bias))

    for output in ([], [4], [4, 5], [4, 5, 6]):
        for prompt in ([1], [1, 3]):
            cases.append(case(logits(), prompt, output, [2], forced_bos_token_id=11))
            cases.append(case(logits(), prompt, output, [2], forced_eos_token_id=2, max_length=5))
            cases.append(case(logits(), prompt, output, [2, 6], forced_eos_token_id=[2, 6], max_length=5))
            cases.append(case(logits(), prompt, output, [2], begin_suppress_tokens=[0, 2, 23]))
            cases.append(case(logits(), prompt, output, [2], begin_suppress_tokens=[0], forced_bos_token_id=11))
            cases.append(case(logits(), prompt, output, [2], suppress_tokens=[0, 22, 23, 22]))
            cases.append(case(logits(), prompt, output, [2], min_length=5))
            cases.append(case(logits(), prompt, output, [2, 9], exponential_decay_length_penalty=[1, 1.5]))
            cases.append(case(logits(), prompt, output, [2], exponential_decay_length_penalty=[0, 0.5]))
            cases.append(case(logits(), prompt, output, [2], allowed_token_ids=[23, 0, 7, 7]))
    zero = [0.0] * 4 + [-3.0, "-inf"]
    cases.append(case(zero, [1], tokens(40, 4), [0, 4, 5], exponential_decay_length_penalty=[2, 1.25]))
    # What forbids and what forces: the later one wins.
    cases.append(case(logits(), [1, 2], [3, 4], [2], forced_eos_token_id=2, max_length=5, min_length=5, no_repeat_ngram_size=1))
    cases.append(case(logits(), [1], [], [2], forced_bos_token_id=1, no_repeat_ngram_size=1, bad_words_ids=[[1], [3]]))
    cases.append(case(logits(), [1], [], [2], forced_bos_token_id=1, forced_eos_token_id=3, max_length=2))
    return cases


def warper_cases():
    cases = []
    flat, peaked = [1.0] * 12, [9.0] + [0.0] * 11
    for number in range(8):
        base = [logits(), logits(40, 1.0), logits(24, 2.0, whole=True), flat, peaked, logits(6, 8.0), [-2.0, "-inf", 1.0, 1.0], [0.5]][number]
        for field, values in (("typical_p", (0.02, 0.5, 0.9, 0.995)), ("epsilon_cutoff", (1e-4, 0.03, 0.2, 0.9)),
                              ("eta_cutoff", (1e-4, 0.03, 0.3, 0.9))):
            for value in values:
                cases.append(case(base, [0], [], [0], **{field: value}))
    return cases


def mixed_cases():
    cases = []
    for _ in range(60):
        below = random.choice([6, 24])
        prompt, output = tokens(random.choice([1, 2, 7]), below), tokens(random.choice([0, 1, 3, 6]), below)
        fields = {"temperature": random.choice([1.0, 0.6, 1.7])}
        for name, values in {
            "repetition_penalty": (1.3, 0.8), "no_repeat_ngram_size": (2, 3), "typical_p": (0.9, 0.4),
            "epsilon_cutoff": (0.01, 0.1), "eta_cutoff": (0.02, 0.2), "min_length": (3, 6), "suppress_tokens": ([1, 5],),
            "begin_suppress_tokens": ([0, 3],), "bad_words_ids": ([[4], [2, 3]],), "exponential_decay_length_penalty": ([1, 1.3],),
            "sequence_bias": ([[[7], 2.0], [[3, 8], -4.0]],), "min_p": (0.05,),
        }.items():
            if random.random() < 0.45:
                fields[name] = random.choice(values)
        if random.random() < 0.5:
            fields.update(random.choice([{"top_k": 5}, {"top_p": 0.8}]))
        if random.random() < 0.2:
            fields.update({"forced_eos_token_id": 2, "max_length": len(prompt) + len(output) + 1})
        cases.append(case(logits(), prompt, output, [2], **fields))
    return cases


def main():
    logging.set_verbosity_error()
    random.seed(3)
    torch.manual_seed(3)
    path = pathlib.Path(__file__).resolve().parent.parent / "tests/data/sampling/processors.json"
    cases = rule_cases() + warper_cases() + mixed_cases()
    path.write_text("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")
    print(len(cases), "cases,", path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
