#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "model/model.h"
#include "model/source_encoder.h"

namespace openllm::model {

/// Embedding, layers, head: a decoder, with or without an encoder before it, or an encoder alone.
/// Knows no kind of mixer, FFN or residual.
class Network final : public Model {
 public:
  /// Loads all weights through `loader`.
  Network(ModelSpec spec, WeightLoader& loader, const ModelOptions& options);

  const ModelSpec& spec() const noexcept override { return spec_; }
  std::int64_t n_parameters() const noexcept override { return n_parameters_; }
  std::int64_t n_idle_parameters() const noexcept override { return n_idle_parameters_; }
  std::size_t weight_bytes() const noexcept override { return weight_bytes_; }
  std::size_t memory_bytes() const noexcept override { return memory_bytes_; }
  const std::vector<kv::KvGroupSpec>& kv_groups() const noexcept override { return groups_; }
  void allocate_kv(const std::vector<int>& blocks_per_group) override;
  step::Outputs forward(const step::Step& step) override;
  const PooledHead* pooled_head() const noexcept override {
    return pooled_head_ ? &*pooled_head_ : nullptr;
  }
  std::shared_ptr<const MountedAdapter> prepare_adapter(
      const AdapterSource& source) const override {
    return adapters_->prepare(source);
  }
  std::unique_ptr<const AdapterMix> mix_adapters(
      const std::vector<AdapterPart>& parts) const override {
    return std::make_unique<const AdapterMix>(parts, device_);
  }
  void mount_adapter(int id, std::unique_ptr<const AdapterMix> mix) override {
    adapters_->set(id, std::move(mix));
  }
  void unmount_adapter(int id) override { adapters_->unset(id); }

 private:
  void load_stacks(WeightLoader& loader);
  void place_kv(Layer::KvUser& user);
  int place_need(const KvNeed& need);
  int place_own_rows(const KvNeed& need);
  void place_snapshots();
  void make_buffers();
  void read_outputs(Run& run, device::Tensor h);

  ModelSpec spec_;
  const ModelOptions options_;
  device::Device& device_;
  std::unique_ptr<Stack> stack_{};
  std::unique_ptr<Head> head_{};
  std::optional<PooledHead> pooled_head_{};
  std::unique_ptr<SourceEncoder> encoder_{};
  std::unique_ptr<Adapters> adapters_{};
  std::int64_t n_parameters_ = 0;
  std::int64_t n_idle_parameters_ = 0;
  std::size_t weight_bytes_ = 0;
  std::size_t memory_bytes_ = 0;

  std::vector<std::unique_ptr<device::Rope>> ropes_{};
  std::vector<kv::KvGroupSpec> groups_{};
  std::vector<device::KvLayerSpec> kv_layers_{};
  bool whole_sequences_ = false;  ///< Some layer of the stack sees only the rows of a step.
  std::vector<int> blocks_per_group_{};
  std::unique_ptr<device::KvCache> kv_{};
  std::unique_ptr<Scratch> scratch_{};
  StepAdapters step_adapters_{};
  std::unique_ptr<float[]> logits_{};  ///< [most output rows, V]; touched only as far as needed.
  std::unique_ptr<float[]> hidden_{};  ///< [most rows, D]; likewise.
};

}  // namespace openllm::model
