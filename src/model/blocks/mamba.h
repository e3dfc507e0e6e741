#pragma once

#include <memory>
#include <optional>

#include "model/blocks/mixer.h"

namespace openllm::model {

namespace role {
inline constexpr Role kMambaInput{"mamba.input"};
inline constexpr Role kMambaTaps{"mamba.taps"};
inline constexpr Role kMambaSelect{"mamba.select"};  ///< Rows to the low step, b and c.
inline constexpr Role kMambaStep{"mamba.step"};      ///< The low step to one for each column.
inline constexpr Role kMambaRates{"mamba.rates"};    ///< A tensor, no module; so the next.
inline constexpr Role kMambaSkip{"mamba.skip"};
inline constexpr Role kMambaOutput{"mamba.output"};
inline constexpr Role kMambaStepNorm{"mamba.step_norm"};
inline constexpr Role kMambaBNorm{"mamba.b_norm"};
inline constexpr Role kMambaCNorm{"mamba.c_norm"};
}  // namespace role

/// Mamba: a gated selective scan, in which each column has `n_numbers` of state.
struct MambaSpec {
  int n_columns = 0;
  int n_numbers = 0;
  int step_rank = 0;
  int n_taps = 0;
  bool bias = false;  ///< Of input and output.
  bool conv_bias = true;
  device::Activation activation = device::Activation::kSilu;
  std::optional<NormSpec> norms{};  ///< Of the low step, b and c.
};

std::unique_ptr<Mixer> make_mamba(const MambaSpec& spec, BlockBuilder& builder, At at);

}  // namespace openllm::model
