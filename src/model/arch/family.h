#pragma once

#include <string_view>
#include <vector>

#include "format/checkpoint.h"
#include "model/blocks/model_spec.h"
#include "model/config/config.h"
#include "model/weights/module.h"

namespace openllm::model {

/// One architecture: how its configuration becomes a ModelSpec and what its modules are called.
/// No maths.
struct Family {
  std::string_view name;                         ///< For people.
  std::vector<std::string_view> hf_model_types;  ///< config.json's model_type, or its architecture
  std::vector<std::string_view> gguf_names;      ///< GGUF's general.architecture
  ModelSpec (*hf_spec)(const Config& config);
  ModelSpec (*gguf_spec)(const Config& config, const format::Checkpoint& checkpoint);
  ModuleLayout hf_layout;
  ModuleLayout gguf_layout;
};

/// Every family, in the order of the documentation.
const std::vector<Family>& families();

}  // namespace openllm::model
