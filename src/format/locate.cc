#include "format/locate.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>
#include <system_error>

#include "base/error.h"
#include "format/hf_folder.h"
#include "format/split_name.h"
#include "format/tensor_list.h"

namespace openllm::format {
namespace {

namespace fs = std::filesystem;

/// Empty when the folder cannot be listed; then `error` is set.
std::vector<std::string> list_gguf(const std::string& folder, std::error_code& error) {
  std::vector<std::string> names;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored)) names.push_back(it->path().filename().string());
  }
  return error ? std::vector<std::string>{} : select_gguf_models(std::move(names));
}

Location locate_in_folder(const std::string& path) {
  if (HfFolder::looks_like_one(path)) return {Layout::kHuggingFace, path};
  std::error_code error;
  const std::vector<std::string> gguf = list_gguf(path, error);
  if (error) base::fail(ErrorCode::kIo, path, ": cannot list the folder: ", error.message());
  if (gguf.size() == 1) return {Layout::kGguf, (fs::path(path) / gguf[0]).string()};
  if (gguf.size() > 1) {
    base::fail(ErrorCode::kInvalidArgument, path, ": holds ", gguf.size(),
               " GGUF models; name one of them: ", printable(gguf[0]), ", ", printable(gguf[1]),
               gguf.size() > 2 ? ", ..." : "");
  }
  if (HfFolder::has_config(path)) return {Layout::kHuggingFace, path};
  base::fail(ErrorCode::kNotFound, path,
             ": no model here (expected config.json with model.safetensors or ",
             "model.safetensors.index.json, or one .gguf file; there is neither)");
}

}  // namespace

Location locate_model(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) base::fail(ErrorCode::kNotFound, path, ": no such file or folder");
  if (fs::is_directory(status)) return locate_in_folder(path);
  if (!fs::is_regular_file(status))
    base::fail(ErrorCode::kInvalidArgument, path, ": not a regular file");
  if (path.ends_with(".gguf") || starts_with_gguf_magic(path)) return {Layout::kGguf, path};
  if (path.ends_with(".safetensors") || path.ends_with(".json")) {
    base::fail(ErrorCode::kInvalidArgument, path,
               ": a part of a model (give the folder it lies in)");
  }
  base::fail(ErrorCode::kUnsupported, path,
             ": not a model file (expected a folder or a .gguf file)");
}

bool is_model_folder(const std::string& path) {
  std::error_code error;
  return fs::is_directory(path, error) &&
         (HfFolder::has_config(path) || !list_gguf(path, error).empty());
}

std::vector<std::string> select_gguf_models(std::vector<std::string> names) {
  const auto is_other = [](const std::string& name) {
    if (!name.ends_with(".gguf") || name.starts_with("mmproj")) return true;
    const std::optional<SplitName> split = parse_split_name(name);
    return split && split->index != 1;
  };
  names.erase(std::remove_if(names.begin(), names.end(), is_other), names.end());
  std::sort(names.begin(), names.end());
  return names;
}

bool starts_with_gguf_magic(const std::string& path) {
  std::array<char, 4> magic{};
  std::ifstream file(path, std::ios::binary);
  return file.read(magic.data(), magic.size()) &&
         std::string_view(magic.data(), magic.size()) == "GGUF";
}

}  // namespace openllm::format
