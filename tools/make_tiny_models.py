#!/usr/bin/env python3
"""Makes the tiny random models and their goldens under tests/data/models.

Every model is made with Hugging Face transformers: random weights with enough spread that the logits are far from
flat, random norm weights and biases too. Beside each model lies golden.json:

  prompt        token ids
  greedy        the ids transformers continues the prompt with, greedy, recomputing the whole sequence each time
  vocab_size    columns of the logits
  logits        file with the logits of every prompt position, float32 little endian, [positions, vocab_size]
  source        token ids of the source text, for models with an encoder and a decoder

Encoders have `prompt` and `hidden`, the file with the last hidden states, [positions, hidden_size].

Some models are written as GGUF too (f32/model.gguf, q8_0/model.gguf), with the tensor names, key names and weight
layouts of llama.cpp's converter. The Q8_0 file has a golden of its own, computed by transformers from the dequantised
weights.

The linears of some models are quantised as GPTQ does, see gptq_format.py: transformers computes their golden from what
AutoGPTQ makes of the quantised tensors.

Usage: tools/make_tiny_models.py [NAME...]       needs torch, transformers, safetensors, gguf, numpy, auto-gptq
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

import gptq_format

ROOT = Path(__file__).resolve().parent.parent / "tests" / "data" / "models"
N_GREEDY = 20


def llama3_scaling():
    return {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 32}


def gptq_llama(arguments, **gptq):
    return ("LlamaConfig", dict(
        vocab_size=128, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, rms_norm_eps=1e-5, **arguments),
        dict(n_prompt=30, dtype=torch.float16, gptq=gptq))


def sizes(**other):
    return {"hidden_size": 32, "intermediate_size": 44, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "max_position_embeddings": 64} | other


def moe_sizes():
    return dict(moe_intermediate_size=24, num_experts_per_tok=2)


def latent_sizes(**other):
    return dict(q_lora_rank=20, kv_lora_rank=16, qk_rope_head_dim=8, v_head_dim=10, qk_nope_head_dim=12) | other


def short_llama3():
    return {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 16}


def short_yarn(**other):
    return {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 16} | other


def bert_sizes(**other):
    return dict(hidden_size=32, intermediate_size=44, num_hidden_layers=2, num_attention_heads=4,
                max_position_embeddings=64, is_decoder=True) | other


def mrope(sections, **other):
    return {"rope_type": "default", "rope_theta": 5000.0, "mrope_section": sections} | other


def qwen3_tower():
    return dict(depth=1, hidden_size=16, intermediate_size=16, out_hidden_size=32, num_heads=2, patch_size=4,
                num_position_embeddings=16, deepstack_visual_indexes=[0])


def gemma4_text(**other):
    return dict(vocab_size=96, **sizes(num_hidden_layers=4, head_dim=8), global_head_dim=12, sliding_window=7,
                num_kv_shared_layers=1, use_double_wide_mlp=True, final_logit_softcapping=6.0, pad_token_id=0,
                layer_types=["sliding_attention", "full_attention"] * 2) | other


def omni_ears(**other):
    return dict(d_model=16, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=16, num_mel_bins=8,
                max_source_positions=16, output_dim=32) | other


def turned(model):
    """Stacked experts are written [experts, in, out]."""
    name, arguments, options = model
    return (name, arguments, options | dict(turned=True))


def renamed(model):
    """Tensors have the names of transformers 5, not those that published files have."""
    name, arguments, options = model
    return (name, arguments, options | dict(renamed=True))


def within(model_type, part, model):
    """The model as a part of another one."""
    name, arguments, options = model
    return (name, arguments, options | dict(within=(model_type, part)))


def opt_sizes():
    return dict(hidden_size=32, ffn_dim=44, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=48)


def falcon_sizes():
    return dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64)


def small(class_name, **arguments):
    arguments = {name: value for name, value in arguments.items() if value is not None or name == "sliding_window"}
    return (class_name, {"vocab_size": 96} | arguments, dict(n_prompt=26, dtype=torch.bfloat16))


def seq2seq(class_name, number, **arguments):
    """An encoder-decoder model; `number` stands for its place in MODELS where that chooses random numbers."""
    sizes = {} if class_name.endswith("T5Config") else dict(
        d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=2,
        encoder_ffn_dim=44, decoder_ffn_dim=36, max_position_embeddings=48, pad_token_id=1, bos_token_id=0,
        eos_token_id=2, decoder_start_token_id=2)
    return (class_name, {"vocab_size": 96} | sizes | arguments,
            dict(n_prompt=17, n_source=23, dtype=torch.bfloat16, number=number))


def seeded(number, class_name, **arguments):
    """As `small`, but what it is made of does not depend on its place in the list."""
    name, arguments, options = small(class_name, **arguments)
    return (name, arguments, options | dict(number=number))


def in_f32(model):
    """Tables that lie in the file and follow from the sizes are not rounded then."""
    name, arguments, options = model
    return (name, arguments, options | dict(dtype=torch.float32))


def t5gemma_sizes(**other):
    return sizes(head_dim=12, vocab_size=96, sliding_window=6, query_pre_attn_scalar=20,
                 attn_logit_softcapping=5.0) | other


def linear_sizes():
    return dict(linear_conv_kernel_dim=4, linear_key_head_dim=8, linear_value_head_dim=12, linear_num_key_heads=2,
                linear_num_value_heads=4)


def equal_linear_sizes():
    """The convolutions of q, k and v are as wide as each other: transformers saves one as three equal parts."""
    return linear_sizes() | dict(linear_key_head_dim=12, linear_value_head_dim=6)


# name -> (configuration class, its arguments, options)
# Options: dtype of the stored weights, n_prompt, gguf (also write these GGUF files), shard (bytes per file), prefix
# (drop it from the tensor names), gptq (how to quantise the linears), seed (else its place in the list).
MODELS = {
    # grouped queries, biases everywhere, llama3 RoPE scaling, tied
    "llama": ("LlamaConfig", dict(
        vocab_size=130, hidden_size=36, intermediate_size=60, num_hidden_layers=3, num_attention_heads=6,
        num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5, attention_bias=True, mlp_bias=True,
        tie_word_embeddings=True, rope_parameters=llama3_scaling()), dict(n_prompt=40)),
    # the plain kind, written as GGUF: permuted Q and K, RoPE factors in a tensor
    "llama-gguf": ("LlamaConfig", dict(
        vocab_size=130, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, rope_parameters=llama3_scaling()),
        dict(n_prompt=33, gguf=["f32", "q8_0"])),
    # head_dim that is not hidden_size / heads and no multiple of 8, no grouping, yarn, bf16 weights in shards
    "llama-odd": ("LlamaConfig", dict(
        vocab_size=131, hidden_size=40, intermediate_size=52, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, head_dim=20, max_position_embeddings=128,
        rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0,
                         "original_max_position_embeddings": 32}),
        dict(n_prompt=31, dtype=torch.bfloat16, shard=20000)),
    "mistral": ("MistralConfig", dict(
        vocab_size=120, hidden_size=40, intermediate_size=56, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, max_position_embeddings=128, sliding_window=9), dict(n_prompt=37)),
    # windows from layer 2 on
    "qwen2": ("Qwen2Config", dict(
        vocab_size=120, hidden_size=36, intermediate_size=52, num_hidden_layers=4, num_attention_heads=6,
        num_key_value_heads=3, max_position_embeddings=128, tie_word_embeddings=True, use_sliding_window=True,
        sliding_window=7, max_window_layers=2,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}), dict(n_prompt=36)),
    "qwen2-gguf": ("Qwen2Config", dict(
        vocab_size=100, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, tie_word_embeddings=False,
        rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0, "factor": 2.0,
                         "original_max_position_embeddings": 16}), dict(n_prompt=27, gguf=["f32"])),
    "qwen3": ("Qwen3Config", dict(
        vocab_size=130, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=128,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}),
        dict(n_prompt=29, gguf=["f32", "q8_0"])),
    "qwen3-bias": ("Qwen3Config", dict(
        vocab_size=140, hidden_size=32, intermediate_size=44, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, head_dim=24, max_position_embeddings=64, attention_bias=True,
        rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.5}),
        dict(n_prompt=24, dtype=torch.float16)),
    "gemma2": ("Gemma2Config", dict(
        vocab_size=120, hidden_size=36, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, head_dim=20, max_position_embeddings=128, sliding_window=8, query_pre_attn_scalar=20,
        attn_logit_softcapping=5.0, final_logit_softcapping=8.0), dict(n_prompt=34, gguf=["f32"])),
    # five windowed layers, a full one with scaled RoPE, a windowed one
    "gemma3": ("Gemma3TextConfig", dict(
        vocab_size=130, hidden_size=32, intermediate_size=32, num_hidden_layers=7, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, max_position_embeddings=256, sliding_window=10, query_pre_attn_scalar=16,
        rope_parameters={"sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
                         "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1000000.0}}),
        dict(n_prompt=39, gguf=["f32", "q8_0"])),
    # the outer model with a vision tower
    "gemma3-vision": ("Gemma3Config", dict(
        text_config=dict(vocab_size=130, hidden_size=32, intermediate_size=40, num_hidden_layers=3,
                         num_attention_heads=2, num_key_value_heads=1, head_dim=16, max_position_embeddings=128,
                         sliding_window=6, query_pre_attn_scalar=11, final_logit_softcapping=4.0,
                         layer_types=["sliding_attention", "full_attention", "sliding_attention"]),
        vision_config=dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1,
                           image_size=16, patch_size=8),
        mm_tokens_per_image=4), dict(n_prompt=25)),
    "gpt2": ("GPT2Config", dict(
        vocab_size=120, n_embd=40, n_layer=3, n_head=4, n_positions=64, n_inner=90,
        scale_attn_by_inverse_layer_idx=True), dict(n_prompt=30)),
    # names without the "transformer." prefix, also as GGUF
    "gpt2-bare": ("GPT2Config", dict(
        vocab_size=110, n_embd=32, n_layer=2, n_head=4, n_positions=40, activation_function="gelu_new"),
        dict(n_prompt=20, prefix="transformer.", gguf=["f32"])),
    # experts in every layer
    "mixtral": ("MixtralConfig", dict(
        vocab_size=120, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, num_local_experts=4, num_experts_per_tok=2,
        sliding_window=None), dict(n_prompt=26)),
    # latent attention, a dense layer, then groups of experts beside shared ones
    "deepseek2": ("DeepseekV2Config", dict(
        vocab_size=120, hidden_size=40, intermediate_size=56, moe_intermediate_size=24, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=4, q_lora_rank=20, kv_lora_rank=16, qk_nope_head_dim=12,
        qk_rope_head_dim=8, v_head_dim=10, n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=2,
        n_group=4, topk_group=2, topk_method="group_limited_greedy", norm_topk_prob=False, routed_scaling_factor=1.7,
        first_k_dense_replace=1, max_position_embeddings=64), dict(n_prompt=28)),
    # an encoder: its golden has hidden states
    "bert": ("BertConfig", dict(
        vocab_size=110, hidden_size=36, intermediate_size=50, num_hidden_layers=2, num_attention_heads=3,
        max_position_embeddings=48), dict(n_prompt=21)),
    # encoder and decoder: the golden has a source too; a plain and a gated one with a head of its own
    "t5": ("T5Config", dict(
        vocab_size=120, d_model=36, d_kv=10, d_ff=50, num_layers=2, num_heads=4, relative_attention_num_buckets=8,
        relative_attention_max_distance=12, decoder_start_token_id=0), dict(n_prompt=17, n_source=30)),
    "t5-gated": ("T5Config", dict(
        vocab_size=110, d_model=32, d_kv=8, d_ff=40, num_layers=2, num_decoder_layers=3, num_heads=4,
        feed_forward_proj="gated-gelu", tie_word_embeddings=False, decoder_start_token_id=0),
        dict(n_prompt=15, n_source=26)),
    # GPTQ: the usual kind, with the biases of zeros that AutoGPTQ writes
    "llama-gptq": gptq_llama(dict(tie_word_embeddings=True), bits=4, group_size=32, sym=True, empty_bias=True),
    # inputs in another order than groups, which gate and up do not share; zero points; real biases
    "llama-gptq-act-order": gptq_llama(dict(attention_bias=True), bits=4, group_size=32, sym=False, desc_act=True),
    # a group is a whole row; the head is quantised too
    "llama-gptq-8bit": gptq_llama({}, bits=8, group_size=-1, sym=False, format="gptq_v2", lm_head=True),
    "llama-gptq-8bit-act-order": gptq_llama({}, bits=8, group_size=32, sym=True, desc_act=True),
    # groups that are smaller than what kernels multiply at once
    "llama-gptq-2bit": gptq_llama({}, bits=2, group_size=16, sym=False, desc_act=True, format="gptq_v2"),
    # every expert has seen other inputs, so each has an order of its own
    "mixtral-gptq-act-order": ("MixtralConfig", dict(
        vocab_size=120, hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, num_local_experts=4, num_experts_per_tok=2,
        sliding_window=None),
        dict(n_prompt=26, dtype=torch.float16, gptq=dict(bits=4, group_size=32, sym=False, desc_act=True))),
    # the first GPTs and what came of them
    "openai-gpt": small("OpenAIGPTConfig", n_embd=32, n_layer=2, n_head=4, n_positions=48),
    "gpt-neo": small("GPTNeoConfig", hidden_size=32, num_layers=3, num_heads=4, max_position_embeddings=48,
                     window_size=7, attention_types=[[["global", "local"], 1], [["local"], 1]]),
    "gptj": small("GPTJConfig", n_embd=48, n_layer=2, n_head=4, n_positions=64, rotary_dim=6, n_inner=40),
    "codegen": small("CodeGenConfig", n_embd=64, n_layer=2, n_head=8, n_positions=64, n_ctx=64, rotary_dim=4),
    "gpt-neox": small("GPTNeoXConfig", **sizes(num_key_value_heads=None), rotary_pct=0.5),
    "gpt-neox-serial": small("GPTNeoXConfig", **sizes(num_key_value_heads=None), use_parallel_residual=False,
                             attention_bias=False),
    "gpt-bigcode": small("GPTBigCodeConfig", n_embd=32, n_layer=2, n_head=4, n_positions=48),
    "gpt-bigcode-heads": small("GPTBigCodeConfig", n_embd=32, n_layer=2, n_head=4, n_positions=48, multi_query=False,
                               tie_word_embeddings=False),
    "starcoder2": small("Starcoder2Config", **sizes(), sliding_window=9),
    "opt": small("OPTConfig", **opt_sizes()),
    "opt-350m": small("OPTConfig", **opt_sizes(), word_embed_proj_dim=20, do_layer_norm_before=False),
    "bloom": small("BloomConfig", hidden_size=36, n_layer=2, n_head=6),
    "mpt": small("MptConfig", d_model=32, n_layers=2, n_heads=4, max_seq_len=64, expansion_ratio=2),
    "mpt-clip": small("MptConfig", d_model=48, n_layers=2, n_heads=6, max_seq_len=64,
                      attn_config=dict(clip_qkv=0.8, softmax_scale=0.5)),
    "falcon": small("FalconConfig", **falcon_sizes()),
    "falcon-40b": small("FalconConfig", **falcon_sizes(), new_decoder_architecture=True, num_kv_heads=2),
    "falcon-rw": small("FalconConfig", **falcon_sizes(), alibi=True, multi_query=False, parallel_attn=False, bias=True),
    "phi": small("PhiConfig", **sizes()),
    "phi-norms": small("PhiConfig", **sizes(), qk_layernorm=True),
    "phi3": small("Phi3Config", **sizes(), sliding_window=11, pad_token_id=0, original_max_position_embeddings=16,
                  rope_parameters={"rope_type": "longrope", "rope_theta": 10000.0, "partial_rotary_factor": 0.75,
                                   "short_factor": [1.0, 1.1, 1.3], "long_factor": [1.5, 2.0, 4.0]}),
    "stablelm": small("StableLmConfig", **sizes(), use_qkv_bias=True),
    "stablelm-12b": small("StableLmConfig", **sizes(), qk_layernorm=True, use_parallel_residual=True),
    "persimmon": small("PersimmonConfig", **sizes(num_key_value_heads=None)),
    "biogpt": small("BioGptConfig", **sizes(num_key_value_heads=None), pad_token_id=1),
    # llama and small changes
    "gemma": small("GemmaConfig", **sizes(head_dim=16)),
    "vaultgemma": small("VaultGemmaConfig", **sizes(head_dim=16), sliding_window=7, query_pre_attn_scalar=20),
    "olmo": small("OlmoConfig", **sizes(), clip_qkv=0.9, pad_token_id=1),
    "olmo2": small("Olmo2Config", **sizes(), pad_token_id=1),
    "olmo3": small("Olmo3Config", **sizes(num_hidden_layers=4), sliding_window=8, pad_token_id=1, rope_parameters={
        "sliding_attention": {"rope_type": "default", "rope_theta": 5000.0},
        "full_attention": {"rope_type": "yarn", "rope_theta": 5000.0, "factor": 4.0,
                           "original_max_position_embeddings": 16}}),
    "cohere": small("CohereConfig", **sizes(), use_qk_norm=True, logit_scale=0.6),
    "cohere2": small("Cohere2Config", **sizes(num_hidden_layers=4), sliding_window=8, logit_scale=0.6),
    "granite": small("GraniteConfig", **sizes(), embedding_multiplier=3.0, logits_scaling=2.0, residual_multiplier=0.7,
                     attention_multiplier=0.3),
    "glm": small("GlmConfig", **sizes(head_dim=16), pad_token_id=0),
    "glm4": small("Glm4Config", **sizes(head_dim=16), pad_token_id=0),
    "smollm3": small("SmolLM3Config", **sizes(num_hidden_layers=4), use_sliding_window=True, sliding_window=8,
                     no_rope_layers=[1, 0, 1, 1], pad_token_id=0),
    "nemotron": small("NemotronConfig", **sizes(), head_dim=12),
    "helium": small("HeliumConfig", **sizes(num_key_value_heads=2, head_dim=8)),
    "arcee": small("ArceeConfig", **sizes(), mlp_bias=True),
    "jais2": small("Jais2Config", **sizes()),
    "seed-oss": small("SeedOssConfig", **sizes(head_dim=12)),
    "ernie4-5": small("Ernie4_5Config", **sizes(head_dim=12), use_bias=True),
    "hunyuan-v1-dense": small("HunYuanDenseV1Config", **sizes(head_dim=8), rope_parameters={
        "rope_type": "dynamic", "rope_theta": 10000.0, "alpha": 50.0, "factor": 1.0}),
    "exaone4": small("Exaone4Config", **sizes(num_hidden_layers=4), sliding_window=8, sliding_window_pattern=3),
    "ministral": small("MinistralConfig", **sizes(head_dim=8), sliding_window=8,
                       layer_types=["sliding_attention", "full_attention"]),
    # mixtures of experts
    "qwen2-moe": small("Qwen2MoeConfig", **sizes(num_hidden_layers=3), **moe_sizes(), num_experts=6,
                       shared_expert_intermediate_size=20, mlp_only_layers=[1]),
    "qwen3-moe": small("Qwen3MoeConfig", **sizes(head_dim=12), **moe_sizes(), num_experts=6, norm_topk_prob=True),
    "olmoe": small("OlmoeConfig", **sizes(), num_experts=5, num_experts_per_tok=2, clip_qkv=1.1, pad_token_id=1),
    "flex-olmo": small("FlexOlmoConfig", **sizes(), num_experts=5, num_experts_per_tok=2, norm_topk_prob=True,
                       pad_token_id=1, eos_token_id=2),
    "granitemoe": small("GraniteMoeConfig", **sizes(), num_local_experts=5, num_experts_per_tok=2,
                        embedding_multiplier=2.0, logits_scaling=1.5, residual_multiplier=0.8,
                        attention_multiplier=0.3),
    "minimax-m2": small("MiniMaxM2Config", **sizes(head_dim=8), num_local_experts=5, num_experts_per_tok=2,
                        rotary_dim=4),
    "hunyuan-v1-moe": small("HunYuanMoEV1Config", **sizes(head_dim=8), num_experts=4, moe_topk=2),
    "ernie4-5-moe": small("Ernie4_5_MoeConfig", **sizes(num_hidden_layers=3), moe_intermediate_size=24,
                          moe_num_experts=6, moe_k=2),
    "dots1": small("Dots1Config", **sizes(num_hidden_layers=3), **moe_sizes(), n_routed_experts=8, n_shared_experts=1,
                   first_k_dense_replace=1, n_group=4, topk_group=2, routed_scaling_factor=1.5, sliding_window=8,
                   max_window_layers=2, norm_topk_prob=True),
    "glm4-moe": small("Glm4MoeConfig", **sizes(head_dim=16), **moe_sizes(), n_routed_experts=6, use_qk_norm=True,
                      attention_bias=True),
    "deepseek3": small("DeepseekV3Config", **sizes(num_key_value_heads=4), **moe_sizes(), n_routed_experts=8,
                       n_group=4, topk_group=2, first_k_dense_replace=1, q_lora_rank=20, kv_lora_rank=16,
                       qk_rope_head_dim=8, v_head_dim=10, qk_nope_head_dim=12),
    # attention of other kinds
    "gpt-oss": small("GptOssConfig", **sizes(head_dim=8), num_local_experts=4, num_experts_per_tok=2, sliding_window=7,
                     swiglu_limit=0.7, pad_token_id=0, rope_parameters=short_yarn(truncate=False)),
    "llama4": small("Llama4TextConfig", **sizes(num_hidden_layers=4, head_dim=8), intermediate_size_mlp=40,
                    num_local_experts=4, num_experts_per_tok=2, interleave_moe_layer_step=2, attention_chunk_size=7,
                    no_rope_layer_interval=3, floor_scale=5, attn_scale=0.4, rope_parameters=short_llama3()),
    "llama4-wrapped": small("Llama4Config", text_config=dict(
        vocab_size=96, **sizes(head_dim=8, intermediate_size=24), intermediate_size_mlp=24, num_local_experts=2,
        num_experts_per_tok=1, attention_chunk_size=9, no_rope_layers=[1, 0], use_qk_norm=False),
        vision_config=dict(hidden_size=16, intermediate_size=64, num_hidden_layers=1, num_attention_heads=1,
                           image_size=16, patch_size=8, vision_output_dim=16, projector_input_dim=16, projector_output_dim=16)),
    "phimoe": small("PhimoeConfig", **sizes(), num_local_experts=5, sliding_window=11, attention_bias=True,
                    lm_head_bias=True, router_jitter_noise=0.4, rope_parameters={
                        "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0, 1.1, 1.3, 1.4],
                        "long_factor": [1.5, 2.0, 4.0, 5.0], "short_mscale": 1.2, "long_mscale": 1.2,
                        "original_max_position_embeddings": 16}),
    "apertus": small("ApertusConfig", **sizes(), attention_bias=True, rope_parameters=short_llama3()),
    "xglm": small("XGLMConfig", d_model=32, ffn_dim=44, num_layers=2, attention_heads=4, max_position_embeddings=64),
    "ministral3": small("Ministral3Config", **sizes(head_dim=8), sliding_window=9, rope_parameters=short_yarn(
        llama_4_scaling_beta=0.4, mscale=1.0, mscale_all_dim=1.0, original_max_position_embeddings=6)),
    "mistral3": small("Mistral3Config", text_config=dict(
        model_type="ministral3", vocab_size=96, **sizes(head_dim=8),
        rope_parameters=short_yarn(llama_4_scaling_beta=0.3, original_max_position_embeddings=5)),
        vision_config=dict(model_type="pixtral", hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                           num_attention_heads=1, image_size=16, patch_size=8), tie_word_embeddings=False),
    "glm4-moe-lite": small("Glm4MoeLiteConfig", **sizes(num_key_value_heads=4), **moe_sizes(), n_routed_experts=6,
                           **latent_sizes(), routed_scaling_factor=1.3),
    "deepseek-v32": small("DeepseekV32Config", **sizes(num_key_value_heads=4), **moe_sizes(), n_routed_experts=8,
                          n_group=4, topk_group=2, first_k_dense_replace=1, **latent_sizes(), index_topk=48,
                          index_head_dim=16, index_n_heads=2),
    "exaone-moe": small("ExaoneMoeConfig", **sizes(num_hidden_layers=4), **moe_sizes(), num_experts=6, sliding_window=8,
                        sliding_window_pattern=3, n_group=2, topk_group=1),
    "minicpm3": small("MiniCPM3Config", **sizes(num_key_value_heads=4), **latent_sizes(v_head_dim=None), scale_emb=3,
                      dim_model_base=16),
    "bitnet": small("BitNetConfig", **sizes()),
    "afmoe": small("AfmoeConfig", **sizes(num_hidden_layers=4, head_dim=12), **moe_sizes(), num_experts=6,
                   num_shared_experts=1, sliding_window=8, global_attn_every_n_layers=3, route_scale=1.4,
                   mup_enabled=True),
    "solar-open": small("SolarOpenConfig", hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                        num_key_value_heads=2, head_dim=12, max_position_embeddings=64, **moe_sizes(),
                        n_routed_experts=6, attention_bias=True, rope_parameters=short_yarn()),
    "cwm": small("CwmConfig", **sizes(num_hidden_layers=3, head_dim=8), sliding_window=8,
                 rope_parameters=short_llama3()),
    "nanochat": small("NanoChatConfig", **sizes(), attention_bias=True, final_logit_softcapping=4.0),
    "hy-v3": small("HYV3Config", **sizes(num_hidden_layers=3, head_dim=12), **moe_sizes(), num_experts=6,
                   num_shared_experts=1),
    "hyperclovax": small("HyperCLOVAXConfig", **sizes(), embedding_multiplier=2.0, logits_scaling=0.7,
                         residual_multiplier=0.6),
    "granitemoeshared": small("GraniteMoeSharedConfig", **sizes(), num_local_experts=4, shared_intermediate_size=20,
                              attention_multiplier=0.3),
    "granite-swa": small("GraniteSWAConfig", **sizes(num_hidden_layers=4), sliding_window=8, attention_multiplier=0.4,
                         layer_rope_theta=[10000.0, 0.0, 500.0, 10000.0]),
    "granitemoe-swa": small("GraniteMoeSWAConfig", **sizes(num_hidden_layers=2), sliding_window=8, num_local_experts=4,
                            shared_intermediate_size=20, attention_multiplier=0.4),
    "flint": small("FlintConfig", **sizes(num_hidden_layers=4, head_dim=8), **moe_sizes(), num_experts=6,
                   shared_expert_intermediate_size=20, sliding_window=8, mlp_only_layers=[0],
                   layer_types=["full_attention", "sliding_attention", "full_attention", "sliding_attention"]),
    "mellum": small("MellumConfig", **sizes(head_dim=8), **moe_sizes(), num_experts=5, sliding_window=8,
                    layer_types=["sliding_attention", "full_attention"], mlp_layer_types=["sparse", "dense"],
                    rope_parameters={"sliding_attention": {"rope_type": "default", "rope_theta": 5000.0},
                                     "full_attention": short_yarn()}),
    "exaone": small("ExaoneConfig", **sizes(), rope_parameters=short_llama3()),
    "internlm3": small("InternLM3Config", **sizes(head_dim=8), attention_bias=True, mlp_bias=True, rope_parameters={
        "rope_type": "dynamic", "rope_theta": 10000.0, "factor": 6.0}),
    "youtu": small("YoutuConfig", **sizes(num_key_value_heads=4), **latent_sizes()),
    "axk1": small("AXK1Config", **sizes(num_hidden_layers=3, num_key_value_heads=4), **moe_sizes(), n_routed_experts=8,
                  n_group=4, topk_group=2, **latent_sizes()),
    "gemma4": small("Gemma4TextConfig", **sizes(num_hidden_layers=5, head_dim=8), global_head_dim=16, sliding_window=7,
                    vocab_size_per_layer_input=96, hidden_size_per_layer_input=6, num_kv_shared_layers=2,
                    use_double_wide_mlp=True, final_logit_softcapping=6.0, layer_types=[
                        "sliding_attention", "full_attention", "sliding_attention", "sliding_attention",
                        "full_attention"]),
    "gemma4-keys": small("Gemma4TextConfig", **sizes(head_dim=8), global_head_dim=12, num_global_key_value_heads=1,
                         attention_k_eq_v=True, sliding_window=7, hidden_size_per_layer_input=0,
                         layer_types=["sliding_attention", "full_attention"]),
    "sarvam-mla": small("SarvamMLAConfig", **sizes(num_key_value_heads=4), **moe_sizes(), n_routed_experts=6,
                        **latent_sizes(q_lora_rank=None)),
    # encoders with decoders
    "mt5": seq2seq("MT5Config", 2000, d_model=32, d_kv=8, d_ff=40, num_layers=2, num_heads=4,
                   relative_attention_num_buckets=8, relative_attention_max_distance=12),
    "umt5": seq2seq("UMT5Config", 2001, d_model=32, d_kv=10, d_ff=40, num_layers=2, num_decoder_layers=3, num_heads=4,
                    relative_attention_num_buckets=8, relative_attention_max_distance=12),
    "bart": seq2seq("BartConfig", 2002, scale_embedding=True),
    "mbart": seq2seq("MBartConfig", 2003, scale_embedding=True),
    "marian": seq2seq("MarianConfig", 2004, scale_embedding=True, activation_function="swish"),
    "m2m-100": seq2seq("M2M100Config", 2005),
    "pegasus": seq2seq("PegasusConfig", 2006, scale_embedding=True, activation_function="relu"),
    "blenderbot": seq2seq("BlenderbotConfig", 2007),
    "blenderbot-small": seq2seq("BlenderbotSmallConfig", 2008),
    "t5-gguf": ("T5Config", dict(
        vocab_size=70, d_model=24, d_kv=6, d_ff=28, num_layers=1, num_decoder_layers=2, num_heads=2,
        decoder_start_token_id=0), dict(n_prompt=17, n_source=40, number=2009, gguf=["f32"])),
    "t5-gguf-gated": ("T5Config", dict(
        vocab_size=60, d_model=24, d_kv=6, d_ff=28, num_layers=1, num_heads=2, feed_forward_proj="gated-gelu",
        tie_word_embeddings=False, decoder_start_token_id=0), dict(n_prompt=12, n_source=20, number=2010, gguf=["f32"])),
    # recurrent mixers
    "lfm2": seeded(300, "Lfm2Config", **sizes(num_hidden_layers=3), block_multiple_of=8, conv_bias=True,
                   layer_types=["conv", "full_attention", "conv"]),
    "mamba": seeded(301, "MambaConfig", hidden_size=36, num_hidden_layers=2, state_size=5, use_bias=True),
    "falcon-mamba": seeded(302, "FalconMambaConfig", hidden_size=32, num_hidden_layers=2, state_size=16,
                           tie_word_embeddings=False),
    "mamba2": seeded(303, "Mamba2Config", hidden_size=32, num_hidden_layers=2, state_size=6, num_heads=8, head_dim=8,
                     n_groups=2, chunk_size=8, time_step_limit=[0.2, 1.1]),
    "jamba": seeded(304, "JambaConfig", **sizes(num_hidden_layers=4), num_experts=3, attn_layer_period=3,
                    attn_layer_offset=1, mamba_d_state=4, mamba_dt_rank=3, use_mamba_kernels=False),
    "bamba": seeded(305, "BambaConfig", **sizes(num_hidden_layers=3), attn_layer_indices=[1], mamba_n_heads=8,
                    mamba_d_state=6, mamba_n_groups=1, mamba_chunk_size=8),
    "falcon-h1": seeded(306, "FalconH1Config", **sizes(), mamba_d_ssm=24, mamba_n_heads=6, mamba_d_head=4,
                        mamba_n_groups=2, mamba_d_state=6, mamba_chunk_size=8, mamba_rms_norm=True,
                        lm_head_multiplier=0.8, embedding_multiplier=1.3, mlp_multipliers=[0.7, 1.2],
                        key_multiplier=0.6, attention_out_multiplier=0.9, ssm_multipliers=[0.5, 1.1, 0.9, 1.2, 0.8],
                        ssm_in_multiplier=1.2, ssm_out_multiplier=0.7),
    "falcon-h1-plain": seeded(307, "FalconH1Config", **sizes(), mamba_d_ssm=24, mamba_n_heads=6, mamba_d_head=4,
                              mamba_d_state=6, mamba_chunk_size=8, attention_in_multiplier=0.8,
                              projectors_bias=True),
    "granitemoehybrid": seeded(308, "GraniteMoeHybridConfig", **sizes(num_hidden_layers=3),
                               layer_types=["linear_attention", "full_attention", "linear_attention"],
                               mamba_n_heads=8, mamba_d_state=6, mamba_n_groups=2, mamba_chunk_size=8,
                               num_local_experts=4, num_experts_per_tok=2, shared_intermediate_size=20,
                               embedding_multiplier=2.0, logits_scaling=1.5, residual_multiplier=0.8,
                               attention_multiplier=0.3),
    "granitemoehybrid-dense": seeded(309, "GraniteMoeHybridConfig", **sizes(),
                                     layer_types=["linear_attention", "full_attention"], mamba_n_heads=8,
                                     mamba_d_state=6, mamba_chunk_size=8, num_local_experts=0,
                                     shared_intermediate_size=20, position_embedding_type="rope"),
    "nemotron-h": seeded(310, "NemotronHConfig", hidden_size=32, intermediate_size=44, num_attention_heads=4,
                         num_key_value_heads=2, head_dim=8, max_position_embeddings=64, hybrid_override_pattern="M-*E",
                         ssm_state_size=6, mamba_num_heads=8, mamba_head_dim=4, n_groups=2, chunk_size=8,
                         n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=20,
                         moe_shared_expert_intermediate_size=24, n_group=2, topk_group=1, routed_scaling_factor=1.5),
    "lfm2-moe": seeded(311, "Lfm2MoeConfig", **sizes(num_hidden_layers=3), num_dense_layers=1, num_experts=4,
                       num_experts_per_tok=2, moe_intermediate_size=24, layer_types=["conv", "full_attention", "conv"]),
    "qwen3-next": seeded(330, "Qwen3NextConfig", **sizes(num_hidden_layers=3), head_dim=16, **linear_sizes(),
                         **moe_sizes(), num_experts=4, shared_expert_intermediate_size=20, mlp_only_layers=[1],
                         layer_types=["linear_attention", "full_attention", "linear_attention"]),
    "qwen3-5": seeded(313, "Qwen3_5TextConfig", **sizes(), head_dim=16, **linear_sizes(),
                      layer_types=["linear_attention", "full_attention"]),
    "qwen3-5-moe": seeded(314, "Qwen3_5MoeTextConfig", **sizes(), head_dim=16, **linear_sizes(), **moe_sizes(),
                          num_experts=4, shared_expert_intermediate_size=20,
                          layer_types=["linear_attention", "full_attention"]),
    "olmo-hybrid": seeded(315, "OlmoHybridConfig", **sizes(num_hidden_layers=3), **equal_linear_sizes(), pad_token_id=1,
                          eos_token_id=2, layer_types=["linear_attention", "full_attention", "linear_attention"]),
    "kimi-linear": seeded(316, "KimiLinearConfig", **sizes(num_hidden_layers=3, num_key_value_heads=4), **moe_sizes(),
                          num_local_experts=6, **latent_sizes(q_lora_rank=None), linear_head_dim=8, linear_num_heads=3,
                          pad_token_id=1, bos_token_id=1, eos_token_id=2, n_group=2, topk_group=1,
                          layer_types=["linear_attention", "full_attention", "linear_attention"]),
    "minimax": in_f32(seeded(
        317, "MiniMaxConfig", **sizes(num_hidden_layers=3, head_dim=8), num_local_experts=4, block_size=8,
        full_attn_alpha_factor=1.3, linear_attn_alpha_factor=1.2, linear_attn_beta_factor=0.9, mlp_alpha_factor=1.1,
        mlp_beta_factor=0.8, layer_types=["linear_attention", "full_attention", "linear_attention"])),
    "recurrent-gemma": seeded(400, "RecurrentGemmaConfig", hidden_size=32, lru_width=40, intermediate_size=60,
                              num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
                              attention_window_size=9, conv1d_width=3, logits_soft_cap=7.0, attention_bias=True,
                              block_types=["recurrent", "attention", "recurrent"]),
    "zamba2": seeded(401, "Zamba2Config", **sizes(num_hidden_layers=5, num_key_value_heads=4), mamba_d_state=6,
                     mamba_ngroups=2, n_mamba_heads=8, chunk_size=8, num_mem_blocks=2, adapter_rank=5,
                     use_shared_attention_adapter=True, use_mem_rope=True, add_bias_linear=True, time_step_min=0.5,
                     layers_block_type=["mamba", "hybrid", "hybrid", "mamba", "hybrid"]),
    "zamba2-plain": seeded(402, "Zamba2Config", **sizes(num_hidden_layers=3), mamba_d_state=6, n_mamba_heads=4,
                           chunk_size=8, adapter_rank=4, layers_block_type=["mamba", "hybrid", "hybrid"]),
    "rwkv": seeded(403, "RwkvConfig", hidden_size=32, attention_hidden_size=40, intermediate_size=44,
                   num_hidden_layers=5, rescale_every=2, context_length=16, layer_norm_epsilon=1e-3),
    # residual streams, keys shared by the last layers, fewer rows for layers than tokens
    "gemma3n": seeded(404, "Gemma3nTextConfig", **sizes(num_hidden_layers=5, head_dim=8, intermediate_size=[
                          44, 40, 44, 36, 44]), sliding_window=7, vocab_size_per_layer_input=80,
                      hidden_size_per_layer_input=6, num_kv_shared_layers=2, altup_num_inputs=3, altup_active_idx=1,
                      laurel_rank=5, final_logit_softcapping=6.0, activation_sparsity_pattern=[0.9, 0.0, 0.4, 0.0, 0.0],
                      layer_types=["sliding_attention", "full_attention", "sliding_attention", "sliding_attention",
                                   "full_attention"]),
    "gemma3n-plain": seeded(405, "Gemma3nTextConfig", **sizes(head_dim=12), sliding_window=9,
                            vocab_size_per_layer_input=96, hidden_size_per_layer_input=4, num_kv_shared_layers=0,
                            laurel_rank=4, altup_correct_scale=False),
    "gemma4-moe": seeded(406, "Gemma4TextConfig", **sizes(num_hidden_layers=3, head_dim=8), global_head_dim=12,
                         sliding_window=7, hidden_size_per_layer_input=0, enable_moe_block=True, num_experts=5,
                         top_k_experts=2, moe_intermediate_size=20, layer_types=[
                             "sliding_attention", "sliding_attention", "full_attention"]),
    "t5gemma": ("T5GemmaConfig", dict(
        vocab_size=96, encoder=t5gemma_sizes(num_hidden_layers=3, attention_bias=True),
        decoder=t5gemma_sizes(num_hidden_layers=2, final_logit_softcapping=6.0)),
        dict(n_prompt=17, n_source=23, dtype=torch.bfloat16, number=407)),
    "sarvam-moe": seeded(408, "SarvamMoEConfig", **sizes(num_hidden_layers=3, head_dim=8), **moe_sizes(),
                         n_routed_experts=6, n_shared_experts=1, n_group=2, topk_group=1, pad_token_id=0),
    "cohere2-moe": seeded(409, "Cohere2MoeConfig", **sizes(num_hidden_layers=4, head_dim=8), num_experts=5,
                          num_experts_per_tok=2, num_shared_experts=2, first_k_dense_replace=1, sliding_window=8,
                          sliding_window_pattern=2, prefix_dense_intermediate_size=36, logit_scale=0.6,
                          expert_selection_fn="sigmoid"),
    "cohere2-moe-softmax": seeded(410, "Cohere2MoeConfig", **sizes(head_dim=12), num_experts=4, num_experts_per_tok=2,
                                  sliding_window=8, sliding_window_pattern=2, rms_norm_eps=1e-5, logit_scale=0.6,
                                  attention_bias=True),
    "glm-moe-dsa": seeded(411, "GlmMoeDsaConfig", **sizes(num_hidden_layers=3, num_key_value_heads=4), **moe_sizes(),
                          n_routed_experts=6, **latent_sizes(), index_topk=48, index_head_dim=16, index_n_heads=2,
                          first_k_dense_replace=1),
    "gemma4-unified": seeded(417, "Gemma4UnifiedTextConfig", **sizes(num_hidden_layers=4, head_dim=8),
                             global_head_dim=12, sliding_window=7, num_kv_shared_layers=1, use_double_wide_mlp=True,
                             final_logit_softcapping=6.0, layer_types=[
                                 "sliding_attention", "full_attention", "sliding_attention", "full_attention"]),
    "plbart": seq2seq("PLBartConfig", 412),
    "mvp": seq2seq("MvpConfig", 413),
    # Without dense layers, which llama.cpp does not know beside mixtures.
    "qwen2-moe-sparse": seeded(701, "Qwen2MoeConfig", **sizes(), **moe_sizes(), num_experts=6,
                               shared_expert_intermediate_size=20),
    "qwen3-next-sparse": seeded(702, "Qwen3NextConfig", **sizes(), head_dim=16, **linear_sizes(), **moe_sizes(),
                                num_experts=4, shared_expert_intermediate_size=20,
                                layer_types=["linear_attention", "full_attention"]),
    # llama.cpp attends on every eighth layer and has one factor.
    "minimax-plain": in_f32(seeded(
        707, "MiniMaxConfig", **sizes(num_hidden_layers=8, head_dim=8, intermediate_size=20), num_local_experts=3,
        block_size=8, full_attn_alpha_factor=3.5, linear_attn_alpha_factor=3.5, mlp_alpha_factor=3.5,
        layer_types=["linear_attention"] * 7 + ["full_attention"])),
    # Rows of whole blocks.
    "qwen3-moe-wide": seeded(703, "Qwen3MoeConfig", **sizes(hidden_size=64, head_dim=16), moe_intermediate_size=32,
                             num_experts_per_tok=2, num_experts=5, norm_topk_prob=True),
    # decoders after BERT's pattern
    "bert-decoder": seeded(739, "BertConfig", **bert_sizes()),
    "roberta-decoder": seeded(740, "RobertaConfig", **bert_sizes(type_vocab_size=1)),
    "electra-decoder": seeded(741, "ElectraConfig", **bert_sizes(embedding_size=20)),
    "megatron-bert-decoder": seeded(742, "MegatronBertConfig", **bert_sizes()),
    "bert-generation": seeded(743, "BertGenerationConfig", **bert_sizes()),
    "big-bird-decoder": seeded(744, "BigBirdConfig", **bert_sizes(rescale_embeddings=True, use_bias=False)),
    "rembert-decoder": seeded(745, "RemBertConfig", **bert_sizes(input_embedding_size=20, output_embedding_size=40)),
    "roformer-decoder": in_f32(seeded(746, "RoFormerConfig", **bert_sizes(embedding_size=20))),
    "modernbert-decoder": seeded(747, "ModernBertDecoderConfig", hidden_size=32, intermediate_size=24,
                                 num_hidden_layers=4, num_attention_heads=2, max_position_embeddings=64,
                                 local_attention=14, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1,
                                 sep_token_id=2),
    "ctrl": seeded(748, "CTRLConfig", n_embd=32, dff=44, n_layer=2, n_head=4, n_positions=64, layer_norm_epsilon=1e-5),
    "gpt-neox-japanese": seeded(749, "GPTNeoXJapaneseConfig", hidden_size=32, intermediate_multiple_size=3,
                                num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64,
                                bos_token_id=1, eos_token_id=2),
    "diffllama": seeded(750, "DiffLlamaConfig", **sizes(num_hidden_layers=3, num_attention_heads=8,
                                                        num_key_value_heads=4), attention_bias=True),
    "bart-decoder": seeded(751, "BartConfig", d_model=32, decoder_layers=2, decoder_attention_heads=4,
                           decoder_ffn_dim=36, max_position_embeddings=64, pad_token_id=1, bos_token_id=0,
                           eos_token_id=2, is_encoder_decoder=False, scale_embedding=True),
    "kolibri1": seeded(761, "Kolibri1Config", **sizes(num_hidden_layers=3, intermediate_size=None), head_dim=8,
                       **moe_sizes(), num_experts=6, shared_expert_intermediate_size=20, sliding_window=7,
                       layer_types=["sliding_attention", "full_attention", "sliding_attention"]),
    "mimo-v2-flash": seeded(762, "MiMoV2FlashConfig", **sizes(num_hidden_layers=3, num_attention_heads=8,
                                                             num_key_value_heads=2), **moe_sizes(), head_dim=12,
                            v_head_dim=6, n_routed_experts=6, n_group=2, topk_group=1, sliding_window=7,
                            attention_bias=True, routed_scaling_factor=1.5, layer_types=[
                                "full_attention", "sliding_attention", "sliding_attention"]),
    "laguna": seeded(763, "LagunaConfig", **sizes(num_hidden_layers=3), **moe_sizes(), head_dim=8, num_experts=6,
                     shared_expert_intermediate_size=20, sliding_window=7, moe_routed_scaling_factor=1.5,
                     num_attention_heads_per_layer=[4, 6, 2], layer_types=[
                         "full_attention", "sliding_attention", "full_attention"]),
    "laguna-wide": seeded(764, "LagunaConfig", **sizes(), **moe_sizes(), head_dim=8, num_experts=4,
                          shared_expert_intermediate_size=20, gating="per-element", attention_bias=True),
    "lara-mini": seeded(765, "LaraMiniConfig", **sizes(num_hidden_layers=3, intermediate_size=None), head_dim=8,
                        **linear_sizes(), **moe_sizes(), num_experts=4, shared_expert_intermediate_size=20,
                        sliding_window=7, layer_types=["linear_attention", "sliding_attention", "full_attention"]),
    # as transformers 5 itself names the tensors
    "granitemoe-renamed": renamed(seeded(771, "GraniteMoeConfig", **sizes(), num_local_experts=5,
                                         num_experts_per_tok=2, attention_multiplier=0.3)),
    # an odd number of dimensions turns, which counts in the frequencies
    "glm-odd": seeded(772, "GlmConfig", **sizes(head_dim=10), pad_token_id=0, rope_parameters={
        "rope_type": "default", "rope_theta": 5000.0, "partial_rotary_factor": 0.5}),
    # heads that are narrower than hidden_size has it
    "cohere2-heads": seeded(773, "Cohere2Config", **sizes(num_hidden_layers=3, head_dim=6), sliding_window=8,
                            logit_scale=0.6),
    # tables of their own for encoder, decoder and head
    "bart-untied": seq2seq("BartConfig", 774, tie_word_embeddings=False),
    "megatron-bert-untied": seeded(775, "MegatronBertConfig", **bert_sizes(tie_word_embeddings=False)),
    "switch-transformers": seq2seq("SwitchTransformersConfig", 766, d_model=32, d_kv=10, d_ff=44, num_layers=4,
                                   num_decoder_layers=4, num_heads=4, num_experts=4, num_sparse_encoder_layers=2,
                                   num_sparse_decoder_layers=2, router_bias=True, decoder_start_token_id=0,
                                   relative_attention_num_buckets=8, relative_attention_max_distance=20),
    "xlm": seeded(768, "XLMConfig", emb_dim=32, n_layers=2, n_heads=4, max_position_embeddings=64, causal=True,
                  n_langs=2),
    # texts of models with towers
    "llava": seeded(730, "LlavaConfig", text_config=dict(model_type="qwen2", vocab_size=96, **sizes(
                        tie_word_embeddings=False)), vision_config=dict(
                        model_type="clip_vision_model", hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                        num_attention_heads=2, image_size=16, patch_size=8, projection_dim=16)),
    "qwen2-vl": seeded(731, "Qwen2VLConfig", text_config=dict(vocab_size=96, **sizes(), rope_parameters=mrope([1, 1, 2])),
                       vision_config=dict(depth=1, embed_dim=16, hidden_size=32, num_heads=2, patch_size=4)),
    "qwen2-5-vl": seeded(732, "Qwen2_5_VLConfig", text_config=dict(vocab_size=96, **sizes(), rope_parameters=mrope(
                             [1, 1, 2])), vision_config=dict(depth=1, hidden_size=16, intermediate_size=16,
                                                             out_hidden_size=32, num_heads=2, patch_size=4)),
    "qwen3-vl": seeded(733, "Qwen3VLConfig", text_config=dict(vocab_size=96, **sizes(), head_dim=12, rope_parameters=mrope(
                           [2, 2, 2])), vision_config=qwen3_tower()),
    "qwen3-vl-moe": seeded(734, "Qwen3VLMoeConfig", text_config=dict(
                               vocab_size=96, **sizes(), **moe_sizes(), head_dim=12, num_experts=4, mlp_only_layers=[0],
                               rope_parameters=mrope([2, 2, 2])), vision_config=qwen3_tower()),
    # stacked experts as published: each turned
    "qwen3-vl-moe-turned": turned(seeded(734, "Qwen3VLMoeConfig", text_config=dict(
                               vocab_size=96, **sizes(), **moe_sizes(), head_dim=12, num_experts=4, mlp_only_layers=[0],
                               rope_parameters=mrope([2, 2, 2])), vision_config=qwen3_tower())),
    "glm4v": seeded(735, "Glm4vConfig", text_config=dict(
                        vocab_size=96, **sizes(pad_token_id=0), rope_parameters=mrope([1, 1], partial_rotary_factor=0.5)),
                    vision_config=dict(depth=1, hidden_size=16, intermediate_size=16, out_hidden_size=32, num_heads=2,
                                       image_size=28, patch_size=14)),
    "smolvlm": seeded(736, "SmolVLMConfig", text_config=dict(model_type="llama", vocab_size=96, **sizes()),
                      pad_token_id=0, vision_config=dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                                         num_attention_heads=2, image_size=16, patch_size=8)),
    "aya-vision": seeded(737, "AyaVisionConfig", text_config=dict(
                             model_type="cohere2", vocab_size=96, **sizes(head_dim=8), sliding_window=7,
                             logit_scale=0.3, pad_token_id=0), vision_config=dict(
                             model_type="siglip_vision_model", hidden_size=16, intermediate_size=16,
                             num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=8)),
    "internvl": seeded(738, "InternVLConfig", text_config=dict(model_type="qwen2", vocab_size=96, **sizes()),
                       vision_config=dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                                          num_attention_heads=2, image_size=[16, 16], patch_size=[8, 8])),
    "fuyu": seeded(769, "FuyuConfig", text_config=dict(
                       model_type="persimmon", vocab_size=96, **sizes(hidden_act="relu2", tie_word_embeddings=False)),
                   patch_size=4),
    "emu3": seeded(759, "Emu3Config", text_config=dict(vocab_size=96, **sizes(
                       pad_token_id=0, bos_token_id=1, eos_token_id=2)), vq_config=dict(
                       codebook_size=8, embed_dim=8, latent_channels=8, base_channels=8, channel_multiplier=[1, 1],
                       num_res_blocks=1, attn_resolutions=[], hidden_size=8, num_attention_heads=1),
                   vocabulary_map={"<image>": 90}),
    "lfm3": seeded(752, "Lfm3Config", **sizes(num_hidden_layers=4, head_dim=8), sliding_window=7, conv_L_cache=5, pad_token_id=0,
                   layer_types=["conv", "sliding_attention", "full_attention", "conv"]),
    "aria-text": seeded(753, "AriaTextConfig", **sizes(), moe_num_experts=5, moe_topk=2, moe_num_shared_experts=2),
    "led": seq2seq("LEDConfig", 754, max_encoder_position_embeddings=48, max_decoder_position_embeddings=48,
                   attention_window=[6, 10]),
    "bigbird-pegasus": seq2seq("BigBirdPegasusConfig", 755, use_bias=True),
    "fsmt": seq2seq("FSMTConfig", 756, langs=["en", "de"], src_vocab_size=96, tgt_vocab_size=96),
    "gemma4-unified-wrapped": seeded(757, "Gemma4UnifiedConfig", text_config=gemma4_text(), audio_config=dict(
                                         audio_embed_dim=16), vision_config=dict(
                                         patch_size=4, mm_embed_dim=16, mm_posemb_size=8, output_proj_dims=16)),
    "gemma4-wrapped": seeded(758, "Gemma4Config", text_config=gemma4_text(
                                 hidden_size_per_layer_input=6, vocab_size_per_layer_input=96), vision_config=dict(
                                 hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                                 num_key_value_heads=2, head_dim=8, patch_size=4, position_embedding_size=16)),
    # its tensors and its configuration are written as those of the whole, which speaks too
    "qwen2-5-omni": within("qwen2_5_omni", "thinker", seeded(760, "Qwen2_5OmniThinkerConfig", text_config=dict(
                               vocab_size=96, **sizes(), rope_parameters=mrope([1, 1, 2])), audio_config=omni_ears(),
                               vision_config=dict(depth=1, hidden_size=16, intermediate_size=16, out_hidden_size=32,
                                                  num_heads=2, patch_size=4))),
    "qwen3-omni-moe": seeded(767, "Qwen3OmniMoeThinkerConfig", text_config=dict(
                                 vocab_size=96, **sizes(), **moe_sizes(), head_dim=12, num_experts=4, sliding_window=7,
                                 rope_parameters=mrope([2, 2, 2])), vision_config=qwen3_tower(), audio_config=omni_ears(
                                 downsample_hidden_size=8, n_window=4, n_window_infer=8)),
    # four streams and rows for all tokens, as llama.cpp's converter has it
    "gemma3n-gguf": seeded(781, "Gemma3nTextConfig", **sizes(num_hidden_layers=5, head_dim=8, intermediate_size=[
                               44, 44, 44, 44, 44]), sliding_window=7, vocab_size_per_layer_input=96,
                           hidden_size_per_layer_input=6, num_kv_shared_layers=2, altup_num_inputs=4, altup_active_idx=1,
                           laurel_rank=5, activation_sparsity_pattern=[0.9, 0.0, 0.5, 0.0, 0.0],
                           layer_types=["sliding_attention", "full_attention", "sliding_attention", "sliding_attention",
                                        "full_attention"]),
    # without dense layers, which llama.cpp does not know here
    "qwen3-vl-moe-sparse": turned(seeded(782, "Qwen3VLMoeConfig", text_config=dict(
                                      vocab_size=96, **sizes(), **moe_sizes(), head_dim=12, num_experts=4,
                                      rope_parameters=mrope([2, 2, 2])), vision_config=qwen3_tower())),
    "mamba-gelu": seeded(783, "MambaConfig", hidden_size=32, num_hidden_layers=2, state_size=6, hidden_act="gelu"),
}


def make_model(class_name, arguments, seed, attention):
    config = getattr(transformers, class_name)(**arguments)
    torch.manual_seed(seed)
    if class_name == "Gemma3Config":
        model = transformers.Gemma3ForConditionalGeneration(config)
    elif class_name in ("Llama4Config", "Mistral3Config") or "vision_config" in arguments:
        model = transformers.AutoModelForImageTextToText.from_config(config, attn_implementation=attention)
    elif class_name == "BertConfig" and not config.is_decoder:
        model = transformers.BertModel(config)
    elif config.is_encoder_decoder:
        model = transformers.AutoModelForSeq2SeqLM.from_config(config, attn_implementation=attention)
    else:
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    gemma = (class_name.startswith(("Gemma", "VaultGemma", "Nemotron", "RecurrentGemma", "T5Gemma"))
             and not class_name.startswith(("Gemma4", "Gemma3n")))
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:  # positions as waves
            continue
        noise = torch.randn(parameter.shape, generator=generator)
        is_norm = "norm" in name.lower() or ".ln_" in name or ".ln." in name
        if name.endswith("bias"):
            value = 0.3 * noise
        elif "time_mix" in name:  # between a row and the one before
            value = 0.5 + 0.25 * noise
        elif name.endswith("router.scale"):
            value = 4.0 + noise
        elif name.endswith("per_expert_scale"):
            value = 1.0 + 0.3 * noise
        elif is_norm:
            value = 0.3 * noise + (0.0 if gemma else 1.0)
        elif "shared_transformer" in name:  # several layers in a row, whose errors would add up
            value = 0.4 * noise / parameter.shape[-1] ** 0.5
        elif "embed" in name or ".wte" in name or ".wpe" in name or "lm_head" in name:
            value = (0.15 if gemma else 0.6) * noise
        elif "shared." in name and class_name.endswith(("T5Config", "SwitchTransformersConfig")):
            scales = getattr(config, "scale_decoder_outputs", class_name.startswith("Switch"))
            value = (3.0 if scales else 0.3) * noise
        else:
            value = 1.3 * noise / parameter.shape[-1] ** 0.5
        parameter.data.copy_(value)
    for name, buffer in model.named_buffers():
        if name.endswith("layer_scalar"):
            buffer.data.fill_(0.8)
        if name.endswith("e_score_correction_bias"):
            buffer.data.copy_(0.2 * torch.randn(buffer.shape, generator=generator))
        if name.endswith("final_logits_bias"):
            buffer.data.copy_(0.5 * torch.randn(buffer.shape, generator=generator))
    return model.eval()


def logits_of(model, ids, source):
    with torch.no_grad():
        if source:
            return model(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([ids]),
                         use_cache=False).logits[0].float()
        return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float()


def write_hidden_golden(model, prompt, folder):
    """hidden.bin: the last hidden states, [positions, hidden_size]."""
    with torch.no_grad():
        hidden = model(input_ids=torch.tensor([prompt])).last_hidden_state[0].float()
    hidden.numpy().astype("<f4").tofile(folder / "golden.hidden")
    (folder / "golden.json").write_text(json.dumps({"prompt": prompt, "hidden": "golden.hidden"}) + "\n")
    return float(hidden.std())


def write_golden(model, prompt, folder, name, source=None):
    logits = logits_of(model, prompt, source)
    ids = list(prompt)
    for _ in range(N_GREEDY):
        ids.append(int(logits_of(model, ids, source)[-1].argmax()))
    logits.numpy().astype("<f4").tofile(folder / f"{name}.logits")
    golden = {"prompt": prompt, "greedy": ids[len(prompt):], "vocab_size": logits.shape[1],
              "logits": f"{name}.logits"}
    if source:
        golden["source"] = source
    (folder / f"{name}.json").write_text(json.dumps(golden) + "\n")
    spread = float(logits.std())
    assert spread > 0.3, f"flat logits: {spread}"
    return spread


def drop_prefix(folder, prefix):
    """Renames the tensors as older checkpoints have them, with the causal mask buffers those carry."""
    path = folder / "model.safetensors"
    tensors = {name.removeprefix(prefix): value for name, value in load_file(path).items()}
    n_layer = len([name for name in tensors if name.endswith("ln_1.weight")])
    for layer in range(n_layer):
        tensors[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 4, 4)
        tensors[f"h.{layer}.attn.masked_bias"] = torch.tensor(-10000.0)
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)


def write_within(folder, model_type, part):
    """Makes the folder that of a model which has this one as a part, and a part that speaks."""
    path = folder / "model.safetensors"
    tensors = {f"{part}.{name}": value for name, value in load_file(path).items()}
    save_file(tensors | {"talker.codec_head.weight": torch.zeros(2, 2)}, path)
    config = {"model_type": model_type, part + "_config": json.loads((folder / "config.json").read_text())}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def quantise(model, folder, options):
    """Returns the model as a reader of the folder gets it, which has quantised linears then."""
    with tempfile.TemporaryDirectory() as dense:
        gptq_format.quantise_folder(folder, Path(dense), options)
        return type(model).from_pretrained(dense, dtype=torch.float32, attn_implementation="eager").eval()


# ---- GGUF -----------------------------------------------------------------------------------------------------------

LAYER_NAMES = {
    "input_layernorm.weight": "attn_norm.weight", "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight", "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.q_proj.bias": "attn_q.bias", "self_attn.k_proj.bias": "attn_k.bias",
    "self_attn.v_proj.bias": "attn_v.bias",
    "self_attn.q_norm.weight": "attn_q_norm.weight", "self_attn.k_norm.weight": "attn_k_norm.weight",
    "self_attn.o_proj.weight": "attn_output.weight", "post_attention_layernorm.weight": "ffn_norm.weight",
    "pre_feedforward_layernorm.weight": "ffn_norm.weight", "post_feedforward_layernorm.weight": "post_ffw_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight", "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
    "ln_1.weight": "attn_norm.weight", "ln_1.bias": "attn_norm.bias", "ln_2.weight": "ffn_norm.weight",
    "ln_2.bias": "ffn_norm.bias", "attn.c_attn.weight": "attn_qkv.weight", "attn.c_attn.bias": "attn_qkv.bias",
    "attn.c_proj.weight": "attn_output.weight", "attn.c_proj.bias": "attn_output.bias",
    "mlp.c_fc.weight": "ffn_up.weight", "mlp.c_fc.bias": "ffn_up.bias", "mlp.c_proj.weight": "ffn_down.weight",
    "mlp.c_proj.bias": "ffn_down.bias",
}
GLOBAL_NAMES = {
    "embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight", "lm_head.weight": "output.weight",
    "wte.weight": "token_embd.weight", "wpe.weight": "position_embd.weight", "ln_f.weight": "output_norm.weight",
    "ln_f.bias": "output_norm.bias",
}
ARCHS = {"LlamaConfig": "llama", "Qwen2Config": "qwen2", "Qwen3Config": "qwen3", "Gemma2Config": "gemma2",
         "Gemma3TextConfig": "gemma3", "GPT2Config": "gpt2", "T5Config": "t5"}
T5_NAMES = {
    "SelfAttention.q": "attn_q", "SelfAttention.k": "attn_k", "SelfAttention.v": "attn_v", "SelfAttention.o": "attn_o",
    "SelfAttention.relative_attention_bias": "attn_rel_b", "EncDecAttention.q": "cross_attn_q",
    "EncDecAttention.k": "cross_attn_k", "EncDecAttention.v": "cross_attn_v", "EncDecAttention.o": "cross_attn_o",
    "DenseReluDense.wi_0": "ffn_gate", "DenseReluDense.wi_1": "ffn_up", "DenseReluDense.wi": "ffn_up",
    "DenseReluDense.wo": "ffn_down",
}


def t5_name(name):
    if name == "shared.weight":
        return "token_embd.weight"
    stack, rest = name.removesuffix(".weight").split(".", 1)
    short = stack[:3]
    if rest == "final_layer_norm":
        return f"{short}.output_norm.weight"
    _, block, _, layer, module = rest.split(".", 4)
    if module == "layer_norm":
        kinds = ["attn_norm", "ffn_norm"] if short == "enc" else ["attn_norm", "cross_attn_norm", "ffn_norm"]
        return f"{short}.blk.{block}.{kinds[int(layer)]}.weight"
    return f"{short}.blk.{block}.{T5_NAMES[module]}.weight"


def gguf_name(name, arch):
    if arch == "t5":
        return t5_name(name)
    name = name.removeprefix("model.").removeprefix("transformer.")
    if name in GLOBAL_NAMES:
        return GLOBAL_NAMES[name]
    _, layer, rest = name.split(".", 2)
    if arch.startswith("gemma") and rest == "post_attention_layernorm.weight":
        return f"blk.{layer}.post_attention_norm.weight"
    return f"blk.{layer}.{LAYER_NAMES[rest]}"


def permute(weight, n_heads):
    """Rows of each head from halves to neighbouring pairs, as llama.cpp's converter stores llama's Q and K."""
    return (weight.reshape(n_heads, 2, weight.shape[0] // n_heads // 2, *weight.shape[1:])
            .swapaxes(1, 2).reshape(weight.shape))


def unpermute(weight, n_heads):
    return (weight.reshape(n_heads, weight.shape[0] // n_heads // 2, 2, *weight.shape[1:])
            .swapaxes(1, 2).reshape(weight.shape))


def add_keys(writer, arch, config):
    if arch == "gpt2":
        writer.add_context_length(config.n_positions)
        writer.add_embedding_length(config.n_embd)
        writer.add_feed_forward_length(config.n_inner or 4 * config.n_embd)
        writer.add_block_count(config.n_layer)
        writer.add_head_count(config.n_head)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        return
    if arch == "t5":
        writer.add_context_length(512)
        writer.add_embedding_length(config.d_model)
        writer.add_feed_forward_length(config.d_ff)
        writer.add_block_count(config.num_layers)
        writer.add_decoder_block_count(config.num_decoder_layers)
        writer.add_head_count(config.num_heads)
        writer.add_key_length(config.d_kv)
        writer.add_value_length(config.d_kv)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        writer.add_relative_attn_buckets_count(config.relative_attention_num_buckets)
        writer.add_layer_norm_rms_eps(config.layer_norm_epsilon)
        writer.add_decoder_start_token_id(config.decoder_start_token_id)
        return
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    head_dim = getattr(config, "head_dim", config.hidden_size // config.num_attention_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_vocab_size(config.vocab_size)
    if arch == "gemma2":
        writer.add_sliding_window(config.sliding_window)
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
        return
    if arch == "gemma3":
        writer.add_rope_freq_base(config.rope_parameters["full_attention"]["rope_theta"])
        writer.add_sliding_window(config.sliding_window)
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(config.rope_parameters["full_attention"]["factor"])
        return
    rope = config.rope_parameters
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_rope_dimension_count(head_dim)
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])


def rope_factors(config):
    """rope_freqs.weight: what llama3 scaling divides each frequency by."""
    rope = config.rope_parameters
    plain = 1.0 / rope["rope_theta"] ** (np.arange(0, config.head_dim, 2, dtype=np.float32) / config.head_dim)
    scaled, _ = transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS["llama3"](config, None)
    return (plain / scaled.numpy()).astype(np.float32)


def write_gguf(model, arch, path, quantise):
    """Returns the weights as a reader of the file gets them, under Hugging Face names and layouts."""
    config = model.config
    writer = gguf.GGUFWriter(path, arch)
    add_keys(writer, arch, config)
    if arch == "llama" and config.rope_parameters["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", rope_factors(config))
    read_back = {}
    for name, value in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if arch == "t5" and name.endswith(".embed_tokens.weight"):  # the shared one
            continue
        heads = {"q": "num_attention_heads", "k": "num_key_value_heads"}
        kind = name.split(".")[-2][0] if name.endswith((".q_proj.weight", ".k_proj.weight")) else ""
        turned = arch == "gpt2" and name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight"))
        data = value.float().numpy()
        if turned:
            data = data.T
        if arch == "llama" and kind:
            data = permute(data, getattr(config, heads[kind]))
        if arch.startswith("gemma") and "norm" in name:
            data = data + 1.0
        data = np.ascontiguousarray(data, dtype=np.float32)
        if quantise and data.ndim == 2 and "wpe" not in name:
            packed = gguf.quants.quantize(data, gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(gguf_name(name, arch), packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
            data = gguf.quants.dequantize(packed, gguf.GGMLQuantizationType.Q8_0)
        else:
            writer.add_tensor(gguf_name(name, arch), data)
        if arch == "llama" and kind:
            data = unpermute(data, getattr(config, heads[kind]))
        if arch.startswith("gemma") and "norm" in name:
            data = data - 1.0
        read_back[name] = torch.tensor(np.ascontiguousarray(data.T if turned else data))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return read_back


def write_ggufs(model, class_name, kinds, prompt, folder):
    for kind in kinds:
        (folder / kind).mkdir()
        weights = write_gguf(model, ARCHS[class_name], folder / kind / "model.gguf", kind == "q8_0")
        if kind == "q8_0":
            model.load_state_dict(weights, strict=False)
            write_golden(model, prompt, folder / kind, "golden")


def main(names):
    for index, (name, (class_name, arguments, options)) in enumerate(MODELS.items()):
        if names and name not in names:
            continue
        index = options.get("number", index)
        folder = ROOT / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        # The eager attention of Falcon adds ALiBi twice.
        attention = "sdpa" if class_name == "FalconConfig" else "eager"
        model = make_model(class_name, json.loads(json.dumps(arguments)), 100 + index, attention)
        dtype = options.get("dtype", torch.float32)
        model.to(dtype).save_pretrained(folder, max_shard_size=options.get("shard", "1GB"),
                                        save_original_format=not options.get("renamed", False))
        # Reloaded, so that nothing but what was saved counts (a cast model has cast its RoPE tables too).
        model = type(model).from_pretrained(folder, dtype=torch.float32, attn_implementation=attention).eval()
        if class_name == "Llama4Config":  # whose own forward pass fails without images
            model = model.language_model
        if "prefix" in options:
            drop_prefix(folder, options["prefix"])
        if "gptq" in options:
            model = quantise(model, folder, options["gptq"])
        (folder / "generation_config.json").unlink(missing_ok=True)
        text = arguments.get("text_config", arguments)
        prompt = np.random.default_rng(index).integers(3, text["vocab_size"], options["n_prompt"]).tolist()
        source = np.random.default_rng(1000 + index).integers(3, text["vocab_size"], options.get("n_source", 0)).tolist()
        is_encoder = class_name == "BertConfig" and not model.config.is_decoder
        spread = (write_hidden_golden(model, prompt, folder) if is_encoder
                  else write_golden(model, prompt, folder, "golden", source))
        write_ggufs(model, class_name, options.get("gguf", []), prompt, folder)
        if options.get("turned"):
            path = folder / "model.safetensors"
            save_file({key: value.transpose(1, 2).contiguous() if ".experts." in key else value
                       for key, value in load_file(path).items()}, path)
        if "within" in options:
            write_within(folder, *options["within"])
        size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        print(f"{name}: {size / 1024:.0f} KiB, logits' standard deviation {spread:.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
