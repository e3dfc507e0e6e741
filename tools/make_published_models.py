#!/usr/bin/env python3
"""Makes tiny random models of families that transformers has no class for, and their goldens, under tests/data/models.

What is written has the tensors and the configuration of the published files. What it computes comes from a plain decoder in
this file, which knows no family: each family's function takes its own tensors apart, by the rules of its published modeling
file, into the parts that the decoder has. `--check` compares the decoder with the class of transformers that computes the
same as a family under other names, where there is one.

Goldens are as those of make_tiny_models.py, which has their description. RoPE that depends on the length takes that of the
prompt throughout. Some models are written as GGUF too (f32/model.gguf), with the names and layouts of llama.cpp's converter
and without a vocabulary; tools/compare_llama_cpp.py lets llama.cpp compute them.

Usage: tools/make_published_models.py [--check] [NAME...]       needs torch, safetensors, gguf, numpy; --check: transformers
"""

import json
import math
import shutil
import sys
from types import SimpleNamespace

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

from make_tiny_models import ROOT, permute, write_golden

F = torch.nn.functional


# ---- The decoder ----------------------------------------------------------------------------------------------------


def normalise(model, x, parts, name):
    weight, bias = parts[name + "_norm"], parts.get(name + "_norm_bias")
    if model.norm == "layer":
        return F.layer_norm(x, (x.shape[-1],), weight, bias, model.eps)
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + model.eps) * weight


def linear(parts, name, x):
    return F.linear(x, parts[name], parts.get(name + "_bias"))


def rotate(model, x):
    """x: [T, heads, head_dim]; turns the first dimensions of each head."""
    n, base = model.n_rotary, model.rope_base
    if model.dynamic and model.rope_len > model.original_len:
        base *= (model.dynamic * model.rope_len / model.original_len - (model.dynamic - 1)) ** (n / (n - 2))
    waves = 1.0 / base ** (torch.arange(0, n, 2, dtype=torch.float32) / n)
    if model.long_factors is not None:
        waves = waves / torch.tensor(model.long_factors)
    angles = torch.outer(torch.arange(x.shape[0], dtype=torch.float32), waves)[:, None]
    cos, sin = angles.cos() * model.rope_scale, angles.sin() * model.rope_scale
    turned = x[..., :n]
    a, b = (turned[..., 0::2], turned[..., 1::2]) if model.pairs else turned.chunk(2, -1)
    both = (a * cos - b * sin, b * cos + a * sin)
    turned = torch.stack(both, -1).flatten(-2) if model.pairs else torch.cat(both, -1)
    return torch.cat((turned, x[..., n:]), -1)


def alibi_slopes(n):
    def powers(n):
        return [2.0 ** (-8.0 * (i + 1) / n) for i in range(n)]
    closest = 2 ** math.floor(math.log2(n))
    return torch.tensor(powers(closest) + powers(2 * closest)[0::2][:n - closest])


def attend(model, parts, h):
    n = h.shape[0]
    q, k, v = (linear(parts, name, h).view(n, -1, model.head_dim) for name in "qkv")
    if model.clip:
        q, k, v = (x.clamp(-model.clip, model.clip) for x in (q, k, v))
    if "q_norm" in parts:
        q, k = normalise(model, q, parts, "q"), normalise(model, k, parts, "k")
    if not model.alibi:
        q, k = rotate(model, q), rotate(model, k)
    group = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
    scores = torch.einsum("qhd,khd->hqk", q, k) * (model.scale or model.head_dim ** -0.5)
    places = torch.arange(n)
    if model.alibi:
        scores = scores + alibi_slopes(q.shape[1])[:, None, None] * (places[None, :] - places[:, None])
    scores = scores.masked_fill(places[None, :] > places[:, None], -math.inf)
    mixed = torch.einsum("hqk,khd->qhd", scores.softmax(-1), v)
    return linear(parts, "o", mixed.reshape(n, -1))


def gated(parts, x):
    return linear(parts, "down", F.silu(linear(parts, "gate", x)) * linear(parts, "up", x))


def route(model, parts, x):
    """Experts of each row, and their weights."""
    scores = F.linear(x, parts["router"])
    if not model.sigmoid:
        weights, chosen = scores.softmax(-1).topk(model.top_k, -1)
    else:
        scores = scores.sigmoid()
        shifted = scores + parts["router_correction"]
        groups = shifted.view(x.shape[0], model.n_groups, -1)
        best = groups.topk(2, -1).values.sum(-1).topk(model.top_groups, -1).indices
        allowed = torch.zeros(groups.shape[:2]).scatter_(1, best, 1.0).bool()[:, :, None].expand_as(groups)
        chosen = shifted.masked_fill(~allowed.reshape_as(shifted), -math.inf).topk(model.top_k, -1).indices
        weights = scores.gather(1, chosen)
    if model.normalises_experts:
        weights = weights / weights.sum(-1, keepdim=True)
    return chosen, weights * model.expert_scale


def feed_forward(model, parts, x):
    if "experts" not in parts:
        return gated(parts, x)
    chosen, weights = route(model, parts, x)
    rows = []
    for row, ids, factors in zip(x, chosen, weights):
        rows.append(sum(factor * gated(parts["experts"][int(i)], row) for i, factor in zip(ids, factors)))
    out = torch.stack(rows)
    return out + gated(parts["shared"], x) if "shared" in parts else out


def compute(model, ids):
    x = model.parts["embedding"][torch.tensor(ids)] * model.embedding_scale
    if "embedding_norm" in model.parts:
        x = normalise(model, x, model.parts, "embedding")
    for parts in model.layers:
        for name, half in (("attention", attend), ("ffn", feed_forward)):
            if name + "_norm" not in parts:
                continue
            h = normalise(model, x, parts, name)
            if model.norm_stream:
                x = h
            x = x + half(model, parts, h) * model.residual_scale
    x = normalise(model, x, model.parts, "final")
    return F.linear(x, model.parts["head"]) * model.logit_scale


