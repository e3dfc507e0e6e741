#include "model/blocks/latent_attention.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "model/blocks/linear.h"

namespace openllm::model {
namespace {

using device::Tensor;

class LatentAttention final : public Mixer {
 public:
  LatentAttention(const LatentAttentionSpec& spec, BlockBuilder& builder, At at) : spec_(spec) {
    const std::int64_t n_q = std::int64_t{spec.n_heads} * q_dim();
    if (spec.q_rank > 0) {
      q_down_ = Linear(builder, {{role::kLatentQDown, spec.q_rank, spec.bias}}, builder.dim, at);
      q_norm_.emplace(builder, role::kLatentQNorm, at, spec.q_rank, spec.norm);
      q_up_ = Linear(builder, {{role::kLatentQUp, n_q, false}}, spec.q_rank, at);
    } else {
      q_up_ = Linear(builder, {{role::kLatentQ, n_q, false}}, builder.dim, at);
    }
    kv_down_ = Linear(builder, {{role::kLatentKvDown, spec.kv_rank + spec.rope_dim, spec.bias}},
                      builder.dim, at);
    kv_norm_.emplace(builder, role::kLatentKvNorm, at, spec.kv_rank, spec.norm);
    load_heads(builder.loader, at);
    list_heads(builder.loader, at);
    output_ = Linear(builder, {{role::kLatentOutput, builder.dim, spec.output_bias}},
                     std::int64_t{spec.n_heads} * spec.value_dim, at);
    attention_.n_heads = spec.n_heads;
    attention_.n_kv_heads = 1;
    attention_.head_dim = key_dim();
    attention_.value_dim = spec.kv_rank;
    attention_.scale = spec.scale;
  }

  std::int64_t width() const noexcept override {
    return std::int64_t{spec_.n_heads} * spec_.kv_rank;
  }
  std::int64_t scratch(std::int64_t n_rows) const noexcept override {
    const std::int64_t heads = spec_.n_heads;
    const std::int64_t mixing =
        Scratch::size_of(n_rows, spec_.q_rank) + Scratch::size_of(n_rows, heads * q_dim()) +
        Scratch::size_of(n_rows, heads * key_dim()) + 2 * Scratch::size_of(n_rows, key_dim());
    return std::max(mixing, Scratch::size_of(n_rows, heads * spec_.value_dim));
  }
  KvNeed kv_need() const noexcept override {
    return {kv::KvKind::kFull, 0, 1, key_dim(), spec_.kv_rank};
  }

  void mix(Run& run, const Input& input, int kv_layer, Tensor mixed) override {
    const Scratch::Frame frame(run.scratch);
    const Tensor x = input.normalised(run);
    const Tensor queries = latent_queries(run, x);
    rotate(run, queries);

    const Tensor down = run.scratch.take(x.rows, key_dim());
    const Tensor keys = run.scratch.take(x.rows, key_dim());
    kv_down_.run(run, x, down);
    const Tensor latent = keys.columns(spec_.rope_dim, spec_.kv_rank);
    run.device.copy(down.columns(spec_.kv_rank, spec_.rope_dim), keys.columns(0, spec_.rope_dim));
    kv_norm_->run(run, down.columns(0, spec_.kv_rank), latent);
    rotate(run, keys);
    run.device.write_kv(run.kv, kv_layer, keys, latent);
    run.device.attention(attention_, run.kv, kv_layer, queries, mixed);
  }

  void project(Run& run, Tensor mixed, Tensor out) override {
    const Scratch::Frame frame(run.scratch);
    const Tensor values =
        run.scratch.take(mixed.rows, std::int64_t{spec_.n_heads} * spec_.value_dim);
    for (std::int64_t h = 0; h < spec_.n_heads; ++h) {
      run.device.linear(*value_up_[static_cast<std::size_t>(h)], nullptr,
                        run.deltas(value_pieces_[static_cast<std::size_t>(h)]),
                        mixed.columns(h * spec_.kv_rank, spec_.kv_rank),
                        values.columns(h * spec_.value_dim, spec_.value_dim));
    }
    output_.run(run, values, out);
  }

 private:
  int q_dim() const noexcept { return spec_.nope_dim + spec_.rope_dim; }
  /// Of a cached row: the rotated part comes first, where RoPE turns.
  int key_dim() const noexcept { return spec_.rope_dim + spec_.kv_rank; }

