#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "device/tensor.h"
#include "device/weight.h"

// Parameters of a device's operations.

namespace openllm::device {

enum class NormKind : std::uint8_t { kRms, kLayer };
struct NormSpec {
  NormKind kind = NormKind::kRms;
  float eps = 1e-5F;
  float weight_offset = 0.0F;  ///< Added to the weight: 1 for Gemma's (1 + w).
  /// Columns that are normalised together, when the weight has several such groups; 0: as many as
  /// the weight has.
  int group = 0;
};

enum class Activation : std::uint8_t {
  kSilu,
  kGelu,
  kGeluTanh,
  kQuickGelu,  ///< x sigmoid(1.702 x)
  kRelu,
  kReluSquared,
  kTanh,
};

/// A gate whose halves are kept within a limit: with g = min(gate, limit) and u = up within
/// [-limit, limit] it gives (u + 1) g sigmoid(alpha g).
struct ClampedGate {
  float alpha = 1.702F;
  float limit = 7.0F;
  /// An entry's gate and up lie side by side; else all gates come before all ups.
  bool paired = false;
};

/// A factor that grows with the position p: 1 + beta log(1 + floor((p + offset) / length)).
struct PositionScale {
  float beta = 0.0F;
  float length = 1.0F;
  float offset = 0.0F;
};

/// Rows of an embedding table that the rows of a step look up.
struct Lookup {
  enum class By : std::uint8_t {
    kTokenId,    ///< The row's token id; rows with id -1 take the step's given embeddings.
    kPosition,   ///< The row's position + offset.
    kConstant,   ///< Row `offset` of the table, for all.
    kTokenType,  ///< The row's token type + offset.
    kRow,        ///< The number of the row of `out` + offset, whatever the step's rows are.
  };
  By by = By::kTokenId;
  std::int32_t offset = 0;
  float scale = 1.0F;      ///< Factor of what was looked up (not of given embeddings).
  bool add = false;        ///< Add to `out` instead of replacing it.
  std::int32_t n_ids = 0;  ///< kTokenId, > 0: ids from this one on look up row 0.
};

enum class RopeStyle : std::uint8_t {
  kNone,
  kHalves,       ///< Rotates (i, i + n/2): NeoX, Hugging Face llama.
  kInterleaved,  ///< Rotates (2i, 2i + 1): the original llama.
};

/// RoPE factors that depend on a sequence's length. Chosen once per sequence
/// (step::SequenceRows::rope_len), so that they do not depend on how its rows are cut into steps.
struct RopeGrowth {
  enum class Kind : std::uint8_t {
    kNone,
    kDynamic,  ///< NTK: the base grows with length / original_len.
    kLong,     ///< longrope: other factors above original_len.
  };
  Kind kind = Kind::kNone;
  int original_len = 0;                ///< Up to this length the plain inv_freq holds.
  double base = 0.0;                   ///< kDynamic
  double factor = 1.0;                 ///< kDynamic
  std::vector<float> long_inv_freq{};  ///< kLong
};

/// Rotary embedding. inv_freq has n_rotary / 2 entries; angle = position * inv_freq[i]. Computed in
/// f32 as Hugging Face does: cos and sin of the f32 product, then times `attention_factor` (YaRN,
/// longrope; else 1).
struct RopeSpec {
  RopeStyle style = RopeStyle::kNone;
  int n_rotary = 0;  ///< Leading dimensions of each head that rotate.
  std::vector<float> inv_freq{};
  float attention_factor = 1.0F;
  RopeGrowth growth{};
};

/// 1 / base^(2i / denominator) for the n_rotary / 2 pairs, in f32, where Hugging Face computes it
/// too.
std::vector<float> rope_frequencies(double base, int n_rotary, int denominator);
/// The frequencies for a sequence that was admitted with `length` tokens.
std::vector<float> grown_frequencies(const RopeSpec& spec, int length);

/// A rotary embedding in the device's own form.
class Rope {
 public:
  virtual ~Rope() = default;
};

/// Keys that the query at position p of a sequence sees (with a window, those > p - window of
/// them, and of kWhole those < p + window).
enum class Visibility : std::uint8_t {
  kCausal,  ///< Positions <= p, or <= the row's visible end when the step has one.
  kWhole,   ///< Every position of the sequence, up to the step's last row.
  kSource,  ///< The sequence's source text (cross attention).
};

/// A bias of attention scores that depends on how far a key is from the query.
struct PositionBiasSpec {
  enum class Kind : std::uint8_t {
    kBuckets,  ///< T5: distances fall into buckets, finer for near ones; a learned number for each.
    /// ALiBi: slope of the head times (key position - query position), or of sequences that are
    /// seen whole times minus the distance between them.
    kSlopes,
  };
  Kind kind = Kind::kSlopes;
  std::vector<float> slopes{};  ///< kSlopes: one for each head.
  int n_heads = 0;              ///< kBuckets
  int n_buckets = 0;            ///< kBuckets
  int max_distance = 0;         ///< kBuckets: all larger ones share the last bucket.
  bool bidirectional = false;   ///< kBuckets: half of them for keys behind the query.
  bool by_distance = false;     ///< kSlopes: the same to both sides.
};
/// The same in the device's own form.
class PositionBias {
 public:
  virtual ~PositionBias() = default;
};

/// Attention of one layer.
struct AttentionSpec {
  int n_heads = 0;
  int n_kv_heads = 0;
  int head_dim = 0;   ///< Of queries and keys.
  int value_dim = 0;  ///< Of values and results.
  float scale = 1.0F;
  int window = 0;         ///< 0: none.
  float soft_cap = 0.0F;  ///< 0: none; else cap * tanh(score / cap).
  Visibility visibility = Visibility::kCausal;
  PositionBias* bias = nullptr;  ///< Added to the scaled scores; null: none.
  /// A score for each head, [n_heads], that takes part in the softmax and has no value; null: none.
  const Weight* sinks = nullptr;
  int chunk = 0;  ///< 0: none; else keys of the query's chunk of so many positions.
};

/// How keys and values are kept.
enum class KvType : std::uint8_t {
  kF32,
  kF16,
  kInt8,   ///< A scale for each 32 entries of a token's head: 9 bits an entry.
  kInt16,  ///< A scale for a token's head.
};

/// The KV cache of all layers. The device knows the layout inside a block.
struct KvLayerSpec {
  /// A layer that sees the rows of the running step alone, each sequence its own (encoders): its
  /// blocks are given out anew with every step, and past_len must be 0.
  static constexpr int kOwnRows = -1;
  int group = 0;  ///< Index of the block table this layer uses, or kOwnRows.
  int n_kv_heads = 0;
  int head_dim = 0;   ///< Of keys.
  int value_dim = 0;  ///< Of values.
  /// > 0: no keys and values, but states of so many floats, one for each block; always f32.
  std::int64_t state_floats = 0;
};
struct KvCacheSpec {
  int block_size = 32;  ///< Tokens per block.
  KvType type = KvType::kF32;
  std::vector<KvLayerSpec> layers{};
  std::vector<int> blocks_per_group{};
  int n_own_blocks = 0;  ///< For kOwnRows: enough for every step's sequences.
};
class KvCache {
 public:
  virtual ~KvCache() = default;
};
/// Bytes of a token's entries of one head, scales included.
constexpr std::size_t kv_head_bytes(KvType type, int n) {
  const auto size = static_cast<std::size_t>(n);
  switch (type) {
    case KvType::kF32:
      return 4 * size;
    case KvType::kF16:
      return 2 * size;
    case KvType::kInt8:
      return size + (size + 31) / 32 * 4;
    case KvType::kInt16:
      return 2 * size + 4;
  }
  return 4 * size;
}

/// The part of a layer's state in the cache that an operation carries from row to row. The state
/// before a sequence's first row is zero; what follows each row that ends a block of the step's
/// table is kept there, and so is what follows the last row.
struct StateRef {
  KvCache& cache;
  int layer = 0;
  std::int64_t begin = 0;  ///< First float of the part.
};

/// Steps of a recurrence by softplus.
struct TimeStepSpec {
  float min = 0.0F;  ///< Steps are kept within these.
  float max = std::numeric_limits<float>::infinity();
};

/// A recurrence of matrices S [key_dim, value_dim], one for each head, zero at first:
///   S = decay S;  S += k (x) u;  out = S^T q
/// where u = v, or for the delta rule u = beta (v - S^T k) with the decayed S.
struct LinearAttentionSpec {
  int n_heads = 0;
  int n_key_heads = 0;  ///< Of q and k; each serves n_heads / n_key_heads heads in a row.
  int key_dim = 0;
  int value_dim = 0;
  bool delta = false;
  float beta_scale = 1.0F;  ///< beta = beta_scale * sigmoid(its tensor); for the delta rule.

