#include "model/decoder.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "model/step_check.h"

namespace openllm::model {

using device::Tensor;

Decoder::Decoder(ModelSpec spec, WeightLoader& loader, const ModelOptions& options)
    : spec_(std::move(spec)),
      options_{options.max_rows,
               std::min(options.max_output_rows, options.max_rows),
               options.kv_f16,
               options.kv_block_size,
               {}},
      device_(loader.device()) {
  // Before anything is uploaded: a number of layers that the file cannot have is told at once.
  loader.index().require_layers(spec_.n_layers());
  BlockBuilder builder{loader, spec_.dim, spec_.norm};
  const HeadSource head = find_head(spec_.head, role::kEmbedding, loader.index());
  embedding_ = std::make_unique<Embedding>(spec_.embedding, builder, head.embedding,
                                           spec_.vocab_size, !head.has_own);
  layers_.reserve(spec_.layers.size());
  for (const LayerSpec& layer : spec_.layers) {
    layers_.emplace_back(layer, builder, At{.layer = static_cast<int>(layers_.size())});
  }
  final_norm_ = std::make_unique<Norm>(builder, role::kFinalNorm, At{}, spec_.dim);
  head_ = std::make_unique<Head>(spec_.head, builder, head, embedding_->table(), spec_.vocab_size);
  spec_.head.tied = head_->is_tied();
  n_parameters_ = loader.n_parameters();
  weight_bytes_ = loader.step_bytes();

  for (const device::RopeSpec& rope : spec_.ropes) ropes_.push_back(device_.make_rope(rope));
  group_kv_layers();
  // The residual stream, that of the rows with results, and what the layers take.
  const std::int64_t n_floats = 2 * Scratch::size_of(options_.max_rows, spec_.dim);
  std::int64_t most = Scratch::size_of(options_.max_output_rows, spec_.dim);
  for (const Layer& layer : layers_) most = std::max(most, layer.scratch(options_.max_rows));
  scratch_ = std::make_unique<Scratch>(device_, n_floats + most);
  const auto n_outputs = static_cast<std::size_t>(options_.max_output_rows);
  logits_ = std::make_unique_for_overwrite<float[]>(n_outputs *
                                                    static_cast<std::size_t>(spec_.vocab_size));
  hidden_ =
      std::make_unique_for_overwrite<float[]>(n_outputs * static_cast<std::size_t>(spec_.dim));
}

/// Layers whose blocks live equally long share a block table: all full ones, and those with one
/// window size.
void Decoder::group_kv_layers() {
  for (Layer& layer : layers_) {
    const KvNeed need = layer.kv_need();
    auto group = std::find_if(groups_.begin(), groups_.end(), [&](const kv::KvGroupSpec& other) {
      return other.kind == need.kind && other.window == need.window;
    });
    if (group == groups_.end()) {
      group = groups_.insert(groups_.end(), kv::KvGroupSpec{need.kind, need.window, {}, 0});
    }
    const auto index = static_cast<int>(kv_layers_.size());
    group->layers.push_back(index);
    group->bytes_per_token += static_cast<std::size_t>(need.n_heads) *
                              static_cast<std::size_t>(need.key_dim + need.value_dim) *
                              (options_.kv_f16 ? sizeof(std::uint16_t) : sizeof(float));
    kv_layers_.push_back(
        {static_cast<int>(group - groups_.begin()), need.n_heads, need.key_dim, need.value_dim});
    layer.set_kv_layer(index);
  }
}

void Decoder::allocate_kv(const std::vector<int>& blocks_per_group) {
  base::check(blocks_per_group.size() == groups_.size(), "model: wrong number of KV groups");
  kv_ =
      device_.allocate_kv({options_.kv_block_size, options_.kv_f16, kv_layers_, blocks_per_group});
  blocks_per_group_ = blocks_per_group;
}

step::Outputs Decoder::forward(const step::Step& step) {
  base::check(kv_ != nullptr, "model: forward before allocate_kv");
  check_step(step, spec_,
             {options_.max_rows, options_.max_output_rows, options_.kv_block_size,
              &blocks_per_group_, &groups_});
  device_.begin_step(step);
  Run run{device_, step, *kv_, ropes_, *scratch_};
  run_layers(run);
  device_.finish_step();
  return {logits_.get(), hidden_.get()};
}

void Decoder::run_layers(Run& run) {
  const Scratch::Frame frame(*scratch_);
  const std::int64_t n_rows = run.step.n_rows();
  const std::int64_t n_outputs = run.step.n_outputs();
  Tensor x = scratch_->take(n_rows, spec_.dim);
  embedding_->run(run, x);
  for (std::size_t i = 0; i + 1 < layers_.size(); ++i) layers_[i].run(run, x);
  const auto n_logits = static_cast<std::int64_t>(run.step.logit_rows.size());
  if (n_logits == n_rows && n_outputs == n_rows) {
    layers_.back().run(run, x);  // every row has logits
  } else {
    const Tensor outputs = scratch_->take(n_outputs, spec_.dim);
    layers_.back().run_last(run, x, outputs);
    x = outputs;
  }
  if (n_outputs == 0) return;
  const Tensor h = scratch_->take(n_outputs, spec_.dim);
  final_norm_->run(run, x, h);
  if (n_logits > 0) head_->run(run, h.first_rows(n_logits), logits_.get());
  if (n_outputs > n_logits) {
    device_.read(h.row_range(n_logits, n_outputs - n_logits), hidden_.get());
  }
}

}  // namespace openllm::model
