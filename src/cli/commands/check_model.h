#pragma once

#include <cstdint>
#include <string>

namespace openllm::cli {

/// Keeps damaged files, and folders whose parts do not fit together, out of the store. A model that
/// this version cannot run is told on standard error only.
void check_model(const std::string& path);

/// "12.3 MB"
std::string readable_size(std::int64_t bytes);

}  // namespace openllm::cli
