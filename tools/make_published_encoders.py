#!/usr/bin/env python3
"""Makes tiny random encoders that transformers has no class for, and their goldens, under tests/data/encoders.

What is written has the tensors and the configuration of the published files. What it computes is written here by the rules
of their published modeling files: jina-bert-implementation and jina-bert-v2-qk-post-norm (ALiBi to both sides), nomic-bert
with mixtures (nomic-embed-text-v2-moe), and the RoPE of "new" (gte-*-en-v1.5) that is stretched for good. Goldens are as
those of make_encoder_models.py.

Usage: tools/make_published_encoders.py [NAME...]       needs torch, safetensors, numpy
"""

import json
import math
import shutil
import sys

import numpy as np
import torch
from safetensors.torch import save_file

from make_encoder_models import N_PROMPT, ROOT

F = torch.nn.functional
DIM, WIDTH, HEADS, VOCAB, LAYERS = 36, 44, 6, 96, 2


class Tensors(dict):
    """Random ones, rounded to what the file keeps."""

    def __init__(self, seed):
        super().__init__()
        self.random = torch.Generator().manual_seed(seed)

    def make(self, name, *shape, mean=0.0, scale=0.2):
        value = mean + scale * torch.randn(*shape, generator=self.random)
        self[name] = value.to(torch.bfloat16)
        return self[name].float()

    def linear(self, name, n_out, n_in, bias=True):
        weight = self.make(name + ".weight", n_out, n_in)
        offset = self.make(name + ".bias", n_out, scale=0.1) if bias else None
        return lambda x: F.linear(x, weight, offset)

    def norm(self, name):
        weight, bias = self.make(name + ".weight", DIM, mean=1.0), self.make(name + ".bias", DIM, scale=0.1)
        return lambda x: F.layer_norm(x, (DIM,), weight, bias, 1e-12)

    def table(self, name, n):
        return self.make(name + ".weight", n, DIM)


def heads(x):
    return x.view(x.shape[0], HEADS, -1).transpose(0, 1)


