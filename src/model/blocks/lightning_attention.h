#pragma once

#include <memory>
#include <vector>

#include "model/blocks/mixer.h"

namespace openllm::model {

namespace role {
inline constexpr Role kLightningQkv{"lightning.qkv"};  ///< q, k, v of each head.
inline constexpr Role kLightningGate{"lightning.gate"};
inline constexpr Role kLightningNorm{"lightning.norm"};
inline constexpr Role kLightningOutput{"lightning.output"};
}  // namespace role

/// Lightning attention (arXiv 2401.04658): linear attention whose heads decay at fixed rates, a
/// norm of the whole row and a gate by sigmoid behind it.
struct LightningAttentionSpec {
  int n_heads = 0;
  int head_dim = 0;
  device::Activation activation = device::Activation::kSilu;  ///< Of q, k and v.
  float norm_eps = 1e-6F;
  std::vector<float> log_decays{};  ///< One for each head.

  std::int64_t width() const noexcept { return std::int64_t{n_heads} * head_dim; }
};

std::unique_ptr<Mixer> make_lightning_attention(const LightningAttentionSpec& spec,
                                                BlockBuilder& builder, At at);

}  // namespace openllm::model
