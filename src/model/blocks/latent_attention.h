#pragma once

#include <memory>

#include "model/blocks/mixer.h"

namespace openllm::model {

namespace role {
inline constexpr Role kLatentQ{"latent.q"};           ///< Without q_rank.
inline constexpr Role kLatentQDown{"latent.q_down"};  ///< To q_rank,
inline constexpr Role kLatentQNorm{"latent.q_norm"};
inline constexpr Role kLatentQUp{"latent.q_up"};        ///< and from there to the heads.
inline constexpr Role kLatentKvDown{"latent.kv_down"};  ///< To the latent and the rotated key.
inline constexpr Role kLatentKvNorm{"latent.kv_norm"};
inline constexpr Role kLatentKvUp{"latent.kv_up"};  ///< Keys and values of each head, stacked.
inline constexpr Role kLatentKUp{"latent.k_up"};    ///< The same apart: [heads, kv_rank, nope_dim],
inline constexpr Role kLatentVUp{"latent.v_up"};    ///< [heads, value_dim, kv_rank].
inline constexpr Role kLatentOutput{"latent.output"};
}  // namespace role

/// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): keys and values of all heads are
/// linear in one latent row per token, and that row is what the cache holds.
///
/// With the latent c, a head's key is [K c, r] (r: the rotated part, shared by the heads) and its
/// value V c. Since q . K c = (K^T q) . c, queries are turned into the latent space once and the
/// heads attend to the cached rows themselves; V is applied to the weighted mean.
struct LatentAttentionSpec {
  int n_heads = 0;
  int q_rank = 0;     ///< 0: queries come straight from the input.
  int kv_rank = 0;    ///< Size of the latent.
  int nope_dim = 0;   ///< Of a head's query and key, without position.
  int rope_dim = 0;   ///< The rotated rest.
  int value_dim = 0;  ///< Of a head.
  int rope = -1;      ///< Index into ModelSpec::ropes; < 0: no rotation.
  float scale = 1.0F;
  bool bias = false;  ///< Of the down projections.
  bool output_bias = false;
  NormSpec norm{};  ///< Of the norms of latents.
};

std::unique_ptr<Mixer> make_latent_attention(const LatentAttentionSpec& spec, BlockBuilder& builder,
                                             At at);

}  // namespace openllm::model
