#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/arch/family.h"
#include "model/config/rope.h"

namespace openllm::model::hf {

/// What a family's configuration class in transformers fills in when config.json leaves it out.
/// Those of llama unless the family says otherwise.
struct Defaults {
  int vocab_size = 32000;
  int hidden_size = 4096;
  int n_layers = 32;
  int n_heads = 32;
  int n_kv_heads = 0;             ///< 0: n_heads.
  int head_dim = 0;               ///< 0: hidden_size / n_heads.
  bool ignores_head_dim = false;  ///< The member `head_dim` is not looked at.
  int ffn_dim = 11008;
  int max_positions = 2048;
  double norm_eps = 1e-6;
  double rope_theta = 10000.0;
  bool tied = false;
  std::string_view activation_key = "hidden_act";
  std::string_view activation = "silu";
};

/// A size from 1 to `max`; `otherwise` when absent. Null is as wrong as any other type.
int read_size(const Config& config, std::string_view key, int otherwise, std::int64_t max);

/// The members all decoders written in llama's style share: sizes, RMS norms, gated FFN,
/// activation, tying. Layers are full attention; ropes are left to the family.
ModelSpec read_llama_like(const Config& config, const Defaults& defaults);

/// One rope for all layers, from `rope_parameters`, or the older `rope_scaling` and `rope_theta`.
void read_single_rope(const Config& config, ModelSpec& spec, double default_theta = 10000.0);
/// Adds a rope and returns its index.
int add_rope(ModelSpec& spec, const RopeParameters& parameters);

/// From `layer_types` if given, else `is_windowed(layer)`. Windowed layers take `window`, which
/// must then be given.
void read_layer_types(const Config& config, ModelSpec& spec, std::optional<int> window,
                      const std::vector<bool>& is_windowed);

/// `sliding_window`; nullopt when it is null. Families that know it have one when it is absent.
std::optional<int> read_window(const Config& config, int when_absent = 4096);

/// Throws kUnsupported: RoPE turns pairs of dimensions.
void require_even_head_dim(const Config& config, int head_dim);

/// `attention_bias`: biases on Q, K, V and the output.
void read_attention_bias(const Config& config, ModelSpec& spec);

/// Throws kUnsupported for a name no device implements.
device::Activation read_activation(const Config& config, std::string_view key,
                                   std::string_view otherwise);
/// The same for a name that was read from `key`.
device::Activation activation_named(const Config& config, std::string_view key,
                                    std::string_view name);

/// Refuses settings that change the numbers and have no block here: bidirectional attention, layers
/// that differ one by one.
void refuse_unsupported(const Config& config);

/// Module names of llama's style, without q/k norms and sandwich norms.
ModuleLayout llama_layout();
/// Takes the names of dense FFNs out.
void remove_ffn(ModuleLayout& layout);
/// Adds the names of the norms on Q and K.
void add_qk_norms(ModuleLayout& layout);

}  // namespace openllm::model::hf
