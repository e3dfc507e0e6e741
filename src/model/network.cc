#include "model/network.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "model/blocks/moe_ffn.h"
#include "model/step_check.h"

namespace openllm::model {

using device::Tensor;

namespace {

constexpr StackedRole kStackedRoles[] = {
    {role::kGateUp, role::kGate, role::kUp},
    {role::kExpertGateUp, role::kExpertGate, role::kExpertUp},
    {role::kSharedGateUp, role::kSharedGate, role::kSharedUp},
};
constexpr FusedRole kFusedRole{role::kQkv, role::kQ, role::kK, role::kV};

}  // namespace

Network::Network(ModelSpec spec, WeightLoader& loader, const ModelOptions& options)
    : spec_(std::move(spec)),
      options_{options.max_rows,
               std::min(options.max_output_rows, options.max_rows),
               options.max_sequences > 0 ? std::min(options.max_sequences, options.max_rows)
                                         : options.max_rows,
               options.kv_type,
               options.kv_block_size,
               {}},
      device_(loader.device()) {
  load_stacks(loader);
  adapters_ = std::make_unique<Adapters>(loader, kStackedRoles, kFusedRole);
  n_parameters_ = loader.n_parameters();
  n_idle_parameters_ = loader.n_idle_parameters();
  weight_bytes_ = loader.step_bytes();
  memory_bytes_ = loader.loaded_bytes();
  for (const device::RopeSpec& rope : spec_.ropes) ropes_.push_back(device_.make_rope(rope));
  for (Stack* stack : {stack_.get(), encoder_ ? &encoder_->stack() : nullptr}) {
    if (stack == nullptr) continue;
    for (Layer& layer : stack->layers()) {
      for (Layer::KvUser* user : layer.kv_users()) {
        place_kv(*user);
        whole_sequences_ |= stack == stack_.get() && user->mixer->kv_need().own_rows;
      }
    }
  }
  place_snapshots();
  make_buffers();
}

void Network::load_stacks(WeightLoader& loader) {
  // Before anything is uploaded: a number of layers that the file cannot have is told at once.
  loader.index().require_layers(spec_.n_layers());
  BlockBuilder builder{loader, spec_.dim, spec_.norm};
  HeadSource source{role::kEmbedding, false};
  if (spec_.head) source = find_head(*spec_.head, role::kEmbedding, loader.index());
  const bool is_output = spec_.head && !source.has_own;
  stack_ = std::make_unique<Stack>(
      spec_, builder,
      std::make_unique<Embedding>(spec_.embedding, builder, source.embedding, spec_.vocab_size,
                                  is_output));
  if (spec_.head) {
    head_ = std::make_unique<Head>(*spec_.head, builder, source, stack_->embedding().table(),
                                   spec_.vocab_size);
    spec_.head->tied = head_->is_tied();
  }
  if (spec_.pooled_head)
    pooled_head_ = PooledHead::load(*spec_.pooled_head, loader.index(), spec_.dim);
  if (spec_.encoder) {
    loader.index().use(TensorIndex::Stack::kEncoder);
    encoder_ = std::make_unique<SourceEncoder>(*spec_.encoder, builder, stack_->embedding(),
                                               spec_.vocab_size);
  }
}

/// Gives a layer its entries in the KV cache. Layers whose blocks live equally long share a block
/// table: all full ones, those with one window size, all states. Layers that keep nothing from step
/// to step share one entry.
void Network::place_kv(Layer::KvUser& user) {
  const int shared = user.mixer->kv_need().of_layer;
  if (shared >= 0) {
    user.index = stack_->layers()[static_cast<std::size_t>(shared)].kv_users()[0]->index;
    return;
  }
  bool is_first = true;
  for (const KvNeed& need : user.mixer->kv_needs()) {
    const int index = need.own_rows ? place_own_rows(need) : place_need(need);
    if (std::exchange(is_first, false)) user.index = index;
  }
}

int Network::place_own_rows(const KvNeed& need) {
  for (std::size_t i = 0; i < kv_layers_.size(); ++i) {
    const device::KvLayerSpec& other = kv_layers_[i];
    if (other.group == device::KvLayerSpec::kOwnRows && other.n_kv_heads == need.n_heads &&
        other.head_dim == need.key_dim && other.value_dim == need.value_dim) {
      return static_cast<int>(i);
    }
  }
  kv_layers_.push_back({device::KvLayerSpec::kOwnRows, need.n_heads, need.key_dim, need.value_dim});
  return static_cast<int>(kv_layers_.size()) - 1;
}

int Network::place_need(const KvNeed& need) {
  const auto index = static_cast<int>(kv_layers_.size());
  auto group = std::find_if(groups_.begin(), groups_.end(), [&](const kv::KvGroupSpec& other) {
    return other.kind == need.kind && other.window == need.window;
  });
  if (group == groups_.end()) {
    kv::KvGroupSpec added;
    added.kind = need.kind;
    added.window = need.window;
    group = groups_.insert(groups_.end(), std::move(added));
  }
  group->layers.push_back(index);
  kv_layers_.push_back({static_cast<int>(group - groups_.begin()), need.n_heads, need.key_dim,
                        need.value_dim, need.state_floats});
  group->bytes_per_block +=
      device_.kv_block_bytes(kv_layers_.back(), options_.kv_type, options_.kv_block_size);
  return index;
}

/// Snapshots of states cost at most 8 KiB for each token of a prompt, as far as one in 16 blocks
/// does not: a prefix that ends elsewhere is computed from the one before.
void Network::place_snapshots() {
  constexpr std::int64_t kBytesPerToken = 8192;
  constexpr std::int64_t kMostBlocks = 16;
  for (kv::KvGroupSpec& group : groups_) {
    if (group.kind != kv::KvKind::kState) continue;
    const std::int64_t affordable = kBytesPerToken * options_.kv_block_size;
    group.snapshot_blocks = static_cast<int>(std::clamp<std::int64_t>(
        (group.bytes_per_block + affordable - 1) / affordable, 1, kMostBlocks));
  }
}

void Network::make_buffers() {
  // The residual stream and that of the rows with results, and what the layers take.
  const std::int64_t n_rows = options_.max_rows;
  std::int64_t layers = stack_->scratch(n_rows);
  if (encoder_) layers = std::max(layers, encoder_->stack().scratch(n_rows));
  if (head_) layers = std::max(layers, head_->scratch(options_.max_output_rows));
  const std::int64_t n_scratch = 2 * Scratch::size_of(n_rows, spec_.dim) + layers;
  scratch_ = std::make_unique<Scratch>(device_, n_scratch);
  const auto floats = [](std::int64_t rows, std::int64_t cols) {
    return static_cast<std::size_t>(rows * cols);
  };
  const std::size_t n_logits = floats(options_.max_output_rows, head_ ? spec_.vocab_size : 0);
  const std::size_t n_hidden = floats(n_rows, spec_.dim);
  memory_bytes_ += sizeof(float) * (static_cast<std::size_t>(n_scratch) + n_logits + n_hidden);
  if (head_) logits_ = std::make_unique_for_overwrite<float[]>(n_logits);
  hidden_ = std::make_unique_for_overwrite<float[]>(n_hidden);
}

void Network::allocate_kv(const std::vector<int>& blocks_per_group) {
  base::check(blocks_per_group.size() == groups_.size(), "model: wrong number of KV groups");
  // Each sequence may have a block that is not full.
  const int n_own = options_.max_rows / options_.kv_block_size + options_.max_sequences;
  kv_ = device_.allocate_kv(
      {options_.kv_block_size, options_.kv_type, kv_layers_, blocks_per_group, n_own});
  blocks_per_group_ = blocks_per_group;
}

step::Outputs Network::forward(const step::Step& step) {
  base::check(kv_ != nullptr, "model: forward before allocate_kv");
  check_step(
      step, spec_,
      {options_.max_rows, options_.max_output_rows, options_.max_sequences, options_.kv_block_size,
       &blocks_per_group_, &groups_, adapters_.get(), whole_sequences_});
  for (const step::BlockCopy& copy : step.copies)
    device_.copy_kv_block(*kv_, copy.group, copy.from, copy.to);
  adapters_->find_rows(step, step_adapters_);
  if (!step.source_ids.empty()) {
    encoder_->run({device_, step, *kv_, ropes_, *scratch_}, spec_.dim, *adapters_,
                  stack_->layers());
  }
  device_.begin_step(step);
  Run run{device_, step, *kv_, ropes_, *scratch_};
  run.use(step_adapters_);
  const Scratch::Frame frame(*scratch_);
  const Tensor x = scratch_->take(step.n_rows(), spec_.dim);
  const Tensor outputs = scratch_->take(step.n_outputs(), spec_.dim);
  stack_->run_outputs(run, x, outputs);
  read_outputs(run, outputs);
  device_.finish_step();
  return {logits_.get(), hidden_.get()};
}

void Network::read_outputs(Run& run, Tensor h) {
  const auto n_logits = static_cast<std::int64_t>(run.step.logit_rows.size());
  if (n_logits > 0) head_->run(run, h.first_rows(n_logits), logits_.get());
  if (h.rows > n_logits) device_.read(h.row_range(n_logits, h.rows - n_logits), hidden_.get());
}

}  // namespace openllm::model
