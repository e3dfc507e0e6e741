#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "format/chat_templates.h"
#include "format/checkpoint.h"
#include "format/gguf_metadata.h"
#include "format/json_file.h"
#include "format/locate.h"

namespace openllm::format {

/// File format of a model's weights.
enum class WeightFormat { kNone, kSafetensors, kGguf, kPytorch, kFlax, kTensorflow };
/// "none", "safetensors", "gguf", "pytorch", "flax" or "tensorflow".
const char* to_string(WeightFormat format) noexcept;

/// Sizes that configurations of most architectures name alike; 0 where they do not.
struct ModelOutline {
  int n_layers = 0;
  int vocab_size = 0;
  int max_positions = 0;
};

/// A model on disk, opened without its tensors: what its small files say, whatever the
/// architecture, and whether there are weights at all. Backends decide by it whether they can run
/// the model; tokenizer and chat template are made from it.
struct ModelSource {
  std::string id{};       ///< Name in the store, or the last part of the path.
  std::string version{};  ///< Version in the store, or "local".
  std::string asked{};    ///< As the caller named it; servers may know it by that.
  std::string path{};     ///< Folder or file, as given.
  Layout layout = Layout::kHuggingFace;
  WeightFormat weights = WeightFormat::kNone;
  /// config.json, or GGUF metadata (GgufMetadata::config).
  base::Json config{};
  /// As the files name it: model_type of config.json, or the first of `architectures`;
  /// general.architecture of GGUF. Empty when they do not.
  std::string architecture{};
  /// `quant_method` of config.json's quantization_config ("gptq", "awq", ...); empty when it has
  /// none. Formats whose tensors say it themselves (GGUF) leave it empty.
  std::string quantisation{};
  /// Empty when the files have none.
  std::vector<NamedTemplate> chat_templates{};
  /// Defaults for requests under the names of generation_config.json; null when the files have
  /// none. For GGUF made of its metadata `general.sampling.*`.
  base::Json generation_defaults{};
  std::string generation_defaults_place{};  ///< Begins messages about them.
  std::string tokenizer_path{};         ///< tokenizer.json; empty when there is none, and for GGUF.
  std::string tokenizer_config_path{};  ///< tokenizer_config.json, likewise.
  std::shared_ptr<const GgufMetadata> gguf{};  ///< Null for other layouts.

  bool has_weights() const noexcept { return weights != WeightFormat::kNone; }
  ModelOutline outline() const;
  /// Opens the tensors. Throws as open_checkpoint; kNotFound when there are none it can read.
  std::unique_ptr<Checkpoint> open_weights() const;
  /// The configuration as a checkpoint without tensors, for readers that need no more.
  std::unique_ptr<Checkpoint> without_tensors() const;
};

/// Opens what `locate_model` finds at `path`, under the id that the path's last part gives. Throws
/// as `locate_model`; kCorruptData for damaged files, naming them; kNotFound when there are no
/// weights of the form that is `wanted`.
ModelSource open_model(const std::string& path, Serialisation wanted = Serialisation::kAuto);

/// The tokenizer, the templates and the defaults at `path`, for a model whose weights are
/// elsewhere: what `open_model` opens, or a folder with a tokenizer.json and no configuration.
ModelSource open_tokenizer(const std::string& path);

}  // namespace openllm::format
