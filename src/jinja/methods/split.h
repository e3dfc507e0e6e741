#pragma once

#include "jinja/values/runtime.h"

/// str.split and its relatives, for methods and filters.
namespace openllm::jinja {

std::vector<std::string_view> split_space(std::string_view text, std::int64_t limit);
std::vector<std::string_view> rsplit_space(std::string_view text, std::int64_t limit);
/// `separator` is not empty. `limit` below 0: none.
std::vector<std::string_view> split_on(std::string_view text, std::string_view separator,
                                       std::int64_t limit);
std::vector<std::string_view> rsplit_on(Runtime& runtime, std::string_view text,
                                        std::string_view separator, std::int64_t limit);
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);
/// Byte position of the last `needle` that ends at or before `end`, or npos.
std::size_t find_last(Runtime& runtime, std::string_view text, std::string_view needle,
                      std::size_t end);
/// str.replace; `limit` below 0: all.
std::string replace(Runtime& runtime, std::string_view text, std::string_view from,
                    std::string_view to, std::int64_t limit);
/// str.strip(chars) on the chosen sides.
std::string_view strip_chars(Runtime& runtime, std::string_view text, std::string_view chars,
                             bool left, bool right);

}  // namespace openllm::jinja
