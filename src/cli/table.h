#pragma once

#include <string>
#include <vector>

namespace openllm::cli {

/// Lines of columns, two spaces between them, none at the end of a line.
std::string table(const std::vector<std::vector<std::string>>& rows);

}  // namespace openllm::cli
