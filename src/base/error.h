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

/// Place and reason of an error, beside its code and its message.
struct Site {
  std::string_view where{};                 ///< As Error::where.
  ErrorReason reason = ErrorReason::kNone;  ///< As Error::reason.
  std::chrono::milliseconds retry_after{};  ///< As Error::retry_after.
};

/// Throws with the parts as the whole message, and `site` beside it.
template <typename... Parts>
[[noreturn]] void fail_with(ErrorCode code, const Site& site, const Parts&... parts) {
  throw Error(code, cat(parts...), site.where, site.reason, site.retry_after);
}

/// Throws "where: what", and `where` beside it.
template <typename... Parts>
[[noreturn]] void fail_at(ErrorCode code, std::string_view where, const Parts&... what) {
  throw Error(code, cat(where, ": ", what...), where);
}

/// Throws kInternal when an invariant of ours does not hold.
template <typename... Parts>
void check(bool holds, const Parts&... parts) {
  if (!holds) fail(ErrorCode::kInternal, parts...);
}

}  // namespace openllm::base