  void rotate(Run& run, Tensor x) const {
    if (spec_.rope >= 0)
      run.device.rope(*run.ropes[static_cast<std::size_t>(spec_.rope)], key_dim(), x);
  }
  void load_heads(WeightLoader& loader, At at) {
    if (loader.index().has(role::kLatentKUp, at)) {
      load_parted_heads(loader, at);
      return;
    }
    const std::int64_t rows = spec_.nope_dim + spec_.value_dim;
    const tensor::Shape shape{spec_.n_heads * rows, spec_.kv_rank};
    for (std::int64_t h = 0; h < spec_.n_heads; ++h) {
      query_up_.push_back(
          loader.rows(role::kLatentKvUp, at, shape, h * rows, spec_.nope_dim, true));
      value_up_.push_back(loader.rows(role::kLatentKvUp, at, shape, h * rows + spec_.nope_dim,
                                      spec_.value_dim, false));
    }
  }

  /// However the file has them, adapters know them as one module.
  void list_heads(WeightLoader& loader, At at) {
    const std::int64_t rows = spec_.nope_dim + spec_.value_dim;
    for (std::int64_t h = 0; h < spec_.n_heads; ++h) {
      AdaptableModule module{.ref = {role::kLatentKvUp, at}, .n_in = spec_.kv_rank};
      module.rows = {1, spec_.n_heads * rows, h * rows, spec_.nope_dim};
      module.n_out = spec_.nope_dim;
      module.weight = query_up_[static_cast<std::size_t>(h)].get();
      module.turned = true;
      query_pieces_.push_back(loader.list_module(module));
      module.rows = {1, spec_.n_heads * rows, h * rows + spec_.nope_dim, spec_.value_dim};
      module.n_out = spec_.value_dim;
      module.weight = value_up_[static_cast<std::size_t>(h)].get();
      module.turned = false;
      value_pieces_.push_back(loader.list_module(module));
    }
  }

  void load_parted_heads(WeightLoader& loader, At at) {
    At head = at;
    head.n_experts = spec_.n_heads;
    for (head.expert = 0; head.expert < spec_.n_heads; ++head.expert) {
      query_up_.push_back(loader.slice(role::kLatentKUp, head, spec_.kv_rank, spec_.nope_dim));
      value_up_.push_back(loader.slice(role::kLatentVUp, head, spec_.value_dim, spec_.kv_rank));
    }
  }

  /// Queries [T, H * key_dim] that meet the cached rows.
  Tensor latent_queries(Run& run, Tensor x) const {
    const std::int64_t heads = spec_.n_heads;
    Tensor low = x;
    if (spec_.q_rank > 0) {
      low = run.scratch.take(x.rows, spec_.q_rank);
      q_down_.run(run, x, low);
      q_norm_->run(run, low, low);
    }
    const Tensor q = run.scratch.take(x.rows, heads * q_dim());
    q_up_.run(run, low, q);
    const Tensor out = run.scratch.take(x.rows, heads * key_dim());
    for (std::int64_t h = 0; h < heads; ++h) {
      run.device.copy(q.columns(h * q_dim() + spec_.nope_dim, spec_.rope_dim),
                      out.columns(h * key_dim(), spec_.rope_dim));
      run.device.linear(*query_up_[static_cast<std::size_t>(h)], nullptr,
                        run.deltas(query_pieces_[static_cast<std::size_t>(h)]),
                        q.columns(h * q_dim(), spec_.nope_dim),
                        out.columns(h * key_dim() + spec_.rope_dim, spec_.kv_rank));
    }
    return out;
  }

  const LatentAttentionSpec spec_;
  device::AttentionSpec attention_{};
  Linear q_down_{};
  std::optional<Norm> q_norm_{};
  Linear q_up_{};
  Linear kv_down_{};
  std::optional<Norm> kv_norm_{};
  std::vector<WeightPtr> query_up_{};  ///< K^T of each head, [kv_rank, nope_dim]
  std::vector<WeightPtr> value_up_{};  ///< V of each head, [value_dim, kv_rank]
  std::vector<int> query_pieces_{};    ///< Their numbers among those that can have adapters.
  std::vector<int> value_pieces_{};
  Linear output_{};
};

}  // namespace

std::unique_ptr<Mixer> make_latent_attention(const LatentAttentionSpec& spec, BlockBuilder& builder,
                                             At at) {
  return std::make_unique<LatentAttention>(spec, builder, at);
}

}  // namespace openllm::model
