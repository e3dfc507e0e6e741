#pragma once

#include <memory>

#include "model/blocks/dense_ffn.h"
#include "model/blocks/mamba2.h"
#include "model/blocks/mixer.h"

namespace openllm::model {

namespace role {
inline constexpr Role kSharedInputNorm{"shared.input_norm"};
inline constexpr Role kSharedQ{"shared.q"};
inline constexpr Role kSharedK{"shared.k"};
inline constexpr Role kSharedV{"shared.v"};
inline constexpr Role kSharedOutput{"shared.output"};
inline constexpr Role kSharedFfnNorm{"shared.ffn_norm"};
inline constexpr Role kSharedFfnIn{"shared.ffn_in"};  ///< Gate and up stacked.
inline constexpr Role kSharedFfnDown{"shared.ffn_down"};
/// What layers have of their own: corrections of low rank, down and up, numbered by '@'.
inline constexpr Role kSharedQLow{"shared.q_low"};
inline constexpr Role kSharedQHigh{"shared.q_high"};
inline constexpr Role kSharedKLow{"shared.k_low"};
inline constexpr Role kSharedKHigh{"shared.k_high"};
inline constexpr Role kSharedVLow{"shared.v_low"};
inline constexpr Role kSharedVHigh{"shared.v_high"};
inline constexpr Role kSharedFfnLow{"shared.ffn_low"};
inline constexpr Role kSharedFfnHigh{"shared.ffn_high"};
inline constexpr Role kSharedToMamba{"shared.to_mamba"};
inline constexpr Role kSharedMambaNorm{"shared.mamba_norm"};
}  // namespace role

/// Zamba 2's hybrid layers (arXiv 2411.15242): attention over the row and its embedding side by
/// side and an FFN, whose weights several layers share, with corrections of each layer's own; a
/// linear; and a Mamba 2 that reads norm(row + what they give).
struct AttentionBeforeMamba2Spec {
  int n_heads = 0;
  int n_kv_heads = 0;
  int head_dim = 0;
  float scale = 1.0F;
  int rope = -1;   ///< Index into ModelSpec::ropes; < 0: no rotation.
  int owner = 0;   ///< The layer that has the shared weights in the file.
  int number = 0;  ///< Of this layer among those with attention.
  int correction_rank = 0;
  bool corrects_attention = false;  ///< Else the FFN alone.
  DenseFfnSpec ffn{};
  Mamba2Spec mamba{};

  std::int64_t q_width() const noexcept { return std::int64_t{n_heads} * head_dim; }
  std::int64_t kv_width() const noexcept { return std::int64_t{n_kv_heads} * head_dim; }
};

std::unique_ptr<Mixer> make_attention_before_mamba2(const AttentionBeforeMamba2Spec& spec,
                                                    BlockBuilder& builder, At at);

}  // namespace openllm::model
