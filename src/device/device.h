#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "tensor/tensor_view.h"

namespace openllm::device {

/// A matrix of f32 activations in device memory. Only the device may dereference `data`.
struct Tensor {
  float* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;  ///< Elements from one row to the next; >= cols.

  Tensor columns(std::int64_t begin, std::int64_t n) const {
    return {data + begin, rows, n, stride};
  }
  Tensor first_rows(std::int64_t n) const { return {data, n, cols, stride}; }
};

/// Device memory, freed with its owner.
class Buffer {
 public:
  virtual ~Buffer() = default;
  virtual float* data() noexcept = 0;
};

/// One tensor of a weight, as the file has it.
struct WeightPart {
  tensor::TensorView view;
  std::string name{};  ///< For messages.
  /// The view is [in, out] instead of [out, in] (GPT-2's Conv1D).
  bool transposed = false;
};

/// A weight between file and device: parts are stacked along the output dimension (fused QKV, gate
/// and up). `scheme` leaves room for weights whose codes, scales and zero points are separate
/// tensors.
struct WeightSource {
  enum class Scheme { kDense };
  Scheme scheme = Scheme::kDense;
  std::vector<WeightPart> parts{};
};

enum class WeightRole {
  kLinear,     ///< [out, in] matrix multiplied with activations.
  kEmbedding,  ///< [vocab, dim] table; rows are looked up. May also be used by `logits` (tied
               ///< embeddings).
  kVector,     ///< Norm weights and biases, [n]; kept in f32.
};

/// A weight in the device's own layout.
class Weight {
 public:
  virtual ~Weight() = default;
  virtual std::int64_t out_features() const noexcept = 0;  ///< Rows; 1 for vectors.
  virtual std::int64_t in_features() const noexcept = 0;
  virtual std::size_t bytes() const noexcept = 0;  ///< Memory one pass over it reads.
};

enum class NormKind : std::uint8_t { kRms, kLayer };
struct NormSpec {
  NormKind kind = NormKind::kRms;
  float eps = 1e-5F;
  float weight_offset = 0.0F;  ///< Added to the weight: 1 for Gemma's (1 + w).
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

enum class RopeStyle : std::uint8_t {
  kNone,
  kHalves,       ///< Rotates (i, i + n/2): NeoX, Hugging Face llama.
  kInterleaved,  ///< Rotates (2i, 2i + 1): the original llama.
};
/// Rotary embedding of one layer. inv_freq has n_rotary / 2 entries; angle = position *
/// inv_freq[i]. Computed in f32 as Hugging Face does: cos and sin of the f32 product, then times
/// `attention_factor` (YaRN, longrope; else 1).
struct RopeSpec {
  RopeStyle style = RopeStyle::kNone;
  int n_rotary = 0;  ///< Leading dimensions of each head that rotate.
  std::vector<float> inv_freq{};
  float attention_factor = 1.0F;
};

/// Attention of one layer. The query at position p sees keys at positions <= its visible end (p
/// when causal) and, with a window, > p - window.
struct AttentionSpec {
  int n_heads = 0;
  int n_kv_heads = 0;
  int head_dim = 0;
  float scale = 1.0F;
  int window = 0;         ///< 0: none.
  float soft_cap = 0.0F;  ///< 0: none; else cap * tanh(score / cap).
  bool causal = true;
};

/// The KV cache of all layers. The device knows the layout inside a block.
struct KvLayerSpec {
  int group = 0;  ///< Index of the block table this layer uses.
  int n_kv_heads = 0;
  int head_dim = 0;
};
struct KvCacheSpec {
  int block_size = 32;  ///< Tokens per block.
  bool f16 = false;     ///< Else f32.
  std::vector<KvLayerSpec> layers{};
  std::vector<int> blocks_per_group{};
};
class KvCache {
 public:
  virtual ~KvCache() = default;
};

/// Some rows of one sequence.
struct BatchSequence {
  std::int32_t first_row = 0;
  std::int32_t n_rows = 0;
  std::int32_t past_len = 0;  ///< Tokens of this sequence already in the cache; its rows are at
                              ///< past_len, past_len+1, ...
  std::int32_t adapter = 0;   ///< 0: none.
  /// Total length (prompt and answer) the sequence was admitted with: chooses the factors of RoPE
  /// scalings that depend on length (dynamic, longrope), so it must not change while the sequence
  /// lives. 0: the model's original length.
  std::int32_t rope_len = 0;
};
/// Per KV group: block ids of all sequences one after the other; sequence s has ids[begin[s] ..
/// begin[s+1]). Block i of a sequence holds its positions [i * block_size, (i+1) * block_size); -1:
/// freed (outside the window).
struct BlockTable {
  std::span<const std::int32_t> ids{};
  std::span<const std::int32_t> begin{};
};
/// A ragged batch: T rows (tokens) of S sequences.
struct Batch {
  std::span<const std::int32_t> token_ids{};  ///< [T]
  /// Given instead of looked-up embeddings for rows whose token id is -1: [number of such rows, D]
  /// (vision, audio).
  const float* embeddings = nullptr;
  std::span<const std::int32_t> positions{};    ///< [T]
  std::span<const BatchSequence> sequences{};   ///< [S]
  std::span<const BlockTable> block_tables{};   ///< [groups]
  std::span<const std::int32_t> output_rows{};  ///< Rows whose logits are wanted, ascending.
  /// Last visible position per row, [T]; empty: the row's own (causal).
  std::span<const std::int32_t> visible_end{};

