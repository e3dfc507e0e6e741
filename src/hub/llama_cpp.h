#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "hub/other_model.h"
#include "hub/reference.h"

namespace openllm::hub {

/// The file that llama.cpp's note of a repository says: "Qwen3-0.6B-Q8_0.gguf". Throws kCorruptData
/// for other texts and for names that lead elsewhere.
std::string parse_llama_cpp_manifest(const std::string& text, const std::string& where);

/// What llama.cpp fetched before it shared the Hugging Face cache: files
/// `owner_name_FILE.gguf` in one folder, and beside them, for each name that was asked for, a
/// `manifest=owner=name=TAG.json` that says which file it was. Only what such a manifest names is
/// found: of a file's name alone one cannot tell where the owner ends. Read only.
/// Thread safety: every method from any thread.
class LlamaCppCache {
 public:
  explicit LlamaCppCache(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// By the variant, else what was fetched without one ("latest"), else the only file of that
  /// repository. Nothing for references with a revision or a file. What is damaged is not found.
  std::optional<OtherModel> find(const Reference& reference) const;
  /// Each file once, sorted by name.
  std::vector<OtherModel> list() const;

 private:
  std::filesystem::path folder_;
};

}  // namespace openllm::hub
