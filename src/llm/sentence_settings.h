#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "format/model_source.h"
#include "model/pooled_head.h"
#include "openllm/embed.h"

namespace openllm::llm {

/// How a model makes vectors of texts: what the files say that sentence-transformers writes beside
/// it (modules.json and the folders it names, config_sentence_transformers.json,
/// sentence_bert_config.json), or GGUF's pooling_type.
struct SentenceSettings {
  bool has_modules = false;          ///< There is a modules.json.
  std::optional<Pooling> pooling{};  ///< Unset: nothing says it.
  bool normalize = false;
  bool pools_prompt = true;   ///< The tokens of a prompt count.
  model::PooledHead dense{};  ///< Linears behind the pooling; may be empty.
  std::map<std::string, std::string> prompts{};
  std::string default_prompt{};  ///< A name among them; empty: none.
  int max_tokens = 0;            ///< Where texts are cut; 0: not said.
  /// Whether a cross-encoder's only score goes through a sigmoid.
  bool sigmoid = true;

  /// The prompt for a request. Throws kInvalidArgument for a name that the model does not have.
  std::string prompt_for(const EmbedOptions& options) const;
  /// The name among `names` that the model has a prompt of; empty: none.
  std::string first_prompt(std::initializer_list<std::string_view> names) const;
};

/// Throws kCorruptData for bad files, kUnsupported for modules and settings that are not known.
SentenceSettings read_sentence_settings(const format::ModelSource& source);

}  // namespace openllm::llm
