#include "model/weights/tensor_index.h"

#include <algorithm>

#include "base/error.h"
#include "format/tensor_list.h"

namespace openllm::model {
namespace {

using base::fail;

std::string fill(std::string_view pattern, At at) {
  std::string out;
  for (const char c : pattern) {
    if (c == '#') {
      out += std::to_string(at.layer);
    } else if (c == '@') {
      out += std::to_string(at.expert);
    } else {
      out += c;
    }
  }
  return out;
}

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// Names of a module that every layer has.
std::vector<std::string_view> layer_patterns(const ModuleLayout& layout) {
  std::vector<std::string_view> patterns;
  const Role* role = nullptr;
  for (const ModuleName& name : layout.modules) {
    if (name.pattern.find('#') == std::string_view::npos) continue;
    if (role == nullptr) role = &name.role;
    if (name.role == *role) patterns.push_back(name.pattern);
  }
  return patterns;
}

/// The first of the layers that predict further tokens, which GGUF has behind those of the network;
/// they are not run. A number that no layer has where there are none.
std::int64_t first_layer_not_run(const format::Checkpoint& checkpoint) {
  constexpr std::int64_t kNone = std::int64_t{1} << 32;
  const base::Json& config = checkpoint.config();
  const base::Json* name = config.find("general.architecture");
  if (checkpoint.kind() != format::Checkpoint::Kind::kGguf || name == nullptr ||
      name->if_string() == nullptr)
    return kNone;
  const base::Json* n_all = config.find(*name->if_string() + ".block_count");
  const base::Json* n_further = config.find(*name->if_string() + ".nextn_predict_layers");
  if (n_all == nullptr || n_further == nullptr || !n_all->is_number() || !n_further->is_number())
    return kNone;
  const std::int64_t further = n_further->as_int("nextn_predict_layers");
  return further > 0 ? n_all->as_int("block_count") - further : kNone;
}

/// True for tensors of GGUF's layers from `first` on.
bool is_of_layer_from(std::string_view name, std::int64_t first) {
  constexpr std::string_view kLayers = "blk.";
  if (!name.starts_with(kLayers)) return false;
  std::int64_t number = 0;
  std::size_t at = kLayers.size();
  for (; at < name.size() && is_digit(name[at]) && number <= first; ++at)
    number = number * 10 + (name[at] - '0');
  return at > kLayers.size() && number >= first;
}

}  // namespace

bool matches(std::string_view name, std::string_view pattern) noexcept {
  std::size_t at = 0;
  for (const char c : pattern) {
    if (c == '*') return true;
    if (c == '#') {
      if (at >= name.size() || !is_digit(name[at])) return false;
      while (at < name.size() && is_digit(name[at])) ++at;
    } else if (at >= name.size() || name[at++] != c) {
      return false;
    }
  }
  return at == name.size();
}

TensorIndex::TensorIndex(const format::Checkpoint& checkpoint, const ModuleLayout& layout)
    : checkpoint_(checkpoint), layout_(layout), prefix_(layout.prefixes.at(0)) {
  // A module of layer 0 decides: the embedding may be left out when it is tied to the output.
  for (const std::string_view pattern : layer_patterns(layout)) {
    if (layer_pattern_.empty()) layer_pattern_ = pattern;
    for (const std::string_view prefix : layout.prefixes) {
      if (!has_tensors(std::string(prefix) + fill(pattern, {}))) continue;
      prefix_ = prefix;
      layer_pattern_ = pattern;
      return;
    }
  }
}

bool TensorIndex::has_tensors(const std::string& module) const {
  // Tensors are sorted by name.
  const auto& tensors = checkpoint_.tensors();
  const std::string start = module + ".";
  const auto first = std::lower_bound(tensors.begin(), tensors.end(), start,
                                      [](const format::NamedTensor& tensor,
                                         const std::string& name) { return tensor.name < name; });
  return (first != tensors.end() && first->name.starts_with(start)) ||
         checkpoint_.find(module) != nullptr || checkpoint_.find(module + "_blocks") != nullptr;
}

const std::vector<ModuleName>& TensorIndex::names_in_use() const noexcept {
  return stack_ == Stack::kEncoder ? layout_.encoder_modules : layout_.modules;
}

const ModuleName* TensorIndex::name_of(Role role) const noexcept {
  for (const ModuleName& name : names_in_use()) {
    if (name.role == role) return &name;
  }
  return nullptr;
}

bool TensorIndex::knows(Role role) const noexcept { return name_of(role) != nullptr; }

bool TensorIndex::has_expert_numbers(Role role, At at) const {
  const ModuleName* first = nullptr;
  for (const ModuleName& name : names_in_use()) {
    if (name.role != role) continue;
    if (first == nullptr) first = &name;
    if (has_tensors(prefix_ + fill(name.pattern, at))) {
      first = &name;
      break;
    }
  }
  return first != nullptr && first->pattern.find('@') != std::string_view::npos;
}

std::vector<std::string> TensorIndex::candidates(Role role, At at) const {
  std::vector<std::string> names;
  for (const ModuleName& name : names_in_use()) {
    if (name.role != role) continue;
    const std::string filled = fill(name.pattern, at);
    if (name.beside_prefix) names.push_back(filled);
    names.push_back(prefix_ + filled);
    // The head sits beside the inner model ("language_model.lm_head" for "language_model.model.").
    constexpr std::string_view kInner = "model.";
    if (name.beside_prefix && prefix_.ends_with(kInner)) {
      names.push_back(prefix_.substr(0, prefix_.size() - kInner.size()) + filled);
    }
  }
  return names;
}

bool TensorIndex::has(Role role, At at) const {
  const std::vector<std::string> names = candidates(role, at);
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return has_tensors(name); });
}

