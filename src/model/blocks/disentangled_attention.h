#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "model/blocks/mixer.h"

namespace openllm::model {

namespace role {
inline constexpr Role kDistanceRows{"distances.rows"};  ///< Of the stack: a row for each bucket.
inline constexpr Role kDistanceNorm{"distances.norm"};  ///< Of the stack.
inline constexpr Role kDistanceKey{"distances.key"};
inline constexpr Role kDistanceQuery{"distances.query"};
inline constexpr Role kQBias{"attention.q_bias"};  ///< Tensors, no modules, of a fused QKV.
inline constexpr Role kVBias{"attention.v_bias"};
}  // namespace role

/// Attention of encoders whose scores depend on distances too (DeBERTa): buckets of distances have
/// rows of their own, of which linears make keys and queries. Q, K and V have the roles of self
/// attention.
struct DisentangledAttentionSpec {
  int n_heads = 0;
  int head_dim = 0;
  float scale = 1.0F;
  int n_buckets = 0;         ///< 0: distances have no part in it.
  bool has_keys = false;     ///< Queries meet distances ("c2p").
  bool has_queries = false;  ///< Keys meet distances ("p2c").
  bool own_linears = false;  ///< Of distances; else they go through those of Q and K.
  bool norms_rows = false;
  /// Q, K and V are one module (kQkv) whose rows go head by head; Q and V have biases of their own,
  /// and the keys of distances none.
  bool is_fused = false;
  std::vector<std::int32_t> buckets{};  ///< As device::DisentangledSpec's.

  std::int64_t width() const noexcept { return std::int64_t{n_heads} * head_dim; }
};

std::unique_ptr<Mixer> make_disentangled_attention(const DisentangledAttentionSpec& spec,
                                                   BlockBuilder& builder, At at);

}  // namespace openllm::model
