#pragma once

#include <string_view>

#include "base/json.h"

namespace openllm::base {

/// What somebody set as JSON: a variable, an option, a file of one's own. Of equal keys none wins.
/// Throws kInvalidArgument; messages begin with `where`.
Json parse_setting(std::string_view text, std::string_view where);
/// The same, or, where it is no JSON, the text itself.
Json parse_setting_or_text(std::string_view text, std::string_view where);

}  // namespace openllm::base
