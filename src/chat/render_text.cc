#include "chat/render_text.h"

#include "jinja/template.h"

namespace openllm::chat {

std::string render_text(const std::string& source, const base::Json& data,
                        const std::string& place) {
  return jinja::Template::parse(source, place).render(data);
}

}  // namespace openllm::chat
