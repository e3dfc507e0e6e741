#include "model/blocks/attention_before_mamba2.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "model/blocks/linear.h"

namespace openllm::model {
namespace {

using device::Tensor;

/// What layers share.
struct SharedWeights {
  SharedWeights(const AttentionBeforeMamba2Spec& spec, BlockBuilder& builder, At at)
      : first_piece(builder.loader.n_listed_pieces()),
        norm(builder, role::kSharedInputNorm, at, 2 * builder.dim),
        qkv(builder,
            {{role::kSharedQ, spec.q_width(), false, spec.head_dim},
             {role::kSharedK, spec.kv_width(), false, spec.head_dim},
             {role::kSharedV, spec.kv_width()}},
            2 * builder.dim, at),
        output(builder, {{role::kSharedOutput, builder.dim}}, spec.q_width(), at),
        ffn_norm(builder, role::kSharedFfnNorm, at, builder.dim),
        ffn_in(builder, {{role::kSharedFfnIn, std::int64_t{2} * spec.ffn.ffn_dim, spec.ffn.bias}},
               builder.dim, at),
        ffn_down(builder, {{role::kSharedFfnDown, builder.dim, spec.ffn.bias}}, spec.ffn.ffn_dim,
                 at),
        n_pieces(builder.loader.n_listed_pieces() - first_piece) {}

  const int first_piece;
  const Norm norm;
  const Linear qkv;
  const Linear output;
  const Norm ffn_norm;
  const Linear ffn_in;
  const Linear ffn_down;
  const int n_pieces;
};

/// out += high(low(x))
class Correction {
 public:
  Correction(BlockBuilder& builder, std::pair<Role, Role> roles, std::int64_t n_in,
             std::int64_t rank, std::int64_t n_out, At at)
      : low_(builder, {{roles.first, rank}}, n_in, at),
        high_(builder, {{roles.second, n_out}}, rank, at) {}

  std::int64_t scratch(std::int64_t n_rows) const noexcept {
    return Scratch::size_of(n_rows, low_.n_out()) + Scratch::size_of(n_rows, high_.n_out());
  }
  void run(Run& run, Tensor x, Tensor out) const {
    const Scratch::Frame frame(run.scratch);
    const Tensor low = run.scratch.take(x.rows, low_.n_out());
    const Tensor high = run.scratch.take(x.rows, high_.n_out());
    low_.run(run, x, low);
    high_.run(run, low, high);
    run.device.add(out, high, 1.0F, out);
  }

 private:
  const Linear low_;
  const Linear high_;
};

class AttentionBeforeMamba2 final : public Mixer {
 public:
  AttentionBeforeMamba2(const AttentionBeforeMamba2Spec& spec, BlockBuilder& builder, At at)
      : spec_(spec), dim_(builder.dim), shared_(share(spec, builder)) {
    if (at.layer != spec.owner) {
      shift_ = builder.loader.list_again(shared_->first_piece, shared_->n_pieces, at.layer);
    }
    const int first_own = builder.loader.n_listed_pieces();
    const At own{.layer = spec.owner, .expert = spec.number};
    const std::int64_t rank = spec.correction_rank;
    if (spec.corrects_attention) {
      q_.emplace(builder, std::pair{role::kSharedQLow, role::kSharedQHigh}, 2 * dim_, rank,
                 spec.q_width(), own);
      k_.emplace(builder, std::pair{role::kSharedKLow, role::kSharedKHigh}, 2 * dim_, rank,
                 spec.kv_width(), own);
      v_.emplace(builder, std::pair{role::kSharedVLow, role::kSharedVHigh}, 2 * dim_, rank,
                 spec.kv_width(), own);
    }
    ffn_.emplace(builder, std::pair{role::kSharedFfnLow, role::kSharedFfnHigh}, dim_, rank,
                 std::int64_t{2} * spec.ffn.ffn_dim, own);
    // Files have them where the owner is, adapters where they are used.
    builder.loader.move_listed(first_own, at.layer);
    to_mamba_ = Linear(builder, {{role::kSharedToMamba, dim_}}, dim_, at);
    mamba_norm_.emplace(builder, role::kSharedMambaNorm, at, dim_);
    mamba_ = make_mamba2(spec.mamba, builder, at);
    attention_.n_heads = spec.n_heads;
    attention_.n_kv_heads = spec.n_kv_heads;
    attention_.head_dim = spec.head_dim;
    attention_.value_dim = spec.head_dim;
    attention_.scale = spec.scale;
  }

