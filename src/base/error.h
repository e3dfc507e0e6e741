#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include "openllm/error.h"

namespace openllm::base {

namespace detail {
inline void append(std::string& out, std::string_view text) { out.append(text); }
inline void append(std::string& out, const char* text) { out.append(text); }
inline void append(std::string& out, const std::string& text) { out.append(text); }
inline void append(std::string& out, char c) { out.push_back(c); }
inline void append(std::string& out, bool value) { out.append(value ? "true" : "false"); }
void append(std::string& out, float value);
void append(std::string& out, double value);
template <typename T>
requires std::is_integral_v<T>
void append(std::string& out, T value) { out.append(std::to_string(value)); }
}  // namespace detail

/// The parts as one string; numbers in their shortest decimal form.
template <typename... Parts>
std::string cat(const Parts&... parts) {
  std::string out;
  (detail::append(out, parts), ...);
  return out;
}

/// Throws openllm::Error with the concatenated message.
template <typename... Parts>
[[noreturn]] void fail(ErrorCode code, const Parts&... parts) {
  throw Error(code, cat(parts...));
}

/// Throws kInternal when an invariant of ours does not hold.
template <typename... Parts>
void check(bool holds, const Parts&... parts) {
  if (!holds) fail(ErrorCode::kInternal, parts...);
}

}  // namespace openllm::base
