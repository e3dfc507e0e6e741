#pragma once

#include <string_view>

#include "format/model_source.h"
#include "openllm/llm_config.h"

namespace openllm::llm {

/// A family of models, and what OpenLLM recommends for the requests of its models.
struct FamilyDefaults {
  std::string_view name{};
  LLMConfig config{};
};

/// The family that the model's configuration says: by its `model_type` (GGUF: its architecture),
/// else by the first of its `architectures`. Families that share one are told apart by sizes and
/// members of the configuration, never by names of files or repositories. Without a name: none.
FamilyDefaults family_defaults(const format::ModelSource& source);

}  // namespace openllm::llm
