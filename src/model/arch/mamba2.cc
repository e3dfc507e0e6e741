// Mamba 2. Source: transformers models/mamba2.

#include "model/arch/family.h"
#include "model/arch/gguf_hybrid.h"
#include "model/arch/hybrid.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_mixers_alone(
      config, {.vocab_size = 32768, .hidden_size = 4096, .n_layers = 64, .tied = false});
  Mamba2Spec mamba;
  mamba.n_heads = hf::read_size(config, "num_heads", 128, kMaxHeads);
  mamba.head_dim = hf::read_size(config, "head_dim", 64, kMaxHeadDim);
  mamba.n_numbers = config.int_or("state_size", 128, 1, hf::kMaxStateNumbers);
  mamba.n_groups = config.int_or("n_groups", 8, 1, kMaxHeads);
  const double width = config.positive_or("expand", 2.0) * spec.dim;
  if (static_cast<double>(mamba.width()) != width) {
    config.corrupt("expand", "does not fit num_heads * head_dim (expected ", mamba.width(),
                   ", got ", width, ")");
  }
  if (mamba.n_heads % mamba.n_groups != 0) {
    config.corrupt("n_groups", "does not divide num_heads (expected a divisor of ", mamba.n_heads,
                   ", got ", mamba.n_groups, ")");
  }
  mamba.n_taps = config.int_or("conv_kernel", 4, 1, hf::kMaxConvTaps);
  mamba.bias = config.bool_or("use_bias", false);
  mamba.output_bias = mamba.bias;
  mamba.conv_bias = config.bool_or("use_conv_bias", true);
  mamba.activation = hf::read_activation(config, "hidden_act", "silu");
  mamba.steps = hf::read_step_limits(config, "time_step_limit");
  mamba.norm_groups = mamba.n_groups;
  mamba.norm_eps = spec.norm.eps;
  for (LayerSpec& layer : spec.layers) layer.mixer = mamba;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::mixers_alone_layout();
  hf::add_mamba2(layout, true);
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  const int n_heads = config.require_int("ssm.time_step_rank", 1, kMaxHeads);
  members.copy("attention.layer_norm_rms_epsilon", "layer_norm_epsilon")
      .copy("ssm.state_size", "state_size")
      .copy("ssm.group_count", "n_groups")
      .copy("ssm.conv_kernel", "conv_kernel")
      .set("num_heads", n_heads)
      .set("head_dim", config.require_int("ssm.inner_size", n_heads, kMaxFfnDim) / n_heads)
      .set("expand", gguf::read_expansion(config))
      .set("use_bias", members.some_layer_has("ssm_in.bias"))
      .set("use_conv_bias", members.some_layer_has("ssm_conv1d.bias"));
  return members.read(from_hf);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  gguf::add_mamba2(layout);
  return layout;
}

}  // namespace

Family mamba2_family() {
  return {"mamba2", {"mamba2"}, {"mamba2"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
