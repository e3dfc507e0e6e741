#pragma once

#include <cstddef>
#include <vector>

#include "device/weight.h"
#include "tensor/dtype.h"

namespace openllm::model {

/// A weight as if its file held values of another type: each is rounded to the nearest of them, and
/// one beyond their range becomes infinite, as when transformers loads it so. Parts of codes stay
/// as they are.
class RoundedSource {
 public:
  /// `type`: F32, F16 or BF16.
  RoundedSource(const device::WeightSource& source, tensor::DType type);
  RoundedSource(const RoundedSource&) = delete;
  RoundedSource& operator=(const RoundedSource&) = delete;

  const device::WeightSource& source() const noexcept { return source_; }

 private:
  device::WeightSource source_;
  std::vector<std::vector<std::byte>> values_;  ///< Of the parts that were rounded.
};

}  // namespace openllm::model
