#pragma once

#include <memory>
#include <string>

#include "format/model_source.h"
#include "openllm/llm.h"
#include "tokenizer/tokenizer.h"

namespace openllm::llm {

/// Where a model lies and what it is called.
struct ResolvedModel {
  std::string path;     ///< Folder or .gguf file.
  std::string id;       ///< Name in the store, or the last part of the path.
  std::string version;  ///< Store version, or "local".
};
/// One meaning per string: a string that begins with '.', '/' or '~' or ends in ".gguf" is a path;
/// any other is a name or tag in the store, or, if the store does not have it, a folder that holds
/// a model or a GGUF file of any name. Throws kNotFound saying where was looked.
ResolvedModel resolve_model(const std::string& model);
/// The model that `resolve_model` finds, opened without its tensors.
format::ModelSource open_source(const std::string& model);

/// The model's tokenizer; null when its files have none. `pre`, unless empty, is the name of the
/// pre-tokenizer instead of what a GGUF file says.
std::shared_ptr<const tokenizer::Tokenizer> load_tokenizer(const format::ModelSource& source,
                                                           const std::string& pre = {});
/// Sets the fields of `config` that the model's files have: its defaults for requests, and
/// config.json's eos_token_id where those have none. Throws kCorruptData naming the place.
void apply_model_defaults(LLMConfig& config, const format::ModelSource& source);

/// Sizes and types of the weights, and the outline of the configuration, so far as they can be
/// read; nothing about tokenizer and backend. `vocab_size` > 0 is a better one than the outline's.
ModelInfo describe_files(const format::ModelSource& source, int vocab_size = 0);

}  // namespace openllm::llm