  std::int64_t width() const noexcept override { return mamba_->width(); }
  std::int64_t scratch(std::int64_t n_rows) const noexcept override {
    const std::int64_t ffn = Scratch::size_of(n_rows, std::int64_t{2} * spec_.ffn.ffn_dim) +
                             Scratch::size_of(n_rows, spec_.ffn.ffn_dim) + ffn_->scratch(n_rows);
    const std::int64_t attention =
        Scratch::size_of(n_rows, 2 * dim_) +
        Scratch::size_of(n_rows, spec_.q_width() + 2 * spec_.kv_width()) +
        Scratch::size_of(n_rows, spec_.q_width()) + (q_ ? q_->scratch(n_rows) : 0);
    return 2 * Scratch::size_of(n_rows, dim_) + std::max({ffn, attention, mamba_->scratch(n_rows)});
  }
  KvNeed kv_need() const noexcept override {
    return {kv::KvKind::kFull, 0, spec_.n_kv_heads, spec_.head_dim, spec_.head_dim};
  }
  std::vector<KvNeed> kv_needs() const override { return {kv_need(), mamba_->kv_need()}; }

  void mix(Run& run, const Input& input, int kv_layer, Tensor mixed) override {
    const Scratch::Frame frame(run.scratch);
    const Tensor h = run.scratch.take(input.x.rows, dim_);
    const Tensor spare = run.scratch.take(input.x.rows, dim_);
    Run shared = run;
    shared.piece_shift = shift_;
    attend(run, shared, input.x, kv_layer, h);
    shared_->ffn_norm.run(shared, h, h);
    run_ffn(run, shared, h, spare);
    to_mamba_.run(run, spare, h);
    run.device.add(input.x, h, 1.0F, h);
    mamba_->mix(run, {&*mamba_norm_, h, spare}, kv_layer + 1, mixed);
  }
  void project(Run& run, Tensor mixed, Tensor out) override { mamba_->project(run, mixed, out); }

 private:
  static std::shared_ptr<const SharedWeights> share(const AttentionBeforeMamba2Spec& spec,
                                                    BlockBuilder& builder) {
    std::shared_ptr<const void>& known = builder.shared[spec.owner];
    if (known == nullptr)
      known = std::make_shared<const SharedWeights>(spec, builder, At{.layer = spec.owner});
    return std::static_pointer_cast<const SharedWeights>(known);
  }

  /// `shared`: the run of what layers share.
  void attend(Run& run, Run& shared, Tensor x, int kv_layer, Tensor out) const {
    const Scratch::Frame frame(run.scratch);
    device::Device& device = run.device;
    const std::int64_t n_q = spec_.q_width();
    const std::int64_t n_kv = spec_.kv_width();
    const Tensor pair = run.scratch.take(x.rows, 2 * dim_);
    device.copy(x, pair.columns(0, dim_));
    device.copy(run.embedded, pair.columns(dim_, dim_));
    shared_->norm.run(shared, pair, pair);
    const Tensor qkv = run.scratch.take(x.rows, n_q + 2 * n_kv);
    const Tensor q = qkv.columns(0, n_q);
    const Tensor k = qkv.columns(n_q, n_kv);
    const Tensor v = qkv.columns(n_q + n_kv, n_kv);
    shared_->qkv.run(shared, pair, qkv);
    if (q_) {
      q_->run(run, pair, q);
      k_->run(run, pair, k);
      v_->run(run, pair, v);
    }
    if (spec_.rope >= 0) {
      device.rope(*run.ropes[static_cast<std::size_t>(spec_.rope)], spec_.head_dim,
                  qkv.columns(0, n_q + n_kv));
    }
    device.write_kv(run.kv, kv_layer, k, v);
    const Tensor heads = run.scratch.take(x.rows, n_q);
    device.attention(attention_, run.kv, kv_layer, q, heads);
    shared_->output.run(shared, heads, out);
  }

  void run_ffn(Run& run, Run& shared, Tensor x, Tensor out) const {
    const Scratch::Frame frame(run.scratch);
    const Tensor in = run.scratch.take(x.rows, std::int64_t{2} * spec_.ffn.ffn_dim);
    const Tensor act = run.scratch.take(x.rows, spec_.ffn.ffn_dim);
    shared_->ffn_in.run(shared, x, in);
    ffn_->run(run, x, in);
    shared_->ffn_down.run_gated(shared, spec_.ffn.activation, in, act, out);
  }

  const AttentionBeforeMamba2Spec spec_;
  const std::int64_t dim_;
  const std::shared_ptr<const SharedWeights> shared_;
  int shift_ = 0;  ///< Run::piece_shift of what is shared.
  device::AttentionSpec attention_{};
  std::optional<Correction> q_{};
  std::optional<Correction> k_{};
  std::optional<Correction> v_{};
  std::optional<Correction> ffn_{};
  Linear to_mamba_{};
  std::optional<Norm> mamba_norm_{};
  std::unique_ptr<Mixer> mamba_{};
};

}  // namespace

std::unique_ptr<Mixer> make_attention_before_mamba2(const AttentionBeforeMamba2Spec& spec,
                                                    BlockBuilder& builder, At at) {
  return std::make_unique<AttentionBeforeMamba2>(spec, builder, at);
}

}  // namespace openllm::model
