#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "format/checkpoint.h"
#include "model/weights/module.h"

namespace openllm::model {

/// Finds a file's tensors by the role of their module, and keeps account of which were taken.
class TensorIndex {
 public:
  TensorIndex(const format::Checkpoint& checkpoint, const ModuleLayout& layout);

  const format::Checkpoint& checkpoint() const noexcept { return checkpoint_; }
  /// The stack whose modules are looked up; at first that of the decoder, or the only one.
  enum class Stack { kDecoder, kEncoder };
  void use(Stack stack) noexcept { stack_ = stack; }
  Stack stack() const noexcept { return stack_; }
  /// True when the family has such modules at all.
  bool knows(Role role) const noexcept;
  /// True when each expert has modules of its own; else their tensors are stacked in one. Where a
  /// family has names of both kinds, the file decides.
  bool has_expert_numbers(Role role, At at = {}) const;
  /// True when stacked experts are [experts, in, out].
  bool has_turned_experts() const noexcept { return layout_.transposed_experts; }
  /// True when the file has tensors of that module.
  bool has(Role role, At at = {}) const;
  /// The module's name in the file: one that has tensors, else the first one tried. Empty when the
  /// family has no such modules.
  std::string module(Role role, At at = {}) const;
  /// Null when the file has no such tensor.
  const tensor::TensorView* find(const std::string& tensor) const {
    return checkpoint_.find(tensor);
  }
  /// The tensor `module`.weight.
  const tensor::TensorView* find_weight(Role role, At at = {}) const;

  /// The tensor, marked as used. kCorruptData when it is absent or not of that shape.
  const tensor::TensorView& take(const std::string& tensor, const tensor::Shape& shape);
  /// kCorruptData naming a tensor of the last layer when the file does not have so many.
  void require_layers(int n_layers) const;
  /// kCorruptData naming the first tensor that was neither taken nor is ignored.
  void require_all_used() const;

 private:
  std::vector<std::string> candidates(Role role, At at) const;
  const std::vector<ModuleName>& names_in_use() const noexcept;
  const ModuleName* name_of(Role role) const noexcept;
  bool has_tensors(const std::string& module) const;
  bool is_ignored(std::string_view name) const;

  const format::Checkpoint& checkpoint_;
  const ModuleLayout& layout_;
  std::string prefix_;
  std::string_view layer_pattern_{};  ///< Of a module that every layer has.
  Stack stack_ = Stack::kDecoder;
  std::vector<std::string> used_;
};

/// True when `name` fits `pattern`: '#' is one or more digits, '*' at the end anything.
bool matches(std::string_view name, std::string_view pattern) noexcept;

}  // namespace openllm::model
