#pragma once

#include <algorithm>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/thread_team.h"
#include "device/cpu/kv_cache.h"
#include "device/cpu/memory.h"
#include "device/cpu/rope.h"
#include "device/cpu/weight.h"
#include "device/device.h"
#include "device/packed_weights.h"
#include "device/routed_slots.h"
#include "device/state_segments.h"
#include "kernels/kernels.h"

namespace openllm::device::cpu {

/// How closely activations are kept in products.
enum class Precision : std::uint8_t {
  kCoarse,  ///< Quantised weights: int8, a scale per 32. BF16 weights: BF16 if the kernels have it.
  kFine,    ///< Quantised weights: 16 bits, a scale per 256, twice the work. BF16 weights: f32.
};

class CpuDevice final : public Device {
 public:
  CpuDevice(const kernels::Kernels& kernels, int n_threads, Precision precision,
            bool sizes_only = false);
  void use_packed(PackedWeights& packed) { known_.emplace(packed); }

  std::string name() const override { return "cpu"; }
  std::string isa() const override { return kernels_.name; }

  std::unique_ptr<Weight> upload(const WeightSource& source, WeightRole role) override;
  std::unique_ptr<Weight> upload_beside(const WeightSource& source, WeightRole role) override;
  void read_row(const Weight& weight, std::int64_t row, float* out) const override;
  std::unique_ptr<Buffer> allocate(std::size_t n_bytes) override;
  std::unique_ptr<KvCache> allocate_kv(const KvCacheSpec& spec) override;
  void copy_kv_block(KvCache& cache, int group, std::int32_t from,
                     std::int32_t to) noexcept override;
  std::int64_t kv_block_bytes(const KvLayerSpec& layer, KvType type,
                              int block_size) const noexcept override;
  std::unique_ptr<Rope> make_rope(const RopeSpec& spec) override;
  std::unique_ptr<PositionBias> make_position_bias(const PositionBiasSpec& spec,
                                                   const Weight* table) override;
  std::unique_ptr<Routing> make_routing(const RouterSpec& spec) override;
  void begin_step(const step::Step& step) noexcept override;
  void finish_step() override;
  int n_host_threads() const noexcept override { return team_.n_threads(); }
  void run_on_host(std::size_t n, base::FunctionRef<void(std::size_t)> body) override {
    team_.run(n, body);
  }

  void embed(const Weight& table, const Lookup& lookup, Tensor out) noexcept override;
  void embed_deltas(EmbeddingDeltas deltas, Tensor out) noexcept override;
  void norm(const NormSpec& spec, const Weight& weight, const Weight* bias, Tensor x,
            Tensor out) noexcept override;
  void linear(const Weight& weight, const Weight* bias, LinearDeltas deltas, Tensor x,
              Tensor out) noexcept override;
  void rope(Rope& rope, int head_dim, Tensor x) noexcept override;
  void write_kv(KvCache& cache, int layer, Tensor k, Tensor v) noexcept override;
  void attention(const AttentionSpec& spec, const KvCache& cache, int layer, Tensor q,
                 Tensor out) noexcept override;
  void gated_activation(Activation act, Tensor gate_up, Tensor out) noexcept override;
  void activation(Activation act, Tensor x) noexcept override;
  void apply_gate(Tensor gate, Tensor x) noexcept override;
  void clamped_gate(const ClampedGate& gate, Tensor gate_up, Tensor out) noexcept override;
  void xielu(const Weight& parameters, Tensor x) noexcept override;
  void scale_by_position(const PositionScale& scale, Tensor x) noexcept override;
  void scale(float factor, Tensor x) noexcept override;
  void multiply(Tensor y, Tensor x) noexcept override;
  void short_conv(StateRef state, const Weight& taps, const Weight* bias, const Activation* act,
                  Tensor x, Tensor out) noexcept override;
  void time_steps(const TimeStepSpec& spec, const Weight* bias, const Weight* rates, Tensor dt,
                  Tensor log_decay) noexcept override;
  void channel_scan(StateRef state, const Weight& rates, const Weight& skip, Tensor dt, Tensor b,
                    Tensor c, Tensor x, Tensor out) noexcept override;
  void linear_attention(const LinearAttentionSpec& spec, StateRef state,
                        const LinearAttentionRows& rows, Tensor out) noexcept override;
  void gated_scan(StateRef state, const GatedScanRows& rows, Tensor out) noexcept override;
  void decaying_mean(StateRef state, const Weight& rates, const Weight& first, Tensor k, Tensor v,
                     Tensor out) noexcept override;
  void disentangled_attention(const DisentangledSpec& spec, Tensor q, Tensor k, Tensor v,
                              Tensor key_rows, Tensor query_rows, Tensor out) noexcept override;
  void scale_columns(const Weight& factors, Tensor x) noexcept override;
  void add_scaled_rows(Tensor factors, Tensor x, Tensor out) noexcept override;
  void match_sizes(Tensor like, float least, Tensor x) noexcept override;
  void cut_below(float n_deviations, Tensor x) noexcept override;
  void clamp(float limit, Tensor x) noexcept override;
  void softplus(Tensor x) noexcept override;
  void shift_rows(int offset, Tensor x, Tensor out) noexcept override;
  void copy(Tensor x, Tensor out) noexcept override;
  void add(Tensor x, Tensor y, float scale, Tensor out) noexcept override;
  void route(Routing& routing, const Weight* bias, Tensor scores) noexcept override;
  void scatter_to_experts(const Routing& routing, Tensor x, Tensor out) noexcept override;
  void grouped_linear(const Routing& routing, std::span<const Weight* const> experts,
                      std::span<const Weight* const> biases, ExpertDeltas deltas, Tensor x,
                      Tensor out) noexcept override;
  void gather_from_experts(const Routing& routing, Tensor x, Tensor out) noexcept override;
  void gather_outputs(Tensor x, Tensor out) noexcept override;
  void logits(const Weight& weight, const Weight* bias, LinearDeltas deltas, float scale,
              float soft_cap, Tensor x, float* host_out) noexcept override;
  void read(Tensor x, float* host_out) noexcept override;
  void norm_linear(const NormSpec& spec, const Weight& norm_weight, const Weight* norm_bias,
                   const Weight& weight, const Weight* bias, LinearDeltas deltas, Tensor x,
                   Tensor scratch, Tensor out) noexcept override;
  void gated_linear(Activation act, const Weight& weight, const Weight* bias, LinearDeltas deltas,
                    Tensor gate_up, Tensor scratch, Tensor out) noexcept override;

