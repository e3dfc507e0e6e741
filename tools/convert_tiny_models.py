#!/usr/bin/env python3
"""Writes tiny models of tests/data/models and tests/data/encoders as GGUF, by the converter of llama.cpp.

    convert_tiny_models.py LLAMA_CPP_FOLDER [NAME...]

Each becomes NAME/f32/model.gguf, those of QUANTISED NAME/q8_0/model.gguf (or OUT/NAME.gguf with --out OUT) without a vocabulary, which the tiny models do not have.
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
    "bitnet": {"hidden_act": "silu", "tie_word_embeddings": True},
    "afmoe": {
        "layer_types": ["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"],
        "global_attn_every_n_layers": 4,
    },
    "cohere2": {"rotary_pct": 1.0},
    "dots1": {"sliding_window": None, "layer_types": None},
    "bamba": {"rope_parameters": {"partial_rotary_factor": 1.0, "rope_theta": 10000.0, "rope_type": "default"}},
    "falcon-h1": {"mamba_norm_before_gate": False},
    "gpt-oss": {"swiglu_limit": 7.0},
    "granite-swa": {"layer_rope_theta": [10000.0, 0.0, 10000.0, 10000.0]},
    "granitemoehybrid-dense": {"position_embedding_type": "nope"},
    "hunyuan-v1-dense": {"rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"}},
    "kimi-linear": {"num_expert_group": 1},
    "lfm2": {"conv_bias": False},
    "minicpm3": {"scale_emb": 12, "dim_model_base": 256},
    "ministral3": {"sliding_window": None},
    "mpt-clip": {"attn_config": {"alibi_bias_max": 8, "clip_qkv": 0.8}},
    "llama4": {
        "attention_chunk_size": 8192,
        "attn_scale": 0.1,
        "floor_scale": 8192,
        "no_rope_layer_interval": 4,
        "no_rope_layers": [1, 1, 1, 0],
        "layer_types": ["chunked_attention", "chunked_attention", "chunked_attention", "full_attention"],
    },
    "mamba2": {"time_step_limit": [0.0, {"__float__": "Infinity"}]},
    "olmoe": {"clip_qkv": None},
    # The file has one factor of cosines and sines, which the converter computes.
    "phimoe": {
        "router_jitter_noise": 0.01,
        "rope_parameters": {
            "rope_type": "longrope",
            "rope_theta": 10000.0,
            "short_factor": [1.0, 1.1, 1.3, 1.4],
            "long_factor": [1.5, 2.0, 4.0, 5.0],
            "short_mscale": 1.5**0.5,
            "long_mscale": 1.5**0.5,
            "original_max_position_embeddings": 16,
        },
    },
    "smollm3": {"no_rope_layers": [1, 1, 1, 0], "use_sliding_window": False, "layer_types": None},
    "starcoder2": {"sliding_window": None},
}

# What the converter calls otherwise: it means the same as what the tiny model says.
SPELLINGS = {
    "bitnet": {"architectures": ["BitnetForCausalLM"]},
    # The converter takes heads for narrower than they are.
    "glm": {"rope_parameters": {"partial_rotary_factor": 1.0}, "seq_length": 64, "layernorm_epsilon": 1.5625e-07},
    "nemotron": {"rope_parameters": {"partial_rotary_factor": 0.75, "rope_theta": 10000.0, "rope_type": "default"}},
    "eurobert": {"classifier_pooling": None},
    "exaone": {"architectures": ["ExaoneForCausalLM"], "activation_function": "silu", "num_layers": 2},
    "phimoe": {"architectures": ["PhiMoEForCausalLM"]},
    "nomic-bert-moe-plain": {
        "n_positions": 2048,
        "num_hidden_layers": 4,
        "hidden_size": 36,
        "num_attention_heads": 6,
        "intermediate_size": 44,
        "layer_norm_eps": 1e-12,
        "rope_parameters": {"rope_theta": 10000.0},
        "rotary_emb_scale_base": None,
    },
    "nomic-bert-published": {
        "n_positions": 8192,
        "num_hidden_layers": 2,
        "hidden_size": 32,
        "num_attention_heads": 4,
        "intermediate_size": 44,
        "rope_parameters": {"rope_theta": 1000.0},
        "rotary_emb_scale_base": None,
    },
    "solar-open": {
        "rope_parameters": {
            "partial_rotary_factor": 1.0,
            "rope_theta": 10000.0,
            "rope_type": "yarn",
            "factor": 4.0,
            "original_max_position_embeddings": 16,
        }
    },
    "falcon": {"num_kv_heads": 1},
    "glm4-moe-lite": {"first_k_dense_replace": 1},
    "gpt-neox": {"rotary_pct": 0.5},
    "hunyuan-v1-moe": {"moe_intermediate_size": [44, 44], "moe_topk": [2, 2], "num_shared_expert": [1, 1]},
    "minimax-plain": {
        "architectures": ["MiniMaxText01ForCausalLM"],
        "rotary_dim": 8,
        **{"layernorm_%s_alpha" % half: 3.5 for half in ("full_attention", "linear_attention", "mlp")},
        **{"layernorm_%s_beta" % half: 1.0 for half in ("full_attention", "linear_attention", "mlp")},
    },
    "mpt": {"architectures": ["MPTForCausalLM"]},
    "mpt-clip": {"architectures": ["MPTForCausalLM"], "attn_config": {"alibi": True, "alibi_bias_max": 8, "clip_qkv": 0.8}},
    "falcon-h1": {"head_dim": 8},
    "falcon-h1-plain": {"head_dim": 8},
    "granite-swa": {"no_rope_layers": [1, 0, 1, 1]},
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
    "bitnet": [(r"^lm_head\.", None), (r"self_attn\.attn_sub_norm", "self_attn.inner_attn_ln"), (r"mlp\.ffn_sub_norm", "mlp.ffn_layernorm")],
    "kimi-linear": [(r"layers\.0\.block_sparse_moe\.(gate|up|down)_proj", r"layers.0.mlp.\1_proj")],
    "minimax-plain": [(r"self_attn\.(slope_rate|(query|key|diagonal)_decay)$", None)],
    "lfm2": [(r"conv\.(conv|in_proj|out_proj)\.bias$", None)],
}

# The converter makes their linears ternary.
TERNARY = {"bitnet"}

# The converter counts the tokens of tokenizer.json.
COUNTED = {"gemma4", "gemma4-keys", "gemma4-moe"}

# Of these the matrices are quantised; the logits are those of the values that the file has then.
QUANTISED = {"qwen3-moe-wide"}

MODELS = Path(__file__).resolve().parent.parent / "tests" / "data" / "models"
ENCODERS = MODELS.parent / "encoders"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("llama_cpp", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def without_vocabulary(model_class):
    """The converter's class, whose vocabulary is left out."""
    members = {"model_arch": model_class.model_arch, "set_vocab": lambda self: None, "no_mtp": True}
    members["_get_suppress_tokens"] = lambda self: None
    members["_is_tokenizer_xlmroberta"] = lambda self: False
    return type(model_class.__name__, (model_class,), members)


