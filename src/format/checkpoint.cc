#include "format/checkpoint.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "base/error.h"
#include "format/gguf.h"
#include "format/hf_folder.h"
#include "format/split_name.h"
#include "format/tensor_list.h"

namespace openllm::format {
namespace {

namespace fs = std::filesystem;

bool is_later_shard(const std::string& name) {
  const std::optional<SplitName> split = parse_split_name(name);
  return split && split->index != 1;
}

/// The GGUF models of a folder, sorted: of a split model the first file; image encoders (mmproj) do
/// not count.
std::vector<std::string> list_gguf(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.ends_with(".gguf") || name.starts_with("mmproj") || is_later_shard(name)) continue;
    std::error_code ignored;
    if (it->is_regular_file(ignored)) names.push_back(name);
  }
  if (error) base::fail(ErrorCode::kIo, folder, ": cannot list the folder: ", error.message());
  std::sort(names.begin(), names.end());
  return names;
}

std::unique_ptr<Checkpoint> open_folder(const std::string& path) {
  if (HfFolder::looks_like_one(path)) return std::make_unique<HfFolder>(path);
  const std::vector<std::string> gguf = list_gguf(path);
  if (gguf.size() == 1) return std::make_unique<Gguf>((fs::path(path) / gguf[0]).string());
  if (gguf.size() > 1) {
    base::fail(ErrorCode::kInvalidArgument, path, ": holds ", gguf.size(),
               " GGUF models; name one of them: ", printable(gguf[0]), ", ", printable(gguf[1]),
               gguf.size() > 2 ? ", ..." : "");
  }
  std::error_code ignored;
  const bool has_config = fs::exists(fs::path(path) / "config.json", ignored);
  base::fail(ErrorCode::kNotFound, path,
             ": no model here (expected config.json with model.safetensors or ",
             "model.safetensors.index.json, or one .gguf file; ",
             has_config ? "there is a config.json but no safetensors file" : "there is neither",
             ")");
}

bool starts_with_gguf_magic(const std::string& path) {
  std::array<char, 4> magic{};
  std::ifstream file(path, std::ios::binary);
  return file.read(magic.data(), magic.size()) &&
         std::string_view(magic.data(), magic.size()) == "GGUF";
}

}  // namespace

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
    base::fail(ErrorCode::kUnsupported, path(), ": tensor ", printable(name), ": ", reason->reason);
  }
  return nullptr;
}

std::unique_ptr<Checkpoint> open_checkpoint(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) base::fail(ErrorCode::kNotFound, path, ": no such file or folder");
  if (fs::is_directory(status)) return open_folder(path);
  if (!fs::is_regular_file(status))
    base::fail(ErrorCode::kInvalidArgument, path, ": not a regular file");
  if (path.ends_with(".gguf") || starts_with_gguf_magic(path)) return std::make_unique<Gguf>(path);
  if (path.ends_with(".safetensors") || path.ends_with(".json")) {
    base::fail(ErrorCode::kInvalidArgument, path,
               ": a part of a model (give the folder it lies in)");
  }
  base::fail(ErrorCode::kUnsupported, path,
             ": not a model file (expected a folder or a .gguf file)");
}

std::unique_ptr<Checkpoint> open_adapter(const std::string& path) {
  return std::make_unique<HfFolder>(path, kAdapterFolder);
}

}  // namespace openllm::format
