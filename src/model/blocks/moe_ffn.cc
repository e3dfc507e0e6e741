#include "model/blocks/moe_ffn.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "model/blocks/linear.h"

namespace openllm::model {
namespace {

using device::Tensor;

/// The same linear of every expert, over rows sorted by expert.
class ExpertLinear {
 public:
  ExpertLinear(BlockBuilder& builder, const std::vector<LinearPart>& parts, std::int64_t n_in,
               const device::RouterSpec& router, At at)
      : experts_(builder.loader.experts(parts, n_in, router.n_experts, router.top_k, at)) {
    at.n_experts = router.n_experts;
    for (at.expert = 0; at.expert < router.n_experts; ++at.expert) {
      builder.loader.list_modules(parts, n_in, at, experts_[static_cast<std::size_t>(at.expert)]);
    }
    for (const LinearPart& part : parts) n_out_ += part.n_out;
    for (std::size_t p = 0; p < experts_[0].size(); ++p) {
      Piece& piece = pieces_.emplace_back();
      piece.begin = experts_[0][p].begin;
      for (const std::vector<LinearPiece>& expert : experts_) {
        piece.weights.push_back(expert[p].weight.get());
        piece.ids.push_back(expert[p].id);
        if (expert[p].bias) piece.biases.push_back(expert[p].bias.get());
      }
    }
  }

  std::int64_t n_out() const noexcept { return n_out_; }
  void run(Run& run, const device::Routing& routing, Tensor x, Tensor out) const {
    for (const Piece& piece : pieces_) {
      run.device.grouped_linear(routing, piece.weights, piece.biases, run.expert_deltas(piece.ids),
                                x, out.columns(piece.begin, piece.weights[0]->out_features()));
    }
  }

 private:
  struct Piece {
    std::int64_t begin = 0;
    std::vector<const device::Weight*> weights{};
    std::vector<const device::Weight*> biases{};
    std::vector<int> ids{};  ///< LinearPiece::id of each expert's.
  };
  std::vector<std::vector<LinearPiece>> experts_;  // [expert][piece]
  std::vector<Piece> pieces_{};
  std::int64_t n_out_ = 0;
};

LinearPart router_part(const MoeFfnSpec& spec) {
  LinearPart part{role::kRouter, spec.router.n_experts, spec.router_bias};
  part.keeps_type = true;
  return part;
}

class MoeFfn final : public Ffn {
 public:
  MoeFfn(const MoeFfnSpec& spec, BlockBuilder& builder, At at)
      : spec_(spec),
        dim_(builder.dim),
        router_(builder, {router_part(spec)}, builder.dim, at),
        in_(builder, in_parts(spec.expert, builder, at), builder.dim, spec.router, at),
        down_(builder, {{role::kExpertDown, builder.dim, spec.expert.bias}}, spec.expert.ffn_dim,
              spec.router, at),
        routing_(builder.loader.device().make_routing(router_spec(spec, builder, at))) {
    if (spec.own_norms) load_own_norms(builder, at);
    if (spec.router_correction) {
      correction_ = builder.loader.values(role::kRouterCorrection, at, spec.router.n_experts);
    }
    if (spec.post_norm) post_norm_.emplace(builder, role::kMoePostNorm, at, builder.dim);
    if (spec.output_bias) bias_ = load_bias(builder, at);
    if (!spec.shared) return;
    shared_ = make_dense_ffn(
        *spec.shared, builder, at,
        {role::kSharedGate, role::kSharedUp, role::kSharedDown, role::kSharedGateUp});
    if (spec.shared_score) {
      shared_score_.emplace(builder, std::vector<LinearPart>{{role::kSharedScore, 1}}, builder.dim,
                            at);
    }
  }

  std::int64_t scratch(std::int64_t n_rows) const noexcept override {
    const std::int64_t n_slots = n_rows * spec_.router.top_k;
    const std::int64_t experts = 2 * Scratch::size_of(n_slots, dim_) +
                                 Scratch::size_of(n_slots, in_.n_out()) +
                                 Scratch::size_of(n_slots, spec_.expert.ffn_dim);
    const std::int64_t shared = shared_ ? Scratch::size_of(n_rows, dim_) +
                                              shared_->scratch(n_rows) + Scratch::size_of(n_rows, 1)
                                        : 0;
    return (expert_norm_ ? 2 : 1) * Scratch::size_of(n_rows, dim_) +
           Scratch::size_of(n_rows, spec_.router.n_experts) + std::max(experts, shared);
  }

  void run(Run& run, const Input& input, Tensor out) override {
    const Scratch::Frame frame(run.scratch);
    const std::int64_t n_rows = input.x.rows;
    // `out` may be the input's scratch, which is still read when the shared part has run.
    const Tensor sum = run.scratch.take(n_rows, dim_);
    const Tensor x = run_routed(run, input, sum);
    if (bias_) {
      run.device.embed(*bias_, {.by = device::Lookup::By::kConstant, .add = true}, sum);
    }
    if (!shared_) {
      run.device.copy(sum, out);
      if (post_norm_) post_norm_->run(run, out, out);
      return;
    }
    const Scratch::Frame shared_frame(run.scratch);
    const Tensor from_shared = run.scratch.take(n_rows, dim_);
    shared_->run(run, {nullptr, x, {}}, from_shared);
    if (shared_score_) {
      const Tensor score = run.scratch.take(n_rows, 1);
      shared_score_->run(run, x, score);
      run.device.apply_gate(score, from_shared);
    }
    if (shared_post_norm_) shared_post_norm_->run(run, from_shared, from_shared);
    run.device.add(sum, from_shared, 1.0F, out);
    if (post_norm_) post_norm_->run(run, out, out);
  }

