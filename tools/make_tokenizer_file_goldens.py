#!/usr/bin/env python3
"""Writes tests/data/tokenizer/files.golden.json: small tokenizers in other files than tokenizer.json, and what the library of
each makes of texts.

    tools/make_tokenizer_file_goldens.py

Needs the Python packages sentencepiece, protobuf, tiktoken, tokenizers and transformers 5.24.
"""
import base64
import io
import json
import os
import pathlib
import tempfile

import sentencepiece
import tiktoken
from make_tokenizer_goldens import LLAMA3, SPECIALS, TEXTS

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data" / "tokenizer"
RULES = "41\t61\n42\t62\n41 301\t78 79\nfb01\t66 69\nad\t\n2460\t31\n20 20\t20\n"  # A B A+acute fi soft-hyphen (1) spaces
MORE = ["AB A\u0301 \ufb01x \u00ad\u2460  a", "<ud> a<ud>b <ud><ud>", "  x  ", "   ", "\u4e2d\u6587 a", "the\u2581the", "<s>a</s>", "\t\u3000x"]


def train(**options):
    lines = [line for path in sorted(ROOT.glob("docs/*.md")) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    rules = ROOT / "build" / "rules.tsv"
    rules.parent.mkdir(exist_ok=True)
    rules.write_text(RULES, encoding="utf-8")
    if options.pop("rules", False):
        options["normalization_rule_tsv"] = str(rules)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines[:1500]), model_writer=model, vocab_size=options.pop("size", 380), minloglevel=2, num_threads=1,
                                             character_coverage=0.98, hard_vocab_limit=False, **options)
    rules.unlink()
    return model.getvalue()


def sentencepieces():
    yield {"model_type": "unigram", "rules": True}
    yield {"model_type": "unigram", "normalization_rule_name": "identity", "byte_fallback": True, "user_defined_symbols": ["<ud>", "\u2581\u2581"], "remove_extra_whitespaces": False}
    yield {"model_type": "unigram", "normalization_rule_name": "identity", "add_dummy_prefix": False}
    yield {"model_type": "unigram", "normalization_rule_name": "identity", "treat_whitespace_as_suffix": True}
    yield {"model_type": "bpe", "normalization_rule_name": "identity", "byte_fallback": True, "remove_extra_whitespaces": False}
    yield {"model_type": "bpe", "normalization_rule_name": "identity", "user_defined_symbols": ["<ud>", "ab"]}


    for model_type in ("word", "char"):
        yield {"model_type": model_type, "rules": True, "size": 150}
    yield {"model_type": "char", "normalization_rule_name": "identity", "byte_fallback": True, "user_defined_symbols": ["<ud>", "ab"], "size": 400}
    yield {"model_type": "word", "normalization_rule_name": "identity", "byte_fallback": True, "size": 420}


