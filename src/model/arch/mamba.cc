// Mamba, and Falcon Mamba, which normalises steps, b and c. Sources: transformers models/mamba,
// models/falcon_mamba.

#include "model/arch/family.h"
#include "model/arch/gguf_hybrid.h"
#include "model/arch/hybrid.h"

namespace openllm::model {
namespace {

ModelSpec read(const Config& config, std::optional<NormSpec> norms) {
  ModelSpec spec = hf::read_mixers_alone(
      config, {.vocab_size = 50280, .hidden_size = 768, .n_layers = 32, .tied = true});
  MambaSpec mamba;
  const double width = config.positive_or("expand", 2.0) * spec.dim;
  if (!(width >= 1.0 && width <= static_cast<double>(kMaxFfnDim)))
    config.corrupt("expand", "out of range (gives ", width, " columns)");
  mamba.n_columns = static_cast<int>(width);
  mamba.n_numbers = config.int_or("state_size", 16, 1, hf::kMaxStateNumbers);
  const base::Json* rank = config.find("time_step_rank");
  const bool is_auto =
      rank == nullptr || (rank->if_string() != nullptr && *rank->if_string() == "auto");
  mamba.step_rank =
      is_auto ? (spec.dim + 15) / 16 : config.require_int("time_step_rank", 1, kMaxDim);
  mamba.n_taps = config.int_or("conv_kernel", 4, 1, hf::kMaxConvTaps);
  mamba.bias = config.bool_or("use_bias", false);
  mamba.conv_bias = config.bool_or("use_conv_bias", true);
  mamba.activation = hf::read_activation(config, "hidden_act", "silu");
  mamba.norms = norms;
  for (LayerSpec& layer : spec.layers) layer.mixer = mamba;
  return spec;
}

ModelSpec from_mamba(const Config& config) { return read(config, std::nullopt); }

ModelSpec from_falcon_mamba(const Config& config) {
  NormSpec norms;
  norms.has_weight = false;
  norms.eps = static_cast<float>(config.not_negative_or("mixer_rms_eps", 1e-6));
  return read(config, norms);
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::mixers_alone_layout();
  hf::add_mamba(layout, true);
  return layout;
}

/// Both are written under one name.
ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.copy("attention.layer_norm_rms_epsilon", "layer_norm_epsilon")
      .copy("ssm.state_size", "state_size")
      .copy("ssm.time_step_rank", "time_step_rank")
      .copy("ssm.conv_kernel", "conv_kernel")
      .set("expand", gguf::read_expansion(config))
      .set("use_bias", members.some_layer_has("ssm_in.bias"))
      .set("use_conv_bias", members.some_layer_has("ssm_conv1d.bias"))
      .leave({"ssm.dt_b_c_rms"});
  return members.read(config.bool_or("ssm.dt_b_c_rms", false) ? from_falcon_mamba : from_mamba);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  gguf::add_mamba(layout);
  return layout;
}

}  // namespace

Family mamba_family() {
  return {"mamba", {"mamba"}, {"mamba"}, from_mamba, from_gguf, hf_layout(), gguf_layout()};
}

Family falcon_mamba_family() {
  return {"falcon_mamba", {"falcon_mamba"}, {}, from_falcon_mamba, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
