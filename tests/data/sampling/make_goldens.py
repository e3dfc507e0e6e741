"""Writes warpers.json: distributions after the logits processors of Hugging Face transformers, for random logits.

Order: temperature, repetition, presence and frequency penalty (written out here), top-p, top-k, min-p.
Run with transformers and torch installed: python make_goldens.py
"""
import json
import pathlib
import random

import torch
from transformers.generation import logits_process as lp

random.seed(5)
torch.manual_seed(5)
cases = []
for number in range(60):
    size = random.choice([5, 64, 150])
    scores = torch.round(torch.randn(1, size) * random.choice([1.0, 3.0]) * 1000) / 1000
    case = {
        "temperature": random.choice([1.0, 0.7, 1.5]),
        "repetition_penalty": random.choice([1.0, 1.3, 0.8]),
        "presence_penalty": random.choice([0.0, 0.5]),
        "frequency_penalty": random.choice([0.0, 0.25]),
        "top_p": random.choice([1.0, 0.9, 0.5, 0.1]),
        "top_k": random.choice([0, 1, 3, 20]),
        "min_p": random.choice([0.0, 0.05, 0.3]),
    }
    if number % 6 == 0:  # ties at the k-th place are all kept
        scores = torch.round(scores)
        case["top_p"] = 1.0
    if number % 7 == 0:
        scores[0, random.randrange(size)] = float("-inf")
    prompt = [random.randrange(size) for _ in range(6)]
    output = [random.randrange(min(size, 12)) for _ in range(5)]
    case["logits"] = ["-inf" if x == float("-inf") else round(x, 3) for x in scores[0].tolist()]
    case["prompt"], case["output"] = prompt, output

    ids = torch.tensor([prompt + output])
    if case["temperature"] != 1.0:
        scores = lp.TemperatureLogitsWarper(case["temperature"])(ids, scores)
    if case["repetition_penalty"] != 1.0:
        scores = lp.RepetitionPenaltyLogitsProcessor(case["repetition_penalty"])(ids, scores)
    for token in set(output):
        scores[0, token] -= case["presence_penalty"] + case["frequency_penalty"] * output.count(token)
    if case["top_p"] < 1.0:
        scores = lp.TopPLogitsWarper(case["top_p"])(ids, scores)
    if case["top_k"] > 0:
        scores = lp.TopKLogitsWarper(case["top_k"])(ids, scores)
    if case["min_p"] > 0.0:
        scores = lp.MinPLogitsWarper(case["min_p"])(ids, scores)
    probs = torch.softmax(scores.double(), dim=-1)[0].tolist()
    case["probs"] = [[i, float(f"{p:.7g}")] for i, p in enumerate(probs) if p > 0.0]
    cases.append(case)

path = pathlib.Path(__file__).with_name("warpers.json")
path.write_text("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")
