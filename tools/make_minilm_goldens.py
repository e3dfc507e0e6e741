#!/usr/bin/env python3
"""Writes tests/data/minilm/goldens.json: texts and their vectors by all-MiniLM-L6-v2, computed by transformers.

Mean over the tokens, then length one, as the model's modules.json says. tests/embeddings/minilm_test.py compares them.

Usage: tools/make_minilm_goldens.py FOLDER      the model, as `scripts/fetch-model minilm` stores it
needs torch, transformers
"""
import json
import sys
from pathlib import Path

import torch
import transformers

TEXTS = [
    "This is an example sentence",
    "Wie spät ist es in Tōkyō?",
    "",
    "  Zero\u200bwidth, CRLF\r\nand a\ttab  ",
    "1234567890 " * 40,
    "漢字かな交じり文 🙂",
]


def main(folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    longest = json.loads((Path(folder) / "sentence_bert_config.json").read_text())["max_seq_length"]
    cases = []
    for text in TEXTS:
        inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=longest)
        with torch.no_grad():
            hidden = model(**inputs).last_hidden_state[0]
        vector = torch.nn.functional.normalize(hidden.mean(dim=0), dim=0)
        cases.append({"text": text, "embedding": [float("%.8g" % x) for x in vector.tolist()]})
    out = Path(__file__).resolve().parent.parent / "tests/data/minilm/goldens.json"
    out.write_text(json.dumps({"transformers": transformers.__version__, "cases": cases}, separators=(",", ":")) + "\n")


main(*sys.argv[1:])
