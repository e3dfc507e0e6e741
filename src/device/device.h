#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "device/ops.h"
#include "device/tensor.h"
#include "device/weight.h"
#include "step/step.h"

namespace openllm::device {

/// Where computation happens: about a dozen coarse operations on rows of activations. What a step
/// is about (ids, positions, block tables) is given once, by `begin_step`; operations between it
/// and `finish_step` refer to it, so that a device can hold it in its own memory and replay a step.
///
/// Results are a function of each row alone (and of the cache it reads): the same row gives the
/// same bits whatever else is in the step and however many threads run. Operations are noexcept; a
/// failure is kept and thrown by `finish_step`. Shapes are proved once by the model at load. Thread
/// safety: one thread at a time, but for upload_beside and read_row.
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
  /// As upload, at any time on any thread: beside a step of another one.
  virtual std::unique_ptr<Weight> upload_beside(const WeightSource& source, WeightRole role) = 0;
  /// Row `row` of a weight as products with it see it, or all of a vector: in_features() numbers.
  /// At any time on any thread.
  virtual void read_row(const Weight& weight, std::int64_t row, float* out) const = 0;
  virtual std::unique_ptr<Buffer> allocate(std::size_t n_bytes) = 0;
  virtual std::unique_ptr<KvCache> allocate_kv(const KvCacheSpec& spec) = 0;
  /// Memory that a block of `block_size` tokens of one layer takes up in such a cache, with what
  /// the layout pads.
  virtual std::int64_t kv_block_bytes(const KvLayerSpec& layer, KvType type,
                                      int block_size) const noexcept = 0;
  /// Copies block `from` into block `to` in all layers of a KV group; between steps.
  virtual void copy_kv_block(KvCache& cache, int group, std::int32_t from,
                             std::int32_t to) noexcept = 0;
  virtual std::unique_ptr<Rope> make_rope(const RopeSpec& spec) = 0;
  /// `table`: for kBuckets, [n_buckets, heads], uploaded as an embedding; it must outlive the bias.
  virtual std::unique_ptr<PositionBias> make_position_bias(const PositionBiasSpec& spec,
                                                           const Weight* table) = 0;
  virtual std::unique_ptr<Routing> make_routing(const RouterSpec& spec) = 0;

  /// `step` must stay as it is until finish_step.
  virtual void begin_step(const step::Step& step) noexcept = 0;
  /// Waits for the step's work; throws what went wrong in it.
  virtual void finish_step() = 0;

  /// Threads of the host that the device works with, the caller's included. Between steps they are
  /// free for other work:
  virtual int n_host_threads() const noexcept { return 1; }
  /// body(i) for every i in [0, n), at once on those threads. `body` must not throw.
  virtual void run_on_host(std::size_t n, base::FunctionRef<void(std::size_t)> body) {
    for (std::size_t i = 0; i < n; ++i) body(i);
  }