class Model:
    """A network as data, beside the tensors and the configuration of its published form."""

    def __init__(self, seed, config, **other):
        self.config = config
        self.published = {}
        self.generator = torch.Generator().manual_seed(seed)
        self.parts, self.layers = {}, []
        defaults = dict(
            norm="rms", eps=1e-5, rope_base=10000.0, n_rotary=None, pairs=False, dynamic=None, original_len=0, rope_len=0,
            long_factors=None, rope_scale=1.0, alibi=False, scale=None, clip=None, embedding_scale=1.0, residual_scale=1.0,
            logit_scale=1.0, norm_stream=False, top_k=0, normalises_experts=True, sigmoid=False, n_groups=1, top_groups=1,
            expert_scale=1.0, sibling=None, gguf=None, n_prompt=26)
        for name, value in (defaults | other).items():
            setattr(self, name, value)
        if self.n_rotary is None:
            self.n_rotary = self.head_dim

    def make(self, name, shape, scale, offset=0.0):
        value = (offset + scale * torch.randn(shape, generator=self.generator)).to(torch.bfloat16)
        self.published[name] = value
        return value.float()

    def weight(self, name, n_out, n_in, turned=False):
        """A linear's matrix [n_out, n_in]; `turned`: published as [n_in, n_out]."""
        shape = (n_in, n_out) if turned else (n_out, n_in)
        value = self.make(name, shape, 1.3 / n_in ** 0.5)
        return value.T.contiguous() if turned else value

    def add_norm(self, parts, part, name, n, has_bias=None):
        parts[part + "_norm"] = self.make(name + ".weight", (n,), 0.3, 1.0)
        if self.norm == "layer" if has_bias is None else has_bias:
            parts[part + "_norm_bias"] = self.make(name + ".bias", (n,), 0.3)

    def add_linear(self, parts, part, name, n_out, n_in, bias=False, turned=False):
        parts[part] = self.weight(name + ".weight", n_out, n_in, turned)
        if bias:
            parts[part + "_bias"] = self.make(name + ".bias", (n_out,), 0.3)

    def add_ends(self, embedding, final, head, dim, **norm):
        vocab = self.vocab
        self.parts["embedding"] = self.make(embedding + ".weight", (vocab, dim), 0.6)
        self.add_norm(self.parts, "final", final, dim, **norm)
        self.parts["head"] = self.make(head + ".weight", (vocab, dim), 0.6) if head else self.parts["embedding"]

    def add_qkv(self, parts, name, n_in, n_heads, n_kv_heads, split, bias=False, turned=False):
        """One tensor for Q, K and V, taken apart by `split`: rows [n, ...] to three."""
        whole = {}
        n_out = (n_heads + 2 * n_kv_heads) * self.head_dim
        self.add_linear(whole, "qkv", name, n_out, n_in, bias, turned)
        for suffix in ("", "_bias") if bias else ("",):
            for part, value in zip("qkv", split(whole["qkv" + suffix])):
                parts[part + suffix] = value.reshape(-1, *whole["qkv" + suffix].shape[1:]).contiguous()

    def __call__(self, input_ids, use_cache=False):
        return SimpleNamespace(logits=compute(self, input_ids[0].tolist())[None])


def split_in_order(n_heads, n_kv_heads, head_dim):
    return lambda rows: rows.split([n_heads * head_dim, n_kv_heads * head_dim, n_kv_heads * head_dim])


def split_by_group(n_groups, n_queries, head_dim):
    """Each group has its queries, then a key and a value."""
    def split(rows):
        groups = rows.reshape(n_groups, n_queries + 2, head_dim, *rows.shape[1:])
        return groups[:, :n_queries], groups[:, -2], groups[:, -1]
    return split


def add_llama_layers(model, n_layers, dim, ffn_dim, n_heads, n_kv_heads, bias=False, output_bias=None, **names):
    n = {"prefix": "model.layers.{}.", "attention": "input_layernorm", "ffn": "post_attention_layernorm"} | names
    width = model.head_dim
    for i in range(n_layers):
        parts, prefix = {}, n["prefix"].format(i)
        model.add_norm(parts, "attention", prefix + n["attention"], dim)
        for part, heads in (("q", n_heads), ("k", n_kv_heads), ("v", n_kv_heads)):
            model.add_linear(parts, part, f"{prefix}self_attn.{part}_proj", heads * width, dim, bias)
        model.add_linear(parts, "o", prefix + "self_attn.o_proj", dim, n_heads * width,
                         bias if output_bias is None else output_bias)
        model.add_norm(parts, "ffn", prefix + n["ffn"], dim)
        add_gated(model, parts, prefix + "mlp.", dim, ffn_dim)
        model.layers.append(parts)


def add_gated(model, parts, prefix, dim, ffn_dim, names=("gate_proj", "up_proj", "down_proj"), bias=False, turned=False):
    for part, name, n_out, n_in in zip(("gate", "up", "down"), names, (ffn_dim, ffn_dim, dim), (dim, dim, ffn_dim)):
        model.add_linear(parts, part, prefix + name, n_out, n_in, bias, turned)


def add_experts(model, parts, prefix, n_experts, dim, ffn_dim, names=("gate_proj", "up_proj", "down_proj"), n_shared=0):
    parts["router"] = 3.0 * model.weight(prefix + "gate.weight", n_experts, dim)
    model.published[prefix + "gate.weight"] = parts["router"].to(torch.bfloat16)
    parts["router"] = model.published[prefix + "gate.weight"].float()
    parts["experts"] = [{} for _ in range(n_experts)]
    for i, expert in enumerate(parts["experts"]):
        add_gated(model, expert, f"{prefix}experts.{i}.", dim, ffn_dim, names)
    if n_shared:
        parts["shared"] = {}
        add_gated(model, parts["shared"], prefix + "shared_experts.", dim, n_shared * ffn_dim)


# ---- Families -------------------------------------------------------------------------------------------------------


def llama_config(model_type, **other):
    return {"model_type": model_type, "vocab_size": 96, "hidden_size": 32, "intermediate_size": 44, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_act": "silu", "max_position_embeddings": 64,
            "rms_norm_eps": 1e-5, "tie_word_embeddings": False} | other


