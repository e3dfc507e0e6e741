#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "device/device.h"
#include "model/adapters/adapter_source.h"
#include "model/adapters/adapter_tensor.h"
#include "model/adapters/mounted_adapter.h"
#include "model/weights/weight_loader.h"
#include "step/step.h"

namespace openllm::model {

/// Neighbouring rows that use the same adapters.
struct AdapterRows {
  const AdapterMix* adapter = nullptr;
  std::int64_t first_row = 0;
  std::int64_t n_rows = 0;
};

/// Rows of a step with adapters. Buffers keep their capacity from step to step.
struct StepAdapters {
  std::vector<AdapterRows> rows{};  ///< In order.
  /// Those among the step's output rows (its logit rows, then its hidden rows), numbered as such.
  std::vector<AdapterRows> output_rows{};
  /// Memory for the deltas of one module.
  std::vector<device::LinearDelta> deltas{};
  std::vector<device::ExpertDelta> expert_deltas{};
  std::vector<device::EmbeddingDelta> embedding_deltas{};
};

/// Roles of modules whose outputs are those of two others, one behind the other: files may have
/// either.
struct StackedRole {
  Role whole;
  Role upper;
  Role lower;
};

/// The role of a module with the outputs of Q, K and V one behind the other, and theirs.
struct FusedRole {
  Role whole;
  Role q;
  Role k;
  Role v;
};

/// The adapters of a model. Blocks hold none of them: adapters come and go here, and a block asks
/// its Run for the deltas of its rows. Thread safety: every method from any thread, also beside a
/// step; but what a step names stays until that is over.
class Adapters {
 public:
  /// After everything was loaded; the device must outlive this.
  explicit Adapters(WeightLoader& loader, std::span<const StackedRole> stacked = {},
                    const FusedRole& fused = {});

  /// See Model::prepare_adapter and those behind it.
  std::shared_ptr<const MountedAdapter> prepare(const AdapterSource& source) const;
  void set(int id, std::unique_ptr<const AdapterMix> mix);
  void unset(int id);
  bool has(int id) const;
  device::Device& device() const noexcept { return device_; }

  /// Finds the rows with adapters of a step that has been checked.
  void find_rows(const step::Step& step, StepAdapters& found) const;

 private:
  using Delta = MountedAdapter::Delta;
  using Modules = std::vector<AdaptableModule>;

  const ModuleLayout& layout_of(format::Checkpoint::Kind kind) const noexcept {
    return kind == format::Checkpoint::Kind::kGguf ? gguf_layout_ : hf_layout_;
  }

  /// The parts of the network that the adapter's module is: several where its outputs are used in
  /// parts, none where it is of a part that the model is loaded without.
  Modules find(const AdapterSource& source, const AdapterModule& module) const;
  Modules listed(const ModuleRef& ref) const;
  Modules listed_otherwise(const ModuleRef& ref) const;
  Modules regrouped(Modules fused) const;
  void prepare_linear(const AdapterSource& source, const AdapterModule& module,
                      const Modules& targets, std::vector<Delta>& deltas) const;
  Delta prepare_low_rank(const AdapterTensors& read, const AdapterModule& module,
                         const AdaptableModule& target, std::int64_t n_out,
                         const RowOrder& order) const;
  Delta prepare_replacement(const AdapterTensors& read, const AdapterSource& source,
                            const AdapterModule& module, const AdaptableModule& target,
                            std::int64_t n_out, const RowOrder& order) const;
  Delta prepare_turned(const AdapterTensors& read, const AdapterSource& source,
                       const AdapterModule& module, const AdaptableModule& target,
                       std::int64_t n_out) const;
  void prepare_table(const AdapterSource& source, const AdapterModule& module,
                     const AdaptableModule& target, std::vector<Delta>& deltas) const;
  void prepare_norm(const AdapterSource& source, const AdapterModule& module,
                    const AdaptableModule& target, std::vector<Delta>& deltas) const;
  std::vector<float> biases_of(const AdaptableModule& module,
                               const std::vector<std::int32_t>& outputs) const;
  const AdaptableModule* tied_head(const AdaptableModule& table) const;

  device::Device& device_;
  const ModuleLayout hf_layout_;  // copies: a model may have one of its own while it loads
  const ModuleLayout gguf_layout_;
  const format::Checkpoint::Kind base_naming_;
  const std::vector<StackedRole> stacked_;
  const FusedRole fused_;
  std::vector<AdaptableModule> modules_;  ///< By role and place.
  mutable base::Mutex mutex_{};
  std::map<int, std::unique_ptr<const AdapterMix>> mixes_ GUARDED_BY(mutex_){};
};

/// The rows [n, row_bytes] of heads with `head_dim` rows each, from the plain order to that of
/// ModuleLayout::paired_heads, or back.
std::vector<std::byte> reorder_heads(std::span<const std::byte> rows, std::size_t row_bytes,
                                     std::int64_t head_dim, bool to_paired);

}  // namespace openllm::model
