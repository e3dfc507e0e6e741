#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "model/blocks/mixer.h"

namespace openllm::model {

namespace role {
inline constexpr Role kMamba2Input{"mamba2.input"};  ///< Gate, x, b, c, steps.
inline constexpr Role kMamba2Taps{"mamba2.taps"};
inline constexpr Role kMamba2StepBias{"mamba2.step_bias"};  ///< A tensor, no module; so the next.
inline constexpr Role kMamba2Rates{"mamba2.rates"};
inline constexpr Role kMamba2Skip{"mamba2.skip"};
inline constexpr Role kMamba2Norm{"mamba2.norm"};
inline constexpr Role kMamba2Output{"mamba2.output"};
}  // namespace role

/// Mamba 2: heads whose state [n_numbers, head_dim] decays by one number for each row.
struct Mamba2Spec {
  int n_heads = 0;
  int head_dim = 0;
  int n_numbers = 0;
  int n_groups = 0;  ///< Of heads that share b and c.
  int n_taps = 0;
  bool bias = false;  ///< Of the input.
  bool output_bias = false;
  bool conv_bias = true;
  device::Activation activation = device::Activation::kSilu;
  device::TimeStepSpec steps{};
  /// Where the gate (by silu) meets the norm.
  enum class Gating : std::uint8_t {
    kNone,        ///< There is no norm.
    kBeforeNorm,  ///< norm(x * gate)
    kAfterNorm,   ///< norm(x) * gate
  };
  Gating gating = Gating::kBeforeNorm;
  int norm_groups = 1;  ///< Parts of a row that are normalised.
  float norm_eps = 1e-5F;
  /// Factors of gate, x, b, c and steps as the input module gives them, five; or empty.
  std::vector<float> scales{};
  float output_scale = 1.0F;

  std::int64_t width() const noexcept { return std::int64_t{n_heads} * head_dim; }
  std::int64_t n_shared() const noexcept { return std::int64_t{n_groups} * n_numbers; }
};

std::unique_ptr<Mixer> make_mamba2(const Mamba2Spec& spec, BlockBuilder& builder, At at);

}  // namespace openllm::model
