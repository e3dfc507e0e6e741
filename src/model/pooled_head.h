#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "device/device.h"
#include "model/blocks/norm.h"
#include "model/weights/module.h"
#include "tensor/tensor_view.h"

namespace openllm::model {

namespace role {
inline constexpr Role kPooler{"pooled.pooler"};  ///< First linear of a head.
inline constexpr Role kPooledNorm{"pooled.norm"};
inline constexpr Role kClassifier{"pooled.classifier"};  ///< The last one, to the classes.
}  // namespace role

/// Which rows of a sequence become its vector.
enum class RowPooling { kFirst, kLast, kMean };

/// A layer of a head: a norm, or a linear.
struct PooledLayerSpec {
  Role role{};
  int n_out = 0;  ///< 0: as many as come in.
  bool has_bias = true;
  std::optional<NormSpec> norm{};                  ///< Unset: a linear.
  std::optional<device::Activation> activation{};  ///< Of what comes out.
};

/// What a classifier makes of a sequence's vector.
struct PooledHeadSpec {
  RowPooling pooling = RowPooling::kFirst;
  std::vector<PooledLayerSpec> layers{};
  int n_labels = 0;
};

class TensorIndex;

/// Layers that work on one vector of a sequence, when all its rows are computed: the heads of
/// classifiers, and what follows the pooling of sentence encoders. So little to do that it is done
/// on the host, exactly, and for each vector alone.
/// Thread safety: const methods from any thread.
class PooledHead {
 public:
  PooledHead();
  ~PooledHead();
  PooledHead(PooledHead&&) noexcept;
  PooledHead& operator=(PooledHead&&) noexcept;

  /// Takes the head's modules from the file; `n_in`: of the vectors. kCorruptData as the loader.
  static PooledHead load(const PooledHeadSpec& spec, TensorIndex& index, std::int64_t n_in);

  /// Adds a linear; `weight` [n_out, n_in] of any plain type, `bias` [n_out] may be null.
  void add_linear(const tensor::TensorView& weight, const tensor::TensorView* bias,
                  std::optional<device::Activation> activation, const std::string& name);
  bool empty() const noexcept;
  /// Columns of what `run` takes and gives; 0 while it has no linear.
  std::int64_t n_in() const noexcept { return n_in_; }
  std::int64_t n_out() const noexcept { return n_out_; }
  std::vector<float> run(std::vector<float> x) const;

 private:
  struct Layer;
  void add(Layer layer);

  std::unique_ptr<device::Device> device_;  // the reference one
  std::vector<Layer> layers_;
  std::int64_t n_in_ = 0;
  std::int64_t n_out_ = 0;
};

}  // namespace openllm::model