  /// out[t,:] = table[row that the lookup gives for t,:] * scale, or += that.  out: [T, D]. What is
  /// looked up is checked by the caller.
  virtual void embed(const Weight& table, const Lookup& lookup, Tensor out) noexcept = 0;
  /// Behind `embed` with token ids and that scale, on the same `out`.
  virtual void embed_deltas(EmbeddingDeltas deltas, Tensor out) noexcept = 0;
  /// Normalises groups of weight.in_features() columns: the whole row, or each head when the weight
  /// has head_dim entries and x is [T, H * head_dim]. With NormSpec::group each head may have
  /// weights of its own. RMS: x / sqrt(mean(x^2) + eps) * (weight +
  /// offset). Layer: (x - mean) / sqrt(var + eps) * weight + bias. bias may be null. x and out may
  /// be the same.
  virtual void norm(const NormSpec& spec, const Weight& weight, const Weight* bias, Tensor x,
                    Tensor out) noexcept = 0;
  /// out[t,o] = sum_k x[t,k] * weight[o,k] + bias[o], plus the deltas of the rows. bias may be
  /// null. x and out must not overlap.
  virtual void linear(const Weight& weight, const Weight* bias, LinearDeltas deltas, Tensor x,
                      Tensor out) noexcept = 0;
  /// Rotates every head of x [T, H * head_dim] in place, by the positions of the step's rows.
  virtual void rope(Rope& rope, int head_dim, Tensor x) noexcept = 0;
  /// Writes keys [T, Hkv * Dk] and values [T, Hkv * Dv] of the step's rows into the cache.
  virtual void write_kv(KvCache& cache, int layer, Tensor k, Tensor v) noexcept = 0;
  /// out[t,h,:] = sum_s softmax_s(score(q[t,h], k[s])) v[s]; q: [T, H * Dk], out: [T, H * Dv]. The
  /// rows' own keys are already written.
  virtual void attention(const AttentionSpec& spec, const KvCache& cache, int layer, Tensor q,
                         Tensor out) noexcept = 0;
  /// A convolution of each column over the rows of its sequence: out[t,c] = act(bias[c] +
  /// sum_j taps[j,c] * x[t - n + 1 + j, c]), n = taps.in_features() / x.cols.  The state has the n
  /// - 1 rows before, [n - 1, C]. `taps`: a vector [n * C]; bias and act may be null. x and out may
  /// be the same.
  virtual void short_conv(StateRef state, const Weight& taps, const Weight* bias,
                          const Activation* act, Tensor x, Tensor out) noexcept = 0;
  /// dt = softplus(dt + bias), kept within the limits. Then log_decay = rates * dt, where a rate is
  /// for log_decay.cols / rates.in_features() columns and dt has as many columns or one for each
  /// rate. bias may be null, log_decay empty.
  virtual void time_steps(const TimeStepSpec& spec, const Weight* bias, const Weight* rates,
                          Tensor dt, Tensor log_decay) noexcept = 0;
  /// A recurrence of each column with n numbers (Mamba): h[j,c] = exp(rates[j,c] dt[t,c]) h[j,c] +
  /// dt[t,c] x[t,c] b[t,j];  out[t,c] = sum_j h[j,c] c[t,j] + skip[c] x[t,c].  b, c: [T, n]; rates:
  /// a vector [n * C]; the state is h, [n, C]. x and out may be the same.
  virtual void channel_scan(StateRef state, const Weight& rates, const Weight& skip, Tensor dt,
                            Tensor b, Tensor c, Tensor x, Tensor out) noexcept = 0;
  /// The state is S of all heads, [n_heads, key_dim, value_dim]. out: [T, n_heads * value_dim]; may
  /// be v.
  virtual void linear_attention(const LinearAttentionSpec& spec, StateRef state,
                                const LinearAttentionRows& rows, Tensor out) noexcept = 0;
  /// h = a h + sqrt(1 - a^2) sigmoid(input gate) x, where a = exp(rates[c] sigmoid(decay gate)),
  /// and the root is 1 at a sequence's first position;  out = h.  The state is h, [C]. x and out
  /// may be the same.
  virtual void gated_scan(StateRef state, const GatedScanRows& rows, Tensor out) noexcept = 0;
  /// The mean of a sequence's values v so far with weights e^k, which decay by e^rates[c] from row
  /// to row, but the row's own is e^(k + first[c]) (RWKV-4). The state, [3, C]: weighted sum, sum
  /// of weights, and the exponent that both are relative to. v and out may be the same.
  virtual void decaying_mean(StateRef state, const Weight& rates, const Weight& first, Tensor k,
                             Tensor v, Tensor out) noexcept = 0;
  /// q, k, v, out: [T, H * D]; key_rows, query_rows: P and Q, [buckets, H * D]; either may be
  /// empty. out may be q.
  virtual void disentangled_attention(const DisentangledSpec& spec, Tensor q, Tensor k, Tensor v,
                                      Tensor key_rows, Tensor query_rows, Tensor out) noexcept = 0;
  /// out = act(gate_up[:, :F]) * gate_up[:, F:].  gate_up: [T, 2F], out: [T, F]; may share memory
  /// with gate_up's gate.
  virtual void gated_activation(Activation act, Tensor gate_up, Tensor out) noexcept = 0;
  virtual void activation(Activation act, Tensor x) noexcept = 0;  ///< In place.
  /// x[t,i] *= sigmoid(gate[t,i]), or of gate[t,0] where the gate has one column.
  virtual void apply_gate(Tensor gate, Tensor x) noexcept = 0;
  /// out = the gate of gate_up [T, 2F], out: [T, F]; they must not overlap.
  virtual void clamped_gate(const ClampedGate& gate, Tensor gate_up, Tensor out) noexcept = 0;
  /// xIELU (arXiv 2411.13010) in place. `parameters`: alpha_p, alpha_n, beta, eps. With a =
  /// softplus(alpha_p), b = beta + softplus(alpha_n): a x^2 + beta x for x > 0, else b (e^min(x,
  /// eps) - 1 - x) + beta x.
  virtual void xielu(const Weight& parameters, Tensor x) noexcept = 0;
  /// x[t,:] *= the factor of row t's position.
  virtual void scale_by_position(const PositionScale& scale, Tensor x) noexcept = 0;
  virtual void scale(float factor, Tensor x) noexcept = 0;  ///< x *= factor.
  /// x *= y, or times y[t,0] where y has one column.
  virtual void multiply(Tensor y, Tensor x) noexcept = 0;
  virtual void softplus(Tensor x) noexcept = 0;  ///< In place.
  /// x[t,c] *= factors[c]
  virtual void scale_columns(const Weight& factors, Tensor x) noexcept = 0;
  /// out[t,:] += factors[t,0] * x[t,:]
  virtual void add_scaled_rows(Tensor factors, Tensor x, Tensor out) noexcept = 0;
  /// x[t,:] *= |like[t,:]| / max(|x[t,:]|, least), where |..| is the root mean square.
  virtual void match_sizes(Tensor like, float least, Tensor x) noexcept = 0;
  /// x = max(0, x - (mean + n_deviations * standard deviation)) of each row.
  virtual void cut_below(float n_deviations, Tensor x) noexcept = 0;
  /// Every x to within [-limit, limit], in place.
  virtual void clamp(float limit, Tensor x) noexcept = 0;
  /// out[t,:] = x[t + offset,:] where that is a row of the same sequence in this step, else 0; they
  /// must not overlap.
  virtual void shift_rows(int offset, Tensor x, Tensor out) noexcept = 0;
  /// out = x; they must not overlap.
  virtual void copy(Tensor x, Tensor out) noexcept = 0;
  /// out = x + y * scale; may all be the same.
  virtual void add(Tensor x, Tensor y, float scale, Tensor out) noexcept = 0;
  /// Chooses the experts of every row by its scores [T, experts]. `bias` [experts] may be null; it
  /// is added to the scores for the choice, not for the weights.
  virtual void route(Routing& routing, const Weight* bias, Tensor scores) noexcept = 0;
  /// out[slot,:] = x[row of the slot,:], times its weight if the router weighs inputs.  x: [T, n],
  /// out: [T * top_k, n]
  virtual void scatter_to_experts(const Routing& routing, Tensor x, Tensor out) noexcept = 0;
  /// linear(experts[expert of the slot]) of every slot. biases: empty, or one for each expert.
  virtual void grouped_linear(const Routing& routing, std::span<const Weight* const> experts,
                              std::span<const Weight* const> biases, ExpertDeltas deltas, Tensor x,
                              Tensor out) noexcept = 0;
  /// out[t,:] = sum over the row's slots, in the order of experts, of weight * x[slot,:] (of
  /// x[slot,:] if the router weighs inputs).
  virtual void gather_from_experts(const Routing& routing, Tensor x, Tensor out) noexcept = 0;
  /// out = the rows of x whose results the step wants: its logit rows, then its hidden rows.
  virtual void gather_outputs(Tensor x, Tensor out) noexcept = 0;
  /// host_out[i,v] = cap(linear(x)[i,v] * scale); row stride = weight.out_features(). bias may be
  /// null. Complete after finish_step.
  virtual void logits(const Weight& weight, const Weight* bias, LinearDeltas deltas, float scale,
                      float soft_cap, Tensor x, float* host_out) noexcept = 0;
  /// host_out[i,:] = x[i,:], f32 without gaps. Complete after finish_step.
  virtual void read(Tensor x, float* host_out) noexcept = 0;

