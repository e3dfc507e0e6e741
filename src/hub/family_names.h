#pragma once

#include <string>
#include <vector>

namespace openllm::hub {

/// Names of families that stand for models, without those that the user's own list adds.
std::vector<std::string> family_names();

}  // namespace openllm::hub