def internlm2(seed):
    config = llama_config("internlm2", architectures=["InternLM2ForCausalLM"], bias=True, max_position_embeddings=25,
                          rope_theta=1000000, rope_scaling={"type": "dynamic", "factor": 2.0})
    return internlm2_network(seed, config, dynamic=2.0, original_len=25)


def internlm2_plain(seed):
    """As internlm2_5, without biases and scaling; as GGUF too."""
    config = llama_config("internlm2", architectures=["InternLM2ForCausalLM"], bias=False, rope_theta=1000000,
                          rope_scaling=None)
    return internlm2_network(seed, config, gguf="internlm2")


def internlm2_network(seed, config, **other):
    model = Model(seed, config, vocab=96, head_dim=8, rope_base=1e6, sibling="LlamaConfig", **other)
    model.add_ends("model.tok_embeddings", "model.norm", "output", 32)
    for i in range(2):
        parts, prefix = {}, f"model.layers.{i}."
        model.add_norm(parts, "attention", prefix + "attention_norm", 32)
        model.add_qkv(parts, prefix + "attention.wqkv", 32, 4, 2, split_by_group(2, 2, 8), config["bias"])
        model.add_linear(parts, "o", prefix + "attention.wo", 32, 32, config["bias"])
        model.add_norm(parts, "ffn", prefix + "ffn_norm", 32)
        add_gated(model, parts, prefix + "feed_forward.", 32, 44, ("w1", "w3", "w2"))
        model.layers.append(parts)
    return model


def baichuan_network(seed, n_layers, dim, n_heads, ffn_dim, config, normalised=False, **other):
    """llama.cpp tells the kinds by the number of layers: 32 with RoPE, 40 with ALiBi."""
    config = {"architectures": ["BaichuanForCausalLM"], "model_type": "baichuan", "vocab_size": 96, "hidden_size": dim,
              "intermediate_size": ffn_dim, "num_hidden_layers": n_layers, "num_attention_heads": n_heads,
              "hidden_act": "silu", "rms_norm_eps": 1e-6, "tie_word_embeddings": False} | config
    width = dim // n_heads
    model = Model(seed, config, vocab=96, head_dim=width, eps=1e-6, gguf="baichuan", **other)
    model.add_ends("model.embed_tokens", "model.norm", "lm_head", dim)
    if normalised:
        model.parts["final_norm"] = model.make("model.norm.weight", (dim,), 0.5, 2.0)
        model.parts["head"] = F.normalize(model.parts["head"])
    for i in range(n_layers):
        parts, prefix = {}, f"model.layers.{i}."
        model.add_norm(parts, "attention", prefix + "input_layernorm", dim)
        model.add_qkv(parts, prefix + "self_attn.W_pack", dim, n_heads, n_heads, split_in_order(n_heads, n_heads, width))
        model.add_linear(parts, "o", prefix + "self_attn.o_proj", dim, dim)
        model.add_norm(parts, "ffn", prefix + "post_attention_layernorm", dim)
        add_gated(model, parts, prefix + "mlp.", dim, ffn_dim)
        model.layers.append(parts)
    return model


def baichuan(seed):
    return baichuan_network(seed, 32, 16, 2, 20, {"max_position_embeddings": 64}, sibling="LlamaConfig")


def baichuan2_13b(seed):
    return baichuan_network(seed, 40, 12, 3, 16, {"model_max_length": 64, "z_loss_weight": 0}, normalised=True, alibi=True)


