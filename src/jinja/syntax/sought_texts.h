#pragma once

#include <string>
#include <vector>

#include "jinja/syntax/ast.h"

namespace openllm::jinja {

/// The texts that a template looks for in its values instead of printing them: constants that
/// something is compared with or searched for (`'</think>' in content`), and constants among the
/// arguments of methods, filters and tests (`content.split('</think>')`).
std::vector<std::string> find_sought_texts(const Ast& ast);

}  // namespace openllm::jinja
