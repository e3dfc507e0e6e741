#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "device/device.h"
#include "model/adapters/adapter_source.h"
#include "model/weights/weight_loader.h"
#include "step/step.h"

namespace openllm::model {

/// An adapter's weights on the device, by the piece of a linear that they add to.
class MountedAdapter {
 public:
  struct Delta {
    int piece = 0;               ///< LinearPiece::id
    std::int64_t out_begin = 0;  ///< First column in the piece.
    WeightPtr a{};
    WeightPtr b{};
    float scale = 1.0F;
  };

  explicit MountedAdapter(std::vector<Delta> deltas);

  /// Deltas of a piece; empty when the adapter leaves it alone.
  std::span<const Delta> of(int piece) const noexcept;

 private:
  std::vector<Delta> deltas_;  ///< By piece.
};

/// Neighbouring rows that use the same adapter.
struct AdapterRows {
  const MountedAdapter* adapter = nullptr;
  std::int64_t first_row = 0;
  std::int64_t n_rows = 0;
};

/// Rows of a step with adapters. Buffers keep their capacity from step to step.
struct StepAdapters {
  std::vector<AdapterRows> rows{};  ///< In order.
  /// Those among the step's output rows (its logit rows, then its hidden rows), numbered as such.
  std::vector<AdapterRows> output_rows{};
  std::vector<device::LowRankDelta> deltas{};  ///< Memory for those of one linear.
};

/// The adapters of a model. Blocks hold none of them: adapters come and go here, and a linear asks
/// its Run for the deltas of its rows.
class Adapters {
 public:
  /// After everything was loaded; the device must outlive this.
  explicit Adapters(WeightLoader& loader);

  /// See Model::mount_adapter and Model::unmount_adapter.
  void mount(int id, const AdapterSource& source);
  void unmount(int id);
  bool has(int id) const { return mounted_.contains(id); }

  /// Finds the rows with adapters of a step that has been checked.
  void find_rows(const step::Step& step, StepAdapters& found) const;

 private:
  MountedAdapter::Delta load(const AdapterSource& source, const AdapterModule& module);
  const LinearModule& find(const AdapterSource& source, const AdapterModule& module) const;

  device::Device& device_;
  const Layouts layouts_;
  const format::Checkpoint::Kind base_naming_;
  std::vector<LinearModule> modules_;  ///< By role and place.
  std::map<int, std::unique_ptr<const MountedAdapter>> mounted_{};
};

/// The rows [n, row_bytes] of heads with `head_dim` rows each, from the plain order to that of
/// ModuleLayout::paired_heads, or back.
std::vector<std::byte> reorder_heads(std::span<const std::byte> rows, std::size_t row_bytes,
                                     std::int64_t head_dim, bool to_paired);

}  // namespace openllm::model