  std::int64_t n_rows() const noexcept { return static_cast<std::int64_t>(token_ids.size()); }
};

/// Low-rank deltas of the batch's adapters for one linear; null pointer where none is mounted.
struct LinearDeltas;

/// Where computation happens: about a dozen coarse operations on rows of activations.
///
/// Results are a function of each row alone (and of the cache it reads): the same row gives the
/// same bits whatever else is in the batch and however many threads run. Operations are noexcept; a
/// failure is kept and thrown by `finish_step`. Shapes are proved once by the model at load. Thread
/// safety: one thread at a time.
class Device {
 public:
  virtual ~Device() = default;
  virtual std::string name() const = 0;  ///< "cpu", "reference".
  virtual std::string isa() const = 0;   ///< For example "avx512_bf16"; "portable" for plain C++.

  /// Copies or repacks; the source bytes are not needed afterwards. Throws kUnsupported for a dtype
  /// or layout the device does not take, kCorruptData for a wrong shape or size and for a value
  /// that is NaN or infinite: one of those would vanish in a softmax and leave garbage that looks
  /// like an answer. Messages begin with "tensor" and its name.
  virtual std::unique_ptr<Weight> upload(const WeightSource& source, WeightRole role) = 0;
  virtual std::unique_ptr<Buffer> allocate(std::size_t n_floats) = 0;
  virtual std::unique_ptr<KvCache> allocate_kv(const KvCacheSpec& spec) = 0;

  virtual void begin_step() noexcept {}
  /// Waits for the step's work; throws what went wrong in it.
  virtual void finish_step() {}

  /// Threads of the host that the device works with, the caller's included. Between steps they are
  /// free for other work:
  virtual int n_host_threads() const noexcept { return 1; }
  /// body(i) for every i in [0, n), at once on those threads. `body` must not throw.
  virtual void run_on_host(std::size_t n, base::FunctionRef<void(std::size_t)> body) {
    for (std::size_t i = 0; i < n; ++i) body(i);
  }