 private:
  /// What follows the product: for logits.
  struct Epilogue {
    float scale = 1.0F;
    float soft_cap = 0.0F;
  };

  /// Keeps the first exception for finish_step.
  template <typename Body>
  void guarded(Body body) noexcept {
    try {
      if (!failure_) body();
    } catch (...) {
      failure_ = std::current_exception();
    }
  }
  /// body(row) for every row; on all threads when n_rows * row_ns is worth it.
  template <typename Body>
  void for_rows(std::int64_t n_rows, double row_ns, Body body) {
    constexpr double kChunkNs = 3000;
    const auto per_chunk =
        std::clamp<std::int64_t>(static_cast<std::int64_t>(kChunkNs / std::max(row_ns, 1.0)), 1,
                                 std::max<std::int64_t>(n_rows, 1));
    const std::int64_t n_chunks = (n_rows + per_chunk - 1) / per_chunk;
    team_.run(static_cast<std::size_t>(n_chunks), [&](std::size_t chunk) {
      const std::int64_t begin = static_cast<std::int64_t>(chunk) * per_chunk;
      const std::int64_t end = std::min(begin + per_chunk, n_rows);
      for (std::int64_t row = begin; row < end; ++row) body(row);
    });
  }
  /// Columns or heads of a state whose work is done at once, [begin, end).
  struct StateRange {
    std::int64_t begin = 0;
    std::int64_t end = 0;
  };
  /// body(state, rows, range) for all segments of a sequence in order, for every sequence and every
  /// range of `per_item` of the state's `n_items` items. Each item has `n_runs` runs of
  /// `run_floats` in the state; items lie side by side in a run.
  struct StateShape {
    std::int64_t n_items = 0;
    std::int64_t per_chunk = 0;
    std::int64_t n_runs = 0;
    std::int64_t run_floats = 0;  ///< Of an item.
  };
  template <typename Body>
  void for_states(StateRef state, const StateShape& shape, Body body);
  void norm_row(const NormSpec& spec, const CpuWeight& weight, const float* bias, const float* x,
                std::int64_t n_columns, float* out) const;
  /// Whether products with a segment of that format take activations in BF16.
  bool takes_bf16(kernels::PackFormat format) const noexcept {
    return format == kernels::PackFormat::kBF16 && n_bf16_planes() > 0;
  }
  /// In how many BF16 activations are kept for BF16 weights; 0: in f32.
  int n_bf16_planes() const noexcept {
    if (precision_ == Precision::kCoarse) return kernels_.linear_bf16 == nullptr ? 0 : 1;
    return kernels_.split_bf16 == nullptr ? 0 : kernels::kSplitPlanes;
  }
  /// The block table of a layer of the cache.
  const step::BlockTable& table_of(const CpuKvCache& cache, int layer);
  /// The forms of activations that a weight's products take, beside f32.
  struct Forms {
    bool quantised = false;
    bool bf16 = false;
    /// The order of columns in the quantised form; null: as they come.
    const std::int32_t* order = nullptr;
    bool any() const noexcept { return quantised || bf16; }
  };
  Forms forms_of(const CpuWeight& weight) const noexcept;
  /// How rows of activations are multiplied: all with one weight, or ranges with several.
  enum class Rows : std::uint8_t { kTogether, kInRanges };
  /// Makes room for `n_rows` of activations in those forms.
  void reserve_forms(Forms forms, std::int64_t n_rows, std::int64_t k, Rows rows);
  void reserve_quant(std::int64_t n_rows, std::int64_t k, Rows rows);
  /// Where the parts of a delta are while it is made.
  struct DeltaMemory {
    std::int64_t low = 0;   ///< First float of a x, [n_rows, rank].
    std::int64_t high = 0;  ///< Of b (a x) + shift, [n_rows, n].
  };
  /// Does to `out`, which holds the linear of x, what the deltas say.
  void apply_deltas(LinearDeltas deltas, const Weight* bias, Tensor x, Tensor out);
  void apply_expert_deltas(const RoutedSlots& slots, std::span<const Weight* const> biases,
                           ExpertDeltas deltas, Tensor x, Tensor out);
  void plan_deltas(LinearDeltas deltas, Tensor out);
  void multiply_deltas(LinearDeltas deltas, Tensor x);
  void add_delta_row(const LinearDelta& delta, std::int64_t high, const float* bias, std::int64_t t,
                     Tensor out) const;
  /// One weight times some of the rows.
  struct Product {
    const CpuWeight* weight = nullptr;
    const float* bias = nullptr;
    std::int64_t row_begin = 0;
    std::int64_t row_end = 0;
    Tensor x{};
    Tensor out{};
    bool in_f32 = false;  ///< Activations are taken as they are, and the weight is of values.
  };
  /// The products, activations given (and already in the forms that the weights take).
  void multiply(std::span<const Product> products, const Epilogue& epilogue);
  /// How a segment's product is cut into chunks of work.
  struct Cut {
    const Product* product = nullptr;
    const Segment* segment = nullptr;
    std::int64_t tiles = 0;  ///< Per chunk.
    std::int64_t rows = 0;
    std::int64_t n_row_chunks = 0;
    std::int64_t first_chunk = 0;
  };
  void run_chunk(const Cut& cut, std::int64_t chunk, const Epilogue& epilogue) const;
  /// Row `row` of x in those forms.
  void convert(Forms forms, Tensor x, std::int64_t row);
  /// Activation rows come from prepare(row), which fills row `row` of `x`; then converts and
  /// multiplies.
  template <typename Prepare>
  void prepare_and_multiply(const CpuWeight& weight, const Weight* bias, LinearDeltas deltas,
                            Tensor x, Tensor out, double row_ns, Prepare prepare);

