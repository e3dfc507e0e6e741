#!/usr/bin/env python3
"""Makes the tiny models below tests/data/models whose weights are quantised, in the ways that models are published.

Every model is a random Llama or gpt-oss of make_tiny_models.py's kind. The linears are quantised by the format's own
package where there is one (compressed-tensors, bitsandbytes, AutoGPTQ, HQQ, torchao), else by the published layout; what they stand
for is computed by that package, or by the function of transformers that loads such files, in float32. Beside
golden.json, which transformers computes from those weights, lies weights.json: for each module the shape of its matrix
and the 64-bit FNV-1a hash of its values as float32.

Usage: tools/make_quantised_models.py [NAME...]
needs torch, transformers, safetensors, numpy, compressed-tensors, bitsandbytes, auto-gptq, hqq, torchao
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

import gptq_format
import make_tiny_models as tiny

ROOT = tiny.ROOT
LINEARS = gptq_format.LINEARS


def fnv1a(values):
    value = 0xCBF29CE484222325
    for word in np.ascontiguousarray(values.float().numpy()).view(np.uint32).reshape(-1).tolist():
        value = ((value ^ word) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


# ---- FP8 ------------------------------------------------------------------------------------------------------------

def fp8_block(weight, block, dtype=torch.float8_e4m3fn, scale_type=torch.float32):
    from transformers.integrations.finegrained_fp8 import _dequantize_fp8_weight
    largest = torch.finfo(dtype).max
    n_out, n_in = weight.shape
    grid = torch.zeros((-(-n_out // block[0]), -(-n_in // block[1])))
    for i in range(grid.shape[0]):
        for j in range(grid.shape[1]):
            part = weight[i * block[0]:(i + 1) * block[0], j * block[1]:(j + 1) * block[1]]
            grid[i, j] = part.abs().max() / largest
    if scale_type == torch.float8_e8m0fnu:
        grid = torch.exp2(torch.ceil(torch.log2(grid)))
    scales = grid.to(scale_type)
    grid = scales.float()
    spread = grid.repeat_interleave(block[0], 0)[:n_out].repeat_interleave(block[1], 1)[:, :n_in]
    codes = (weight / spread).clamp(-largest, largest).to(dtype)
    return {"weight": codes, "weight_scale_inv": scales}, _dequantize_fp8_weight(codes, grid, block, torch.float32)


def fp8_plain(weight, per_output, dtype, name, extra=None):
    from transformers.integrations.finegrained_fp8 import _dequantize_fp8_weight
    largest = torch.finfo(dtype).max
    scales = (weight.abs().amax(1, keepdim=True) if per_output else weight.abs().max().reshape(1)) / largest
    codes = (weight / scales).clamp(-largest, largest).to(dtype)
    if per_output:
        dense = _dequantize_fp8_weight(codes, scales, [1, weight.shape[1]], torch.float32)
    else:
        dense = _dequantize_fp8_weight(codes, scales, None, torch.float32)
    return {"weight": codes, name: scales} | (extra or {}), dense


# ---- compressed-tensors -----------------------------------------------------------------------------------------------

def compressed(weight, arguments, kind, scale_type=torch.float32):
    from compressed_tensors.compressors.base import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from compressed_tensors.quantization.utils import calculate_qparams
    args = QuantizationArgs(**arguments)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    size = args.group_size or weight.shape[1]
    state = {"weight": weight}
    if str(getattr(args.strategy, "value", args.strategy)) == "block":
        block = args.block_structure
        padded = torch.nn.functional.pad(weight, (0, -weight.shape[1] % block[1], 0, -weight.shape[0] % block[0]))
        groups = padded.reshape(padded.shape[0] // block[0], block[0], padded.shape[1] // block[1], block[1])
        low, high = groups.amin((1, 3)), groups.amax((1, 3))
    elif str(getattr(args.strategy, "value", args.strategy)) == "tensor":
        low, high = weight.min().reshape(1), weight.max().reshape(1)
    else:
        groups = weight.reshape(weight.shape[0], -1, size)
        low, high = groups.amin(-1), groups.amax(-1)
    if "nvfp4" in kind:
        state["weight_global_scale"] = (448.0 * 6.0 / weight.abs().max()).reshape(1)
        scale, zero = calculate_qparams(low, high, args, global_scale=state["weight_global_scale"])
    elif "mxfp4" in kind:
        scale = torch.exp2(torch.ceil(torch.log2(torch.maximum(-low, high) / 6.0)))
        zero = torch.zeros_like(scale)
    else:
        scale, zero = calculate_qparams(low, high, args)
        scale = scale.to(scale_type)
    state |= {"weight_scale": scale, "weight_zero_point": zero}
    compressor = BaseCompressor.get_value_from_registry(kind)
    packed = {key: value for key, value in compressor.compress(state, scheme).items() if value is not None}
    wide = dict(packed)
    if "fp4" not in kind:
        wide["weight_scale"] = packed["weight_scale"].float()
    dense = compressor.decompress(wide, scheme)["weight"]
    if "fp4" in kind:  # the package has no float32 here: by its own values and factors
        from compressed_tensors.compressors.mx_utils import decompress_mx_scale
        from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
        from compressed_tensors.quantization.lifecycle.forward import dequantize
        codes = unpack_fp4_from_uint8(packed["weight_packed"], *weight.shape, dtype=torch.float32)
        factors = (packed["weight_scale"].float() if "nvfp4" in kind
                   else decompress_mx_scale(packed["weight_scale"]).float())
        dense = dequantize(x_q=codes, scale=factors, args=args, global_scale=state.get("weight_global_scale"),
                           dtype=torch.float32)
    return packed, dense.float()


def compressed_config(arguments, kind):
    return {"quant_method": "compressed-tensors", "format": kind, "quantization_status": "compressed",
            "ignore": ["lm_head"], "kv_cache_scheme": None, "global_compression_ratio": None,
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": arguments, "input_activations": None,
                                          "output_activations": None}}}


def compressed_model(arguments, kind, sizes=None, **other):
    return dict(sizes=sizes or {}, config=compressed_config(arguments, kind),
                quantise=lambda weight, module: compressed(weight, arguments, kind, **other))


# ---- AWQ --------------------------------------------------------------------------------------------------------------

def awq(weight, size, gemv):
    groups = np.arange(weight.shape[1]) // size
    codes, scales, zeros = gptq_format.quantise(weight.numpy(), groups, 4, False)
    dense = torch.tensor(scales.T.astype(np.float32)[:, groups] * (codes - zeros.T[:, groups]).astype(np.float32))
    if not gemv:
        order = [0, 2, 4, 6, 1, 3, 5, 7]  # AutoAWQ, modules/linear/gemm.py
        mix = lambda fields: gptq_format.pack(fields.reshape(*fields.shape[:-1], -1, 8)[..., order].reshape(fields.shape), 4)
        return {"qweight": torch.tensor(mix(codes.T)), "qzeros": torch.tensor(mix(zeros)),
                "scales": torch.tensor(scales)}, dense
    unit = {64: 2, 32: 4}.get(size, 1)  # calculate_zeros_width of modules/linear/gemv.py
    words = -(-(-(-zeros.shape[0] // 8)) // unit) * unit
    wide = lambda values: np.pad(values.T, ((0, 0), (0, words * 8 - values.shape[0])))
    return {"qweight": torch.tensor(gptq_format.pack(codes, 4)), "qzeros": torch.tensor(gptq_format.pack(wide(zeros), 4)),
            "scales": torch.tensor(wide(scales))}, dense


def awq_config(size, version):
    return {"quant_method": "awq", "bits": 4, "group_size": size, "version": version, "zero_point": True,
            "modules_to_not_convert": None}


# ---- bitsandbytes -----------------------------------------------------------------------------------------------------

def bnb4(weight, kind, nested, block=64):
    import bitsandbytes.functional as functional
    codes, state = functional.quantize_4bit(weight, blocksize=block, quant_type=kind, compress_statistics=nested)
    dense = functional.dequantize_4bit(codes, state)
    tensors = {"weight": codes}
    for key, value in state.as_dict(packed=True).items():
        tensors[f"weight.{key}"] = value
    return tensors, dense.float()


def bnb8(weight):
    import bitsandbytes.functional as functional
    codes, largest, _ = functional.int8_vectorwise_quant(weight.half())
    tensors = {"weight": codes, "SCB": largest, "weight_format": torch.tensor(0, dtype=torch.uint8)}
    return tensors, functional.int8_vectorwise_dequant(codes, largest).float()


def bnb_config(**options):
    return {"quant_method": "bitsandbytes", "_load_in_4bit": "load_in_4bit" in options,
            "_load_in_8bit": "load_in_8bit" in options, "bnb_4bit_quant_storage": "uint8",
            "llm_int8_skip_modules": None, **options}


# ---- HQQ --------------------------------------------------------------------------------------------------------------

def hqq(weight, bits, size, axis):
    from hqq.core.quantize import BaseQuantizeConfig, HQQLinear
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    linear.weight.data = weight.clone()
    layer = HQQLinear(linear, BaseQuantizeConfig(nbits=bits, group_size=size, axis=axis), compute_dtype=torch.float16,
                      device="cpu")
    state = {name: value for name, value in layer.state_dict().items() if value is not None}
    meta = dict(layer.meta, scale=layer.meta["scale"].float(), zero=layer.meta["zero"].float(), compute_dtype=torch.float32)
    from hqq.core.quantize import Quantizer
    return state, Quantizer.dequantize(layer.W_q, meta).float()


def hqq_config(bits, size, axis):
    return {"quant_method": "hqq", "skip_modules": ["lm_head"],
            "quant_config": {"weight_quant_params": {"nbits": bits, "group_size": size, "axis": axis,
                                                     "channel_wise": True, "optimize": True, "round_zero": bits == 4,
                                                     "view_as_float": False}}}


# ---- GPTQ of 3 bits -----------------------------------------------------------------------------------------------------

def gptq(weight, bits, size, options):
    groups = gptq_format.group_indices(weight.shape[1], size, None)
    codes, scales, zeros = gptq_format.quantise(weight.numpy(), groups, bits, options["sym"])
    layer = gptq_format.oracle()(bits, size, weight.shape[1], weight.shape[0], False, weight_dtype=torch.float32)
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    wide = torch.tensor(scales).float()
    linear.weight.data = wide.t()[:, groups] * torch.tensor(codes - zeros.T[:, groups])
    layer.pack(linear, wide.t().clone(), torch.tensor(zeros.T).float(), torch.tensor(groups))
    dense = layer(torch.eye(weight.shape[1])).t().contiguous()
    return {"qweight": layer.qweight, "qzeros": layer.qzeros, "scales": layer.scales.half(), "g_idx": layer.g_idx}, dense


def gptq_dynamic(weight, module):
    """Modules with settings of their own, one that is left out, and the head."""
    if module.endswith("o_proj"):
        return {"weight": weight.half()}, weight
    bits, size = (8, 16) if module.endswith("down_proj") else (2, 64) if module.endswith("q_proj") else (4, 32)
    return gptq(weight, bits, size, {"sym": False})


# ---- torchao ------------------------------------------------------------------------------------------------------------

def flattened(tensor):
    """As transformers writes a tensor of torchao to safetensors."""
    from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict
    parts, _ = flatten_tensor_state_dict({"module.weight": tensor})
    return {name.removeprefix("module."): part for name, part in parts.items()}


def torchao_intx(weight, module):
    """IntxUnpackedToInt8Tensor of 4 bits; Int8Tensor with one factor of each output."""
    from torchao.quantization import Int8Tensor, IntxUnpackedToInt8Tensor, MappingType, PerRow
    from torchao.quantization.quant_primitives import dequantize_affine
    half = weight.bfloat16()
    if module.endswith(("k_proj", "v_proj")):
        tensor = Int8Tensor.from_hp(half, PerRow())
        return {"weight": tensor}, tensor.qdata.float() * tensor.scale.float().reshape(-1, 1)
    tensor = IntxUnpackedToInt8Tensor.from_hp(half, (1, 32), torch.int4, mapping_type=MappingType.ASYMMETRIC)
    dense = dequantize_affine(tensor.qdata, tensor.block_size, tensor.scale.float(), tensor.zero_point, torch.int8, -8, 7,
                              output_dtype=torch.float32)
    return {"weight": tensor}, dense


def torchao_float8(weight, module):
    from torchao.quantization import Float8Tensor, PerRow
    from torchao.quantization.quant_primitives import _dequantize_affine_float8
    tensor = Float8Tensor.from_hp(weight.bfloat16(), granularity=PerRow())
    return {"weight": tensor}, _dequantize_affine_float8(tensor.qdata, tensor.scale.float(), torch.float32)


def int4_groups(weight, size):
    """Codes from -8 to 7, and bfloat16 factors and offsets [groups, n_out]: the value is factor * code + offset."""
    groups = weight.reshape(weight.shape[0], -1, size)
    low, high = groups.amin(-1), groups.amax(-1)
    scale = ((high - low).clamp(min=1e-6) / 15).bfloat16()
    offset = (low + 8 * scale.float()).bfloat16()
    codes = torch.round((groups - offset.float()[..., None]) / scale.float()[..., None]).clamp(-8, 7)
    dense = codes * scale.float()[..., None] + offset.float()[..., None]
    return codes.reshape(weight.shape).to(torch.int32), scale.t().contiguous(), offset.t().contiguous(), dense.reshape(weight.shape)


def unpack_tiles(words):
    """As torchao's csrc/cuda/tensor_core_tiled_layout does it: [n / 8, k / 128, 32, 4] to [n, k]."""
    n_tiles, k_tiles, lanes, n_words = words.shape
    out = torch.zeros(n_tiles * 8, k_tiles * n_words * 32, dtype=torch.int32)
    shifts = [0, 16, 4, 20, 8, 24, 12, 28]
    for lane in range(lanes):
        for word in range(n_words):
            base = torch.arange(k_tiles) * n_words * 32 + word * 32 + lane % 4 * 2
            for place, offset in enumerate([0, 1, 8, 9, 16, 17, 24, 25]):
                rows = torch.arange(n_tiles) * 8 + lane // 4
                out[rows[:, None], (base + offset)[None, :]] = words[:, :, lane, word] >> shifts[place] & 15
    return out


