#pragma once

#include <memory>
#include <vector>

#include "model/model.h"

namespace openllm::model {

/// Embedding, layers, head: a causal decoder. Knows no kind of mixer, FFN or residual.
class Decoder final : public Model {
 public:
  /// Loads all weights through `loader`.
  Decoder(ModelSpec spec, WeightLoader& loader, const ModelOptions& options);

  const ModelSpec& spec() const noexcept override { return spec_; }
  std::int64_t n_parameters() const noexcept override { return n_parameters_; }
  std::size_t weight_bytes() const noexcept override { return weight_bytes_; }
  const std::vector<kv::KvGroupSpec>& kv_groups() const noexcept override { return groups_; }
  void allocate_kv(const std::vector<int>& blocks_per_group) override;
  step::Outputs forward(const step::Step& step) override;

 private:
  void group_kv_layers();
  void run_layers(Run& run);

  ModelSpec spec_;
  const ModelOptions options_;
  device::Device& device_;
  std::unique_ptr<Embedding> embedding_{};
  std::vector<Layer> layers_{};
  std::unique_ptr<Norm> final_norm_{};
  std::unique_ptr<Head> head_{};
  std::int64_t n_parameters_ = 0;
  std::size_t weight_bytes_ = 0;

  std::vector<std::unique_ptr<device::Rope>> ropes_{};
  std::vector<kv::KvGroupSpec> groups_{};
  std::vector<device::KvLayerSpec> kv_layers_{};
  std::vector<int> blocks_per_group_{};
  std::unique_ptr<device::KvCache> kv_{};
  std::unique_ptr<Scratch> scratch_{};
  std::unique_ptr<float[]> logits_{};  ///< [most output rows, V]; touched only as far as needed.
  std::unique_ptr<float[]> hidden_{};  ///< [most output rows, D]
};

}  // namespace openllm::model
