#pragma once

#include <string>
#include <vector>

#include "format/checkpoint.h"

namespace openllm::model {

/// An adapter's addition to one linear: scale * b (a x).
struct AdapterModule {
  std::string module{};     ///< Its name in the adapter's file format.
  format::NamedTensor a{};  ///< [rank, n_in]
  format::NamedTensor b{};  ///< [n_out, rank]
  float scale = 1.0F;
};

/// A low-rank adapter (LoRA) as data, before it is known which model it is for.
struct AdapterSource {
  std::string path{};  ///< For messages.
  /// File format whose names and row order the modules have; the base model's may be another one.
  format::Checkpoint::Kind naming = format::Checkpoint::Kind::kHuggingFace;
  std::vector<AdapterModule> modules{};
};

/// Reads an adapter's folder (format::open_adapter); the tensors are views into it. Total: a
/// setting or a tensor that changes the numbers in a way that is unknown here is kUnsupported and
/// named; what contradicts itself is kCorruptData.
AdapterSource read_adapter(const format::Checkpoint& checkpoint);

}  // namespace openllm::model
