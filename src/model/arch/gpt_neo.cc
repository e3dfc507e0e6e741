// GPT-Neo: GPT-2 with separate Q, K and V, scores that are not scaled, and a window on some layers.
// Source: transformers models/gpt_neo.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// `attention_types`: [[[kind, ...], times], ...]; every list of kinds is repeated so often.
std::vector<bool> read_windowed(const Config& config, int n_layers) {
  std::vector<bool> windowed;
  const base::Json* types = config.find("attention_types");
  if (types == nullptr) {
    for (int i = 0; i < n_layers; ++i) windowed.push_back(i % 2 == 1);
    return windowed;
  }
  const auto wrong = [&] {
    config.corrupt("attention_types",
                   "bad value (expected lists of \"global\" and \"local\" with a count, for ",
                   n_layers, " layers)");
  };
  const base::JsonArray* entries = types->if_array();
  if (entries == nullptr) wrong();
  for (const base::Json& entry : *entries) {
    const base::JsonArray* pair = entry.if_array();
    if (pair == nullptr || pair->size() != 2) wrong();
    const base::JsonArray* kinds = (*pair)[0].if_array();
    const base::Json& times = (*pair)[1];
    if (kinds == nullptr || !times.is_number()) wrong();
    const double n = times.as_double(config.where());
    for (double i = 0; i < n && windowed.size() < static_cast<std::size_t>(n_layers); ++i) {
      for (const base::Json& kind : *kinds) {
        const std::string* name = kind.if_string();
        if (name == nullptr || (*name != "global" && *name != "local")) wrong();
        windowed.push_back(*name == "local");
      }
    }
  }
  if (windowed.size() != static_cast<std::size_t>(n_layers)) wrong();
  return windowed;
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec =
      hf::read_llama_like(config, {.vocab_size = 50257,
                                   .hidden_size = 2048,
                                   .n_layers = 24,
                                   .n_heads = 16,
                                   .ignores_head_dim = true,
                                   .ffn_dim = 0,
                                   .max_positions = 2048,
                                   .tied = true,
                                   .activation_key = "activation_function",
                                   .activation = "gelu_new",
                                   .names = {.n_layers = "num_layers", .n_heads = "num_heads"}});
  hf::use_layer_norm(config, spec, "layer_norm_epsilon", 1e-5);
  hf::use_plain_ffn(spec, true);
  hf::set_attention_biases(spec, false, true);
  const int window = config.int_or("window_size", 256, 1, kMaxPositions);
  const std::vector<bool> windowed = read_windowed(config, spec.n_layers());
  for (int i = 0; i < spec.n_layers(); ++i) {
    attention_of(spec, i).scale = 1.0F;
    if (windowed[static_cast<std::size_t>(i)]) attention_of(spec, i).window = window;
  }
  spec.embedding.n_positions = spec.max_positions;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "wte"},
      {role::kPositions, "wpe"},
      {role::kFinalNorm, "ln_f"},
      {role::kHead, "lm_head", true},
      {role::kMixerNorm, "h.#.ln_1"},
      {role::kQ, "h.#.attn.attention.q_proj"},
      {role::kK, "h.#.attn.attention.k_proj"},
      {role::kV, "h.#.attn.attention.v_proj"},
      {role::kAttentionOutput, "h.#.attn.attention.out_proj"},
      {role::kFfnNorm, "h.#.ln_2"},
      {role::kUp, "h.#.mlp.c_fc"},
      {role::kDown, "h.#.mlp.c_proj"},
  };
  layout.prefixes = {"transformer.", ""};
  layout.ignored = {"h.#.attn.attention.bias", "h.#.attn.attention.masked_bias"};
  return layout;
}

}  // namespace

Family gpt_neo_family() { return {"gpt_neo", {"gpt_neo"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