def attend(q, k, v, bias=0.0):
    scores = heads(q) @ heads(k).transpose(1, 2) / math.sqrt(DIM // HEADS) + bias
    return (scores.softmax(-1) @ heads(v)).transpose(0, 1).reshape(q.shape[0], DIM)


def alibi(n):
    def powers(count):
        start = 2 ** (-(2 ** -(math.log2(count) - 3)))
        return [start * start**i for i in range(count)]
    closest = 2 ** math.floor(math.log2(HEADS))
    slopes = powers(closest) + powers(2 * closest)[0::2][:HEADS - closest]
    places = torch.arange(n)
    return -torch.tensor(slopes)[:, None, None] * (places[:, None] - places[None]).abs()


def rotate(x, waves):
    """Halves of each head."""
    angles = torch.outer(torch.arange(x.shape[0], dtype=torch.float32), waves)[:, None]
    a, b = x.view(x.shape[0], HEADS, -1).chunk(2, -1)
    turned = torch.cat((a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()), -1)
    return turned.reshape(x.shape)


def jina(seed, more_norms):
    make = Tensors(seed)
    words, types = make.table("embeddings.word_embeddings", VOCAB), make.table("embeddings.token_type_embeddings", 2)
    first = make.norm("embeddings.LayerNorm")
    layers = []
    for i in range(LAYERS):
        at = f"encoder.layer.{i}."
        layer = {part: make.linear(at + "attention.self." + part, DIM, DIM) for part in ("query", "key", "value")}
        layer["out"] = make.linear(at + "attention.output.dense", DIM, DIM)
        layer["out_norm"] = make.norm(at + "attention.output.LayerNorm")
        up, down, last = (("up_gated_layer", "down_layer", "layer_norm_2") if more_norms
                          else ("gated_layers", "wo", "mlp.layernorm"))
        layer["up"] = make.linear(at + "mlp." + up, 2 * WIDTH, DIM, bias=False)
        layer["down"] = make.linear(at + "mlp." + down, DIM, WIDTH)
        layer["last"] = make.norm(at + last)
        if more_norms:
            layer["q_norm"] = make.norm(at + "attention.self.layer_norm_q")
            layer["k_norm"] = make.norm(at + "attention.self.layer_norm_k")
            layer["sum_norm"] = make.norm(at + "layer_norm_1")
        layers.append(layer)

    def run(ids, kinds):
        x = first(words[ids] + types[kinds])
        for layer in layers:
            q, k = layer["query"](x), layer["key"](x)
            if more_norms:
                q, k = layer["q_norm"](q), layer["k_norm"](k)
            mixed = layer["out_norm"](layer["out"](attend(q, k, layer["value"](x), alibi(len(ids)))) + x)
            x = layer["sum_norm"](x + mixed) if more_norms else mixed
            a, b = layer["up"](x).chunk(2, -1)
            x = layer["last"](x + layer["down"](a * F.gelu(b) if more_norms else F.gelu(a) * b))
        return x

    files = "jinaai/jina-bert-v2-qk-post-norm" if more_norms else "jinaai/jina-bert-implementation"
    config = dict(model_type="bert", architectures=["JinaBertModel"], feed_forward_type="geglu", hidden_act="gelu",
                  position_embedding_type="alibi", hidden_size=DIM, intermediate_size=WIDTH, num_attention_heads=HEADS,
                  num_hidden_layers=LAYERS, vocab_size=VOCAB, max_position_embeddings=64, layer_norm_eps=1e-12,
                  type_vocab_size=2, auto_map={"AutoModel": f"{files}--modeling_bert.JinaBertModel"})
    return make, config, run


def nomic_moe(seed, bias=1.0):
    make, n_experts = Tensors(seed), 4
    words, types = make.table("embeddings.word_embeddings", VOCAB), make.table("embeddings.token_type_embeddings", 1)
    first = make.norm("emb_ln")
    layers = []
    for i in range(4):
        at = f"encoder.layers.{i}."
        layer = {"qkv": make.linear(at + "attn.Wqkv", 3 * DIM, DIM), "out": make.linear(at + "attn.out_proj", DIM, DIM),
                 "norm1": make.norm(at + "norm1"), "norm2": make.norm(at + "norm2")}
        if i % 2 == 1:
            layer["router"] = make.linear(at + "mlp.router.layer", n_experts, DIM, bias=False)
            layer["w1"] = make.make(at + "mlp.experts.mlp.w1", n_experts * WIDTH, DIM).view(n_experts, WIDTH, DIM)
            layer["w2"] = make.make(at + "mlp.experts.mlp.w2", n_experts * WIDTH, DIM).view(n_experts, WIDTH, DIM)
            layer["bias"] = make.make(at + "mlp.experts.bias", DIM, scale=0.2 * bias)
        else:
            layer["up"], layer["down"] = make.linear(at + "mlp.fc1", WIDTH, DIM), make.linear(at + "mlp.fc2", DIM, WIDTH)
        layers.append(layer)
    n = DIM // HEADS
    waves = 1.0 / 10000.0 ** (torch.arange(0, n, 2, dtype=torch.float32) / n)

    def mixture(layer, x):
        weights, chosen = layer["router"](x).softmax(-1).topk(2, dim=-1)
        rows = [sum(w * (F.gelu(row @ layer["w1"][e].T) @ layer["w2"][e]) for w, e in zip(ws, es))
                for row, ws, es in zip(x, weights, chosen)]
        return torch.stack(rows) + layer["bias"]

    def run(ids, kinds):
        x = first(words[ids] + types[kinds])
        for layer in layers:
            q, k, v = layer["qkv"](x).chunk(3, -1)
            x = layer["norm1"](x + layer["out"](attend(rotate(q, waves), rotate(k, waves), v)))
            ffn = mixture(layer, x) if "router" in layer else layer["down"](F.gelu(layer["up"](x)))
            x = layer["norm2"](x + ffn)
        return x

    config = dict(model_type="nomic_bert", architectures=["NomicBertModel"], activation_function="gelu", causal=False,
                  n_embd=DIM, n_head=HEADS, n_inner=WIDTH, n_layer=4, n_positions=64, layer_norm_epsilon=1e-12,
                  mlp_fc1_bias=True, mlp_fc2_bias=True, qkv_proj_bias=True, prenorm=False, moe_every_n_layers=2,
                  moe_top_k=2, moe_normalize_expert_weights=False, num_experts=n_experts, num_shared_experts=0,
                  rotary_emb_base=10000, rotary_emb_fraction=1.0, rotary_emb_interleaved=False,
                  rotary_emb_scale_base=None, type_vocab_size=1, use_rms_norm=False, vocab_size=VOCAB)
    return make, config, run


def gte_stretched(seed, mixed_b):
    make, factor, base = Tensors(seed), 8.0, 5000.0
    words = make.table("new.embeddings.word_embeddings", VOCAB)
    first = make.norm("new.embeddings.LayerNorm")
    layers = []
    for i in range(LAYERS):
        at = f"new.encoder.layer.{i}."
        layers.append({"qkv": make.linear(at + "attention.qkv_proj", 3 * DIM, DIM),
                       "out": make.linear(at + "attention.o_proj", DIM, DIM), "norm1": make.norm(at + "attn_ln"),
                       "up": make.linear(at + "mlp.up_gate_proj", 2 * WIDTH, DIM, bias=False),
                       "down": make.linear(at + "mlp.down_proj", DIM, WIDTH), "norm2": make.norm(at + "mlp_ln")})
    n = DIM // HEADS
    places = torch.arange(0, n, 2).float() / n
    if mixed_b is None:
        waves = 1.0 / ((base * factor) ** places) / factor ** (2 / n)
    else:
        a = torch.tensor(factor).log() / (n / 2) ** mixed_b
        waves = 1.0 / base ** places / (a * torch.arange(1, n // 2 + 1).float() ** mixed_b).exp()

    def run(ids, kinds):
        x = first(words[ids])
        for layer in layers:
            q, k, v = layer["qkv"](x).chunk(3, -1)
            x = layer["norm1"](x + layer["out"](attend(rotate(q, waves), rotate(k, waves), v)))
            up, gate = layer["up"](x).chunk(2, -1)
            x = layer["norm2"](x + layer["down"](F.gelu(gate) * up))
        return x

    scaling = {"type": "ntk", "factor": factor} | ({} if mixed_b is None else {"mixed_b": mixed_b})
    config = dict(model_type="new", architectures=["NewModel"], hidden_act="gelu", hidden_size=DIM,
                  intermediate_size=WIDTH, num_attention_heads=HEADS, num_hidden_layers=LAYERS, vocab_size=VOCAB,
                  max_position_embeddings=64, layer_norm_eps=1e-12, layer_norm_type="layer_norm", pack_qkv=True,
                  logn_attention_scale=False, position_embedding_type="rope", rope_theta=base, rope_scaling=scaling,
                  type_vocab_size=0, unpad_inputs=False)
    return make, config, run


MODELS = {
    "jina-bert": lambda: jina(756, False),
    "jina-bert-more-norms": lambda: jina(757, True),
    "nomic-bert-moe": lambda: nomic_moe(758),
    "gte-stretched": lambda: gte_stretched(759, None),
    "gte-stretched-mixed": lambda: gte_stretched(760, 0.6),
    # GGUF has no bias behind the experts' sum.
    "nomic-bert-moe-plain": lambda: nomic_moe(761, bias=0.0),
}
N_TYPES = {"jina-bert", "jina-bert-more-norms"}


def main(names):
    for number, (name, make_model) in enumerate(MODELS.items()):
        if names and name not in names:
            continue
        tensors, config, run = make_model()
        folder = ROOT / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        save_file({key: value.contiguous() for key, value in tensors.items()}, folder / "model.safetensors",
                  metadata={"format": "pt"})
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        prompt = np.random.default_rng(756 + number).integers(4, VOCAB, N_PROMPT).tolist()
        kinds = [0] * 12 + [1] * (N_PROMPT - 12) if name in N_TYPES else [0] * N_PROMPT
        golden = {"prompt": prompt, "hidden": "golden.hidden"} | ({"types": kinds} if name in N_TYPES else {})
        hidden = run(torch.tensor(prompt), torch.tensor(kinds)).numpy()
        hidden.astype("<f4").tofile(folder / "golden.hidden")
        (folder / "golden.json").write_text(json.dumps(golden) + "\n")
        print(f"{name}: spread {hidden.std():.2f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
