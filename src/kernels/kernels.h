#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/pack_format.h"

namespace openllm::kernels {

/// Rows of a weight, repacked: tiles of 16 output rows, one after the other. A tile is [k /
/// 32][codes of a group], then its scales; or, for plain types, [k][16] elements, BF16 in pairs:
/// [ceil(k / 2)][16][2]. See pack_format.h.
struct PackedMatrix {
  PackFormat format = PackFormat::kF32;
  const unsigned char* data = nullptr;  ///< 64-byte aligned.
  std::int64_t n_rows = 0;              ///< Output features; the last tile's other rows are zero.
  std::int64_t k = 0;                   ///< Input features.
  std::int64_t tile_bytes = 0;
  std::int64_t codes_bytes = 0;  ///< Of a tile; the scales follow.
};

/// Activations as integers, x = scale * code. One plane: codes are int8, with a scale for each
/// group of 32 along k. Two planes: codes are int16, with a scale for each span of kSpanGroups
/// groups, code = 256 * high + low, neither byte -128. G = k / 32, S = ceil(G / kSpanGroups).
/// Row-major arrays; a few rows may lie group by group instead (`by_group`), so that what a kernel
/// reads together is together, at distances it knows.
struct QuantRows {
  int n_planes = 1;
  bool by_group = false;
  std::int64_t n_rows = 0;
  /// [rows, k] of int8 or int16; by_group: [G, rows, n_planes, 32] of int8, highs first.
  std::int8_t* codes = nullptr;
  float* scales = nullptr;  ///< [rows, G] or [rows, S]; by_group: [G, rows] or [S, rows].
  /// [rows, G]; [G, rows]: minus the sum of the group's codes. Not of int16.
  std::int32_t* neg_sums = nullptr;
  std::int32_t* neg_sums16 = nullptr;  ///< [rows, 2 G]; [G, rows, 2]: of each half group.
  /// As neg_sums: the sum of the codes, times the scale for one plane.
  float* sums = nullptr;
  float* sums16 = nullptr;  ///< As neg_sums16.
};

/// So many BF16 hold all 24 bits of an f32.
constexpr int kSplitPlanes = 3;

/// out[t, o] = sum_k x[t, k] w[o, k] + bias[o] for tiles [tile_begin, tile_end) and rows
/// [row_begin, row_end). The bits of an element depend on its row of x and of w alone.
struct LinearArgs {
  const PackedMatrix* weight = nullptr;
  std::int64_t tile_begin = 0;
  std::int64_t tile_end = 0;
  std::int64_t row_begin = 0;
  std::int64_t row_end = 0;
  const QuantRows* quant = nullptr;  ///< For quantised weights. by_group: all rows are meant.
  const float* x = nullptr;          ///< For plain weights.
  std::int64_t x_stride = 0;
  const std::uint16_t* x_bf16 =
      nullptr;          ///< For linear_bf16: [rows, planes, k rounded up to even].
  int bf16_planes = 1;  ///< x is their sum: 1 or kSplitPlanes.
  float* out = nullptr;
  std::int64_t out_stride = 0;
  const float* bias = nullptr;  ///< [n_rows] or null.
};

enum class Act : std::uint8_t { kSilu, kGelu, kGeluTanh, kQuickGelu, kRelu, kReluSquared, kTanh };

/// How keys and values are kept. Int8: a scale for each 32 entries of a token's head; the last
/// group may be smaller. Int16: one scale for a token's head.
enum class KvFormat : std::uint8_t { kF32, kF16, kI8, kI16 };
constexpr std::int64_t kKvScaleGroup = 32;
constexpr std::int64_t kv_element_bytes(KvFormat format) {
  return format == KvFormat::kF32 ? 4 : (format == KvFormat::kI8 ? 1 : 2);
}
constexpr std::int64_t kv_scale_groups(std::int64_t n) {
  return (n + kKvScaleGroup - 1) / kKvScaleGroup;
}

/// Int16 codes whose vector has at most this length: products of two of them fit in 32 bits.
constexpr float kMostNorm = 46000.0F;

/// A query row and the keys that it sees.
struct AttentionQuery {
  const float* q;
  /// For kI16: q = scale * codes, of a length of kMostNorm, and a zero behind an odd number.
  const std::int16_t* codes;
  float scale;
  std::int64_t begin;  ///< First visible position.
  std::int64_t end;    ///< One past the last.
  /// Added to the scores, bias[position]; null: nothing. May be read up to 31 positions before and
  /// behind the visible ones.
  const float* bias;
};

/// Queries that share a KV head and go through the cache together. Block b of the sequence has
/// positions [b * block_size, (b + 1) * block_size).
/// Keys of a block: [head_dim, lanes(block_size)]; values: [block_size, lanes(value_dim)]; lanes:
/// rounded up to 16. Of int8 the scales follow, f32: [groups(head_dim), lanes(block_size)] of keys,
/// [block_size, groups(lanes(value_dim))] of values. Int16 lie in pairs: keys [ceil(head_dim / 2),
/// lanes(block_size), 2], values [ceil(block_size / 2), lanes(value_dim), 2]; behind each the
/// scales, f32, [lanes(block_size)].
struct AttentionArgs {
  /// That meet each key and value in registers. More of them in one call share what is done to
  /// bring those near.
  static constexpr int kTileQueries = 6;
  const AttentionQuery* queries = nullptr;
  int n_queries = 0;
  int head_dim = 0;   ///< Of queries and keys.
  int value_dim = 0;  ///< Of values and results.
  int block_size = 0;
  float scale = 1.0F;
  float soft_cap = 0.0F;
  KvFormat format = KvFormat::kF32;
  const std::int32_t* blocks = nullptr;  ///< Block ids of the sequence.
  const unsigned char* keys = nullptr;   ///< Of block 0 and this KV head.
  const unsigned char* values = nullptr;
  std::int64_t block_bytes = 0;  ///< From one block's keys (values) to the next one's.
};

/// Weights of attention are powers of two of the scores times this.
constexpr float kLog2E = 1.44269504088896341F;

/// What a query has gathered over a span of positions: [m, 16 partial sums of weights, value_dim
/// rounded up to 16 of weighted values]. m: the largest score times
/// kLog2E; -inf: saw nothing.
constexpr std::int64_t attention_state_floats(std::int64_t value_dim) {
  return 16 + 16 + (value_dim + 15) / 16 * 16;
}

/// A convolution over rows, out[c] = act(bias[c] + sum_j taps[j, c] * row(t - n_taps + 1 + j)[c]).
struct ConvArgs {
  std::int64_t n_taps = 0;
  std::int64_t n_columns = 0;
  const float* taps = nullptr;  ///< [n_taps, n_columns]
  const float* bias = nullptr;  ///< May be null.
  bool has_act = false;
  Act act = Act::kSilu;
  float* state = nullptr;  ///< [n_taps - 1, n_columns]: the rows before; then the last ones.
  const float* x = nullptr;
  float* out = nullptr;  ///< May be x.
  std::int64_t x_stride = 0;
  std::int64_t out_stride = 0;
  std::int64_t n_rows = 0;
};

/// h[j, c] = exp(rates[j, c] dt[c]) h[j, c] + dt[c] x[c] b[j]; out[c] = sum_j h[j, c] c[j] +
/// skip[c] x[c], row after row.
struct ScanArgs {
  std::int64_t n_numbers = 0;
  std::int64_t n_columns = 0;
  const float* rates = nullptr;  ///< [n_numbers, n_columns]
  const float* skip = nullptr;
  float* state = nullptr;  ///< h, [n_numbers, n_columns]
  const float* dt = nullptr;
  const float* b = nullptr;
  const float* c = nullptr;
  const float* x = nullptr;
  float* out = nullptr;  ///< May be x.
  std::int64_t dt_stride = 0;
  std::int64_t b_stride = 0;
  std::int64_t c_stride = 0;
  std::int64_t x_stride = 0;
  std::int64_t out_stride = 0;
  std::int64_t n_rows = 0;
};

/// One head of linear attention, row after row: S = decay S; S += k (x) u; out = S^T q, where u =
/// v_scale v, or for the delta rule beta (v_scale v - S^T k).
struct RecurrenceArgs {
  int key_dim = 0;
  int value_dim = 0;
  bool delta = false;
  bool decay_by_key = false;  ///< decay has key_dim numbers, else one.
  float* state = nullptr;     ///< S, [key_dim, value_dim]
  const float* q = nullptr;
  const float* k = nullptr;
  const float* v = nullptr;
  const float* decay = nullptr;
  const float* beta = nullptr;     ///< One for each row, decay_stride apart.
  const float* v_scale = nullptr;  ///< One for each row; null: 1.
  float skip = 0.0F;               ///< out += skip v
  float* out = nullptr;            ///< May be v.
  std::int64_t q_stride = 0;
  std::int64_t k_stride = 0;
  std::int64_t v_stride = 0;
  std::int64_t decay_stride = 0;
  std::int64_t v_scale_stride = 0;
  std::int64_t out_stride = 0;
  std::int64_t n_rows = 0;
};

/// One instruction set's kernels.
struct Kernels {
  const char* name;
  /// Whether `linear` wants these quantised rows by_group.
  bool (*wants_by_group)(std::int64_t n_rows, std::int64_t k, int n_planes);
  /// Quantises one row of k = 32 G floats to row `row` of the arrays.
  void (*quantise_row)(const float* x, std::int64_t k, std::int64_t row, const QuantRows* out);
  void (*linear)(const LinearArgs* args);
  /// Rounds k floats to BF16, and a zero if k is odd. Null, as the next, where the instruction set
  /// has no product of BF16.
  void (*to_bf16)(const float* x, std::int64_t k, std::uint16_t* out);
  /// kSplitPlanes BF16 whose sum is x: [planes, k rounded up to even]. Null where their products
  /// cost more than those of f32.
  void (*split_bf16)(const float* x, std::int64_t k, std::uint16_t* out);
  /// BF16 weights times BF16 activations, summed in f32.
  void (*linear_bf16)(const LinearArgs* args);
  /// out = x / sqrt(mean(x^2) + eps) * (weight + offset)
  void (*rms_norm)(const float* x, const float* weight, float offset, float eps, std::int64_t n,
                   float* out);
  /// bias may be null.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float offset,
                     float eps, std::int64_t n, float* out);
  void (*activate)(Act act, const float* x, std::int64_t n, float* out);
  /// out = act(gate) * up
  void (*gate)(Act act, const float* gate, const float* up, std::int64_t n, float* out);
  /// out = x + y * scale
  void (*add)(const float* x, const float* y, float scale, std::int64_t n, float* out);
  /// x = cap(x * scale), cap(v) = soft_cap * tanh(v / soft_cap), none for 0.
  void (*scale_cap)(float* x, std::int64_t n, float scale, float soft_cap);
  /// Rotates (i, i + half) by the angles whose cosines and sines are given.
  void (*rotate_halves)(float* x, const float* cosines, const float* sines, std::int64_t half);
  /// Rotates (2 i, 2 i + 1).
  void (*rotate_pairs)(float* x, const float* cosines, const float* sines, std::int64_t half);
  void (*to_f16)(const float* x, std::int64_t n, std::uint16_t* out);
  /// x = scales[i / 32] * codes[i], each code the nearest one, the largest of a group +-127.
  void (*to_i8)(const float* x, std::int64_t n, std::int8_t* codes, float* scales);
  /// x = scale * codes, each code the nearest one; none is larger than 32767 and, if `most_norm` is
  /// not zero, their length not larger than that. Returns the scale.
  float (*to_i16)(const float* x, std::int64_t n, float most_norm, std::int16_t* codes);
  /// Attention over positions [begin, end) into fresh states, one per query.
  void (*attend)(const AttentionArgs* args, std::int64_t begin, std::int64_t end, float* states);
  /// Adds the later span's state to `state`.
  void (*merge)(float* state, const float* later, std::int64_t value_dim);
  /// out[value_dim] = the weighted mean; zeros when nothing was seen.
  void (*finish)(const float* state, std::int64_t value_dim, float* out);
  /// x *= y
  void (*multiply)(float* x, const float* y, std::int64_t n);
  /// Columns [begin, end). The bits of a column depend on that column alone; so below.
  void (*short_conv)(const ConvArgs* args, std::int64_t begin, std::int64_t end);
  void (*channel_scan)(const ScanArgs* args, std::int64_t begin, std::int64_t end);
  void (*recurrence)(const RecurrenceArgs* args);
};

constexpr std::size_t kMaxKernels = 8;  ///< More than there are.
/// Kernels this CPU can run, best first; ends with the portable ones. Returns their number, at most
/// `capacity`.
std::size_t list_kernels(const Kernels** out, std::size_t capacity) noexcept;
/// Null when there is no such name or the CPU cannot run it. Empty name: the best.
const Kernels* find_kernels(const char* name) noexcept;

}  // namespace openllm::kernels