def pack_tiles(codes):
    """The opposite: each word is found by where `unpack_tiles` puts its parts."""
    shape = (codes.shape[0] // 8, codes.shape[1] // 128, 32, 4)
    numbers = torch.arange(codes.numel() // 8).reshape(shape)
    place = torch.zeros(codes.shape, dtype=torch.int64)
    for bit in range(32):  # the number of the word that each code lies in
        place |= (unpack_tiles((numbers >> bit & 1).to(torch.int32) * 0x11111111).bool().long()) << bit
    words = torch.zeros(codes.numel() // 8, dtype=torch.int64)
    for nibble in range(8):
        here = unpack_tiles(torch.full(shape, 1, dtype=torch.int32) << 4 * nibble) != 0
        words[place[here]] |= codes[here].long() << 4 * nibble
    words = torch.where(words >= 2 ** 31, words - 2 ** 32, words).to(torch.int32).reshape(shape)
    assert torch.equal(unpack_tiles(words), codes)
    return words


def torchao_int4(weight, module):
    """Int4Tensor, and Int4TilePackedTo4dTensor for k, v and down: what needs a GPU to be made is put together here."""
    from torchao.quantization import Int4TilePackedTo4dTensor, Int4Tensor
    if not module.endswith(("k_proj", "v_proj", "down_proj")):
        codes, scale, offset, dense = int4_groups(weight, 32)
        packed = (codes[:, ::2] & 15 | (codes[:, 1::2] & 15) << 4).to(torch.uint8).view(torch.int8)
        return {"weight": Int4Tensor(packed, scale, offset, [1, 32], weight.shape)}, dense
    padded = torch.nn.functional.pad(weight, (0, -weight.shape[1] % 1024))
    codes, scale, offset, dense = int4_groups(padded, 32)
    both = torch.stack([scale, offset], dim=-1).contiguous()
    tensor = Int4TilePackedTo4dTensor(pack_tiles(codes + 8), both, [1, 32], weight.shape)
    return {"weight": tensor}, dense[:, :weight.shape[1]].contiguous()


def torchao_config(name):
    return {"quant_method": "torchao", "quant_type": {"default": {"_type": name, "_version": 2, "_data": {}}}}


# ---- the models ---------------------------------------------------------------------------------------------------------

W4 = dict(num_bits=4, type="int", symmetric=True, strategy="group", group_size=32)
MODELS = {
    # blocks of 128 x 128 that do not fill the matrices, as DeepSeek and Qwen publish them
    "llama-fp8-block": dict(
        sizes=dict(hidden_size=160, intermediate_size=192, num_hidden_layers=1, vocab_size=64),
        config={"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128], "fmt": "e4m3"},
        quantise=lambda weight, module: fp8_block(weight, [128, 128])),
    # factors that are powers of two, groups narrower than a block of a device
    "llama-fp8-ue8m0": dict(
        config={"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [32, 16],
                "scale_fmt": "ue8m0"},
        quantise=lambda weight, module: fp8_block(weight, [32, 16], scale_type=torch.float8_e8m0fnu)),
    # one factor, and one for the activations, as AutoFP8 writes
    "llama-fp8-tensor": dict(
        config={"quant_method": "fp8", "activation_scheme": "static"},
        quantise=lambda weight, module: fp8_plain(weight, False, torch.float8_e4m3fn, "weight_scale",
                                                  {"input_scale": torch.tensor([0.5])})),
    "llama-fp8-e5m2": dict(
        config={"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0},
        quantise=lambda weight, module: fp8_plain(weight, True, torch.float8_e5m2, "weight_scale")),
    "llama-ct-w8a8": compressed_model(dict(num_bits=8, type="int", symmetric=True, strategy="channel"), "int-quantized",
                                      scale_type=torch.bfloat16),
    "llama-ct-w8-asym": compressed_model(dict(num_bits=8, type="int", symmetric=False, strategy="group", group_size=16),
                                         "int-quantized"),
    "llama-ct-w4a16": compressed_model(W4, "pack-quantized", scale_type=torch.bfloat16),
    "llama-ct-w4-asym": compressed_model(W4 | dict(symmetric=False), "pack-quantized"),
    "llama-ct-w8-packed": compressed_model(dict(num_bits=8, type="int", symmetric=True, strategy="channel"),
                                           "pack-quantized"),
    "llama-ct-fp8": compressed_model(dict(num_bits=8, type="float", symmetric=True, strategy="channel"),
                                     "float-quantized", scale_type=torch.bfloat16),
    "llama-ct-fp8-block": compressed_model(dict(num_bits=8, type="float", symmetric=True, strategy="block",
                                                block_structure=[48, 32]), "float-quantized"),
    "llama-ct-nvfp4": compressed_model(dict(num_bits=4, type="float", symmetric=True, strategy="tensor_group",
                                            group_size=16), "nvfp4-pack-quantized"),
    "llama-ct-mxfp4": compressed_model(dict(num_bits=4, type="float", symmetric=True, strategy="group", group_size=32),
                                       "mxfp4-pack-quantized"),
    "llama-awq": dict(config=awq_config(32, "gemm"), quantise=lambda weight, module: awq(weight, 32, False)),
    "llama-awq-gemv": dict(config=awq_config(32, "gemv"), quantise=lambda weight, module: awq(weight, 32, True)),
    "llama-bnb-nf4": dict(config=bnb_config(load_in_4bit=True, bnb_4bit_quant_type="nf4",
                                            bnb_4bit_use_double_quant=True),
                          quantise=lambda weight, module: bnb4(weight, "nf4", True)),
    # rows of 96 inputs: blocks of 64 begin within rows
    "llama-bnb-fp4": dict(config=bnb_config(load_in_4bit=True, bnb_4bit_quant_type="fp4"),
                          quantise=lambda weight, module: bnb4(weight, "fp4", False)),
    "llama-bnb-int8": dict(config=bnb_config(load_in_8bit=True), quantise=lambda weight, module: bnb8(weight)),
    "llama-hqq": dict(config=hqq_config(4, 32, 1), quantise=lambda weight, module: hqq(weight, 4, 32, 1)),
    "llama-hqq-columns": dict(config=hqq_config(3, 16, 0), quantise=lambda weight, module: hqq(weight, 3, 16, 0)),
    # not quantised: as torch.save writes it, in two files
    "llama-pytorch": dict(config=None, quantise=lambda weight, module: ({"weight": weight.half()}, weight)),
    "llama-gptq-3bit": dict(
        config={"quant_method": "gptq", "bits": 3, "group_size": 32, "sym": False, "desc_act": False,
                "checkpoint_format": "gptq"},
        quantise=lambda weight, module: gptq(weight, 3, 32, {"sym": False})),
    "llama-torchao-intx": dict(config=torchao_config("IntxWeightOnlyConfig"), quantise=torchao_intx),
    # as torch.save writes them, with one factor of F8 for k and v
    "llama-torchao-bin": dict(
        config=torchao_config("Int4WeightOnlyConfig"), bin=True,
        quantise=lambda weight, module: (torchao_float8 if module.endswith(("k_proj", "v_proj")) else
                                         torchao_int4 if module.endswith("o_proj") else torchao_intx)(weight, module)),
    "llama-torchao-fp8": dict(config=torchao_config("Float8WeightOnlyConfig"), quantise=torchao_float8),
    "llama-torchao-int4": dict(config=torchao_config("Int4WeightOnlyConfig"), quantise=torchao_int4),
    # patterns of names as GPTQModel writes them
    "llama-gptq-dynamic": dict(
        sizes=dict(num_hidden_layers=2), lm_head=True, largest_error=0.6,
        config={"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": False, "desc_act": False, "lm_head": True,
                "checkpoint_format": "gptq", "pack_dtype": "int32",
                "dynamic": {r"+:.*\.mlp\.down_proj": {"bits": 8, "group_size": 16, "desc_act": False},
                            r"-:.*\.o_proj": {}, r".*\.self_attn\.q_proj": {"bits": 2, "group_size": 64}}},
        quantise=gptq_dynamic),
}


def llama_sizes(**other):
    return dict(vocab_size=128, hidden_size=64, intermediate_size=96, num_hidden_layers=1, num_attention_heads=4,
                num_key_value_heads=2, max_position_embeddings=128, rms_norm_eps=1e-5) | other


def is_linear(name):
    return name.endswith(".weight") and name.split(".")[-2] in LINEARS


def write_llama(name, options, seed, folder):
    model = tiny.make_model("LlamaConfig", llama_sizes(**options.get("sizes", {})), seed, "eager")
    model.to(torch.float16).save_pretrained(folder)
    path = folder / "model.safetensors"
    tensors, expanded, hashes, whole = {}, {}, {}, {}
    for key, value in load_file(path).items():
        module = key.removesuffix(".weight")
        if not (is_linear(key) or (key == "lm_head.weight" and options.get("lm_head"))):
            tensors[key], expanded[key] = value, value.float()
            continue
        quantised, dense = options["quantise"](value.float(), module)
        assert dense.dtype == torch.float32 and dense.shape == value.shape, key
        error = float((dense - value.float()).norm() / value.float().norm())
        assert error < options.get("largest_error", 0.25), (key, error)
        if options.get("bin"):
            whole[key], quantised = quantised["weight"], {}
        elif hasattr(quantised.get("weight"), "tensor_data_names"):
            quantised = flattened(quantised["weight"])
        tensors |= {f"{module}.{suffix}": tensor.contiguous() for suffix, tensor in quantised.items()}
        expanded[key] = dense
        hashes[module] = {"shape": list(dense.shape), "hash": fnv1a(dense)}
    if whole:
        torch.save(tensors | whole, folder / "pytorch_model.bin")
        path.unlink()
    else:
        save_file(tensors, path, metadata={"format": "pt"})
    model = model.float()
    model.load_state_dict(expanded)
    return model, hashes


# ---- gpt-oss as it is published -------------------------------------------------------------------------------------------

def write_gpt_oss(seed, folder):
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors
    arguments = dict(vocab_size=96, hidden_size=64, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
                     num_key_value_heads=2, head_dim=16, num_local_experts=4, num_experts_per_tok=2, sliding_window=9,
                     max_position_embeddings=64, initial_context_length=16,
                     rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0,
                                      "original_max_position_embeddings": 16, "truncate": False,
                                      "beta_fast": 32.0, "beta_slow": 1.0})
    model = tiny.make_model("GptOssConfig", arguments, seed, "eager")
    model.to(torch.bfloat16).save_pretrained(folder)
    path = folder / "model.safetensors"
    tensors, expanded, hashes = {}, {}, {}
    generator = torch.Generator().manual_seed(seed)
    for key, value in load_file(path).items():
        if not key.endswith(("experts.gate_up_proj", "experts.down_proj")):
            tensors[key], expanded[key] = value, value.float()
            continue
        n_experts, n_in, n_out = value.shape
        blocks = torch.randint(0, 256, (n_experts, n_out, n_in // 32, 16), generator=generator, dtype=torch.uint8)
        scales = torch.randint(122, 125, (n_experts, n_out, n_in // 32), generator=generator, dtype=torch.uint8)
        tensors |= {f"{key}_blocks": blocks, f"{key}_scales": scales}
        dense = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
        assert dense.shape == value.shape
        expanded[key] = dense
        for expert in range(n_experts):
            rows = dense[expert].t().contiguous()
            hashes[f"{key}@{expert}"] = {"shape": list(rows.shape), "hash": fnv1a(rows), "of": n_experts}
    save_file({key: value.contiguous() for key, value in tensors.items()}, path, metadata={"format": "pt"})
    model = model.float()
    model.load_state_dict(expanded)
    return model, hashes


# ---- stacked experts of F8 ------------------------------------------------------------------------------------------------

def f8_experts_block(value):
    """[experts, n_out, n_in] in blocks of 32 x 16."""
    parts = [fp8_block(matrix, [32, 16]) for matrix in value]
    return ("_scale_inv", torch.stack([part[0]["weight"] for part in parts]),
            torch.stack([part[0]["weight_scale_inv"] for part in parts]), torch.stack([part[1] for part in parts]))


def f8_experts_halves(value):
    """One factor of each expert, or one of gate and one of up, as FP8Experts of transformers has them without blocks."""
    n_halves = 2 if value.shape[1] > value.shape[2] else 1
    halves = [fp8_plain(half, False, torch.float8_e4m3fn, "scale") for matrix in value for half in matrix.chunk(n_halves)]
    shape = (value.shape[0], n_halves, 1)
    codes, scales, dense = zip(*[(part["weight"], part["scale"], wide) for part, wide in halves])
    return "_scale_inv", torch.cat(codes).view(value.shape), torch.cat(scales).view(shape), torch.cat(dense).view(value.shape)


def f8_experts_rows(value):
    """A factor of each output."""
    parts = [fp8_plain(matrix, True, torch.float8_e4m3fn, "scale") for matrix in value]
    return ("_scale", torch.stack([part["weight"] for part, _ in parts]),
            torch.stack([part["scale"] for part, _ in parts]), torch.stack([dense for _, dense in parts]))


F8 = {"quant_method": "fp8", "activation_scheme": "dynamic"}
F8_GROUP = {"targets": ["Linear"], "weights": dict(num_bits=8, type="float", symmetric=True, strategy="channel")}
EXPERTS = {
    "qwen3-moe-fp8": (f8_experts_block, F8 | {"weight_block_size": [32, 16]}),
    "qwen3-moe-fp8-halves": (f8_experts_halves, F8),
    "qwen3-moe-ct-fp8": (f8_experts_rows, {"quant_method": "compressed-tensors", "format": "float-quantized",
                                           "config_groups": {"group_0": F8_GROUP}}),
}


def write_experts(name, seed, folder):
    """Under the names that modules of transformers have, with experts in one tensor."""
    arguments = tiny.sizes(vocab_size=96, moe_intermediate_size=64, num_experts=3, num_experts_per_tok=2, head_dim=8,
                           norm_topk_prob=True)
    model = tiny.make_model("Qwen3MoeConfig", arguments, seed, "eager").to(torch.bfloat16).float()
    model.config.save_pretrained(folder)
    tensors, expanded, hashes = {}, {}, {}
    for key, value in model.state_dict().items():
        if not key.endswith(("experts.gate_up_proj", "experts.down_proj")):
            tensors[key], expanded[key] = value.bfloat16(), value
            continue
        ending, codes, scales, dense = EXPERTS[name][0](value)
        tensors |= {key: codes, key + ending: scales}
        expanded[key] = dense
        for expert, rows in enumerate(dense):
            hashes[f"{key}@{expert}"] = {"shape": list(rows.shape), "hash": fnv1a(rows), "of": len(dense)}
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / "model.safetensors",
              metadata={"format": "pt"})
    model.load_state_dict(expanded)
    return model, hashes


def split_pytorch(folder):
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    files = {f"pytorch_model-0000{i + 1}-of-00002.bin": names[i::2] for i in range(2)}
    for file, own in files.items():
        torch.save({name: tensors[name] for name in own}, folder / file)
    index = {"metadata": {}, "weight_map": {name: file for file, own in files.items() for name in own}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=0) + "\n")


def finish(name, model, hashes, config, seed, folder):
    (folder / "generation_config.json").unlink(missing_ok=True)
    values = json.loads((folder / "config.json").read_text())
    if config:
        values["quantization_config"] = config
        (folder / "weights.json").write_text(json.dumps(hashes, indent=0) + "\n")
    else:
        split_pytorch(folder)
    (folder / "config.json").write_text(json.dumps(values, indent=2) + "\n")
    prompt = np.random.default_rng(seed).integers(3, values["vocab_size"], 24).tolist()
    # Reloaded, so that RoPE tables are not those of a cast model.
    fresh = type(model)._from_config(model.config, attn_implementation="eager").float().eval()
    fresh.load_state_dict(model.state_dict())
    spread = tiny.write_golden(fresh, prompt, folder, "golden")
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"{name}: {size / 1024:.0f} KiB, logits' standard deviation {spread:.2f}")


def main(names):
    for name in [*MODELS, "gpt_oss-mxfp4", *EXPERTS]:
        if names and name not in names:
            continue
        index = sum(name.encode())
        folder = ROOT / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if name == "gpt_oss-mxfp4":
            model, hashes = write_gpt_oss(700 + index, folder)
            config = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]}
        elif name in EXPERTS:
            model, hashes = write_experts(name, 700 + index, folder)
            config = EXPERTS[name][1]
        else:
            model, hashes = write_llama(name, MODELS[name], 700 + index, folder)
            config = MODELS[name]["config"]
        finish(name, model, hashes, config, 700 + index, folder)


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    main(sys.argv[1:])
