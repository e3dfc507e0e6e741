#pragma once

#include <memory>
#include <optional>

#include "model/blocks/mixer.h"

namespace openllm::model {

namespace role {
inline constexpr Role kQ{"attention.q"};
inline constexpr Role kK{"attention.k"};
inline constexpr Role kV{"attention.v"};
inline constexpr Role kQkv{"attention.qkv"};  ///< Q, K and V stacked in one tensor.
inline constexpr Role kKv{"attention.kv"};    ///< The rows of each head's K, then V.
inline constexpr Role kQNorm{"attention.q_norm"};
inline constexpr Role kKNorm{"attention.k_norm"};
inline constexpr Role kAttentionOutput{"attention.output"};
inline constexpr Role kAttentionGate{"attention.gate"};
inline constexpr Role kAttentionInnerNorm{"attention.inner_norm"};  ///< Before the output.
inline constexpr Role kSinks{"attention.sinks"};                    ///< A tensor, no module.
}  // namespace role

/// A fused QKV whose rows go group by group (a head or some heads: its queries, keys, values).
struct FusedQkv {
  int n_groups = 0;  ///< 0: all of Q, then all of K, then all of V.
  bool value_before_key = false;
  bool undone = false;  ///< The converter to this file's format has brought them to that order.
};

/// What a norm on Q and K covers.
enum class QkNorm : std::uint8_t {
  kNone,
  kHead,      ///< Each head, all by the same weights.
  kEachHead,  ///< Each head, by weights of its own.
  kWholeRow,  ///< All heads of a row together.
};

/// Attention over the sequence itself: multi-head, grouped-query or multi-query.
struct SelfAttentionSpec {
  int n_heads = 0;
  int n_kv_heads = 0;
  int head_dim = 0;
  /// 0: none; else the query at position p sees keys p - window + 1 .. p, and with `sees_all` also
  /// those up to p + window - 1.
  int window = 0;
  int chunk = 0;           ///< 0: none; else the query at p sees keys p / chunk * chunk .. p.
  int rope = -1;           ///< Index into ModelSpec::ropes; < 0: no rotation.
  int position_bias = -1;  ///< Index into StackSpec::position_biases; < 0: none.
  /// Every row sees the whole sequence, which must come in one step (encoders).
  bool sees_all = false;
  float scale = 1.0F;
  float soft_cap = 0.0F;
  bool bias = false;  ///< Q, K, V have biases.
  bool output_bias = false;
  FusedQkv fused{};  ///< Where the file has one tensor for Q, K and V.
  QkNorm qk_norm = QkNorm::kNone;
  bool qk_norm_after_rope = false;                     ///< Else before it.
  std::optional<NormSpec> qk_norm_spec{};              ///< Unset: that of the network's norms.
  float clip_qkv = 0.0F;                               ///< Q, K, V are kept within this; 0: any.
  bool clip_after_norm = false;                        ///< Else before it.
  bool sinks = false;                                  ///< Each head has a score without a value.
  std::optional<device::PositionScale> query_scale{};  ///< Of Q, at last.
  int value_dim = 0;  ///< Of values, where they have another size than keys; 0: head_dim.
  float value_scale = 1.0F;
  /// Mixed heads times the sigmoid of a linear of the input.
  bool output_gate = false;
  bool gate_of_heads = false;        ///< One number for each head.
  bool gate_is_softplus = false;     ///< Instead of the sigmoid.
  bool gate_beside_queries = false;  ///< Its rows follow each head's of Q, in the module of Q.
  bool inner_norm = false;           ///< A norm before the output.
  bool value_norm = false;           ///< An RMS norm without weights on each head of V.
  bool value_is_key = false;         ///< V is what K was before norm and rotation.
  /// The earlier layer whose keys and values are looked at; < 0: own ones.
  int keys_of_layer = -1;

  std::int64_t q_width() const noexcept { return std::int64_t{n_heads} * head_dim; }
  std::int64_t kv_width() const noexcept { return std::int64_t{n_kv_heads} * head_dim; }
  int value_size() const noexcept { return value_dim > 0 ? value_dim : head_dim; }
  std::int64_t value_width() const noexcept { return std::int64_t{n_kv_heads} * value_size(); }
  std::int64_t mixed_width() const noexcept { return std::int64_t{n_heads} * value_size(); }
  std::int64_t gate_width() const noexcept { return gate_of_heads ? n_heads : mixed_width(); }
};

std::unique_ptr<Mixer> make_self_attention(const SelfAttentionSpec& spec, BlockBuilder& builder,
                                           At at);

}  // namespace openllm::model
