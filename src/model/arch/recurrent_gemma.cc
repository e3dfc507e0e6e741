// RecurrentGemma (Griffin): two recurrent blocks to one of windowed attention, which turns half of
// each head; (1 + w) norms as Gemma. Source: transformers models/recurrent_gemma.

#include <bit>
#include <cmath>
#include <cstdint>

#include "model/arch/family.h"
#include "model/arch/gemma.h"
#include "model/arch/hybrid.h"

namespace openllm::model {
namespace {

/// To the nearest BF16, ties to even: the embedding's factor is one whatever the model's dtype.
float rounded_to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return std::bit_cast<float>((bits + 0x7FFFU + ((bits >> 16U) & 1U)) & 0xFFFF0000U);
}

std::vector<bool> read_recurrent(const Config& config, int n_layers) {
  const std::vector<std::string> types =
      config.strings("block_types")
          .value_or(std::vector<std::string>{"recurrent", "recurrent", "attention"});
  if (types.empty()) config.corrupt("block_types", "empty (expected kinds of layers)");
  std::vector<bool> is_recurrent;
  for (int i = 0; i < n_layers; ++i) {
    const std::string& type = types[static_cast<std::size_t>(i) % types.size()];
    if (type != "recurrent" && type != "attention") {
      config.unsupported("block_types",
                         "unknown kind of layer (expected recurrent or attention, got ", type, ")");
    }
    is_recurrent.push_back(type == "recurrent");
  }
  return is_recurrent;
}

RgLruSpec read_recurrence(const Config& config, const ModelSpec& spec) {
  RgLruSpec recurrence;
  recurrence.n_columns = config.int_or("lru_width", spec.dim, 1, kMaxDim);
  recurrence.n_heads = attention_of(spec, 0).n_heads;
  recurrence.n_taps = config.int_or("conv1d_width", 4, 1, hf::kMaxConvTaps);
  recurrence.activation = std::get<DenseFfnSpec>(spec.layers[0].ffn).activation;
  if (recurrence.n_columns % recurrence.n_heads != 0) {
    config.corrupt("lru_width", "not divided by num_attention_heads (expected a multiple of ",
                   recurrence.n_heads, ", got ", recurrence.n_columns, ")");
  }
  return recurrence;
}

void read_rope(const Config& config, ModelSpec& spec) {
  hf::read_single_rope(config, spec, {.partial = 0.5});
  for (const std::string_view key : {"rope_scaling", "rope_parameters"}) {
    const std::optional<Config> rope = config.object(key);
    if (!rope) continue;
    const std::string type = rope->string_or(rope->first_of({"rope_type", "type"}), "default");
    if (type != "default")
      rope->unsupported("rope_type", "unknown in this family (expected default, got ", type, ")");
  }
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 256000,
                                                .hidden_size = 2560,
                                                .n_layers = 26,
                                                .n_heads = 10,
                                                .ignores_head_dim = true,
                                                .ffn_dim = 3 * 2560,
                                                .max_positions = hf::kEndlessPositions,
                                                .tied = true,
                                                .activation_key = "hidden_activation",
                                                .activation = "gelu_pytorch_tanh"});
  spec.norm.weight_offset = 1.0F;
  spec.embedding.scale = rounded_to_bf16(std::sqrt(static_cast<float>(spec.dim)));
  read_rope(config, spec);
  hf::set_attention_biases(spec, config.bool_or("attention_bias", false), true);
  const int window = hf::read_size(
      config, config.first_of({"sliding_window", "attention_window_size"}), 2048, kMaxPositions);
  each_attention(spec, [&](SelfAttentionSpec& attention) { attention.window = window; });
  each_ffn(spec, [&](DenseFfnSpec& ffn) {
    if (ffn.ffn_dim < 2) config.corrupt("intermediate_size", "too small (expected 2 at least)");
    ffn.ffn_dim /= 2;
    ffn.bias = true;
  });
  const RgLruSpec recurrence = read_recurrence(config, spec);
  const std::vector<bool> is_recurrent = read_recurrent(config, spec.n_layers());
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (is_recurrent[i]) spec.layers[i].mixer = recurrence;
  }
  spec.head->soft_cap = static_cast<float>(config.positive_or("logits_soft_cap", 30.0));
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kMixerNorm, "layers.#.temporal_pre_norm"},
      {role::kEmbedding, "embed_tokens"},
      {role::kFinalNorm, "final_norm"},
      {role::kHead, "lm_head", true},
      {role::kQ, "layers.#.temporal_block.q_proj"},
      {role::kK, "layers.#.temporal_block.k_proj"},
      {role::kV, "layers.#.temporal_block.v_proj"},
      {role::kAttentionOutput, "layers.#.temporal_block.o_proj"},
      {role::kRgLruGate, "layers.#.temporal_block.linear_y"},
      {role::kRgLruInput, "layers.#.temporal_block.linear_x"},
      {role::kRgLruTaps, "layers.#.temporal_block.conv_1d"},
      {role::kRgLruInputGate, "layers.#.temporal_block.rg_lru.input_gate_weight"},
      {role::kRgLruInputGateBias, "layers.#.temporal_block.rg_lru.input_gate_bias"},
      {role::kRgLruDecayGate, "layers.#.temporal_block.rg_lru.recurrent_gate_weight"},
      {role::kRgLruDecayGateBias, "layers.#.temporal_block.rg_lru.recurrent_gate_bias"},
      {role::kRgLruRates, "layers.#.temporal_block.rg_lru.recurrent_param"},
      {role::kRgLruOutput, "layers.#.temporal_block.linear_out"},
      {role::kFfnNorm, "layers.#.channel_pre_norm"},
      {role::kGate, "layers.#.mlp_block.gate_proj"},
      {role::kUp, "layers.#.mlp_block.up_proj"},
      {role::kDown, "layers.#.mlp_block.down_proj"},
  };
  layout.prefixes = {"model.", ""};
  layout.ignored = {"layers.#.temporal_block.rotary_emb.inv_freq"};
  // Linears of each head lie as [heads, in, out].
  layout.transposed_experts = true;
  return layout;
}

}  // namespace

Family recurrent_gemma_family() {
  return {"recurrent_gemma", {"recurrent_gemma"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
