"""Writes tests/data/compare/divergences.json: what PyTorch makes of pairs of random logits.

Each case has two rows of logits and the numbers of a comparison: the Kullback-Leibler divergence of the whole distributions
(torch.nn.functional.kl_div), and the same over the tokens that both lists of the likeliest have, the rest being one token.
Run with torch installed: python tools/make_compare_goldens.py
"""
import json
import pathlib

import torch
from torch.nn.functional import kl_div, log_softmax

torch.manual_seed(11)


def logits(n, scale, masked):
    row = torch.randn(n, dtype=torch.float32) * scale
    row[:masked] = float("-inf")
    return row


def kl(log_p, log_q):
    return kl_div(log_q, log_p, log_target=True, reduction="sum").item()


def with_rest(log_probs, kept):
    listed = log_probs[kept]
    rest = torch.log1p(-listed.exp().sum())
    return torch.cat([listed, rest.reshape(1)])


def case(n, scale, noise, top, masked=0):
    p = logits(n, scale, masked)
    q = p + torch.randn(n) * noise
    log_p, log_q = (log_softmax(row.double(), dim=0) for row in (p, q))
    finite = slice(masked, None)
    tops = [torch.topk(row, top).indices.tolist() for row in (log_p, log_q)]
    both = sorted(set(tops[0]) & set(tops[1]))
    parts = [with_rest(row, torch.tensor(both)) for row in (log_p, log_q)]
    return {
        "p": [x if x > float("-inf") else None for x in p.tolist()],
        "q": [x if x > float("-inf") else None for x in q.tolist()],
        "kl": kl(log_p[finite], log_q[finite]),
        "top_p": [[i, log_p[i].item()] for i in tops[0]],
        "top_q": [[i, log_q[i].item()] for i in tops[1]],
        "kl_of_top": kl(*parts),
        "missing": parts[0][-1].exp().item(),
        "first_p": log_p.argmax().item(),
        "first_q": log_q.argmax().item(),
    }


cases = [case(32, 2.0, 0.01, 5), case(32, 2.0, 1.0, 5), case(64, 4.0, 0.3, 20), case(16, 8.0, 2.0, 3, masked=4)]
folder = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "compare"
folder.mkdir(parents=True, exist_ok=True)
text = ",\n ".join(json.dumps(entry) for entry in cases)
(folder / "divergences.json").write_text(f"[{text}]\n", encoding="utf-8")
