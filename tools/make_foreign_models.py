#!/usr/bin/env python3
"""Writes tiny models of tests/data as Flax and TensorFlow models of transformers 4 save them.

    make_foreign_models.py [--out FOLDER] [--all] [NAME...]

Each becomes NAME-flax (flax_model.msgpack) or NAME-tf (tf_model.h5) beside NAME, with its configuration; what it computes is
compared with the golden of NAME. The weights are read by the framework's own class, with from_pt=True, and written by its
save_pretrained, so that names and layouts are those that published files have. --all writes every family that has such a
class, not only those that the repository keeps.

Needs transformers 4.46 with torch, and flax 0.8 or tensorflow 2.17 with tf-keras.
"""

import argparse
import json
import os
import shutil
import tempfile
from pathlib import Path

os.environ.update(TF_USE_LEGACY_KERAS="1", TF_CPP_MIN_LOG_LEVEL="3", TRANSFORMERS_VERBOSITY="error", JAX_PLATFORMS="cpu")

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
# Class behind "Flax" or "TF", and whether it is in the repository.
FLAX = {
    "gpt2": ("GPT2LMHeadModel", True),
    "gemma": ("GemmaForCausalLM", True),
    "bart": ("BartForConditionalGeneration", True),
    "t5-gated": ("T5ForConditionalGeneration", True),
    "roberta": ("RobertaModel", True),
    "gpt-neo": ("GPTNeoForCausalLM", False),
    "gptj": ("GPTJForCausalLM", False),
    "opt": ("OPTForCausalLM", False),
    "bloom": ("BloomForCausalLM", False),
    "llama-gguf": ("LlamaForCausalLM", False),
    "xglm": ("XGLMForCausalLM", False),
    "mbart": ("MBartForConditionalGeneration", False),
    "marian": ("MarianMTModel", False),
    "pegasus": ("PegasusForConditionalGeneration", False),
    "blenderbot": ("BlenderbotForConditionalGeneration", False),
    "blenderbot-small": ("BlenderbotSmallForConditionalGeneration", False),
    "t5": ("T5ForConditionalGeneration", False),
    "mt5": ("MT5ForConditionalGeneration", False),
    "bert": ("BertModel", False),
    "distilbert": ("DistilBertModel", False),
    "electra": ("ElectraModel", False),
    "albert": ("AlbertModel", False),
    "bert-classifier": ("BertForSequenceClassification", False),
    "distilbert-classifier": ("DistilBertForSequenceClassification", False),
    "electra-classifier": ("ElectraForSequenceClassification", False),
    "albert-classifier": ("AlbertForSequenceClassification", False),
    "xlm-roberta-classifier": ("XLMRobertaForSequenceClassification", False),
}
TENSORFLOW = {
    "gpt2": ("GPT2LMHeadModel", True),
    "marian": ("MarianMTModel", True),
    "t5-gated": ("T5ForConditionalGeneration", True),
    "distilbert": ("DistilBertModel", True),
    "electra-classifier": ("ElectraForSequenceClassification", True),
    "gptj": ("GPTJForCausalLM", False),
    "opt": ("OPTForCausalLM", False),
    "mistral": ("MistralForCausalLM", False),
    "xglm": ("XGLMForCausalLM", False),
    "openai-gpt": ("OpenAIGPTLMHeadModel", False),
    "bart": ("BartForConditionalGeneration", False),
    "mbart": ("MBartForConditionalGeneration", False),
    "pegasus": ("PegasusForConditionalGeneration", False),
    "blenderbot": ("BlenderbotForConditionalGeneration", False),
    "blenderbot-small": ("BlenderbotSmallForConditionalGeneration", False),
    "t5": ("T5ForConditionalGeneration", False),
    "mt5": ("MT5ForConditionalGeneration", False),
    "bert": ("BertModel", False),
    "roberta": ("RobertaModel", False),
    "electra": ("ElectraModel", False),
    "albert": ("AlbertModel", False),
    "mpnet": ("MPNetModel", False),
    "deberta-v2": ("DebertaV2Model", False),
    "bert-classifier": ("BertForSequenceClassification", False),
    "distilbert-classifier": ("DistilBertForSequenceClassification", False),
    "albert-classifier": ("AlbertForSequenceClassification", False),
    "xlm-roberta-classifier": ("XLMRobertaForSequenceClassification", False),
    "deberta-v2-classifier": ("DebertaV2ForSequenceClassification", False),
}
# Written in several files, of at most so many bytes.
SHARDED = {"bart-flax": 40000, "gpt2-tf": 90000}


def folder_of(name):
    return next(DATA / kind / name for kind in ("models", "encoders") if (DATA / kind / name).is_dir())


def readable(config):
    """The configuration as transformers 4 reads it: RoPE's members stand in the first level."""
    rope = config.pop("rope_parameters", None)
    if rope:
        config["rope_theta"] = rope["rope_theta"]
    config["torch_dtype"] = config.pop("dtype", "float32")
    return config


def convert(source, prefix, class_name, target, max_bytes):
    import jax.numpy
    import torch
    import transformers
    from safetensors.torch import load_file

    jax.numpy.cat = jax.numpy.concatenate  # as FlaxBloom calls it
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        config = readable(json.loads((source / "config.json").read_text()))
        (scratch / "config.json").write_text(json.dumps(config))
        tensors = {}
        for path in sorted(source.glob("*.safetensors")):
            tensors |= {name: tensor.float() for name, tensor in load_file(path).items()}
        torch.save(tensors, scratch / "pytorch_model.bin")
        model = getattr(transformers, prefix + class_name).from_pretrained(scratch, from_pt=True)
        model.save_pretrained(scratch / "out", **({"max_shard_size": max_bytes} if max_bytes else {}))
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        shutil.copy(source / "config.json", target)
        for path in sorted((scratch / "out").iterdir()):
            if path.name.startswith(("flax_model", "tf_model")):
                shutil.copy(path, target)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="with -flax or -tf")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--all", action="store_true")
    args = parser.parse_args()
    for prefix, ending, table in (("Flax", "-flax", FLAX), ("TF", "-tf", TENSORFLOW)):
        for name, (class_name, is_kept) in table.items():
            written = name + ending
            if written not in args.names if args.names else not (is_kept or args.all):
                continue
            source = folder_of(name)
            target = (args.out or source.parent) / written
            try:
                convert(source, prefix, class_name, target, SHARDED.get(written))
                print(f"{written}: {sum(path.stat().st_size for path in target.iterdir()) / 1024:.0f} KiB")
            except Exception as error:  # one family more or less must not end the others
                print(f"{written}: {type(error).__name__}: {str(error)[:300]}")


if __name__ == "__main__":
    main()
