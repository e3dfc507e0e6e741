// What networks with recurrent mixers have in common. Source: transformers 5, configuration_*.py of
// mamba, mamba2, bamba and their kin.

#include "model/arch/hybrid.h"

#include <algorithm>
#include <limits>
#include <optional>

namespace openllm::model::hf {

void rename(ModuleLayout& layout, Role role, std::string_view pattern) {
  const auto found = std::find_if(layout.modules.begin(), layout.modules.end(),
                                  [&](const ModuleName& name) { return name.role == role; });
  if (found == layout.modules.end()) {
    layout.modules.push_back({role, pattern});
  } else {
    found->pattern = pattern;
  }
}

void remove(ModuleLayout& layout, Role role) {
  std::erase_if(layout.modules, [&](const ModuleName& name) { return name.role == role; });
}

void add(ModuleLayout& layout, const std::vector<ModuleName>& names) {
  layout.modules.insert(layout.modules.end(), names.begin(), names.end());
}

void read_kinds(const Config& config, std::string_view key,
                const std::vector<std::string_view>& names,
                const std::vector<std::string_view>& others, std::vector<bool>& is_kind) {
  const auto given = config.strings(key);
  if (!given) return;
  if (given->size() != is_kind.size()) {
    config.corrupt(key, "wrong length (expected ", is_kind.size(), ", got ", given->size(), ")");
  }
  for (std::size_t i = 0; i < is_kind.size(); ++i) {
    const std::string& word = (*given)[i];
    is_kind[i] = std::find(names.begin(), names.end(), word) != names.end();
    if (is_kind[i] || std::find(others.begin(), others.end(), word) != others.end()) continue;
    config.unsupported(key, "unknown kind of layer (expected ", names.at(0), " or ", others.at(0),
                       ", got ", word, ")");
  }
}

ModelSpec read_mixers_alone(const Config& config, const Defaults& defaults) {
  refuse_unsupported(config);
  ModelSpec spec;
  spec.vocab_size = read_size(config, "vocab_size", defaults.vocab_size, kMaxVocab);
  spec.dim = read_size(config, "hidden_size", defaults.hidden_size, kMaxDim);
  const int n_layers = read_size(config, "num_hidden_layers", defaults.n_layers, kMaxLayers);
  spec.max_positions = kEndlessPositions;
  spec.norm.eps = static_cast<float>(config.not_negative_or("layer_norm_epsilon", 1e-5));
  spec.head.emplace();
  spec.head->tied = config.bool_or("tie_word_embeddings", defaults.tied);
  spec.layers.assign(static_cast<std::size_t>(n_layers),
                     LayerSpec{NoMixerSpec{}, {}, NoFfnSpec{}, {}});
  return spec;
}

ModuleLayout mixers_alone_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "embeddings"},    {role::kEmbedding, "embedding"},
      {role::kFinalNorm, "norm_f"},        {role::kHead, "lm_head", true},
      {role::kMixerNorm, "layers.#.norm"},
  };
  layout.prefixes = {"backbone.", "model.", ""};
  return layout;
}

void add_mamba(ModuleLayout& layout, bool in_mixer) {
  if (in_mixer) {
    add(layout, {{role::kMambaInput, "layers.#.mixer.in_proj"},
                 {role::kMambaTaps, "layers.#.mixer.conv1d"},
                 {role::kMambaSelect, "layers.#.mixer.x_proj"},
                 {role::kMambaStep, "layers.#.mixer.dt_proj"},
                 {role::kMambaRates, "layers.#.mixer.A_log"},
                 {role::kMambaSkip, "layers.#.mixer.D"},
                 {role::kMambaOutput, "layers.#.mixer.out_proj"}});
    return;
  }
  add(layout, {{role::kMambaInput, "layers.#.mamba.in_proj"},
               {role::kMambaTaps, "layers.#.mamba.conv1d"},
               {role::kMambaSelect, "layers.#.mamba.x_proj"},
               {role::kMambaStep, "layers.#.mamba.dt_proj"},
               {role::kMambaRates, "layers.#.mamba.A_log"},
               {role::kMambaSkip, "layers.#.mamba.D"},
               {role::kMambaOutput, "layers.#.mamba.out_proj"}});
}

