#include "chat/template.h"

#include "chat/reads.h"

namespace openllm::chat {

Template Template::parse(std::string_view source) {
  return Template(jinja::Template::parse(source, "chat template"));
}

void Template::require_read(const std::vector<Message>& messages, const GenerateOptions& options,
                            std::string_view model) const {
  chat::require_read(code_, messages, options, model);
}

std::string Template::render(const std::vector<Message>& messages, const GenerateOptions& options,
                             const SpecialTokens& tokens) const {
  return code_.render(template_context(messages, options, tokens));
}

}  // namespace openllm::chat