  // Fused entry points. The defaults below are made of the operations above; a device may do
  // better, with equal bits.

  /// out = linear(norm(x)); `scratch` has x's shape.
  virtual void norm_linear(const NormSpec& spec, const Weight& norm_weight, const Weight* norm_bias,
                           const Weight& weight, const Weight* bias, LinearDeltas deltas, Tensor x,
                           Tensor scratch, Tensor out) noexcept;
  /// act and product, then the down projection: out = linear(act(gate) * up); `scratch`: [T, F].
  virtual void gated_linear(Activation act, const Weight& weight, const Weight* bias,
                            LinearDeltas deltas, Tensor gate_up, Tensor scratch,
                            Tensor out) noexcept;
};

struct DeviceOptions {
  int n_threads = 0;  ///< 0: one per available CPU.
  std::string isa{};  ///< Forces the cpu device's kernels by name (tests); empty: the best.
  /// Activations that meet quantised weights: int8 with a scale per 32 instead of about 16 bits;
  /// those that meet BF16 weights: BF16, if the CPU has it, instead of f32. Faster for many rows,
  /// but the answers differ visibly from those of f32 activations.
  bool fast_activations = false;
  /// Weights are checked and measured, but their numbers are not read and take no memory: tells
  /// what a model would need. Nothing can be computed with such a device. The cpu device alone
  /// heeds it.
  bool sizes_only = false;
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
