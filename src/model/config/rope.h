#pragma once

#include <optional>
#include <span>
#include <vector>

#include "device/device.h"
#include "model/config/config.h"

namespace openllm::model {

/// What a rotary embedding is made of, whatever the file format. The meaning of every field is that
/// of Hugging Face's modeling_rope_utils.py (v5).
struct RopeParameters {
  enum class Type : std::uint8_t {
    kDefault,
    kLinear,
    kDynamic,
    kLlama3,
    kYarn,
    kLongRope,
    kProportional
  };
  Type type = Type::kDefault;
  device::RopeStyle style = device::RopeStyle::kHalves;
  int head_dim = 0;
  int n_rotary = 0;  ///< Dimensions that rotate; even, at most head_dim.
  int max_positions = 0;
  double theta = 10000.0;
  double factor = 1.0;
  int original_positions = 0;                ///< llama3, yarn, longrope
  double low_freq_factor = 1.0;              ///< llama3
  double high_freq_factor = 4.0;             ///< llama3
  double beta_fast = 32.0;                   ///< yarn
  double beta_slow = 1.0;                    ///< yarn
  bool truncate = true;                      ///< yarn
  std::optional<double> attention_factor{};  ///< yarn, longrope
  double mscale = 0.0;                       ///< yarn; 0: not given
  double mscale_all_dim = 0.0;               ///< yarn; 0: not given
  double proportion = 1.0;                   ///< proportional
  std::vector<double> short_factor{};        ///< longrope
  std::vector<double> long_factor{};         ///< longrope
};

device::RopeSpec make_rope(const RopeParameters& parameters);

/// Divides each frequency by its factor (GGUF's rope_freqs.weight).
void divide_frequencies(device::RopeSpec& spec, std::span<const float> factors);

/// What `read_rope` needs to know besides the rope's own members.
struct RopeContext {
  int head_dim = 0;
  int max_positions = 0;
  /// Top-level original_max_position_embeddings, which wins over the rope's own; 0: none.
  int original_positions = 0;
  /// Top-level partial_rotary_factor, for ropes without one of their own.
  double partial_rotary_factor = 1.0;
  /// The model's attention turns a leading part of each head; else `default` ropes do not look at
  /// partial_rotary_factor and others refuse it.
  bool may_be_partial = false;
  bool truncate_allowed = true;  ///< False: yarn's `truncate` member is not looked at.
};
/// Parameters from one Hugging Face `rope_parameters` (or `rope_scaling`) object; null: default
/// with that theta.
RopeParameters read_rope(const Config* rope, double theta, const RopeContext& context);

}  // namespace openllm::model
