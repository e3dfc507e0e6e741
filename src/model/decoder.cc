#include "model/decoder.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "base/error.h"
#include "model/arch/family.h"
#include "model/batch_check.h"
#include "model/rope.h"
#include "model/weights.h"

namespace openllm::model {
namespace {

using device::Batch;
using device::Tensor;

struct Found {
  const Family* family = nullptr;
  const TensorLayout* layout = nullptr;
  DecoderSpec spec{};
};

std::string known_names() {
  std::string names;
  for (const Family& family : families()) {
    names += (names.empty() ? "" : ", ") + std::string(family.name);
  }
  return names;
}

bool contains(const std::vector<std::string_view>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Found find_family(const format::Checkpoint& checkpoint) {
  const bool is_gguf = checkpoint.kind() == format::Checkpoint::Kind::kGguf;
  const std::string where = is_gguf ? checkpoint.path() : checkpoint.path() + "/config.json";
  const Config config(checkpoint.config(), where);
  const std::string_view key = is_gguf ? "general.architecture" : "model_type";
  const std::string name = config.string_or(key, "");
  if (name.empty()) config.corrupt(key, "missing (expected the name of an architecture)");
  for (const Family& family : families()) {
    if (!contains(is_gguf ? family.gguf_names : family.hf_model_types, name)) continue;
    Found found{&family, is_gguf ? &family.gguf_layout : &family.hf_layout, {}};
    found.spec = is_gguf
                     ? family.gguf_spec(Config(checkpoint.config(), where, name + "."), checkpoint)
                     : family.hf_spec(config);
    found.spec.architecture = name;
    return found;
  }
  config.unsupported(key, "unknown architecture (expected one of ", known_names(), "; got ", name,
                     ")");
}

/// Full layers share one block table, windowed ones one per window size. Also gives every layer's
/// group.
std::vector<kv::KvGroupSpec> make_groups(const DecoderSpec& spec, bool f16,
                                         std::vector<int>& group_of_layer) {
  const std::size_t bytes_per_layer = std::size_t{2} * static_cast<std::size_t>(spec.n_kv_heads) *
                                      static_cast<std::size_t>(spec.head_dim) *
                                      (f16 ? sizeof(std::uint16_t) : sizeof(float));
  std::vector<kv::KvGroupSpec> groups;
  for (int i = 0; i < spec.n_layers; ++i) {
    const LayerSpec& layer = spec.layers[static_cast<std::size_t>(i)];
    const bool windowed = layer.mixer == Mixer::kWindowAttention;
    const kv::KvKind kind = windowed ? kv::KvKind::kWindow : kv::KvKind::kFull;
    const int window = windowed ? layer.window : 0;
    auto group = std::find_if(groups.begin(), groups.end(), [&](const kv::KvGroupSpec& other) {
      return other.kind == kind && other.window == window;
    });
    if (group == groups.end()) {
      group = groups.insert(groups.end(), kv::KvGroupSpec{kind, window, {}, 0});
    }
    group->layers.push_back(i);
    group->bytes_per_token += bytes_per_layer;
    group_of_layer.push_back(static_cast<int>(group - groups.begin()));
  }
  return groups;
}

/// Activations of one step, carved from one allocation. R: most rows, O: most output rows.
class Arena {
 public:
  Arena(const DecoderSpec& spec, device::Device& device, std::int64_t max_rows,
        std::int64_t max_outputs) {
    const std::int64_t n_q = std::int64_t{spec.n_heads} * spec.head_dim;
    const std::int64_t n_kv = std::int64_t{spec.n_kv_heads} * spec.head_dim;
    const std::int64_t n_in = std::int64_t{spec.ffn_dim} * (spec.ffn == Ffn::kGated ? 2 : 1);
    const std::array<std::pair<Tensor*, Tensor>, 8> plan{{
        {&x, {nullptr, max_rows, spec.dim, spec.dim}},
        {&h, {nullptr, max_rows, spec.dim, spec.dim}},
        {&qkv, {nullptr, max_rows, n_q + 2 * n_kv, n_q + 2 * n_kv}},
        {&attended, {nullptr, max_rows, n_q, n_q}},
        {&ffn_in, {nullptr, max_rows, n_in, n_in}},
        {&ffn_act, {nullptr, max_rows, spec.ffn_dim, spec.ffn_dim}},
        {&last_x, {nullptr, max_outputs, spec.dim, spec.dim}},
        {&last_attended, {nullptr, max_outputs, n_q, n_q}},
    }};
    constexpr std::size_t kAlign = 16;  // floats: one cache line
    std::size_t total = kAlign;
    for (const auto& [tensor, shape] : plan) {
      total += (static_cast<std::size_t>(shape.rows * shape.stride) + kAlign - 1) / kAlign * kAlign;
    }
    memory_ = device.allocate(total);
    const std::size_t misalignment =
        reinterpret_cast<std::uintptr_t>(memory_->data()) / sizeof(float) % kAlign;
    std::size_t offset = misalignment == 0 ? 0 : kAlign - misalignment;
    for (const auto& [tensor, shape] : plan) {
      *tensor = shape;
      tensor->data = memory_->data() + offset;
      offset +=
          (static_cast<std::size_t>(shape.rows * shape.stride) + kAlign - 1) / kAlign * kAlign;
    }
  }

  Tensor x{};              ///< [R, D] residual stream
  Tensor h{};              ///< [R, D] norm scratch and block outputs
  Tensor qkv{};            ///< [R, (H + 2 Hkv) Dh]
  Tensor attended{};       ///< [R, H Dh]
  Tensor ffn_in{};         ///< [R, 2F] or [R, F]
  Tensor ffn_act{};        ///< [R, F]
  Tensor last_x{};         ///< [O, D]
  Tensor last_attended{};  ///< [O, H Dh]

 private:
  std::unique_ptr<device::Buffer> memory_;
};

class SpecDecoder final : public Decoder {
 public:
  SpecDecoder(DecoderSpec spec, DecoderWeights weights, device::Device& device,
              const DecoderOptions& options)
      : spec_(std::move(spec)),
        weights_(std::move(weights)),
        device_(device),
        options_(options),
        groups_(make_groups(spec_, options.kv_f16, group_of_layer_)),
        arena_(spec_, device, options.max_rows, options.max_output_rows),
        ids_(static_cast<std::size_t>(options.max_rows)),
        given_rows_(static_cast<std::size_t>(options.max_rows)) {}

  const DecoderSpec& spec() const noexcept override { return spec_; }
  std::int64_t n_parameters() const noexcept override { return weights_.n_parameters; }
  std::size_t weight_bytes() const noexcept override { return weights_.bytes; }
  const std::vector<kv::KvGroupSpec>& kv_groups() const noexcept override { return groups_; }

  void allocate_kv(const std::vector<int>& blocks_per_group) override {
    base::check(blocks_per_group.size() == groups_.size(), "model: wrong number of KV groups");
    device::KvCacheSpec cache;
    cache.block_size = options_.kv_block_size;
    cache.f16 = options_.kv_f16;
    for (const int group : group_of_layer_) {
      cache.layers.push_back({group, spec_.n_kv_heads, spec_.head_dim});
    }
    cache.blocks_per_group = blocks_per_group;
    kv_ = device_.allocate_kv(cache);
    blocks_per_group_ = blocks_per_group;
  }

  void forward(const Batch& batch, float* logits_out) override {
    base::check(kv_ != nullptr, "model: forward before allocate_kv");
    check_batch(batch, spec_,
                {options_.max_rows, options_.max_output_rows, options_.kv_block_size,
                 &blocks_per_group_, &groups_});
    device_.begin_step();
    embed(batch);
    Tensor x = arena_.x.first_rows(batch.n_rows());
    for (int i = 0; i < spec_.n_layers; ++i) x = run_layer(i, batch, x);
    if (!batch.output_rows.empty()) {
      const Tensor h = arena_.h.first_rows(x.rows);
      device_.norm(spec_.norm, *weights_.final_norm.weight, weights_.final_norm.bias.get(), x, h);
      const device::Weight& head = weights_.output ? *weights_.output : *weights_.embedding;
      device_.logits(head, spec_.logit_scale, spec_.logit_soft_cap, h, logits_out);
    }
    device_.finish_step();
  }

 private:
  void embed(const Batch& batch) {
    std::size_t n_given = 0;
    for (std::size_t t = 0; t < batch.token_ids.size(); ++t) {
      const std::int32_t id = batch.token_ids[t];
      if (id < 0) given_rows_[n_given++] = static_cast<std::int32_t>(t);
      ids_[t] = std::max(id, 0);
    }
    const Tensor x = arena_.x.first_rows(batch.n_rows());
    const std::span<std::int32_t> ids(ids_.data(), batch.token_ids.size());
    device_.embed(*weights_.embedding, ids, spec_.embedding_scale, x);
    if (n_given > 0) device_.put_rows(batch.embeddings, {given_rows_.data(), n_given}, x);
    if (spec_.position == Position::kLearned) {
      for (std::size_t t = 0; t < ids.size(); ++t) {
        ids[t] = batch.positions[t] + spec_.position_offset;
      }
      device_.add_embedding(*weights_.positions, ids, x);
    }
  }

  /// Runs one layer over x and returns its output: x itself, but for the last layer only the wanted
  /// rows of it.
  Tensor run_layer(int i, const Batch& batch, Tensor x) {
    const LayerWeights& layer = weights_.layers[static_cast<std::size_t>(i)];
    const bool is_last = i == spec_.n_layers - 1;
    project_qkv(i, batch, x);
    if (is_last && batch.output_rows.empty()) return x;
    Tensor attended = attend(i, batch, x.rows);
    if (is_last && batch.output_rows.size() < static_cast<std::size_t>(x.rows)) {
      const auto n = static_cast<std::int64_t>(batch.output_rows.size());
      device_.gather_rows(x, batch.output_rows, arena_.last_x.first_rows(n));
      device_.gather_rows(attended, batch.output_rows, arena_.last_attended.first_rows(n));
      x = arena_.last_x.first_rows(n);
      attended = arena_.last_attended.first_rows(n);
    }
    const Tensor h = arena_.h.first_rows(x.rows);
    linear(layer.attention_output, attended, h);
    add_block(layer.post_attention_norm, h, x);
    run_ffn(layer, x, h);
    add_block(layer.post_ffn_norm, h, x);
    return x;
  }

  /// x += norm(h), or x += h where the spec has no norm behind a block.
  void add_block(const NormWeights& norm, Tensor h, Tensor x) {
    if (norm.weight) device_.norm(spec_.norm, *norm.weight, norm.bias.get(), h, h);
    device_.add(x, h, spec_.residual_scale, x);
  }

  void linear(const LinearWeights& weights, Tensor in, Tensor out) {
    for (const LinearWeights::Piece& piece : weights.pieces) {
      device_.linear(*piece.weight, piece.bias.get(), nullptr, in,
                     out.columns(piece.begin, piece.weight->out_features()));
    }
  }

  /// out = linear(norm(x)); the norm is computed once however many pieces there are.
  void norm_linear(const NormWeights& norm, const LinearWeights& weights, Tensor x, Tensor scratch,
                   Tensor out) {
    if (weights.pieces.size() == 1) {
      const LinearWeights::Piece& piece = weights.pieces[0];
      device_.norm_linear(spec_.norm, *norm.weight, norm.bias.get(), *piece.weight,
                          piece.bias.get(), nullptr, x, scratch, out);
      return;
    }
    device_.norm(spec_.norm, *norm.weight, norm.bias.get(), x, scratch);
    linear(weights, scratch, out);
  }

  std::int64_t n_q() const { return std::int64_t{spec_.n_heads} * spec_.head_dim; }
  std::int64_t n_kv() const { return std::int64_t{spec_.n_kv_heads} * spec_.head_dim; }

  /// Q, K and V of every row, normalised and rotated; K and V go into the cache.
  void project_qkv(int i, const Batch& batch, Tensor x) {
    const LayerWeights& layer = weights_.layers[static_cast<std::size_t>(i)];
    const Tensor qkv = arena_.qkv.first_rows(x.rows);
    norm_linear(layer.attention_norm, layer.qkv, x, arena_.h.first_rows(x.rows), qkv);
    const Tensor q = qkv.columns(0, n_q());
    const Tensor k = qkv.columns(n_q(), n_kv());
    const Tensor v = qkv.columns(n_q() + n_kv(), n_kv());
    if (spec_.qk_norm) {
      device_.norm(spec_.norm, *layer.q_norm, nullptr, q, q);
      device_.norm(spec_.norm, *layer.k_norm, nullptr, k, k);
    }
    if (spec_.position == Position::kRope) {
      // Q and K lie side by side and have heads of one size: their angles are computed once.
      rotate(spec_.layers[static_cast<std::size_t>(i)].rope, batch, qkv.columns(0, n_q() + n_kv()));
    }
    device_.write_kv(*kv_, i, batch, k, v);
  }

  void rotate(int rope, const Batch& batch, Tensor x) {
    const auto index = static_cast<std::size_t>(rope);
    const bool grows =
        !spec_.rope_growth.empty() && spec_.rope_growth[index].kind != RopeGrowth::Kind::kNone;
    if (!grows) {
      device_.rope(spec_.ropes[index], spec_.head_dim, batch.positions, x);
      return;
    }
    for (const device::BatchSequence& sequence : batch.sequences) {
      const auto first = static_cast<std::size_t>(sequence.first_row);
      const auto n = static_cast<std::size_t>(sequence.n_rows);
      device_.rope(rope_for(rope, sequence.rope_len), spec_.head_dim,
                   batch.positions.subspan(first, n),
                   {x.data + sequence.first_row * x.stride, sequence.n_rows, x.cols, x.stride});
    }
  }

  const device::RopeSpec& rope_for(int rope, int length) {
    const auto index = static_cast<std::size_t>(rope);
    const RopeGrowth& growth = spec_.rope_growth[index];
    if (length <= growth.original_len) return spec_.ropes[index];
    constexpr std::size_t kMaxCached = 4096;
    if (grown_ropes_.size() > kMaxCached) grown_ropes_.clear();
    const std::pair<int, int> key(rope, length);
    auto found = grown_ropes_.find(key);
    if (found == grown_ropes_.end()) {
      found = grown_ropes_.emplace(key, grown_rope(spec_.ropes[index], growth, length)).first;
    }
    return found->second;
  }

  Tensor attend(int i, const Batch& batch, std::int64_t n_rows) {
    const LayerSpec& layer = spec_.layers[static_cast<std::size_t>(i)];
    device::AttentionSpec attention;
    attention.n_heads = spec_.n_heads;
    attention.n_kv_heads = spec_.n_kv_heads;
    attention.head_dim = spec_.head_dim;
    attention.scale = layer.attention_scale != 0.0F ? layer.attention_scale : spec_.attention_scale;
    attention.window = layer.mixer == Mixer::kWindowAttention ? layer.window : 0;
    attention.soft_cap = spec_.attention_soft_cap;
    const Tensor out = arena_.attended.first_rows(n_rows);
    device_.attention(attention, *kv_, i, batch, arena_.qkv.first_rows(n_rows).columns(0, n_q()),
                      out);
    return out;
  }

  /// out = ffn(norm(x)). `out` serves as the norm's scratch before.
  void run_ffn(const LayerWeights& layer, Tensor x, Tensor out) {
    const Tensor in = arena_.ffn_in.first_rows(x.rows);
    const Tensor act = arena_.ffn_act.first_rows(x.rows);
    norm_linear(layer.ffn_norm, layer.ffn_in, x, out, in);
    if (spec_.ffn == Ffn::kPlain) {
      device_.activation(spec_.activation, in);
      linear(layer.ffn_down, in, out);
      return;
    }
    const LinearWeights::Piece& down = layer.ffn_down.pieces[0];
    device_.gated_linear(spec_.activation, *down.weight, down.bias.get(), nullptr, in, act, out);
  }

  const DecoderSpec spec_;
  const DecoderWeights weights_;
  device::Device& device_;
  const DecoderOptions options_;
  std::vector<int> group_of_layer_;
  const std::vector<kv::KvGroupSpec> groups_;
  Arena arena_;
  std::vector<std::int32_t> ids_;
  std::vector<std::int32_t> given_rows_;
  std::vector<int> blocks_per_group_;
  std::unique_ptr<device::KvCache> kv_;
  std::map<std::pair<int, int>, device::RopeSpec> grown_ropes_;  // (rope, length)
};

}  // namespace

std::unique_ptr<Decoder> Decoder::load(const format::Checkpoint& checkpoint, device::Device& device,
                                       const DecoderOptions& options) {
  base::check(options.max_rows > 0 && options.max_output_rows > 0 && options.kv_block_size > 0,
              "model: decoder options must be positive");
  Found found = find_family(checkpoint);
  DecoderWeights weights =
      load_weights(checkpoint, *found.layout, found.spec, device, options.progress);
  found.spec.tied_embeddings = weights.output == nullptr;
  DecoderOptions kept = options;
  kept.progress = nullptr;
  kept.max_output_rows = std::min(options.max_output_rows, options.max_rows);
  return std::make_unique<SpecDecoder>(std::move(found.spec), std::move(weights), device, kept);
}

DecoderSpec read_spec(const format::Checkpoint& checkpoint) { return find_family(checkpoint).spec; }

std::vector<std::string> architectures() {
  std::vector<std::string> names;
  for (const Family& family : families()) names.emplace_back(family.name);
  return names;
}

}  // namespace openllm::model
