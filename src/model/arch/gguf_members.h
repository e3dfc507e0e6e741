#pragma once

#include <functional>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "model/arch/gguf.h"

namespace openllm::model::gguf {

/// The metadata of a GGUF file under the names that config.json has for it, so that a family reads
/// both by one function. What a converter leaves out of the file is for the family to `set`.
/// Source of the names: gguf-py's constants.py and llama.cpp's conversion/.
class Members {
 public:
  Members(const Config& config, const format::Checkpoint& checkpoint);

  Members& set(std::string_view name, base::Json value);
  /// `name` has the value of `key`, where that is given.
  Members& copy(std::string_view key, std::string_view name);
  /// The family reads these keys itself. Keys that change the numbers and that nobody reads are
  /// refused.
  Members& leave(std::initializer_list<std::string_view> keys);
  /// Sizes that some layers do not have: true for those where `key`, a number for each layer or one
  /// for all, is not 0. `name` becomes that number, the same for all of them; 0 if there is none.
  std::vector<bool> layers_with(std::string_view key, std::string_view name);
  /// Layers that differ in heads and widths: the family reads those sizes itself.
  Members& layers_differ();
  /// A number for each layer, or one for all.
  std::vector<int> each_layer(std::string_view key, std::int64_t min, std::int64_t max) const;
  bool has_tensor(std::string_view name) const { return gguf::has_tensor(checkpoint_, name); }
  /// True for the layers that have a tensor of that name behind "blk.#.".
  std::vector<bool> layers_with_tensor(std::string_view name) const;
  bool some_layer_has(std::string_view name) const;
  int n_layers() const;

  /// How the converter stored the rows of Q and K.
  enum class Heads { kAsTrained, kPaired };
  /// The network. Its only rope, if it has one, is the one that the file's keys and factors
  /// describe.
  ModelSpec read(const std::function<ModelSpec(const Config&)>& from_hf,
                 Heads heads = Heads::kAsTrained) const;

 private:
  void read_sizes();
  void read_biases();
  void refuse_unread() const;

  const Config& config_;
  const format::Checkpoint& checkpoint_;
  base::Json values_ = base::Json::object();
  std::vector<std::string_view> left_{};
  bool layers_differ_ = false;
};

/// `layout` with other names for the roles of `modules`, and without those of `absent`.
ModuleLayout layout_with(std::initializer_list<ModuleName> modules,
                         std::initializer_list<Role> absent = {});
/// Adds a mixture's router, experts and shared FFN.
void add_experts(ModuleLayout& layout);

}  // namespace openllm::model::gguf
