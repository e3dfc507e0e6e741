#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace openllm::format {

/// A chat template of a model's files.
struct NamedTemplate {
  std::string name;    ///< "default", "tool_use", ...
  std::string source;  ///< Jinja.
  std::string place;   ///< File, or file and key; begins messages about it.
};

/// The templates of a Hugging Face folder, as transformers 5 finds them: chat_template.jinja (it is
/// the default) with additional_chat_templates/NAME.jinja; else chat_template.json; else those in
/// tokenizer_config.json, which may hold one or a list of named ones. Throws kCorruptData naming
/// the file.
std::vector<NamedTemplate> chat_templates_of_folder(const std::string& folder);

/// The keys tokenizer.chat_template (the default) and tokenizer.chat_template.NAME of GGUF
/// metadata.
std::vector<NamedTemplate> chat_templates_of_gguf(const base::Json& metadata,
                                                  const std::string& path);

/// Their names, separated by commas.
std::string list_names(const std::vector<NamedTemplate>& templates);

}  // namespace openllm::format