def chatglm_network(seed, config, n_heads, n_kv_heads, width, split, bias, **other):
    config = {"architectures": ["ChatGLMModel"], "model_type": "chatglm", "padded_vocab_size": 96, "vocab_size": 96,
              "hidden_size": 32, "num_layers": 2, "num_attention_heads": n_heads, "kv_channels": width,
              "ffn_hidden_size": 44, "seq_length": 64, "layernorm_epsilon": 1e-5, "post_layer_norm": True,
              "apply_query_key_layer_scaling": True, "attention_softmax_in_fp32": True, "bias_dropout_fusion": True,
              "original_rope": True, "pre_seq_len": None, "quantization_bit": 0, "tie_word_embeddings": False} | config
    model = Model(seed, config, vocab=96, head_dim=width, n_rotary=width // 2, pairs=True, **other)
    prefix = "transformer."
    model.add_ends(prefix + "embedding.word_embeddings", prefix + "encoder.final_layernorm", prefix + "output_layer", 32)
    model.published[prefix + "rotary_pos_emb.inv_freq"] = torch.ones(width // 4)
    for i in range(2):
        parts, prefix = {}, f"transformer.encoder.layers.{i}."
        model.add_norm(parts, "attention", prefix + "input_layernorm", 32)
        model.add_qkv(parts, prefix + "self_attention.query_key_value", 32, n_heads, n_kv_heads, split, True)
        model.add_linear(parts, "o", prefix + "self_attention.dense", 32, n_heads * width, bias)
        model.add_norm(parts, "ffn", prefix + "post_attention_layernorm", 32)
        whole = {}
        model.add_linear(whole, "w", prefix + "mlp.dense_h_to_4h", 2 * 44, 32, bias)
        parts["gate"], parts["up"] = whole["w"].chunk(2)
        if bias:
            parts["gate_bias"], parts["up_bias"] = whole["w_bias"].chunk(2)
        model.add_linear(parts, "down", prefix + "mlp.dense_4h_to_h", 32, 44, bias)
        model.layers.append(parts)
    return model


def chatglm(seed):
    config = {"multi_query_attention": True, "multi_query_group_num": 2, "add_qkv_bias": True, "add_bias_linear": False,
              "rmsnorm": True, "rope_ratio": 50, "apply_residual_connection_post_layernorm": False}
    return chatglm_network(seed, config, 4, 2, 8, split_in_order(4, 2, 8), False, rope_base=500000.0, gguf="chatglm",
                           sibling="GlmConfig")


def chatglm_switches(seed):
    """What the published file knows and no published model uses: heads one by one, biases, LayerNorm, residuals behind it."""
    config = {"multi_query_attention": False, "add_qkv_bias": False, "add_bias_linear": True, "rmsnorm": False,
              "apply_residual_connection_post_layernorm": True}
    return chatglm_network(seed, config, 3, 3, 12, split_by_group(3, 1, 12), True, norm="layer", norm_stream=True)


def qwen(seed):
    config = {"architectures": ["QWenLMHeadModel"], "model_type": "qwen", "vocab_size": 96, "hidden_size": 32,
              "intermediate_size": 88, "num_hidden_layers": 2, "num_attention_heads": 4, "kv_channels": 8, "no_bias": True,
              "max_position_embeddings": 64, "seq_length": 60, "layer_norm_epsilon": 1e-6, "rotary_emb_base": 10000,
              "rotary_pct": 1.0, "scale_attn_weights": True, "use_dynamic_ntk": True, "use_logn_attn": True,
              "use_flash_attn": "auto", "tie_word_embeddings": False}
    model = Model(seed, config, vocab=96, head_dim=8, eps=1e-6, gguf="qwen", sibling="Qwen2Config")
    model.add_ends("transformer.wte", "transformer.ln_f", "lm_head", 32)
    for i in range(2):
        parts, prefix = {}, f"transformer.h.{i}."
        model.add_norm(parts, "attention", prefix + "ln_1", 32)
        model.add_qkv(parts, prefix + "attn.c_attn", 32, 4, 4, split_in_order(4, 4, 8), True)
        model.add_linear(parts, "o", prefix + "attn.c_proj", 32, 32)
        model.add_norm(parts, "ffn", prefix + "ln_2", 32)
        add_gated(model, parts, prefix + "mlp.", 32, 44, ("w2", "w1", "c_proj"))
        model.layers.append(parts)
    return model


def minicpm_scales(n_layers, dim, **other):
    config = {"architectures": ["MiniCPMForCausalLM"], "scale_emb": 3, "scale_depth": 1.4, "dim_model_base": 16} | other
    scales = dict(embedding_scale=3.0, residual_scale=1.4 / n_layers ** 0.5, logit_scale=16 / dim)
    return config, scales


def minicpm(seed):
    members, scales = minicpm_scales(2, 32)
    model = Model(seed, llama_config("minicpm", tie_word_embeddings=True, **members), vocab=96, head_dim=8, gguf="minicpm",
                  sibling="GraniteConfig", **scales)
    model.add_ends("model.embed_tokens", "model.norm", None, 32)
    add_llama_layers(model, 2, 32, 44, 4, 2)
    return model


def minicpm4(seed):
    """Factors for long sequences: the prompt is longer than the first length."""
    long = [1.0, 1.5, 3.0, 4.0]
    rope = {"rope_type": "longrope", "long_factor": long, "short_factor": [1.0, 1.1, 1.2, 1.3],
            "original_max_position_embeddings": 16}
    members, scales = minicpm_scales(2, 32, rope_scaling=rope, sparse_config={"kernel_size": 32, "dense_len": 60})
    model = Model(seed, llama_config("minicpm", **members), vocab=96, head_dim=8, long_factors=long,
                  rope_scale=math.sqrt(1 + math.log(4) / math.log(16)), **scales)
    model.add_ends("model.embed_tokens", "model.norm", "lm_head", 32)
    add_llama_layers(model, 2, 32, 44, 4, 2)
    return model


def minicpm_moe(seed):
    members, scales = minicpm_scales(2, 32, num_experts=5, num_experts_per_tok=2)
    model = Model(seed, llama_config("minicpm", tie_word_embeddings=True, intermediate_size=24, **members), vocab=96,
                  head_dim=8, top_k=2, **scales)
    model.add_ends("model.embed_tokens", "model.norm", None, 32)
    add_llama_layers(model, 2, 32, 24, 4, 2)
    for i, parts in enumerate(model.layers):
        drop_gated(model, parts, f"model.layers.{i}.mlp.")
        add_experts(model, parts, f"model.layers.{i}.mlp.", 5, 32, 24, ("w1", "w3", "w2"))
    return model


def drop_gated(model, parts, prefix):
    for part in ("gate", "up", "down"):
        del parts[part], model.published[f"{prefix}{part}_proj.weight"]


def deepseek(seed):
    config = llama_config("deepseek", architectures=["DeepseekForCausalLM"], num_hidden_layers=3, moe_intermediate_size=20,
                          n_routed_experts=6, num_experts_per_tok=2, n_shared_experts=2, first_k_dense_replace=1,
                          moe_layer_freq=1, norm_topk_prob=False, scoring_func="softmax", num_key_value_heads=4)
    model = Model(seed, config, vocab=96, head_dim=8, top_k=2, normalises_experts=False, gguf="deepseek")
    model.add_ends("model.embed_tokens", "model.norm", "lm_head", 32)
    add_llama_layers(model, 3, 32, 44, 4, 4)
    for i in (1, 2):
        drop_gated(model, model.layers[i], f"model.layers.{i}.mlp.")
        add_experts(model, model.layers[i], f"model.layers.{i}.mlp.", 6, 32, 20, n_shared=2)
    return model


def bailing_network(seed, config, n_layers, n_dense, width, n_experts, ffn_dim, n_shared, **other):
    model = Model(seed, config, vocab=96, head_dim=width, **other)
    model.add_ends("model.word_embeddings", "model.norm", "lm_head", 32)
    for i in range(n_layers):
        parts, prefix = {}, f"model.layers.{i}."
        model.add_norm(parts, "attention", prefix + "input_layernorm", 32)
        model.add_qkv(parts, prefix + "attention.query_key_value", 32, 4, 2, split_in_order(4, 2, width))
        if model.sigmoid:
            model.add_norm(parts, "q", prefix + "attention.query_layernorm", width)
            model.add_norm(parts, "k", prefix + "attention.key_layernorm", width)
        model.add_linear(parts, "o", prefix + "attention.dense", 32, 4 * width)
        model.add_norm(parts, "ffn", prefix + "post_attention_layernorm", 32)
        if i < n_dense:
            add_gated(model, parts, prefix + "mlp.", 32, 44)
        else:
            add_experts(model, parts, prefix + "mlp.", n_experts, 32, ffn_dim, n_shared=n_shared)
            if model.sigmoid:
                parts["router_correction"] = model.make(prefix + "mlp.gate.expert_bias", (n_experts,), 0.2)
        model.layers.append(parts)
    return model


def bailing_moe(seed):
    config = llama_config("bailing_moe", architectures=["BailingMoeForCausalLM"], use_bias=False, use_qkv_bias=False,
                          norm_head=True, norm_softmax=False, num_experts=6, num_shared_experts=2, num_experts_per_tok=3,
                          norm_topk_prob=True, moe_intermediate_size=20, first_k_dense_replace=0, head_dim=12,
                          rope_theta=600000, rope_scaling=None)
    model = bailing_network(seed, config, 2, 0, 12, 6, 20, 2, top_k=3, rope_base=600000.0, gguf="bailingmoe")
    head = model.parts["head"]
    model.parts["head"] = head / (head.norm(dim=0, keepdim=True) + 1e-7)
    model.parts["final_norm"] = model.make("model.norm.weight", (32,), 0.6, 3.0)
    return model


def bailing_moe_v2(seed):
    config = llama_config("bailing_moe_v2", architectures=["BailingMoeV2ForCausalLM"], use_bias=False, use_qkv_bias=False,
                          use_qk_norm=True, num_experts=8, num_shared_experts=1, num_experts_per_tok=3, n_group=4,
                          topk_group=2, moe_intermediate_size=20, first_k_dense_replace=1, head_dim=8, rope_theta=600000,
                          partial_rotary_factor=0.5, moe_router_enable_expert_bias=True, routed_scaling_factor=2.5,
                          score_function="sigmoid", norm_topk_prob=True, num_nextn_predict_layers=0, num_hidden_layers=3)
    return bailing_network(seed, config, 3, 1, 8, 8, 20, 1, top_k=3, rope_base=600000.0, n_rotary=4, sigmoid=True,
                           n_groups=4, top_groups=2, expert_scale=2.5, gguf="bailingmoe2")


def internlm(seed):
    config = llama_config("internlm", architectures=["InternLMForCausalLM"], bias=True, max_position_embeddings=25,
                          rotary={"base": 10000, "type": "dynamic", "scaling_factor": 2.0})
    del config["num_key_value_heads"]
    model = Model(seed, config, vocab=96, head_dim=8, dynamic=2.0, original_len=25, sibling="LlamaConfig")
    model.add_ends("model.embed_tokens", "model.norm", "lm_head", 32)
    add_llama_layers(model, 2, 32, 44, 4, 4, bias=True)
    return model


def orion(seed):
    config = llama_config("orion", architectures=["OrionForCausalLM"], attention_bias=False)
    model = Model(seed, config, vocab=96, head_dim=8, norm="layer", gguf="orion", sibling="StableLmConfig")
    model.add_ends("model.embed_tokens", "model.norm", "lm_head", 32)
    add_llama_layers(model, 2, 32, 44, 4, 2)
    return model


def llama_by_name(seed, model_type, n_kv_heads=4, base=10000.0, names=None, **other):
    config = llama_config(model_type, num_key_value_heads=n_kv_heads, rope_theta=base)
    model = Model(seed, config, vocab=96, head_dim=8, rope_base=base, sibling="LlamaConfig", **other)
    model.add_ends("model.embed_tokens", "model.norm", "lm_head", 32)
    add_llama_layers(model, 2, 32, 44, 4, n_kv_heads, **(names or {}))
    return model


def xverse(seed):
    return llama_by_name(seed, "xverse", 4, 500000.0, gguf="xverse")


def aquila(seed):
    return llama_by_name(seed, "aquila", 2)


def skywork(seed):
    return llama_by_name(seed, "skywork")


def yi(seed):
    return llama_by_name(seed, "Yi", 2, 5000000.0, {"attention": "ln1", "ffn": "ln2"})


def jais(seed):
    config = {"architectures": ["JAISLMHeadModel"], "model_type": "jais", "vocab_size": 96, "n_embd": 24, "n_layer": 2,
              "n_head": 3, "n_inner": 44, "n_positions": 64, "activation_function": "swiglu", "layer_norm_epsilon": 1e-5,
              "position_embedding_type": "alibi", "scale_attn_weights": True, "mup_scale_qk_dot_by_d": True,
              "mup_embeddings_scale": 3.0, "mup_output_alpha": 2.2, "mup_width_scale": 0.25, "tie_word_embeddings": True}
    model = Model(seed, config, vocab=96, head_dim=8, norm="layer", alibi=True, scale=1 / 8, embedding_scale=3.0,
                  logit_scale=2.2 * 0.25, gguf="jais")
    model.add_ends("transformer.wte", "transformer.ln_f", None, 24)
    model.published["transformer.relative_pe.slopes"] = alibi_slopes(3)
    for i in range(2):
        parts, prefix = {}, f"transformer.h.{i}."
        model.add_norm(parts, "attention", prefix + "ln_1", 24)
        model.add_qkv(parts, prefix + "attn.c_attn", 24, 3, 3, split_in_order(3, 3, 8), True, turned=True)
        model.add_linear(parts, "o", prefix + "attn.c_proj", 24, 24, True, turned=True)
        model.add_norm(parts, "ffn", prefix + "ln_2", 24)
        add_gated(model, parts, prefix + "mlp.", 24, 44, ("c_fc2", "c_fc", "c_proj"), True, turned=True)
        model.layers.append(parts)
    return model


def dbrx(seed):
    config = {"architectures": ["DbrxForCausalLM"], "model_type": "dbrx", "vocab_size": 96, "d_model": 32, "n_layers": 2,
              "n_heads": 4, "max_seq_len": 64, "tie_word_embeddings": False,
              "attn_config": {"clip_qkv": 1.5, "kv_n_heads": 2, "rope_theta": 500000, "attn_pdrop": 0.0},
              "ffn_config": {"ffn_hidden_size": 20, "moe_num_experts": 5, "moe_top_k": 3, "moe_normalize_expert_weights": 1.0,
                             "ffn_act_fn": {"name": "silu"}}}
    model = Model(seed, config, vocab=96, head_dim=8, norm="layer", rope_base=500000.0, clip=1.5, top_k=3, gguf="dbrx")
    model.add_ends("transformer.wte", "transformer.norm_f", "lm_head", 32, has_bias=False)
    for i in range(2):
        parts, prefix = {}, f"transformer.blocks.{i}."
        model.add_norm(parts, "attention", prefix + "norm_attn_norm.norm_1", 32, has_bias=False)
        model.add_qkv(parts, prefix + "norm_attn_norm.attn.Wqkv", 32, 4, 2, split_in_order(4, 2, 8))
        model.add_linear(parts, "o", prefix + "norm_attn_norm.attn.out_proj", 32, 32)
        model.add_norm(parts, "ffn", prefix + "norm_attn_norm.norm_2", 32, has_bias=False)
        model.add_linear(parts, "router", prefix + "ffn.router.layer", 5, 32)
        gate, up, down = (model.weight(f"{prefix}ffn.experts.mlp.{name}", 5 * 20, 32).view(5, 20, 32)
                          for name in ("w1", "v1", "w2"))
        parts["experts"] = [{"gate": gate[e], "up": up[e], "down": down[e].T.contiguous()} for e in range(5)]
        model.layers.append(parts)
    return model


def stablelm_epoch(seed):
    config = llama_config("stablelm_epoch", architectures=["StableLMEpochForCausalLM"], norm_eps=1e-5, rope_pct=0.5,
                          rope_theta=10000, use_qkv_bias=True)
    model = Model(seed, config, vocab=96, head_dim=8, norm="layer", n_rotary=4, sibling="StableLmConfig")
    model.add_ends("model.embed_tokens", "model.norm", "lm_head", 32)
    add_llama_layers(model, 2, 32, 44, 4, 2, bias=True, output_bias=False)
    return model


def telechat(seed):
    config = {"architectures": ["TelechatForCausalLM"], "model_type": "telechat", "vocab_size": 96, "hidden_size": 32,
              "n_layer": 2, "n_head": 4, "ffn_hidden_size": 44, "layer_norm_epsilon": 1e-5, "base_seqlen": 20,
              "training_seqlen": 64, "seq_length": 64, "embed_layernorm": True, "flash_attn": False,
              "apply_residual_connection_post_layernorm": False, "tie_word_embeddings": False}
    alpha = 2 ** math.ceil(math.log2(64 / 20) + 1) - 1
    model = Model(seed, config, vocab=96, head_dim=8, rope_base=10000.0 * alpha ** (8 / 6))
    model.add_ends("transformer.word_embeddings", "transformer.ln_f", "lm_head", 32)
    model.add_norm(model.parts, "embedding", "transformer.word_embeddings_layernorm", 32)
    for i in range(2):
        parts, prefix = {}, f"transformer.h.{i}."
        model.add_norm(parts, "attention", prefix + "input_layernorm", 32)
        model.add_linear(parts, "q", prefix + "self_attention.query", 32, 32)
        both = model.weight(prefix + "self_attention.key_value.weight", 64, 32).view(4, 2, 8, 32)
        parts["k"], parts["v"] = (both[:, j].reshape(32, 32) for j in range(2))
        model.add_linear(parts, "o", prefix + "self_attention.dense", 32, 32, True)
        model.add_norm(parts, "ffn", prefix + "post_attention_layernorm", 32)
        model.add_linear(parts, "gate", prefix + "mlp.gate_proj", 44, 32)
        model.add_linear(parts, "up", prefix + "mlp.up_proj", 44, 32)
        model.add_linear(parts, "down", prefix + "mlp.down_proj", 32, 44, True)
        model.layers.append(parts)
    return model


def openelm(seed):
    heads, keys, widths = [4, 6, 8], [2, 3, 2], [0.5, 1.2, 2.0]
    config = {"architectures": ["OpenELMForCausalLM"], "model_type": "openelm", "vocab_size": 96, "model_dim": 32,
              "num_transformer_layers": 3, "head_dim": 8, "num_query_heads": heads, "num_kv_heads": keys,
              "ffn_multipliers": widths, "ffn_dim_divisor": 8, "ffn_with_glu": True, "normalize_qk_projections": True,
              "normalization_layer_name": "rms_norm", "activation_fn_name": "swish", "max_context_length": 64,
              "rope_freq_constant": 10000, "rope_max_length": 128, "share_input_output_layers": True}
    model = Model(seed, config, vocab=96, head_dim=8, eps=1e-6)
    model.add_ends("transformer.token_embeddings", "transformer.norm", None, 32)
    for i, ffn_dim in enumerate((16, 40, 64)):
        parts, prefix = {}, f"transformer.layers.{i}."
        model.add_norm(parts, "attention", prefix + "attn_norm", 32)
        model.add_qkv(parts, prefix + "attn.qkv_proj", 32, heads[i], keys[i], split_in_order(heads[i], keys[i], 8))
        model.add_norm(parts, "q", prefix + "attn.q_norm", 8)
        model.add_norm(parts, "k", prefix + "attn.k_norm", 8)
        model.add_linear(parts, "o", prefix + "attn.out_proj", 32, heads[i] * 8)
        model.add_norm(parts, "ffn", prefix + "ffn_norm", 32)
        parts["gate"], parts["up"] = model.weight(prefix + "ffn.proj_1.weight", 2 * ffn_dim, 32).chunk(2)
        model.add_linear(parts, "down", prefix + "ffn.proj_2", 32, ffn_dim)
        model.layers.append(parts)
    return model


def nemotron_nas(seed):
    """Four layers: heads in groups of 2, no attention, heads in groups of 4, no FFN."""
    blocks = [(2, 4.0), (None, 8.0), (4, 1.0), (1, None)]
    config = llama_config("nemotron-nas", architectures=["DeciLMForCausalLM"], num_hidden_layers=4, intermediate_size=None,
                          num_key_value_heads=None, rope_theta=500000.0, attention_bias=False, mlp_bias=False)
    del config["intermediate_size"]
    config["block_configs"] = [
        {"attention": {"n_heads_in_group": group, "no_op": group is None, "replace_with_linear": False, "sparsify": None,
                       "window_length": None, "num_sink_tokens": None, "unshifted_sink": False},
         "ffn": {"ffn_mult": factor, "no_op": factor is None, "replace_with_linear": False, "sparsify": None}}
        for group, factor in blocks]
    model = Model(seed, config, vocab=96, head_dim=4, rope_base=500000.0)
    model.add_ends("model.embed_tokens", "model.norm", "lm_head", 16)
    config["hidden_size"] = 16
    for i, (group, factor) in enumerate(blocks):
        parts, prefix = {}, f"model.layers.{i}."
        if group:
            model.add_norm(parts, "attention", prefix + "input_layernorm", 16)
            for part, n in (("q", 4), ("k", 4 // group), ("v", 4 // group)):
                model.add_linear(parts, part, f"{prefix}self_attn.{part}_proj", n * 4, 16)
            model.add_linear(parts, "o", prefix + "self_attn.o_proj", 16, 16)
        if factor:
            model.add_norm(parts, "ffn", prefix + "post_attention_layernorm", 16)
            add_gated(model, parts, prefix + "mlp.", 16, -(-int(2 * factor * 16 / 3) // 256) * 256)
        model.layers.append(parts)
    return model


MODELS = {  # the number chooses the random weights and the prompt
    "internlm2": (500, internlm2), "internlm2-plain": (501, internlm2_plain), "baichuan": (502, baichuan),
    "baichuan2-13b": (503, baichuan2_13b), "chatglm": (504, chatglm), "chatglm-switches": (505, chatglm_switches),
    "qwen": (506, qwen), "minicpm": (507, minicpm), "minicpm4": (508, minicpm4), "minicpm-moe": (509, minicpm_moe),
    "deepseek": (510, deepseek), "bailing-moe": (511, bailing_moe), "bailing-moe-v2": (512, bailing_moe_v2),
    "internlm": (513, internlm), "orion": (514, orion), "xverse": (515, xverse), "aquila": (516, aquila),
    "skywork": (517, skywork), "yi": (518, yi), "jais": (519, jais), "dbrx": (520, dbrx),
    "stablelm-epoch": (521, stablelm_epoch), "telechat": (522, telechat), "openelm": (523, openelm),
    "nemotron-nas": (524, nemotron_nas),
}


# ---- GGUF -----------------------------------------------------------------------------------------------------------

# How llama.cpp's converter stores a family: rows of Q and K as pairs, one QKV, one gate and up.
KINDS = {"internlm2": {"paired"}, "baichuan": {"paired"}, "chatglm": {"qkv", "gate_up"}, "qwen": {"qkv"},
         "minicpm": {"paired"}, "deepseek": {"paired"}, "bailingmoe": {"paired"}, "bailingmoe2": {"qkv"}, "orion": set(),
         "xverse": {"paired"}, "jais": {"qkv"}, "dbrx": {"qkv"}}
GGUF_NAMES = {"attention_norm": "attn_norm", "ffn_norm": "ffn_norm", "q_norm": "attn_q_norm", "k_norm": "attn_k_norm",
              "q": "attn_q", "k": "attn_k", "v": "attn_v", "qkv": "attn_qkv", "o": "attn_output", "gate": "ffn_gate",
              "up": "ffn_up", "down": "ffn_down", "router": "ffn_gate_inp", "router_correction": "exp_probs_b"}


def gguf_layer(model, parts):
    """Parts of a layer as the converter has them, by the names of GGUF."""
    kinds, out = KINDS[model.gguf], {}
    names = dict(GGUF_NAMES)
    if model.gguf == "dbrx":
        names["ffn_norm"] = "attn_output_norm"
    parts = dict(parts)
    if "paired" in kinds:
        for part in ("q", "k"):
            for suffix in ("", "_bias"):
                if part + suffix in parts:
                    parts[part + suffix] = permute(parts[part + suffix], parts[part].shape[0] // model.head_dim)
    for whole, pieces in (("qkv", "qkv"), ("gate_up", ("gate", "up"))):
        for suffix in ("", "_bias"):
            if whole in kinds and pieces[0] + suffix in parts:
                joined = torch.cat([parts.pop(piece + suffix) for piece in pieces])
                parts[("up" if whole == "gate_up" else whole) + suffix] = joined
    for part, value in parts.items():
        if part == "experts":
            for name in ("gate", "up", "down"):
                out[f"ffn_{name}_exps.weight"] = torch.stack([expert[name] for expert in value])
        elif part == "shared":
            for name in ("gate", "up", "down"):
                out[f"ffn_{name}_shexp.weight"] = value[name]
        elif part.endswith("_bias"):
            out[names[part.removesuffix("_bias")] + ".bias"] = value
        else:
            out[names[part] + (".bias" if part == "router_correction" else ".weight")] = value
    return out


def add_keys(writer, model):
    config = model.config
    first = model.layers[0]
    dim = model.parts["embedding"].shape[1]
    n_heads = first["q"].shape[0] // model.head_dim
    dense = first.get("gate")
    writer.add_context_length(64)
    writer.add_embedding_length(dim)
    writer.add_block_count(len(model.layers))
    writer.add_head_count(n_heads)
    if model.gguf not in ("qwen", "jais"):
        writer.add_head_count_kv(first["k"].shape[0] // model.head_dim)
    if model.head_dim * n_heads != dim:
        writer.add_key_length(model.head_dim)
        writer.add_value_length(model.head_dim)
    width = dense.shape[0] if dense is not None else first["experts"][0]["gate"].shape[0]
    if model.gguf == "bailingmoe":
        width = config["intermediate_size"]
    writer.add_feed_forward_length(2 * width if model.gguf == "qwen" else width)
    if model.norm == "layer":
        writer.add_layer_norm_eps(model.eps)
    else:
        writer.add_layer_norm_rms_eps(model.eps)
    if not model.alibi:
        writer.add_rope_freq_base(model.rope_base)
        writer.add_rope_dimension_count(model.n_rotary)
    elif model.gguf == "jais":
        writer.add_max_alibi_bias(8.0)
    else:
        writer.add_rope_dimension_count(model.head_dim)
    if model.gguf == "minicpm":
        writer.add_embedding_scale(model.embedding_scale)
        writer.add_residual_scale(model.residual_scale)
        writer.add_logit_scale(1.0 / model.logit_scale)
    if model.clip:
        writer.add_clamp_kqv(model.clip)
    if model.top_k:
        add_expert_keys(writer, model)
    writer.add_vocab_size(model.vocab)
    writer.add_tokenizer_model("no_vocab")


def add_expert_keys(writer, model):
    last = model.layers[-1]
    writer.add_expert_count(len(last["experts"]))
    writer.add_expert_used_count(model.top_k)
    if model.gguf == "dbrx":
        return
    writer.add_leading_dense_block_count(model.config["first_k_dense_replace"])
    writer.add_expert_feed_forward_length(model.config["moe_intermediate_size"])
    writer.add_expert_shared_count(model.config.get("num_shared_experts", model.config.get("n_shared_experts")))
    writer.add_expert_weights_scale(model.expert_scale)
    if model.gguf.startswith("bailing"):
        writer.add_expert_weights_norm(True)
    if model.sigmoid:
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
        writer.add_expert_group_count(model.n_groups)
        writer.add_expert_group_used_count(model.top_groups)
        writer.add_expert_shared_feed_forward_length(last["shared"]["gate"].shape[0])


def write_gguf(model, path):
    path.parent.mkdir()
    writer = gguf.GGUFWriter(path, model.gguf)
    add_keys(writer, model)

    def add(name, value):
        writer.add_tensor(name, np.ascontiguousarray(value.numpy(), dtype=np.float32))

    # Jais' multipliers are part of the tables.
    has_scales = model.gguf == "jais"
    add("token_embd.weight", model.parts["embedding"] * (model.embedding_scale if has_scales else 1.0))
    if has_scales or model.parts["head"] is not model.parts["embedding"]:
        add("output.weight", model.parts["head"] * (model.logit_scale if has_scales else 1.0))
    for suffix, name in (("", "weight"), ("_bias", "bias")):
        if "final_norm" + suffix in model.parts:
            add("output_norm." + name, model.parts["final_norm" + suffix])
    for i, parts in enumerate(model.layers):
        for name, value in gguf_layer(model, parts).items():
            add(f"blk.{i}.{name}", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# ---- Comparison -----------------------------------------------------------------------------------------------------


def sibling_of(model):
    """The class of transformers that computes the same, with the model's weights."""
    import transformers

    first, dim = model.layers[0], model.parts["embedding"].shape[1]
    n_heads, n_kv_heads = (first[part].shape[0] // model.head_dim for part in "qk")
    arguments = dict(
        vocab_size=model.vocab, hidden_size=dim, intermediate_size=first["gate"].shape[0],
        num_hidden_layers=len(model.layers), num_attention_heads=n_heads, num_key_value_heads=n_kv_heads,
        head_dim=model.head_dim, max_position_embeddings=model.original_len or 64, rms_norm_eps=model.eps,
        layer_norm_eps=model.eps, attention_bias="q_bias" in first, use_qkv_bias="q_bias" in first, pad_token_id=None,
        tie_word_embeddings=model.parts["head"] is model.parts["embedding"],
        embedding_multiplier=model.embedding_scale, residual_multiplier=model.residual_scale,
        attention_multiplier=model.head_dim ** -0.5, logits_scaling=1.0 / model.logit_scale,
        rope_parameters={"rope_type": "dynamic" if model.dynamic else "default", "rope_theta": model.rope_base,
                         "partial_rotary_factor": model.n_rotary / model.head_dim}
        | ({"factor": model.dynamic} if model.dynamic else {}))
    config = getattr(transformers, model.sibling)(**arguments)
    network = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    names = {"attention_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "gate": "mlp.gate_proj",
             "up": "mlp.up_proj", "down": "mlp.down_proj"} | {part: f"self_attn.{part}_proj" for part in "qkvo"}
    state = {"model.embed_tokens.weight": model.parts["embedding"], "lm_head.weight": model.parts["head"],
             "model.norm.weight": model.parts["final_norm"]}
    if "final_norm_bias" in model.parts:
        state["model.norm.bias"] = model.parts["final_norm_bias"]
    for i, parts in enumerate(model.layers):
        for part, value in parts.items():
            name = names[part.removesuffix("_bias")] + (".bias" if part.endswith("_bias") else ".weight")
            state[f"model.layers.{i}.{name}"] = value
        if model.sibling == "GlmConfig":
            gate, up = (state.pop(f"model.layers.{i}.mlp.{part}_proj.weight") for part in ("gate", "up"))
            state[f"model.layers.{i}.mlp.gate_up_proj.weight"] = torch.cat((gate, up))
    missing, unexpected = network.load_state_dict(state, strict=False)
    assert not unexpected and not missing, (missing, unexpected)
    return network


def check(name, model, prompt):
    if model.sibling is None:
        return "no sibling"
    with torch.no_grad():
        theirs = sibling_of(model)(input_ids=torch.tensor([prompt]), use_cache=False).logits[0]
        ours = compute(model, prompt)
    worst = float((theirs - ours).abs().max())
    assert worst < 1e-4, f"{name}: {model.sibling} differs by {worst}"
    return f"{model.sibling} differs by {worst:.1e}"


def main(arguments):
    checks = "--check" in arguments
    names = [name for name in arguments if name != "--check"]
    for name, (number, make) in MODELS.items():
        if names and name not in names:
            continue
        model = make(number)
        prompt = np.random.default_rng(number).integers(3, model.vocab, model.n_prompt).tolist()
        model.rope_len = len(prompt)
        if checks:
            print(f"{name}: {check(name, model, prompt)}")
            continue
        folder = ROOT / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(model.config, indent=2) + "\n")
        save_file({key: value.contiguous() for key, value in model.published.items()}, folder / "model.safetensors",
                  metadata={"format": "pt"})
        spread = write_golden(model, prompt, folder, "golden")
        if model.gguf:
            write_gguf(model, folder / "f32" / "model.gguf")
        size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        print(f"{name}: {size / 1024:.0f} KiB, logits' standard deviation {spread:.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
