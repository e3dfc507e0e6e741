#include "model/tensor_book.h"

#include <algorithm>

#include "base/error.h"
#include "format/tensor_list.h"

namespace openllm::model {
namespace {

using base::fail;

std::string_view pattern_of(const TensorLayout& layout, Slot slot) {
  for (const TensorName& name : layout.names) {
    if (name.slot == slot) return name.pattern;
  }
  return {};
}

std::string fill(std::string_view pattern, int layer) {
  std::string out;
  for (const char c : pattern) {
    if (c == '#') {
      out += std::to_string(layer);
    } else {
      out += c;
    }
  }
  return out;
}

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

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

TensorBook::TensorBook(const format::Checkpoint& checkpoint, const TensorLayout& layout)
    : checkpoint_(checkpoint), layout_(layout), prefix_(layout.prefixes.at(0)) {
  // A norm every layer has decides: the embedding may be left out when it is tied to the output.
  const std::string probe = fill(pattern_of(layout, Slot::kAttentionNorm), 0);
  for (const std::string_view prefix : layout.prefixes) {
    if (checkpoint.find(std::string(prefix) + probe) != nullptr) {
      prefix_ = prefix;
      return;
    }
  }
}

std::vector<std::string> TensorBook::candidates(Slot slot, int layer) const {
  const std::string_view pattern = pattern_of(layout_, slot);
  if (pattern.empty()) return {};
  const std::string filled = fill(pattern, layer);
  if (slot != Slot::kOutput) return {prefix_ + filled};
  // The head sits beside the inner model ("language_model.lm_head.weight" for
  // "language_model.model.").
  constexpr std::string_view kInner = "model.";
  std::vector<std::string> names = {filled, prefix_ + filled};
  if (prefix_.ends_with(kInner)) {
    names.push_back(prefix_.substr(0, prefix_.size() - kInner.size()) + filled);
  }
  return names;
}

std::string TensorBook::name(Slot slot, int layer) const {
  const std::vector<std::string> names = candidates(slot, layer);
  base::check(!names.empty(), "model: the family has no name for slot ", static_cast<int>(slot));
  for (const std::string& candidate : names) {
    if (checkpoint_.find(candidate) != nullptr) return candidate;
  }
  return names[0];
}

const tensor::TensorView* TensorBook::find(Slot slot, int layer) const {
  for (const std::string& candidate : candidates(slot, layer)) {
    if (const tensor::TensorView* view = checkpoint_.find(candidate)) return view;
  }
  return nullptr;
}

const tensor::TensorView& TensorBook::take(Slot slot, int layer, const tensor::Shape& shape) {
  const std::string tensor_name = name(slot, layer);
  const tensor::TensorView* view = checkpoint_.find(tensor_name);
  if (view == nullptr) {
    fail(ErrorCode::kCorruptData, checkpoint_.path(), ": tensor ", tensor_name,
         ": missing (expected shape ", shape.to_string(), ")");
  }
  if (!(view->shape == shape)) {
    fail(ErrorCode::kCorruptData, checkpoint_.path(), ": tensor ", tensor_name,
         ": wrong shape (expected ", shape.to_string(), ", got ", view->shape.to_string(), ")");
  }
  used_.push_back(tensor_name);
  return *view;
}

bool TensorBook::is_ignored(std::string_view name) const {
  for (const std::string_view pattern : layout_.ignored) {
    if (matches(name, pattern)) return true;
    if (name.starts_with(prefix_) && matches(name.substr(prefix_.size()), pattern)) return true;
  }
  return false;
}

void TensorBook::require_all_used() const {
  std::vector<std::string> used = used_;
  std::sort(used.begin(), used.end());
  for (const format::NamedTensor& tensor : checkpoint_.tensors()) {
    if (std::binary_search(used.begin(), used.end(), tensor.name) || is_ignored(tensor.name)) {
      continue;
    }
    fail(ErrorCode::kCorruptData, checkpoint_.path(), ": tensor ", format::printable(tensor.name),
         ": not part of this architecture and configuration (shape ", tensor.view.shape.to_string(),
         ")");
  }
  for (const format::UnreadableTensor& tensor : checkpoint_.unreadable()) {
    if (is_ignored(tensor.name)) continue;
    fail(ErrorCode::kCorruptData, checkpoint_.path(), ": tensor ", format::printable(tensor.name),
         ": not part of this architecture and configuration, and unreadable: ", tensor.reason);
  }
}

}  // namespace openllm::model