  std::int64_t state_floats() const noexcept { return std::int64_t{n_heads} * key_dim * value_dim; }
};
/// Inputs of linear attention, all [T, ...].
struct LinearAttentionRows {
  Tensor q{};          ///< [T, n_key_heads * key_dim]
  Tensor k{};          ///< The same.
  Tensor v{};          ///< [T, n_heads * value_dim]
  Tensor log_decay{};  ///< [T, n_heads], or [T, n_heads * key_dim]: one for each row of S.
  const Weight* fixed_log_decay = nullptr;  ///< [n_heads], for all rows; instead of `log_decay`.
  Tensor beta{};                            ///< [T, n_heads]; for the delta rule.
  Tensor v_scale{};                         ///< [T, n_heads]: factor of v; empty: 1.
  const Weight* skip = nullptr;             ///< [n_heads]: out += skip * v; null: nothing.
};

/// Inputs of the gated linear recurrence RG-LRU (arXiv 2402.19427), all [T, C]. Gates are given
/// before their bias and sigmoid.
struct GatedScanRows {
  Tensor x{};
  Tensor input_gate{};
  Tensor decay_gate{};
  const Weight* input_bias = nullptr;  ///< [C]; so the next ones.
  const Weight* decay_bias = nullptr;
  const Weight* rates = nullptr;  ///< Logarithm of the decay where its gate is open; < 0.
};

/// Attention of encoders whose scores have parts for the distance d = i - j of a query i from a key
/// j: scale (q_i . k_j + q_i . P[b(d)] + k_j . Q[b(d)]), with rows P and Q for each bucket b
/// (DeBERTa, arXiv 2006.03654). Rows see all of their sequence, which comes in one step.
struct DisentangledSpec {
  int n_heads = 0;
  int head_dim = 0;
  float scale = 1.0F;
  /// b(d) for d from -(n - 1) to n - 1, where n is the longest sequence: 2 n - 1 entries.
  std::vector<std::int32_t> buckets{};
};

/// How a mixture chooses experts for a row and weighs them, from the row's scores.
struct RouterSpec {
  enum class Score : std::uint8_t {
    kSoftmax,
    kSigmoid,
    /// Two experts, each weighed among those near to it alone (SparseMixer, arXiv 2409.12136): the
    /// best one by the softmax over scores s with (best - s) / max(|s|, best) <= 2 jitter, then the
    /// same without it.
    kSparseMixer,
  };
  /// What ranks groups of experts: their best one, or their two best together.
  enum class GroupScore : std::uint8_t { kBest, kBestTwo };
  int n_experts = 0;
  int top_k = 0;
  Score score = Score::kSoftmax;  ///< Over all experts.
  bool chooses_raw = false;       ///< By scores before that, not behind it.
  bool normalise = true;          ///< Divide the weights of the chosen ones by their sum.
  float scale = 1.0F;             ///< Factor of the weights, after that.
  float jitter = 0.0F;            ///< kSparseMixer
  /// Weights go to what the experts get instead of to what they give.
  bool weighs_input = false;
  /// Experts are chosen among the `top_groups` best of `n_groups` groups.
  int n_groups = 1;
  int top_groups = 1;
  GroupScore group_score = GroupScore::kBest;
  std::vector<float> gains{};  ///< A factor of each expert's weight, last of all; empty: 1.
};
/// Which experts the rows of a step go to. A row with k experts has k slots; slots are sorted by
/// expert, then by row.
class Routing {
 public:
  virtual ~Routing() = default;
};

/// What an adapter makes of a linear for some of its rows: of the columns [out_begin, out_begin +
/// n) of rows t in [first_row, first_row + n_rows). With y = weight * x[t] and d = b (a x[t]) +
/// shift:
///   low rank (LoRA):      out[t] += scale * d
///   with gains (DoRA):    out[t] += (gains - 1) * y + gains * scale * d
///   a null:               out[t] = b x[t] + shift, instead of what the linear gave
///   a and b null:         out[t] += scale * shift
/// With b alone, `columns` may say where each of the n goes instead of out_begin and on. Several
/// for one row are summed in their order; gains see what the linear alone gave.
struct LinearDelta {
  std::int64_t first_row = 0;
  std::int64_t n_rows = 0;
  std::int64_t out_begin = 0;
  const Weight* a = nullptr;      ///< [rank, in]
  const Weight* b = nullptr;      ///< [n, rank]
  const Weight* shift = nullptr;  ///< A vector [n]; may be null where there is a b.
  const Weight* gains = nullptr;  ///< A vector [n].
  float scale = 1.0F;
  std::span<const std::int32_t> columns{};

  /// Columns that it changes.
  std::int64_t n_out() const noexcept {
    return b != nullptr ? b->out_features() : shift->in_features();
  }
};
using LinearDeltas = std::span<const LinearDelta>;

/// That of one expert of a mixture; its rows are those of the tokens. Those of an expert follow
/// each other.
struct ExpertDelta {
  int expert = 0;
  LinearDelta delta{};
};
using ExpertDeltas = std::span<const ExpertDelta>;

/// What an adapter makes of the embedded tokens of rows t in [first_row, first_row + n_rows), of
/// but for those that the step gives embeddings:
///   with b:            out[t] += scale * b table[id]
///   without, no ids:   out[t] = scale * table[id]
///   without, with ids: out[t] = scale * table[i] where id = ids[i]
struct EmbeddingDelta {
  std::int64_t first_row = 0;
  std::int64_t n_rows = 0;
  const Weight* table = nullptr;  ///< An embedding: [vocab, rank], [vocab, D] or [ids, D].
  const Weight* b = nullptr;      ///< [D, rank]
  float scale = 1.0F;
  std::span<const std::int32_t> ids{};  ///< Ascending.
};
using EmbeddingDeltas = std::span<const EmbeddingDelta>;

}  // namespace openllm::device
