#!/usr/bin/env python3
"""Writes tiny models of tests/data/models as GGUF, by the converter of llama.cpp.

    convert_tiny_models.py LLAMA_CPP_FOLDER [NAME...]

Each becomes NAME/f32/model.gguf (or OUT/NAME.gguf with --out OUT) without a vocabulary, which the tiny models do not have.
What it computes is compared with the golden logits of the same folder, which transformers made; where GGUF has no place for
what a tiny model's configuration or tensors say, the file is of others, for which f32/ has logits of its own. Needs
torch, transformers and what llama.cpp's requirements/ lists; llama.cpp's folder is of a release of 2026 or later.
"""

import argparse
import json
import os
import re
import sys
import tempfile
from pathlib import Path

# Said otherwise for the file: members of config.json, None to leave them out.
CHANGES = {
    "cohere2": {"rotary_pct": 1.0},
    "dots1": {"sliding_window": None, "layer_types": None},
    "bamba": {"rope_parameters": {"partial_rotary_factor": 1.0, "rope_theta": 10000.0, "rope_type": "default"}},
    "falcon-h1": {"mamba_norm_before_gate": False},
    "gpt-oss": {"swiglu_limit": 7.0},
    "kimi-linear": {"num_expert_group": 1},
    "lfm2": {"conv_bias": False},
    "mamba2": {"time_step_limit": [0.0, {"__float__": "Infinity"}]},
    "olmoe": {"clip_qkv": None},
    "smollm3": {"no_rope_layers": [1, 1, 1, 0], "use_sliding_window": False, "layer_types": None},
    "starcoder2": {"sliding_window": None},
}

# What the converter calls otherwise: it means the same as what the tiny model says.
SPELLINGS = {
    "falcon-h1": {"head_dim": 8},
    "falcon-h1-plain": {"head_dim": 8},
    "granitemoehybrid": {"layer_types": ["mamba", "attention", "mamba"]},
    "granitemoehybrid-dense": {"layer_types": ["mamba", "attention"]},
    "kimi-linear": {
        "linear_attn_config": {"full_attn_layers": [2], "kda_layers": [1, 3], "num_heads": 3, "head_dim": 8, "short_conv_kernel_size": 4},
        "first_k_dense_replace": 1,
    },
    "nemotron-h": {"mamba_d_head": 4},
}

# Names of tensors as the converter knows them: patterns and what they become, None for tensors that it cannot take.
TENSORS = {
    "kimi-linear": [(r"layers\.0\.block_sparse_moe\.(gate|up|down)_proj", r"layers.0.mlp.\1_proj")],
    "lfm2": [(r"conv\.(conv|in_proj|out_proj)\.bias$", None)],
}

MODELS = Path(__file__).resolve().parent.parent / "tests" / "data" / "models"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("llama_cpp", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def without_vocabulary(model_class):
    """The converter's class, whose vocabulary is left out."""
    members = {"model_arch": model_class.model_arch, "set_vocab": lambda self: None, "no_mtp": True}
    return type(model_class.__name__, (model_class,), members)


def convert(conversion, gguf, folder, target):
    hparams = conversion.ModelBase.load_hparams(folder, False)
    architecture = conversion.get_model_architecture(hparams, conversion.ModelType.TEXT)
    model_class = without_vocabulary(conversion.get_model_class(architecture))
    target.parent.mkdir(parents=True, exist_ok=True)
    model_class(folder, gguf.LlamaFileType.ALL_F32, target).write()


def changed(folder, changes, target, patterns=()):
    """The model's folder with other members in its configuration and other names of tensors."""
    target.mkdir()
    config = json.loads((folder / "config.json").read_text())
    config.update(changes)
    (target / "config.json").write_text(json.dumps({name: value for name, value in config.items() if value is not None}))
    for path in folder.glob("*.safetensors"):
        if patterns:
            rename(path, patterns, target / path.name)
        else:
            (target / path.name).symlink_to(path)
    return target


def rename(source, patterns, target):
    from safetensors.torch import load_file, save_file

    tensors = load_file(source)
    for pattern, name in patterns:
        if name is None:
            tensors = {old: tensor for old, tensor in tensors.items() if not re.search(pattern, old)}
        else:
            tensors = {re.sub(pattern, name, old): tensor for old, tensor in tensors.items()}
    save_file(tensors, target, {"format": "pt"})


def write_golden(folder, prompt, target):
    import torch
    import transformers
    from make_tiny_models import write_golden as write

    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    write(model, prompt, target, "golden")


def write_gguf(conversion, gguf, name, target, has_golden):
    with tempfile.TemporaryDirectory() as scratch:
        changes = CHANGES.get(name, {})
        spelled = changed(MODELS / name, changes | SPELLINGS.get(name, {}), Path(scratch) / "spelled", TENSORS.get(name, ()))
        convert(conversion, gguf, spelled, target)
        if has_golden and name in CHANGES:
            folder = changed(MODELS / name, changes, Path(scratch) / "changed")
            write_golden(folder, json.loads((MODELS / name / "golden.json").read_text())["prompt"], target.parent)


def main():
    args = arguments()
    sys.path[:0] = [str(args.llama_cpp), str(args.llama_cpp / "gguf-py")]
    import conversion
    import gguf

    names = args.names or sorted(path.name for path in MODELS.iterdir())
    for name in names:
        target = args.out / (name + ".gguf") if args.out else MODELS / name / "f32" / "model.gguf"
        try:
            write_gguf(conversion, gguf, name, target, args.out is None)
            print("%-24s %s" % (name, json.loads((MODELS / name / "config.json").read_text())["model_type"]))
        except Exception as error:
            print("%-24s %s: %s" % (name, type(error).__name__, str(error)[:150]), file=sys.stderr)
            target.unlink(missing_ok=True)


if __name__ == "__main__":
    os.environ.update(TQDM_DISABLE="1", TRANSFORMERS_VERBOSITY="error")
    main()
