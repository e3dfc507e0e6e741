#pragma once

#include <memory>
#include <optional>

#include "model/blocks/ffn.h"

namespace openllm::model {

namespace role {
inline constexpr Role kGate{"ffn.gate"};
inline constexpr Role kUp{"ffn.up"};
inline constexpr Role kGateUp{"ffn.gate_up"};  ///< Gate and up stacked in one tensor.
inline constexpr Role kDown{"ffn.down"};
inline constexpr Role kFfnInnerNorm{"ffn.inner_norm"};  ///< Before `down`.
inline constexpr Role kXielu{"ffn.xielu"};              ///< Its parameters lie below this name.
}  // namespace role

/// down(act(gate(x)) * up(x)), or down(act(up(x))) without a gate.
struct DenseFfnSpec {
  int ffn_dim = 0;
  bool gated = true;
  device::Activation activation = device::Activation::kSilu;
  bool bias = false;
  bool down_bias = false;                             ///< Whatever `bias` says.
  bool up_before_gate = false;                        ///< Where the file has both in one tensor.
  std::optional<device::ClampedGate> clamped_gate{};  ///< Instead of act(gate) * up.
  bool xielu = false;         ///< Instead of `activation`, without a gate: one with parameters.
  bool inner_norm = false;    ///< A norm before `down`.
  float gate_scale = 1.0F;    ///< Of the gate, before its activation.
  float output_scale = 1.0F;  ///< Of what the FFN gives.
  /// Gates are lowered by so many of their row's standard deviations above its mean, and none is
  /// below 0 then.
  std::optional<float> cut_deviations{};
};

/// Roles of the modules, where they are not those of the layer's only FFN.
struct FfnRoles {
  Role gate = role::kGate;
  Role up = role::kUp;
  Role down = role::kDown;
  Role gate_up = role::kGateUp;
};

std::unique_ptr<Ffn> make_dense_ffn(const DenseFfnSpec& spec, BlockBuilder& builder, At at,
                                    const FfnRoles& roles = {});

}  // namespace openllm::model
