#pragma once

#include <string>
#include <string_view>

namespace openllm::jinja {

/// The text between the quotes of a literal, with Python's escapes resolved. Throws TemplateError.
std::string unescape(std::string_view literal);

}  // namespace openllm::jinja