std::string TensorIndex::module(Role role, At at) const {
  const std::vector<std::string> names = candidates(role, at);
  for (const std::string& name : names) {
    if (has_tensors(name)) return name;
  }
  return names.empty() ? std::string() : names[0];
}

const tensor::TensorView* TensorIndex::find_weight(Role role, At at) const {
  for (const std::string& name : candidates(role, at)) {
    if (const tensor::TensorView* view = find(name + ".weight")) return view;
  }
  return nullptr;
}

const tensor::TensorView& TensorIndex::take(const std::string& tensor, const tensor::Shape& shape) {
  const tensor::TensorView* view = find(tensor);
  if (view == nullptr) {
    fail(ErrorCode::kCorruptData, checkpoint_.path(), ": tensor ", tensor,
         ": missing (expected shape ", shape.to_string(), ")");
  }
  if (!(view->shape == shape)) {
    fail(ErrorCode::kCorruptData, checkpoint_.path(), ": tensor ", tensor,
         ": wrong shape (expected ", shape.to_string(), ", got ", view->shape.to_string(), ")");
  }
  used_.push_back(tensor);
  return *view;
}

void TensorIndex::require_layers(int n_layers) const {
  const std::string last = prefix_ + fill(layer_pattern_, {.layer = n_layers - 1});
  if (has_tensors(last)) return;
  fail(ErrorCode::kCorruptData, checkpoint_.path(), ": tensor ", last,
       ".weight: missing (expected ", n_layers, " layers)");
}

bool TensorIndex::is_ignored(std::string_view name) const {
  for (const std::string_view pattern : layout_.ignored) {
    if (matches(name, pattern)) return true;
    if (name.starts_with(prefix_) && matches(name.substr(prefix_.size()), pattern)) return true;
  }
  return false;
}

void TensorIndex::require_all_used() const {
  std::vector<std::string> used = used_;
  std::sort(used.begin(), used.end());
  const std::int64_t end = first_layer_not_run(checkpoint_);
  for (const format::NamedTensor& tensor : checkpoint_.tensors()) {
    if (std::binary_search(used.begin(), used.end(), tensor.name) || is_ignored(tensor.name) ||
        is_of_layer_from(tensor.name, end)) {
      continue;
    }
    fail(ErrorCode::kCorruptData, checkpoint_.path(), ": tensor ", format::printable(tensor.name),
         ": not part of this architecture and configuration (shape ", tensor.view.shape.to_string(),
         ")");
  }
  for (const format::UnreadableTensor& tensor : checkpoint_.unreadable()) {
    if (is_ignored(tensor.name) || is_of_layer_from(tensor.name, end)) continue;
    fail(ErrorCode::kCorruptData, checkpoint_.path(), ": tensor ", format::printable(tensor.name),
         ": not part of this architecture and configuration, and unreadable: ", tensor.reason);
  }
}

}  // namespace openllm::model