  const kernels::Kernels& kernels_;
  base::ThreadTeam team_;
  Arena arena_{std::size_t{256} << 20U};  // what is not touched costs nothing
  /// Of adapters, which come and go: one that stays keeps little of those beside it.
  Arena beside_{std::size_t{4} << 20U};
  std::optional<KnownLayouts> known_{};
  const Precision precision_;
  const bool sizes_only_;
  std::exception_ptr failure_{};
  AlignedMemory quant_memory_{};
  kernels::QuantRows quant_{};
  AlignedMemory bf16_memory_{};    ///< [T, planes, in rounded up to even]
  AlignedMemory sorted_memory_{};  ///< [T, in], f32
  AlignedMemory delta_memory_{};
  std::vector<DeltaMemory> delta_places_{};
  std::int64_t delta_base_ = -1;  ///< First float of what the linear alone gave; -1: not kept.
  std::vector<LinearDelta> slot_deltas_{};
  std::vector<Cut> cuts_{};
  std::vector<Product> products_{};
  const step::Step* step_ = nullptr;
  step::BlockTable own_table_{};  ///< Of layers that see the step's own rows.
  std::uint64_t own_table_step_ = 0;
  int own_table_block_size_ = 0;
  std::uint64_t step_number_ = 0;
  StateSegments segments_{};
  AlignedMemory decay_memory_{};  ///< Decays and betas of linear attention.
  AlignedMemory attention_states_{};
  std::vector<std::int64_t> attention_first_{};
};

/// Row `row` of a tensor in this device's memory.
inline float* row_of(const Tensor& x, std::int64_t row) {
  return static_cast<float*>(x.data) + row * x.stride;
}
const CpuWeight& as_cpu(const Weight& weight);
const float* vector_of(const Weight* weight);
kernels::Act to_act(Activation act);

}  // namespace openllm::device::cpu