def convert(conversion, gguf, folder, target, spellings, quantise=False):
    hparams = conversion.ModelBase.load_hparams(folder, False) | spellings
    architecture = conversion.get_model_architecture(hparams, conversion.ModelType.TEXT)
    model_class = without_vocabulary(conversion.get_model_class(architecture))
    target.parent.mkdir(parents=True, exist_ok=True)
    kind = gguf.LlamaFileType.MOSTLY_Q8_0 if quantise else gguf.LlamaFileType.ALL_F32
    model = model_class(folder, kind, target, **({"hparams": hparams} if spellings else {}))
    if hasattr(model, "impl"):
        model.impl.set_vocab = lambda: None
    model.write()


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


def make_ternary(folder):
    """As the converter does it: -1, 0 and 1 times the mean size of a matrix. The head is the embedding."""
    from safetensors.torch import load_file, save_file

    for path in folder.glob("*.safetensors"):
        tensors = load_file(path)
        tensors.pop("lm_head.weight", None)
        for name, tensor in tensors.items():
            if "_proj." in name:
                scale = 1 / tensor.float().abs().mean().clamp(min=1e-5)
                tensors[name] = (tensor.float() * scale).round().clamp(-1, 1) / scale
        path.unlink()
        save_file(tensors, path, {"format": "pt"})


def round_matrices(gguf, folder):
    """The values that a file in Q8_0 has for matrices; those of routers stay as they are."""
    import torch
    from safetensors.torch import load_file, save_file

    kind = gguf.GGMLQuantizationType.Q8_0
    for path in folder.glob("*.safetensors"):
        tensors = load_file(path)
        for name, tensor in tensors.items():
            if tensor.dim() < 2 or name.endswith(".mlp.gate.weight"):
                continue
            packed = gguf.quants.quantize(tensor.float().numpy(), kind)
            tensors[name] = torch.tensor(gguf.quants.dequantize(packed, kind))
        path.unlink()
        save_file(tensors, path, {"format": "pt"})


def write_golden(folder, prompt, target):
    import torch
    import transformers
    from make_tiny_models import write_golden as write

    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    write(model, prompt, target, "golden")


def folder_of(name):
    return ENCODERS / name if (ENCODERS / name).is_dir() else MODELS / name


def write_gguf(conversion, gguf, name, target, has_golden):
    with tempfile.TemporaryDirectory() as scratch:
        changes = CHANGES.get(name, {})
        spellings = SPELLINGS.get(name, {})
        spelled = changed(folder_of(name), changes | spellings, Path(scratch) / "spelled", TENSORS.get(name, ()))
        if name in COUNTED:
            vocab = {str(i): i for i in range(json.loads((spelled / "config.json").read_text())["vocab_size"])}
            (spelled / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocab}, "added_tokens": []}))
        convert(conversion, gguf, spelled, target, spellings, name in QUANTISED)
        if has_golden and (name in CHANGES or name in QUANTISED):
            folder = changed(MODELS / name, changes, Path(scratch) / "changed")
            if name in QUANTISED:
                round_matrices(gguf, folder)
            if name in TERNARY:
                make_ternary(folder)
            write_golden(folder, json.loads((MODELS / name / "golden.json").read_text())["prompt"], target.parent)


def main():
    args = arguments()
    sys.path[:0] = [str(args.llama_cpp), str(args.llama_cpp / "gguf-py")]
    import conversion
    import gguf

    names = args.names or sorted(path.name for path in MODELS.iterdir())
    for name in names:
        kind = "q8_0" if name in QUANTISED else "f32"
        target = args.out / (name + ".gguf") if args.out else folder_of(name) / kind / "model.gguf"
        try:
            write_gguf(conversion, gguf, name, target, args.out is None)
            print("%-24s %s" % (name, json.loads((folder_of(name) / "config.json").read_text())["model_type"]))
        except Exception as error:
            print("%-24s %s: %s" % (name, type(error).__name__, str(error)[:150]), file=sys.stderr)
            target.unlink(missing_ok=True)


if __name__ == "__main__":
    os.environ.update(TQDM_DISABLE="1", TRANSFORMERS_VERBOSITY="error")
    main()
