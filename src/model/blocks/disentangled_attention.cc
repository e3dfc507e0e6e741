#include "model/blocks/disentangled_attention.h"

#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "model/blocks/linear.h"
#include "model/blocks/self_attention.h"

namespace openllm::model {
namespace {

using device::Tensor;

/// Rows of the buckets, which all layers share.
struct DistanceRows {
  DistanceRows(const DisentangledAttentionSpec& spec, BlockBuilder& builder)
      : table(builder.loader.table(role::kDistanceRows, spec.n_buckets, builder.dim, false)) {
    if (!spec.norms_rows) return;
    NormSpec own = builder.norm;
    own.adapts = false;  // Buckets are of no row.
    norm.emplace(builder, role::kDistanceNorm, At{}, builder.dim, own);
  }

  const WeightPtr table;
  std::optional<Norm> norm{};
};

/// A linear that cannot have adapters: those are of the step's rows, buckets are of none.
class PlainLinear {
 public:
  PlainLinear(BlockBuilder& builder, const LinearPart& part, At at)
      : pieces_(builder.loader.linear({part}, builder.dim, at)) {}
  PlainLinear(BlockBuilder& builder, Role role, std::int64_t n_out, At at)
      : PlainLinear(builder, {role, n_out, true}, at) {}
  /// With a bias that is a tensor of its own.
  PlainLinear(BlockBuilder& builder, const LinearPart& part, Role bias, At at)
      : PlainLinear(builder, part, at) {
    pieces_.front().bias = builder.loader.values(bias, at, part.n_out);
  }

  void run(Run& run, Tensor x, Tensor out) const {
    for (const LinearPiece& piece : pieces_) {
      run.device.linear(*piece.weight, piece.bias.get(), {}, x,
                        out.columns(piece.begin, piece.weight->out_features()));
    }
  }

 private:
  std::vector<LinearPiece> pieces_;
};

class DisentangledAttention final : public Mixer {
 public:
  DisentangledAttention(const DisentangledAttentionSpec& spec, BlockBuilder& builder, At at)
      : spec_(spec),
        dim_(builder.dim),
        q_(spec.is_fused ? PlainLinear(builder, fused_part(spec, 0), role::kQBias, at)
                         : PlainLinear(builder, role::kQ, spec.width(), at)),
        k_(spec.is_fused ? PlainLinear(builder, fused_part(spec, 1), at)
                         : PlainLinear(builder, role::kK, spec.width(), at)),
        output_(builder, {{role::kAttentionOutput, builder.dim, true}}, spec.width(), at) {
    if (spec.is_fused) {
      fused_v_.emplace(builder, fused_part(spec, 2), role::kVBias, at);
    } else {
      v_.emplace(builder, std::vector<LinearPart>{{role::kV, spec.width(), true}}, builder.dim, at);
    }
    attention_.n_heads = spec.n_heads;
    attention_.head_dim = spec.head_dim;
    attention_.scale = spec.scale;
    attention_.buckets = spec.buckets;
    if (spec.n_buckets == 0) return;
    rows_ = share(spec, builder);
    if (!spec.own_linears) return;
    if (spec.has_keys) {
      const LinearPart keys{role::kDistanceKey, spec.width(), !spec.is_fused};
      distance_key_.emplace(builder, keys, at);
    }
    if (spec.has_queries) distance_query_.emplace(builder, role::kDistanceQuery, spec.width(), at);
  }

  std::int64_t width() const noexcept override { return spec_.width(); }
  std::int64_t scratch(std::int64_t n_rows) const noexcept override {
    return Scratch::size_of(n_rows, 3 * width()) + Scratch::size_of(spec_.n_buckets, dim_) +
           2 * Scratch::size_of(spec_.n_buckets, width());
  }
  /// Nothing but that sequences come whole.
  KvNeed kv_need() const noexcept override { return {kv::KvKind::kFull, 0, 1, 1, 1, true}; }

  void mix(Run& run, const Input& input, int /*kv_layer*/, Tensor mixed) override {
    const Scratch::Frame frame(run.scratch);
    const Tensor x = input.normalised(run);
    const Tensor qkv = run.scratch.take(x.rows, 3 * width());
    const Tensor q = qkv.columns(0, width());
    const Tensor k = qkv.columns(width(), width());
    const Tensor v = qkv.columns(2 * width(), width());
    q_.run(run, x, q);
    k_.run(run, x, k);
    if (v_) {
      v_->run(run, x, v);
    } else {
      fused_v_->run(run, x, v);
    }
    Tensor keys;
    Tensor queries;
    if (rows_ != nullptr) std::tie(keys, queries) = run_distances(run);
    run.device.disentangled_attention(attention_, q, k, v, keys, queries, mixed);
  }
  void project(Run& run, Tensor mixed, Tensor out) override { output_.run(run, mixed, out); }

 private:
  /// Part 0, 1 or 2 of each head of a fused QKV.
  static LinearPart fused_part(const DisentangledAttentionSpec& spec, int part) {
    const std::int64_t n = spec.head_dim;
    return {role::kQkv, spec.width(), false, 0, {spec.n_heads, 3 * n, part * n, n}};
  }
  static std::shared_ptr<const DistanceRows> share(const DisentangledAttentionSpec& spec,
                                                   BlockBuilder& builder) {
    constexpr int kOfTheStack = -1;
    std::shared_ptr<const void>& known = builder.shared[kOfTheStack];
    if (known == nullptr) known = std::make_shared<const DistanceRows>(spec, builder);
    return std::static_pointer_cast<const DistanceRows>(known);
  }

  /// Keys and queries of the buckets, in the caller's frame.
  std::pair<Tensor, Tensor> run_distances(Run& run) const {
    std::pair<Tensor, Tensor> result;
    const Tensor rows = run.scratch.take(spec_.n_buckets, dim_);
    run.device.embed(*rows_->table, {.by = device::Lookup::By::kRow}, rows);
    if (rows_->norm) rows_->norm->run(run, rows, rows);
    if (spec_.has_keys) {
      result.first = run.scratch.take(spec_.n_buckets, width());
      (distance_key_ ? *distance_key_ : k_).run(run, rows, result.first);
    }
    if (spec_.has_queries) {
      result.second = run.scratch.take(spec_.n_buckets, width());
      (distance_query_ ? *distance_query_ : q_).run(run, rows, result.second);
    }
    return result;
  }

  const DisentangledAttentionSpec spec_;
  const std::int64_t dim_;
  device::DisentangledSpec attention_{};
  const PlainLinear q_;
  const PlainLinear k_;
  std::optional<Linear> v_{};
  std::optional<PlainLinear> fused_v_{};
  const Linear output_;
  std::shared_ptr<const DistanceRows> rows_{};
  std::optional<PlainLinear> distance_key_{};
  std::optional<PlainLinear> distance_query_{};
};

}  // namespace

std::unique_ptr<Mixer> make_disentangled_attention(const DisentangledAttentionSpec& spec,
                                                   BlockBuilder& builder, At at) {
  return std::make_unique<DisentangledAttention>(spec, builder, at);
}

}  // namespace openllm::model
