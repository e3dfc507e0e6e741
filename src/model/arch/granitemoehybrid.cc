// Granite 4: Mamba 2 on most layers, attention on the others, with RoPE only on request; a mixture
// beside an FFN for every row, or that FFN alone. Source: transformers models/granitemoehybrid.

#include <cmath>

#include "model/arch/family.h"
#include "model/arch/gguf_hybrid.h"
#include "model/arch/hybrid.h"

namespace openllm::model {
namespace {

void read_ffns(const Config& config, ModelSpec& spec) {
  DenseFfnSpec shared = std::get<DenseFfnSpec>(spec.layers[0].ffn);
  shared.ffn_dim = config.int_or("shared_intermediate_size", 1024, 1, kMaxFfnDim);
  const int n_experts = config.int_or("num_local_experts", 8, 0, kMaxExperts);
  if (n_experts == 0) {
    for (LayerSpec& layer : spec.layers) layer.ffn = shared;
    return;
  }
  MoeFfnSpec moe = hf::read_moe(
      config, spec,
      {.n_experts_key = "num_local_experts", .n_experts = 8, .top_k = 2, .ffn_dim_key = {}});
  moe.shared = shared;
  for (LayerSpec& layer : spec.layers) layer.ffn = moe;
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {});
  const std::string position = config.string_or("position_embedding_type", "nope");
  if (position == "rope") {
    hf::read_single_rope(config, spec);
  } else if (position != "nope") {
    config.unsupported("position_embedding_type", "unknown (expected rope or nope, got ", position,
                       ")");
  }
  hf::read_attention_bias(config, spec);
  hf::read_granite_multipliers(config, spec);
  read_ffns(config, spec);
  const Mamba2Spec mamba = hf::read_mamba2(config, spec, {});
  std::vector<bool> attends(spec.layers.size(), false);
  const std::string_view key = config.first_of({"layers_block_type", "layer_types"});
  hf::read_kinds(config, key, {"full_attention", "attention"}, {"linear_attention", "mamba"},
                 attends);
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (!attends[i]) spec.layers[i].mixer = mamba;
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::remove_ffn(layout);
  hf::add_mamba2(layout, false);
  hf::add(layout, {{role::kGateUp, "layers.#.shared_mlp.input_linear"},
                   {role::kDown, "layers.#.shared_mlp.output_linear"},
                   {role::kSharedGateUp, "layers.#.shared_mlp.input_linear"},
                   {role::kSharedDown, "layers.#.shared_mlp.output_linear"},
                   {role::kRouter, "layers.#.block_sparse_moe.router.layer"},
                   {role::kRouter, "layers.#.block_sparse_moe.router"},
                   {role::kExpertGateUp, "layers.#.block_sparse_moe.input_linear"},
                   {role::kExpertDown, "layers.#.block_sparse_moe.output_linear"},
                   {role::kExpertGateUp, "layers.#.block_sparse_moe.experts.gate_up_proj"},
                   {role::kExpertDown, "layers.#.block_sparse_moe.experts.down_proj"}});
  return layout;
}

/// The width of the FFN that every row goes through, alone or beside a mixture.
std::int64_t shared_width(const Config& config, const format::Checkpoint& checkpoint) {
  for (const std::string_view name : {"blk.0.ffn_up_shexp.weight", "blk.0.ffn_up.weight"}) {
    if (const tensor::TensorView* up = checkpoint.find(name)) return up->shape[0];
  }
  base::fail_at(ErrorCode::kCorruptData, config.where(), "tensor blk.0.ffn_up.weight: missing");
}

/// The converter orders Q and K as if all of each head turned.
void refuse_partial_rope(const Config& config, const device::RopeSpec& rope) {
  const int head_dim = config.int_or("attention.key_length",
                                     config.require_int("embedding_length", 1, kMaxDim) /
                                         config.require_int("attention.head_count", 1, kMaxHeads),
                                     1, kMaxHeadDim);
  if (rope.n_rotary == head_dim) return;
  config.unsupported("rope.dimension_count",
                     "the converter has no order of Q and K for heads that turn in part (expected ",
                     head_dim, ", got ", rope.n_rotary, ")");
}

/// Bamba is written under this name too.
ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  const std::vector<bool> attends =
      members.layers_with("attention.head_count_kv", "num_key_value_heads");
  gguf::read_mamba2(config, members);
  gguf::set_kinds(members, "layer_types", attends, "attention", "mamba");
  members.set("shared_intermediate_size", shared_width(config, checkpoint))
      .set("num_local_experts", config.int_or("expert_count", 0, 0, kMaxExperts))
      // Whether there is any RoPE at all.
      .set("position_embedding_type",
           config.bool_or("rope.scaling.finetuned", true) ? "rope" : "nope");
  if (!config.has("attention.scale")) {
    const int n_heads = config.require_int("attention.head_count", 1, kMaxHeads);
    const int head_dim =
        config.int_or("attention.key_length",
                      config.require_int("embedding_length", 1, kMaxDim) / n_heads, 1, kMaxHeadDim);
    members.set("attention_multiplier", 1.0 / std::sqrt(static_cast<double>(head_dim)));
  }
  ModelSpec spec = members.read(from_hf, gguf::Members::Heads::kPaired);
  for (const device::RopeSpec& rope : spec.ropes) refuse_partial_rope(config, rope);
  return spec;
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  gguf::add_mamba2(layout);
  gguf::add_experts(layout);
  layout.paired_heads = true;
  return layout;
}

}  // namespace

Family granitemoehybrid_family() {
  return {"granitemoehybrid", {"granitemoehybrid"}, {"granitehybrid"}, from_hf,
          from_gguf,          hf_layout(),          gguf_layout()};
}

}  // namespace openllm::model
