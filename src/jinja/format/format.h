#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "jinja/values/runtime.h"

namespace openllm::jinja {

/// `format % values`; `mapping` serves %(name)s and may be null; `may_stay`: not all values need be
/// used.
std::string percent_format(Runtime& runtime, std::string_view format,
                           const std::vector<Value>& values, const Dict* mapping, bool may_stay);

/// str.format(*args, **kwargs).
std::string brace_format(Runtime& runtime, std::string_view format, const Args& args);

/// format(value, spec), the part behind the colon.
std::string format_value(Runtime& runtime, const Value& value, std::string_view spec);

/// The arguments of json.dumps that change the text.
struct JsonStyle {
  bool ascii = false;
  bool sort_keys = false;
  bool indented = false;
  std::string indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

/// json.dumps(value).
std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style);

/// strftime of the local time now.
std::string format_time_now(Runtime& runtime, std::string_view format);

}  // namespace openllm::jinja
