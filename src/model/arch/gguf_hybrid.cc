#include "model/arch/gguf_hybrid.h"

#include <utility>

#include "model/arch/hybrid.h"

namespace openllm::model::gguf {

void add_mamba(ModuleLayout& layout) {
  hf::add(layout, {{role::kMambaInput, "blk.#.ssm_in"},
                   {role::kMambaTaps, "blk.#.ssm_conv1d"},
                   {role::kMambaSelect, "blk.#.ssm_x"},
                   {role::kMambaStep, "blk.#.ssm_dt"},
                   {role::kMambaStepNorm, "blk.#.ssm_dt_norm"},
                   {role::kMambaBNorm, "blk.#.ssm_b_norm"},
                   {role::kMambaCNorm, "blk.#.ssm_c_norm"},
                   {role::kMambaRates, "blk.#.ssm_a"},
                   {role::kMambaSkip, "blk.#.ssm_d"},
                   {role::kMambaOutput, "blk.#.ssm_out"}});
}

void add_mamba2(ModuleLayout& layout) {
  hf::add(layout, {{role::kMamba2Input, "blk.#.ssm_in"},
                   {role::kMamba2Taps, "blk.#.ssm_conv1d"},
                   {role::kMamba2StepBias, "blk.#.ssm_dt.bias"},
                   {role::kMamba2Rates, "blk.#.ssm_a"},
                   {role::kMamba2Skip, "blk.#.ssm_d"},
                   {role::kMamba2Norm, "blk.#.ssm_norm"},
                   {role::kMamba2Output, "blk.#.ssm_out"}});
}

int read_expansion(const Config& config) {
  const int dim = config.require_int("embedding_length", 1, kMaxDim);
  const int width = config.require_int("ssm.inner_size", 1, kMaxFfnDim);
  if (width % dim != 0) {
    config.unsupported("ssm.inner_size", "no multiple of embedding_length (expected one of ", dim,
                       ", got ", width, ")");
  }
  return width / dim;
}

void read_mamba2(const Config& config, Members& members) {
  const int n_heads = config.require_int("ssm.time_step_rank", 1, kMaxHeads);
  const int width = config.require_int("ssm.inner_size", 1, kMaxFfnDim);
  if (width % n_heads != 0) {
    config.corrupt("ssm.time_step_rank", "does not divide ssm.inner_size (expected a divisor of ",
                   width, ", got ", n_heads, ")");
  }
  members.set("mamba_n_heads", n_heads)
      .set("mamba_d_head", width / n_heads)
      .set("mamba_n_groups", config.int_or("ssm.group_count", 1, 1, kMaxHeads))
      .set("mamba_d_state", config.require_int("ssm.state_size", 1, hf::kMaxStateNumbers))
      .set("mamba_d_conv", config.require_int("ssm.conv_kernel", 1, hf::kMaxConvTaps))
      .set("mamba_proj_bias", members.some_layer_has("ssm_in.bias"))
      .set("mamba_conv_bias", members.some_layer_has("ssm_conv1d.bias"));
}

std::vector<bool> read_attending(const Config& config, int n_layers, int otherwise) {
  constexpr std::string_view kKey = "attention.recurrent_layers";
  const int interval = config.int_or("full_attention_interval", otherwise, 1, kMaxLayers);
  std::vector<bool> attends;
  for (int i = 0; i < n_layers; ++i) attends.push_back((i + 1) % interval == 0);
  const base::Json* value = config.find(kKey);
  if (value == nullptr) return attends;
  const base::JsonArray* listed = value->if_array();
  if (listed == nullptr || listed->size() < attends.size())
    config.corrupt(kKey, "bad value (expected a boolean for each of ", n_layers, " layers)");
  for (std::size_t i = 0; i < attends.size(); ++i) {
    const bool* is_recurrent = (*listed)[i].if_bool();
    if (is_recurrent == nullptr) config.corrupt(kKey, "wrong type (expected booleans)");
    attends[i] = !*is_recurrent;
  }
  return attends;
}

void set_kinds(Members& members, std::string_view name, const std::vector<bool>& is_kind,
               std::string_view word, std::string_view other) {
  base::JsonArray words;
  for (const bool is_it : is_kind) words.emplace_back(is_it ? word : other);
  members.set(name, std::move(words));
}

}  // namespace openllm::model::gguf
