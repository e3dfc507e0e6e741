#!/usr/bin/env python3
"""Writes tests/data/models/qwen3-moe-kquants: a tiny mixture of experts in GGUF whose stacked experts and other matrices are
K-quants, and the logits that transformers computes with the values that the gguf package says they are.

    tools/make_kquant_model.py

The blocks are random: there is no writer of K-quants in Python, and any bytes are a block. Needs torch, transformers, gguf.
"""
import os
from pathlib import Path

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import gguf  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from make_tiny_models import write_golden  # noqa: E402

TARGET = Path(__file__).resolve().parent.parent / "tests/data/models/qwen3-moe-kquants"
KIND = gguf.GGMLQuantizationType
# Where the F16 factors of a block lie, counted from its end, and factors that make weights of a usual size.
FACTORS = {KIND.Q2_K: [(4, 0.006), (2, 0.009)], KIND.Q3_K: [(2, 0.002)], KIND.Q4_K: [(144, 0.0004), (142, 0.003)],
           KIND.Q5_K: [(176, 0.0002), (174, 0.003)], KIND.Q6_K: [(2, 0.00005)]}
DIM, FFN, HEADS, KV_HEADS, HEAD, EXPERTS, VOCAB = 256, 256, 4, 2, 32, 3, 64


def random_blocks(rng, kind, shape):
    """Packed rows, and their values."""
    size = gguf.GGML_QUANT_SIZES[kind][1]
    blocks = rng.integers(0, 256, (int(np.prod(shape)) // 256, size), dtype=np.uint8)
    for from_end, value in FACTORS[kind]:
        factor = (value * rng.uniform(0.5, 1.5, len(blocks))).astype("<f2").view(np.uint8).reshape(-1, 2)
        blocks[:, size - from_end:size - from_end + 2] = factor
    packed = blocks.reshape(*shape[:-1], shape[-1] // 256 * size)
    return packed, torch.tensor(gguf.quants.dequantize(packed, kind))


def main():
    rng = np.random.default_rng(771)
    TARGET.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(str(TARGET / "model.gguf"), "qwen3moe")
    writer.add_context_length(64)
    writer.add_embedding_length(DIM)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_expert_count(EXPERTS)
    writer.add_expert_used_count(2)
    writer.add_expert_feed_forward_length(FFN)

    def quantised(name, kind, *shape):
        packed, values = random_blocks(rng, kind, shape)
        writer.add_tensor(name, packed, raw_dtype=kind)
        return values

    def plain(name, *shape, mean=0.0):
        values = rng.normal(mean, 0.1, shape).astype(np.float32)
        writer.add_tensor(name, values)
        return torch.tensor(values)

    state = {"model.embed_tokens.weight": quantised("token_embd.weight", KIND.Q6_K, VOCAB, DIM),
             "lm_head.weight": quantised("output.weight", KIND.Q6_K, VOCAB, DIM),
             "model.norm.weight": plain("output_norm.weight", DIM, mean=1.0)}
    at, layer = "blk.0.", "model.layers.0."
    for ours, theirs, kind, rows in (("attn_q", "q_proj", KIND.Q3_K, HEADS * HEAD), ("attn_k", "k_proj", KIND.Q2_K, KV_HEADS * HEAD),
                                     ("attn_v", "v_proj", KIND.Q4_K, KV_HEADS * HEAD)):
        state[layer + "self_attn." + theirs + ".weight"] = quantised(at + ours + ".weight", kind, rows, DIM)
    # Rows of 128 numbers cannot be K-quants.
    state[layer + "self_attn.o_proj.weight"] = plain(at + "attn_output.weight", DIM, HEADS * HEAD)
    for ours, theirs, size in (("attn_q_norm", "self_attn.q_norm", HEAD), ("attn_k_norm", "self_attn.k_norm", HEAD),
                               ("attn_norm", "input_layernorm", DIM), ("ffn_norm", "post_attention_layernorm", DIM)):
        state[layer + theirs + ".weight"] = plain(at + ours + ".weight", size, mean=1.0)
    state[layer + "mlp.gate.weight"] = plain(at + "ffn_gate_inp.weight", EXPERTS, DIM)
    gate = quantised(at + "ffn_gate_exps.weight", KIND.Q4_K, EXPERTS, FFN, DIM)
    up = quantised(at + "ffn_up_exps.weight", KIND.Q5_K, EXPERTS, FFN, DIM)
    state[layer + "mlp.experts.gate_up_proj"] = torch.cat([gate, up], 1)
    state[layer + "mlp.experts.down_proj"] = quantised(at + "ffn_down_exps.weight", KIND.Q6_K, EXPERTS, DIM, FFN)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    config = transformers.Qwen3MoeConfig(vocab_size=VOCAB, hidden_size=DIM, intermediate_size=FFN, moe_intermediate_size=FFN, num_hidden_layers=1,
                                         num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, head_dim=HEAD, num_experts=EXPERTS,
                                         num_experts_per_tok=2, norm_topk_prob=True, max_position_embeddings=64, rope_theta=10000.0,
                                         tie_word_embeddings=False)
    config._attn_implementation = "eager"
    model = transformers.Qwen3MoeForCausalLM(config).eval()
    model.load_state_dict(state)
    write_golden(model, rng.integers(1, VOCAB, 26).tolist(), TARGET, "golden")
    print(sum(path.stat().st_size for path in TARGET.iterdir()), "bytes")


if __name__ == "__main__":
    main()
