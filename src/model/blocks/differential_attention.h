#pragma once

#include <memory>

#include "model/blocks/self_attention.h"

namespace openllm::model {

namespace role {
/// Tensors [head_dim] whose products say how much of the second heads is taken away.
inline constexpr Role kLambdaQ1{"attention.lambda_q1"};
inline constexpr Role kLambdaK1{"attention.lambda_k1"};
inline constexpr Role kLambdaQ2{"attention.lambda_q2"};
inline constexpr Role kLambdaK2{"attention.lambda_k2"};
}  // namespace role

/// Attention whose heads h of the first half lose a share of those of the second half (Differential
/// Transformer, arXiv 2410.05258): (1 - b) rms(out[h] - lambda out[h + H / 2]), with lambda =
/// e^(q1 . k1) - e^(q2 . k2) + b. Values are twice as wide as keys: head g of keys goes with the
/// values of heads g mod n and n + g mod n, n being half of their number. Q, K and V have the roles
/// of self attention.
struct DifferentialAttentionSpec {
  int n_heads = 0;
  int n_kv_heads = 0;  ///< Even.
  int head_dim = 0;
  int rope = -1;
  float scale = 1.0F;
  float lambda_base = 0.0F;  ///< b
  bool bias = false;         ///< Of Q, K, V and the output.

  std::int64_t q_width() const noexcept { return std::int64_t{n_heads} * head_dim; }
  std::int64_t kv_width() const noexcept { return std::int64_t{n_kv_heads} * head_dim; }
};

std::unique_ptr<Mixer> make_differential_attention(const DifferentialAttentionSpec& spec,
                                                   BlockBuilder& builder, At at);

}  // namespace openllm::model
