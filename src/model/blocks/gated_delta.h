#pragma once

#include <memory>
#include <vector>

#include "model/blocks/mixer.h"
#include "model/weights/weight_loader.h"

namespace openllm::model {

namespace role {
inline constexpr Role kDeltaQkvGate{"delta.qkv_gate"};    ///< q, k, v, gate of each key head.
inline constexpr Role kDeltaBetaStep{"delta.beta_step"};  ///< beta, step of each key head.
inline constexpr Role kDeltaQkv{"delta.qkv"};             ///< All of q, then k, then v.
inline constexpr Role kDeltaQ{"delta.q"};                 ///< Or each of its own.
inline constexpr Role kDeltaK{"delta.k"};
inline constexpr Role kDeltaV{"delta.v"};
inline constexpr Role kDeltaGate{"delta.gate"};
inline constexpr Role kDeltaLowGate{"delta.low_gate"};  ///< Before the gate, of `rank` columns.
inline constexpr Role kDeltaLowStep{"delta.low_step"};  ///< Before the steps, likewise.
inline constexpr Role kDeltaBeta{"delta.beta"};
inline constexpr Role kDeltaStep{"delta.step"};
inline constexpr Role kDeltaTaps{"delta.taps"};     ///< Of q, k and v in one tensor,
inline constexpr Role kDeltaQTaps{"delta.q_taps"};  ///< or each of its own.
inline constexpr Role kDeltaKTaps{"delta.k_taps"};
inline constexpr Role kDeltaVTaps{"delta.v_taps"};
inline constexpr Role kDeltaStepBias{"delta.step_bias"};  ///< A tensor, no module; so the next.
inline constexpr Role kDeltaRates{"delta.rates"};
inline constexpr Role kDeltaNorm{"delta.norm"};
inline constexpr Role kDeltaOutput{"delta.output"};
}  // namespace role

/// Linear attention by the gated delta rule, behind a short convolution of q, k and v.
struct GatedDeltaSpec {
  int n_key_heads = 0;
  int n_heads = 0;  ///< Of values; several in a row share a key head.
  int key_dim = 0;
  int value_dim = 0;
  int n_taps = 0;
  device::Activation activation = device::Activation::kSilu;  ///< Behind the convolution.
  /// > 0: gate and steps come through so many columns, and each number of a key decays by a step of
  /// its own (KDA).
  int rank = 0;
  bool sigmoid_gate = false;  ///< Else by silu.
  float beta_scale = 1.0F;    ///< beta = beta_scale * sigmoid(its linear)
  float norm_eps = 1e-6F;

  std::int64_t k_width() const noexcept { return std::int64_t{n_key_heads} * key_dim; }
  std::int64_t n_steps() const noexcept { return rank > 0 ? k_width() : std::int64_t{n_heads}; }
  std::int64_t v_width() const noexcept { return std::int64_t{n_heads} * value_dim; }
};

std::unique_ptr<Mixer> make_gated_delta(const GatedDeltaSpec& spec, BlockBuilder& builder, At at);

}  // namespace openllm::model