FAIRSEQ = {"model_type": "unigram", "rules": True, "size": 120}
PADDED = {**FAIRSEQ, "pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
BERT = {**FAIRSEQ, "pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, "pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"}
ALBERT = {**FAIRSEQ, "pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "pad_piece": "<pad>", "unk_piece": "<unk>", "control_symbols": ["[CLS]", "[SEP]"],
          "user_defined_symbols": ["[MASK]"]}
CLASSES = [("XLMRobertaTokenizer", "sentencepiece.bpe.model", FAIRSEQ, {}), ("MBartTokenizer", "sentencepiece.bpe.model", FAIRSEQ, {"src_lang": "de_DE"}),
           ("MBart50Tokenizer", "sentencepiece.bpe.model", FAIRSEQ, {}), ("PegasusTokenizer", "spiece.model", PADDED, {}),
           ("CamembertTokenizer", "sentencepiece.bpe.model", FAIRSEQ, {}), ("T5Tokenizer", "spiece.model", PADDED, {"extra_ids": 3}),
           ("DebertaV2Tokenizer", "spm.model", BERT, {}), ("DebertaV2Tokenizer", "spm.model", BERT, {"do_lower_case": True, "split_by_punct": True}),
           ("AlbertTokenizer", "spiece.model", ALBERT, {}), ("MarianTokenizer", "source.spm", {**FAIRSEQ, "normalization_rule_name": "identity", "rules": False}, {}),
           ("PLBartTokenizer", "sentencepiece.bpe.model", {"model_type": "bpe", "rules": True, "size": 120}, {"src_lang": "python"}),
           ("M2M100Tokenizer", "sentencepiece.bpe.model", {"model_type": "bpe", "rules": True, "size": 120}, {"src_lang": "fr"})]
CLASS_TEXTS = ["<mask> x</s>", "[MASK] ``a'' B", "<extra_id_1> x<extra_id_0>", "de_DE en_XX", "<mask_1> a <unk_7>", ">>fra<< the a", "__en__ a \u4e2d"]


def with_other_ids(model):
    """A vocab.json for the pieces of a model, and for texts that it does not know."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    pieces = ["<s>", "<pad>", "</s>", "<unk>", ">>fra<<", *[processor.id_to_piece(i) for i in reversed(range(3, processor.get_piece_size()))], "\u4e2d\u6587"]
    return {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}


def class_rows(texts):
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    from transformers import AutoTokenizer
    for name, file, options, config in CLASSES:
        model, config = train(**options), {"tokenizer_class": name, **config}
        row = {"kind": "class", "options": config, "file": base64.b64encode(model).decode()}
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / file).write_bytes(model)
            (pathlib.Path(folder) / "tokenizer_config.json").write_text(json.dumps(config))
            if name in ("MarianTokenizer", "M2M100Tokenizer"):
                row["vocab"] = with_other_ids(model)
                (pathlib.Path(folder) / "vocab.json").write_text(json.dumps(row["vocab"]))
                (pathlib.Path(folder) / "target.spm").write_bytes(model)
            tokenizer = AutoTokenizer.from_pretrained(folder)
            row["encode"] = [[t, tokenizer(t).input_ids] for t in texts + CLASS_TEXTS]
        yield row


def main():
    texts = [t for t in TEXTS + MORE if "\0" not in t]
    rows = []
    for options in sentencepieces():
        model = train(**options)
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        unknown = processor.unk_id()
        encoded = [[t, processor.encode(t)] for t in texts]
        rows.append({"kind": "sentencepiece", "options": options, "file": base64.b64encode(model).decode(), "encode": encoded,
                     "decode": [[ids, processor.decode(ids)] for text, ids in encoded if unknown not in ids and "\u2581" not in text]})
    merges = json.loads((DATA / "gpt2_style.json").read_text(encoding="utf-8"))["model"]
    chars = {c: b for b, c in bytes_to_chars().items()}
    ranks = {bytes(chars[c] for c in piece): i for i, (piece, _) in enumerate(sorted(((p, i) for p, i in merges["vocab"].items() if p not in SPECIALS),
                                                                                      key=lambda item: item[1]))}
    encoding = tiktoken.Encoding("test", pat_str=LLAMA3, mergeable_ranks=ranks, special_tokens={})
    lines = "".join("%s %d\n" % (base64.b64encode(piece).decode(), rank) for piece, rank in ranks.items())
    rows.append({"kind": "tiktoken", "file": lines, "encode": [[t, encoding.encode_ordinary(t)] for t in texts],
                 "decode": [[encoding.encode_ordinary(t), t] for t in texts]})
    vocab = [{"rank": rank, "token_bytes": base64.b64encode(piece).decode(), "token_str": None} for piece, rank in ranks.items()]
    tekken = {"config": {"pattern": LLAMA3, "default_vocab_size": len(ranks) + 22, "default_num_special_tokens": 22, "num_vocab_tokens": len(ranks)},
              "vocab": vocab}
    rows.append({"kind": "tekken", "file": json.dumps(tekken), "encode": [[t, [i + 22 for i in encoding.encode_ordinary(t)]] for t in texts],
                 "decode": [[[i + 22 for i in encoding.encode_ordinary(t)], t] for t in texts]})
    rows += class_rows(texts)
    out = DATA / "files.golden.json"
    out.write_text("[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]\n", encoding="utf-8")
    print(out.name, len(rows), "files,", out.stat().st_size, "bytes")


def bytes_to_chars():
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(others)}}


main()
