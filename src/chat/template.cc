#include "chat/template.h"

namespace openllm::chat {

Template Template::parse(std::string_view source) {
  return Template(jinja::Template::parse(source, "chat template"));
}

std::string Template::render(const std::vector<Message>& messages, const GenerateOptions& options,
                             const SpecialTokens& tokens) const {
  return code_.render(template_context(messages, options, tokens));
}

}  // namespace openllm::chat
