#include "format/checkpoint.h"

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "format/gguf.h"
#include "format/hf_folder.h"
#include "format/locate.h"
#include "format/recognise.h"
#include "format/tensor_list.h"

namespace openllm::format {

const std::vector<UnreadableTensor>& Checkpoint::unreadable() const noexcept {
  static const std::vector<UnreadableTensor> kNone;
  return kNone;
}

const tensor::TensorView* Checkpoint::find(std::string_view name) const {
  const std::vector<NamedTensor>& all = tensors();
  const auto it = std::lower_bound(
      all.begin(), all.end(), name,
      [](const NamedTensor& tensor, std::string_view key) { return tensor.name < key; });
  if (it != all.end() && it->name == name) return &it->view;
  const std::vector<UnreadableTensor>& bad = unreadable();
  const auto reason = std::lower_bound(
      bad.begin(), bad.end(), name,
      [](const UnreadableTensor& tensor, std::string_view key) { return tensor.name < key; });
  if (reason != bad.end() && reason->name == name) {
    base::fail_at(ErrorCode::kUnsupported, path(), "tensor ", printable(name), ": ",
                  reason->reason);
  }
  return nullptr;
}

std::unique_ptr<Checkpoint> open_checkpoint(const std::string& path) {
  const Location found = locate_model(path);
  if (found.layout == Layout::kGguf) return std::make_unique<Gguf>(found.path);
  if (HfFolder::looks_like_one(found.path)) {
    return std::make_unique<HfFolder>(found.path, HfFolder::names_in(found.path));
  }
  base::fail_at(
      ErrorCode::kNotFound, path,
      "no model here (expected config.json with model.safetensors, pytorch_model.bin, ",
      "flax_model.msgpack, tf_model.h5 or an index of such files, or one .gguf file; there is a ",
      "config.json but no file of these names; ", describe_folder(found.path), ")");
}

std::unique_ptr<Checkpoint> open_adapter(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(path, ignored)) return std::make_unique<Gguf>(path);
  return std::make_unique<HfFolder>(path, HfFolder::adapter_names_in(path));
}

}  // namespace openllm::format