 private:
  static std::vector<LinearPart> in_parts(const DenseFfnSpec& spec, BlockBuilder& builder, At at) {
    const TensorIndex& index = builder.loader.index();
    if (spec.gated && (index.has(role::kExpertGateUp, at) || !index.knows(role::kExpertGate))) {
      return {{role::kExpertGateUp, std::int64_t{2} * spec.ffn_dim, spec.bias}};
    }
    std::vector<LinearPart> parts;
    if (spec.gated) parts.push_back({role::kExpertGate, spec.ffn_dim, spec.bias});
    parts.push_back({role::kExpertUp, spec.ffn_dim, spec.bias});
    return parts;
  }

  static device::RouterSpec router_spec(const MoeFfnSpec& spec, BlockBuilder& builder, At at) {
    device::RouterSpec router = spec.router;
    if (spec.own_norms)
      router.gains = builder.loader.host_values(role::kExpertGains, at, router.n_experts);
    return router;
  }

  /// As a table of one row, which is added to all.
  static WeightPtr load_bias(BlockBuilder& builder, At at) {
    const std::vector<float> values = builder.loader.host_values(role::kMoeBias, at, builder.dim);
    return builder.loader.made_table(1, builder.dim, values);
  }

  void load_own_norms(BlockBuilder& builder, At at) {
    const float factor = 1.0F / std::sqrt(static_cast<float>(dim_));
    router_norm_.kind = builder.norm.kind;
    router_norm_.eps = builder.norm.eps;
    router_scale_ = builder.loader.changed(role::kRouterScale, at, {dim_}, "",
                                           [factor](std::vector<float>& values) {
                                             for (float& value : values) value *= factor;
                                           });
    expert_norm_.emplace(builder, role::kExpertNorm, at, dim_);
    expert_post_norm_.emplace(builder, role::kExpertPostNorm, at, dim_);
    if (spec_.shared) shared_post_norm_.emplace(builder, role::kSharedPostNorm, at, dim_);
  }

  /// out = what the experts give; the rows that a shared part reads.
  Tensor run_routed(Run& run, const Input& input, Tensor out) const {
    if (!expert_norm_) {
      const Tensor x = input.normalised(run);
      route(run, x);
      run_experts(run, x, out);
      return x;
    }
    const Scratch::Frame frame(run.scratch);
    const Tensor own = run.scratch.take(input.x.rows, dim_);
    run.device.norm(router_norm_, *router_scale_, nullptr, input.x, own);
    route(run, own);
    expert_norm_->run(run, input.x, own);
    run_experts(run, own, out);
    expert_post_norm_->run(run, out, out);
    return input.normalised(run);
  }

  void route(Run& run, Tensor x) const {
    const Scratch::Frame frame(run.scratch);
    const Tensor scores = run.scratch.take(x.rows, spec_.router.n_experts);
    router_.run(run, x, scores);
    run.device.route(*routing_, correction_.get(), scores);
  }

  void run_experts(Run& run, Tensor x, Tensor out) const {
    const Scratch::Frame frame(run.scratch);
    device::Device& device = run.device;
    const std::int64_t n_slots = x.rows * spec_.router.top_k;
    const Tensor slots = run.scratch.take(n_slots, dim_);
    const Tensor in = run.scratch.take(n_slots, in_.n_out());
    const Tensor products = run.scratch.take(n_slots, dim_);
    device.scatter_to_experts(*routing_, x, slots);
    in_.run(run, *routing_, slots, in);
    Tensor act = in;
    if (spec_.expert.clamped_gate) {
      act = run.scratch.take(n_slots, spec_.expert.ffn_dim);
      device.clamped_gate(*spec_.expert.clamped_gate, in, act);
    } else if (spec_.expert.gated) {
      act = run.scratch.take(n_slots, spec_.expert.ffn_dim);
      device.gated_activation(spec_.expert.activation, in, act);
    } else {
      device.activation(spec_.expert.activation, in);
    }
    down_.run(run, *routing_, act, products);
    device.gather_from_experts(*routing_, products, out);
  }

  const MoeFfnSpec spec_;
  const std::int64_t dim_;
  const Linear router_;
  const ExpertLinear in_;
  const ExpertLinear down_;
  const std::unique_ptr<device::Routing> routing_;
  WeightPtr correction_{};
  WeightPtr bias_{};
  device::NormSpec router_norm_{};
  WeightPtr router_scale_{};
  std::optional<Norm> expert_norm_{};
  std::optional<Norm> expert_post_norm_{};
  std::optional<Norm> shared_post_norm_{};
  std::optional<Norm> post_norm_{};
  std::unique_ptr<Ffn> shared_{};
  std::optional<Linear> shared_score_{};
};

}  // namespace

std::unique_ptr<Ffn> make_moe_ffn(const MoeFfnSpec& spec, BlockBuilder& builder, At at) {
  return std::make_unique<MoeFfn>(spec, builder, at);
}

}  // namespace openllm::model
