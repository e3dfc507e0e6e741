#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/json.h"
#include "chat/template.h"
#include "format/checkpoint.h"
#include "model/blocks/model_spec.h"
#include "openllm/llm.h"
#include "tokenizer/tokenizer.h"

namespace openllm::llm {

/// Where a model lies and what it is called.
struct ResolvedModel {
  std::string path;     ///< Folder or .gguf file.
  std::string id;       ///< Name in the store, or the last part of the path.
  std::string version;  ///< Store version, or "local".
};
/// `model`: a path that exists, or a name in the store. A string that begins with '.', '/' or '~'
/// or ends in ".gguf" is always a path. Throws kNotFound saying where was looked.
ResolvedModel resolve_model(const std::string& model);

/// The tokenizer that belongs to a checkpoint; null when it has none.
std::shared_ptr<const tokenizer::Tokenizer> load_tokenizer(const format::Checkpoint& checkpoint);
/// Jinja source of the checkpoint's chat template; nullopt when it has none.
std::optional<std::string> find_chat_template(const format::Checkpoint& checkpoint);
/// The model's own defaults for requests, with LLMConfig's names: generation_config.json of a
/// Hugging Face folder, the `general.sampling.*` metadata of a GGUF file; null when it has none.
base::Json read_generation_config(const format::Checkpoint& checkpoint);
/// Sets the fields of `config` that the model's files have: its defaults for requests, and
/// config.json's eos_token_id where those have none. Throws kCorruptData naming the place.
void apply_model_defaults(LLMConfig& config, const format::Checkpoint& checkpoint);

/// All but what depends on the tokenizer, the template and the backend.
ModelInfo describe_model(const ResolvedModel& resolved, const format::Checkpoint& checkpoint,
                         const model::ModelSpec& spec);

}  // namespace openllm::llm
