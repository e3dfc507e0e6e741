#include "format/locate.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "format/hf_folder.h"
#include "format/recognise.h"
#include "format/split_name.h"
#include "format/tensor_list.h"

namespace openllm::format {
namespace {

namespace fs = std::filesystem;

/// Not a model of its own: an image encoder, or a later file of a split.
bool is_part(const std::string& name) {
  if (name.starts_with("mmproj")) return true;
  const std::optional<SplitName> split = parse_split_name(name);
  return split && split->index != 1;
}

Location locate_in_folder(const std::string& path, Serialisation wanted) {
  const bool is_any = wanted == Serialisation::kAuto;
  const bool is_hf = !is_any && wanted != Serialisation::kGguf;
  const bool has_safetensors =
      HfFolder::looks_like_one(path) && &HfFolder::names_in(path) == &kModelFolder;
  if (is_any && has_safetensors) return {Layout::kHuggingFace, path};
  if (is_hf && HfFolder::has_config(path)) return {Layout::kHuggingFace, path};
  std::vector<std::string> gguf;
  if (!is_hf) gguf = find_gguf_models(path);
  if (gguf.size() == 1) return {Layout::kGguf, (fs::path(path) / gguf[0]).string()};
  if (gguf.size() > 1) {
    base::fail_at(ErrorCode::kInvalidArgument, path, "holds ", gguf.size(),
                  " GGUF models; name one of them: ", printable(gguf[0]), ", ", printable(gguf[1]),
                  gguf.size() > 2 ? ", ..." : "");
  }
  if (is_any && HfFolder::has_config(path)) return {Layout::kHuggingFace, path};
  base::fail_at(ErrorCode::kNotFound, path,
                "no model here (expected config.json with model.safetensors or ",
                "model.safetensors.index.json, or one .gguf file; ", describe_folder(path), ")");
}

}  // namespace

const char* to_string(Serialisation form) noexcept {
  switch (form) {
    case Serialisation::kAuto:
      return "auto";
    case Serialisation::kSafetensors:
      return "safetensors";
    case Serialisation::kGguf:
      return "gguf";
    case Serialisation::kLegacy:
      return "legacy";
    case Serialisation::kFlax:
      return "flax";
    case Serialisation::kTensorflow:
      return "tensorflow";
  }
  return "auto";
}

Location locate_model(const std::string& path, Serialisation wanted) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) base::fail_at(ErrorCode::kNotFound, path, "no such file or folder");
  if (fs::is_directory(status)) return locate_in_folder(path, wanted);
  if (!fs::is_regular_file(status))
    base::fail_at(ErrorCode::kInvalidArgument, path, "not a regular file");
  if (has_gguf_ending(path) || starts_with_gguf_magic(path)) {
    if (wanted != Serialisation::kAuto && wanted != Serialisation::kGguf)
      base::fail_at(ErrorCode::kNotFound, path, "a GGUF file (other weights were asked for)");
    return {Layout::kGguf, path};
  }
  if (path.ends_with(".safetensors") || path.ends_with(".json") || path.ends_with(".msgpack") ||
      path.ends_with(".h5")) {
    base::fail_at(ErrorCode::kInvalidArgument, path,
                  "a part of a model (give the folder it lies in)");
  }
  base::fail_at(ErrorCode::kUnsupported, path,
                "not a model file (expected a folder or a .gguf file)", note_what_it_is(path));
}

bool is_model_folder(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return false;
  try {
    return HfFolder::has_config(path) || !find_gguf_models(path).empty();
  } catch (const Error&) {
    return false;  // nobody can list it
  }
}

std::vector<std::string> find_gguf_models(const std::string& folder) {
  std::vector<std::string> named;
  std::vector<std::string> others;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (!it->is_regular_file(ignored)) continue;
    std::string name = it->path().filename().string();
    if (has_gguf_ending(name)) {
      if (!is_part(name)) named.push_back(std::move(name));
    } else if (!name.starts_with('.') && !name.starts_with("mmproj")) {
      others.push_back(std::move(name));
    }
  }
  if (error) base::fail_at(ErrorCode::kIo, folder, "cannot list the folder: ", error.message());
  if (named.empty()) {
    std::copy_if(others.begin(), others.end(), std::back_inserter(named), [&](const auto& name) {
      return starts_with_gguf_magic((fs::path(folder) / name).string());
    });
  }
  std::sort(named.begin(), named.end());
  return named;
}

bool has_gguf_ending(std::string_view name) noexcept {
  constexpr std::string_view kEnding = ".gguf";
  if (name.size() < kEnding.size()) return false;
  name.remove_prefix(name.size() - kEnding.size());
  return std::equal(name.begin(), name.end(), kEnding.begin(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

bool starts_with_gguf_magic(const std::string& path) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return false;  // a pipe would be waited for
  std::array<char, 4> magic{};
  std::ifstream file(path, std::ios::binary);
  return file.read(magic.data(), magic.size()) &&
         std::string_view(magic.data(), magic.size()) == "GGUF";
}

}  // namespace openllm::format