void add_mamba2(ModuleLayout& layout, bool in_mixer) {
  if (in_mixer) {
    add(layout, {{role::kMamba2Input, "layers.#.mixer.in_proj"},
                 {role::kMamba2Taps, "layers.#.mixer.conv1d"},
                 {role::kMamba2StepBias, "layers.#.mixer.dt_bias"},
                 {role::kMamba2Rates, "layers.#.mixer.A_log"},
                 {role::kMamba2Skip, "layers.#.mixer.D"},
                 {role::kMamba2Norm, "layers.#.mixer.norm"},
                 {role::kMamba2Output, "layers.#.mixer.out_proj"}});
    return;
  }
  add(layout, {{role::kMamba2Input, "layers.#.mamba.in_proj"},
               {role::kMamba2Taps, "layers.#.mamba.conv1d"},
               {role::kMamba2StepBias, "layers.#.mamba.dt_bias"},
               {role::kMamba2Rates, "layers.#.mamba.A_log"},
               {role::kMamba2Skip, "layers.#.mamba.D"},
               {role::kMamba2Norm, "layers.#.mamba.norm"},
               {role::kMamba2Output, "layers.#.mamba.out_proj"}});
}

device::TimeStepSpec read_step_limits(const Config& config, std::string_view key) {
  device::TimeStepSpec steps;
  const base::Json* given = config.find(key);
  if (given == nullptr) return steps;
  const auto limit = [&](const base::Json& value) {
    const std::string* word = value.if_string();
    if (word != nullptr && (*word == "inf" || *word == "Infinity"))
      return std::numeric_limits<float>::infinity();
    if (const base::JsonObject* object = value.if_object()) {
      // How transformers writes a number that JSON does not have.
      const base::Json* named = object->find("__float__");
      if (named != nullptr && named->if_string() != nullptr && *named->if_string() == "Infinity")
        return std::numeric_limits<float>::infinity();
    }
    if (!value.is_number()) config.corrupt(key, "bad value (expected two numbers)");
    return static_cast<float>(value.as_double(key));
  };
  const base::JsonArray* pair = given->if_array();
  if (pair == nullptr || pair->size() != 2) {
    config.corrupt(key, "bad value (expected two numbers)");
  }
  steps.min = limit((*pair)[0]);
  steps.max = limit((*pair)[1]);
  if (!(steps.min >= 0.0F && steps.min <= steps.max))
    config.corrupt(key, "bad range (got ", steps.min, " to ", steps.max, ")");
  return steps;
}

Mamba2Spec read_mamba2(const Config& config, const ModelSpec& spec, const Mamba2Reading& reading) {
  Mamba2Spec mamba;
  const std::int64_t width = std::int64_t{config.int_or("mamba_expand", 2, 1, 1024)} * spec.dim;
  mamba.n_heads = config.int_or("mamba_n_heads", reading.n_heads, 1, kMaxHeads);
  const base::Json* head_dim = config.find("mamba_d_head");
  const bool is_auto =
      head_dim == nullptr || (head_dim->if_string() != nullptr && *head_dim->if_string() == "auto");
  mamba.head_dim = is_auto ? static_cast<int>(width / mamba.n_heads)
                           : config.require_int("mamba_d_head", 1, kMaxHeadDim);
  mamba.n_groups = config.int_or("mamba_n_groups", reading.n_groups, 1, kMaxHeads);
  mamba.n_numbers = config.int_or("mamba_d_state", reading.n_numbers, 1, kMaxStateNumbers);
  mamba.n_taps = config.int_or("mamba_d_conv", 4, 1, kMaxConvTaps);
  mamba.bias = config.bool_or("mamba_proj_bias", false);
  mamba.output_bias = mamba.bias;
  mamba.conv_bias = config.bool_or("mamba_conv_bias", true);
  mamba.activation = read_activation(config, "hidden_act", "silu");
  mamba.steps = read_step_limits(config, "time_step_limit");
  mamba.norm_eps = spec.norm.eps;
  mamba.norm_groups = mamba.n_groups;
  mamba.gating =
      reading.norm_before_gate ? Mamba2Spec::Gating::kAfterNorm : Mamba2Spec::Gating::kBeforeNorm;
  if (mamba.n_heads % mamba.n_groups != 0) {
    config.corrupt("mamba_n_groups", "does not divide mamba_n_heads (expected a divisor of ",
                   mamba.n_heads, ", got ", mamba.n_groups, ")");
  }
  return mamba;
}

}  // namespace openllm::model::hf
