#pragma once

#include <string>
#include <vector>

#include "format/checkpoint.h"
#include "tensor/tensor_view.h"

namespace openllm::model {

/// A matrix or vector of a checkpoint as its users know it, whatever tensors hold it.
struct WeightContent {
  std::string type{};     ///< "BF16", "Q4_K", "GPTQ-4".
  tensor::Shape shape{};  ///< Of the values, not of words that hold several.
};

/// What the checkpoint holds. Throws kUnsupported for a weight scheme that is not known.
std::vector<WeightContent> list_contents(const format::Checkpoint& checkpoint);

}  // namespace openllm::model
