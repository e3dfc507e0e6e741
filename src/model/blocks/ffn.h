#pragma once

#include <cstdint>

#include "model/blocks/norm.h"

namespace openllm::model {

/// The other half of a layer: works on each row alone.
class Ffn {
 public:
  virtual ~Ffn() = default;
  /// Floats of scratch that `run` takes for that many rows.
  virtual std::int64_t scratch(std::int64_t n_rows) const noexcept = 0;
  /// out = ffn(input), [rows, D]; out may be the input's scratch.
  virtual void run(Run& run, const Input& input, device::Tensor out) = 0;
};

}  // namespace openllm::model
