#pragma once

#include <map>
#include <memory>

#include "model/blocks/run.h"
#include "model/weights/weight_loader.h"

namespace openllm::model {

/// A norm of the network.
struct NormSpec : device::NormSpec {
  bool has_weight = true;  ///< Else the factors are 1.
  bool has_bias = true;    ///< Of LayerNorm.
  /// Its rows are those of the step, so that adapters may change it for some of them.
  bool adapts = true;
  /// What the converter to this format has added to the weights.
  float added = 0.0F;
};

/// What every block needs to be built.
struct BlockBuilder {
  WeightLoader& loader;
  std::int64_t dim = 0;  ///< Width of the residual stream.
  NormSpec norm{};       ///< Of all norms of the network.
  /// Weights that several layers use, by the layer that has them in the file.
  std::map<int, std::shared_ptr<const void>> shared{};
};

/// A norm of rows, or of each head when it was loaded with head_dim columns.
class Norm {
 public:
  /// `n`: columns of the weight; with NormSpec::group it is one of n / group heads. It is listed
  /// for adapters.
  Norm(BlockBuilder& builder, Role role, At at, std::int64_t n)
      : Norm(builder, role, at, n, builder.norm) {}
  Norm(BlockBuilder& builder, Role role, At at, std::int64_t n, const NormSpec& spec);

  /// x and out may be the same. Rows of adapters that have a weight or bias of their own are
  /// normalised with that, the others between them with the model's.
  void run(Run& run, device::Tensor x, device::Tensor out) const;
  /// Whether some of the rows at work have a weight or bias of their own.
  bool has_deltas(const Run& run) const;
  const device::NormSpec& spec() const noexcept { return spec_; }
  const device::Weight& weight() const noexcept { return *weight_; }
  const device::Weight* bias() const noexcept { return bias_.get(); }

 private:
  NormSpec spec_;
  WeightPtr weight_;
  WeightPtr bias_;  ///< Of LayerNorm.
  int piece_ = -1;
};

/// A block's input: rows that still have to be normalised, so that a device may do that together
/// with the first linear.
struct Input {
  const Norm* norm = nullptr;  ///< Null: x is used as it is.
  device::Tensor x{};
  device::Tensor scratch{};  ///< Of x's shape.

  /// The normalised rows: in `scratch`, or x itself.
  device::Tensor normalised(Run& run) const {
    if (norm == nullptr) return x;
    norm->run(run, x, scratch);
    return scratch;
  }
};

}  // namespace openllm::model