  /// out[t,:] = table[ids[t],:] * scale.  out: [T, D]. Ids are checked by the caller.
  virtual void embed(const Weight& table, std::span<const std::int32_t> ids, float scale,
                     Tensor out) noexcept = 0;
  /// out[rows[i],:] = source[i,:] (given embeddings). The default copies: for devices that compute
  /// in host memory.
  virtual void put_rows(const float* source, std::span<const std::int32_t> rows,
                        Tensor out) noexcept;
  /// out[t,:] += table[ids[t],:] (learned positions).
  virtual void add_embedding(const Weight& table, std::span<const std::int32_t> ids,
                             Tensor out) noexcept = 0;
  /// Normalises groups of weight.in_features() columns: the whole row, or each head when the weight
  /// has head_dim entries and x is [T, H * head_dim]. RMS: x / sqrt(mean(x^2) + eps) * (weight +
  /// offset). Layer: (x - mean) / sqrt(var + eps) * weight + bias. bias may be null. x and out may
  /// be the same.
  virtual void norm(const NormSpec& spec, const Weight& weight, const Weight* bias, Tensor x,
                    Tensor out) noexcept = 0;
  /// out[t,o] = sum_k x[t,k] * weight[o,k] + bias[o]. bias and deltas may be null. x and out must
  /// not overlap.
  virtual void linear(const Weight& weight, const Weight* bias, const LinearDeltas* deltas,
                      Tensor x, Tensor out) noexcept = 0;
  /// Rotates every head of x [T, H * head_dim] in place.
  virtual void rope(const RopeSpec& spec, int head_dim, std::span<const std::int32_t> positions,
                    Tensor x) noexcept = 0;
  /// Writes keys and values [T, Hkv * Dh] of the batch's rows into the cache.
  virtual void write_kv(KvCache& cache, int layer, const Batch& batch, Tensor k,
                        Tensor v) noexcept = 0;
  /// out[t,h,:] = sum_s softmax_s(score(q[t,h], k[s])) v[s]; q, out: [T, H * Dh]. The rows' own
  /// keys are already written.
  virtual void attention(const AttentionSpec& spec, const KvCache& cache, int layer,
                         const Batch& batch, Tensor q, Tensor out) noexcept = 0;
  /// out = act(gate_up[:, :F]) * gate_up[:, F:].  gate_up: [T, 2F], out: [T, F]; may share memory
  /// with gate_up's gate.
  virtual void gated_activation(Activation act, Tensor gate_up, Tensor out) noexcept = 0;
  virtual void activation(Activation act, Tensor x) noexcept = 0;  ///< In place.
  /// out = x + y * scale; may all be the same.
  virtual void add(Tensor x, Tensor y, float scale, Tensor out) noexcept = 0;
  /// out[i,:] = x[rows[i],:].
  virtual void gather_rows(Tensor x, std::span<const std::int32_t> rows, Tensor out) noexcept = 0;
  /// host_out[i,v] = cap(sum_k x[i,k] * weight[v,k] * scale); row stride = weight.out_features().
  /// Complete after finish_step.
  virtual void logits(const Weight& weight, float scale, float soft_cap, Tensor x,
                      float* host_out) noexcept = 0;

  // Fused entry points. The defaults below are made of the operations above; a device may do
  // better, with equal bits.

  /// out = linear(norm(x)); `scratch` has x's shape.
  virtual void norm_linear(const NormSpec& spec, const Weight& norm_weight, const Weight* norm_bias,
                           const Weight& weight, const Weight* bias, const LinearDeltas* deltas,
                           Tensor x, Tensor scratch, Tensor out) noexcept;
  /// act and product, then the down projection: out = linear(act(gate) * up); `scratch`: [T, F].
  virtual void gated_linear(Activation act, const Weight& weight, const Weight* bias,
                            const LinearDeltas* deltas, Tensor gate_up, Tensor scratch,
                            Tensor out) noexcept;
};

struct DeviceOptions {
  int n_threads = 0;  ///< 0: one per available CPU.
  std::string isa{};  ///< Forces the cpu device's kernels by name (tests); empty: the best.
  /// Activations that meet quantised weights: int8 with a scale per 32 instead of about 16 bits;
  /// those that meet BF16 weights: BF16, if the CPU has it, instead of f32. Faster for many rows,
  /// but the answers differ visibly from those of f32 activations.
  bool fast_activations = false;
};

/// A device that can be made on this machine, or why not.
struct DeviceEntry {
  std::string name;
  bool available = false;
  std::string reason;  ///< Why not, or what it found.
  std::function<std::unique_ptr<Device>(const DeviceOptions&)> make;
};

/// All devices this build knows, best first.
std::vector<DeviceEntry> devices();
/// `name` empty: the best available one. Throws kNotFound or kUnavailable listing what there is.
std::unique_ptr<Device> make_device(const std::string& name, const DeviceOptions& options = {});

}  // namespace openllm::device
