#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace openllm::format {

/// File layouts of a model.
enum class Layout {
  kHuggingFace,  ///< A folder with config.json.
  kGguf,         ///< One file, or the files of a split.
};

/// Which weights are wanted of a folder that has several forms of them.
enum class Serialisation { kAuto, kSafetensors, kGguf, kLegacy, kFlax, kTensorflow };
/// "safetensors", "gguf", "legacy", "flax", "tensorflow" or "auto".
const char* to_string(Serialisation form) noexcept;

/// What a path to a model leads to.
struct Location {
  Layout layout = Layout::kHuggingFace;
  std::string path{};  ///< The folder, or a GGUF file.
};

/// Finds the model at `path`: a GGUF file of any name, a folder that holds config.json, or a folder
/// with a single GGUF model (one file or one split). A folder with both is a Hugging Face folder
/// when it has safetensors, else its GGUF file counts. Throws kNotFound, kInvalidArgument or
/// kUnsupported saying what was expected there. `wanted`: other forms than this do not count.
Location locate_model(const std::string& path, Serialisation wanted = Serialisation::kAuto);

/// True for a folder that `locate_model` would take for a model's, weights or not.
bool is_model_folder(const std::string& path);

/// GGUF models among the files right in the folder, sorted by name: those whose names end in
/// ".gguf"; if there are none, those that begin as GGUF files do, hidden ones left out. Of a split
/// model the first file; image encoders (mmproj) do not count. Throws kIo when the folder cannot be
/// listed.
std::vector<std::string> find_gguf_models(const std::string& folder);

/// The name ends in ".gguf", in letters of either case.
bool has_gguf_ending(std::string_view name) noexcept;

/// A regular file that begins as GGUF files do, whatever its name.
bool starts_with_gguf_magic(const std::string& path);

}  // namespace openllm::format
