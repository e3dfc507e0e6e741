// Switch Transformers: T5 with a mixture of one expert for each row on some layers. An expert that
// is full leaves rows out; so it is exact, and made for sequences, up to as many positions as an
// expert takes. Source: transformers models/switch_transformers.

#include <cmath>
#include <string>

#include "model/arch/hf.h"
#include "model/arch/t5.h"

namespace openllm::model {
namespace {

/// The mixture on every n-th layer, as many of them as `key` says.
void place(const Config& config, std::string_view key, const MoeFfnSpec& moe, StackSpec& stack) {
  const auto n_layers = static_cast<int>(stack.layers.size());
  const int n_sparse = config.int_or(key, 3, 0, kMaxLayers);
  const int step = n_sparse > 0 ? n_layers / n_sparse : n_layers;
  for (int i = 0; i < n_layers; ++i) {
    if (step > 0 && (i % step == 1 || step == 1))
      stack.layers[static_cast<std::size_t>(i)].ffn = moe;
  }
}

ModelSpec from_hf(const Config& config) {
  const std::string activation = config.string_or("dense_act_fn", "relu");
  T5Kind kind;
  kind.d_model = 768;
  kind.n_layers = 12;
  kind.n_heads = 12;
  kind.may_scale_outputs = false;
  ModelSpec spec = read_t5(config, kind);
  DenseFfnSpec ffn = std::get<DenseFfnSpec>(spec.layers[0].ffn);
  ffn.gated = false;
  ffn.activation = hf::activation_named(config, "dense_act_fn", activation);
  for (StackSpec* stack : {static_cast<StackSpec*>(&spec), &*spec.encoder}) {
    for (LayerSpec& layer : stack->layers) layer.ffn = ffn;
  }
  MoeFfnSpec moe;
  moe.router.n_experts = config.int_or("num_experts", 8, 1, kMaxExperts);
  moe.router.top_k = 1;
  moe.router.normalise = false;
  moe.router_bias = config.bool_or("router_bias", false);
  moe.expert = ffn;
  place(config, "num_sparse_decoder_layers", moe, spec);
  place(config, "num_sparse_encoder_layers", moe, *spec.encoder);
  spec.max_positions = config.int_or("expert_capacity", 64, 1, kMaxPositions);
  spec.takes_any_length = false;
  if (config.bool_or("tie_word_embeddings", true))
    spec.head->scale = 1.0F / std::sqrt(static_cast<float>(spec.dim));
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = t5_layout({});
  const auto add = [](std::vector<ModuleName>& to, const std::vector<ModuleName>& names) {
    to.insert(to.end(), names.begin(), names.end());
  };
  add(layout.modules, {{role::kUp, "decoder.block.#.layer.2.mlp.wi"},
                       {role::kDown, "decoder.block.#.layer.2.mlp.wo"},
                       {role::kRouter, "decoder.block.#.layer.2.mlp.router.classifier"},
                       {role::kExpertUp, "decoder.block.#.layer.2.mlp.experts.expert_@.wi"},
                       {role::kExpertDown, "decoder.block.#.layer.2.mlp.experts.expert_@.wo"}});
  add(layout.encoder_modules,
      {{role::kUp, "encoder.block.#.layer.1.mlp.wi"},
       {role::kDown, "encoder.block.#.layer.1.mlp.wo"},
       {role::kRouter, "encoder.block.#.layer.1.mlp.router.classifier"},
       {role::kExpertUp, "encoder.block.#.layer.1.mlp.experts.expert_@.wi"},
       {role::kExpertDown, "encoder.block.#.layer.1.mlp.experts.expert_@.wo"}});
  return layout;
}

}  // namespace

Family switch_transformers_family() {
  return {"switch_transformers", {"switch_transformers"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
