#include "jinja/values/template_error.h"

namespace openllm::jinja {

std::string shorten(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return std::string(text);
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0U) == 0x80U) --limit;
  return base::cat(text.substr(0, limit), "...");
}

}  // namespace openllm::jinja
