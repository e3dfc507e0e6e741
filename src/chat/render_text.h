#pragma once

#include <string>

#include "base/json.h"

namespace openllm::chat {

/// What a template (Jinja, as chat templates have it) makes of the variables in `data`, an object;
/// nothing is added to them. Throws as chat::Template. `place` is what messages call the template.
std::string render_text(const std::string& source, const base::Json& data,
                        const std::string& place);

}  // namespace openllm::chat
