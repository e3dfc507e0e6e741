#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/other_model.h"

namespace openllm::hub {

/// A name as Ollama has it: [host/][namespace/]model[:tag].
struct OllamaName {
  std::string host = "registry.ollama.ai";
  std::string space = "library";
  std::string model{};
  std::string tag = "latest";

  /// "ollama://llama3.2:1b": what is not as usual, and the tag.
  std::string text() const;
  /// Below the folder of manifests.
  std::filesystem::path path() const;
};

/// What stands behind "ollama://". Throws kInvalidArgument for what cannot be a name there.
OllamaName parse_ollama_name(std::string_view text);

/// What a manifest says that matters here.
struct OllamaManifest {
  std::string sha256{};    ///< Of the GGUF file.
  std::int64_t size = -1;  ///< -1: not said.
};

/// Reads a manifest. Throws kCorruptData for what is none, or names no digest; kUnsupported for a
/// model of several files, with an adapter, of other weights than one GGUF file, or with parts that
/// nobody here knows. Its template, parameters, system prompt and image encoder are left alone.
OllamaManifest parse_ollama_manifest(const std::string& text, const std::string& where);

/// Models that Ollama keeps: `manifests/HOST/NAMESPACE/MODEL/TAG`, `blobs/sha256-DIGEST`. Nothing
/// in there is trusted, nothing is written.
/// Thread safety: every method from any thread.
class OllamaModels {
 public:
  explicit OllamaModels(std::vector<std::string> folders) : folders_(std::move(folders)) {}

  /// The first of that name. Throws as `parse_ollama_manifest`, and kCorruptData when the file is
  /// missing or none of a model.
  std::optional<OtherModel> find(const OllamaName& name) const;
  /// Those that can be used, sorted by name.
  std::vector<OtherModel> list() const;
  const std::vector<std::string>& folders() const noexcept { return folders_; }

 private:
  std::vector<std::string> folders_;
};

}  // namespace openllm::hub
