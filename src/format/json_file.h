#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace openllm::format {

/// The JSON file `name` in `folder`, as Python writes them (NaN and infinities are numbers), or
/// null when there is no such file. Throws kCorruptData naming the file.
base::Json read_json_file(const std::string& folder, std::string_view name);

}  // namespace openllm::format
