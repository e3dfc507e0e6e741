#pragma once

#include <string>
#include <string_view>

#include "model/arch/family.h"

namespace openllm::model {

/// A model that has a text part beside towers for images or sounds: which one of the families the
/// text is of, its configuration, and where its tensors are. The towers are left out.
struct TextPart {
  std::string model_type;
  Config config;
};

bool is_wrapper(std::string_view model_type);
/// `config`: that of the whole; model_type is a wrapper's.
TextPart text_part_of(std::string_view model_type, const Config& config);
/// The whole has a head of its own, without the scales of the text's; where the file has none, it
/// is the table of embeddings.
void use_outer_head(ModelSpec& spec);
/// Names of the text's modules behind the prefixes that wrappers have.
ModuleLayout wrapped_layout(const ModuleLayout& layout);

}  // namespace openllm::model
