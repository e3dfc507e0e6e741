#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "format/checkpoint.h"
#include "model/arch/family.h"

namespace openllm::model {

/// Finds a file's tensors by slot and keeps account of which were taken.
class TensorBook {
 public:
  TensorBook(const format::Checkpoint& checkpoint, const TensorLayout& layout);

  /// Null when the file has no such tensor. `layer` is ignored for slots that are not per layer.
  const tensor::TensorView* find(Slot slot, int layer = 0) const;
  bool has(Slot slot, int layer = 0) const { return find(slot, layer) != nullptr; }
  /// The tensor, marked as used. kCorruptData when it is absent or not of that shape.
  const tensor::TensorView& take(Slot slot, int layer, const tensor::Shape& shape);
  /// True when the family has such tensors at all.
  bool knows(Slot slot) const { return !candidates(slot, 0).empty(); }
  /// Its name in the file (the first one tried when absent).
  std::string name(Slot slot, int layer = 0) const;
  /// kCorruptData naming the first tensor that was neither taken nor is ignored.
  void require_all_used() const;

 private:
  /// Every name the slot's tensor may have.
  std::vector<std::string> candidates(Slot slot, int layer) const;
  bool is_ignored(std::string_view name) const;

  const format::Checkpoint& checkpoint_;
  const TensorLayout& layout_;
  std::string prefix_;
  std::vector<std::string> used_;
};

/// True when `name` fits `pattern`: '#' is one or more digits, '*' at the end anything.
bool matches(std::string_view name, std::string_view pattern) noexcept;

}  // namespace openllm::model
