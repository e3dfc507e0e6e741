#include "server/ignored_names.h"

#include "base/error.h"
#include "openllm/server.h"

namespace openllm::server {
namespace {

constexpr std::size_t kMaxHeaderBytes = 1000;
/// Whoever invents names must not fill the log, nor the memory.
constexpr std::size_t kMaxLogged = 200;

/// What could end a header field, a list in it or a line of a log becomes '?'.
std::string shown(const std::string& name) {
  std::string text = name;
  for (char& c : text) {
    if (c <= 0x20 || c >= 0x7F || c == ',' || c == '"' || c == '\\') c = '?';
  }
  return text;
}

}  // namespace

std::string header_of(const fields::UnknownNames& names) {
  std::string value;
  for (const std::string& name : names) {
    const std::string next = shown(name);
    if (value.size() + next.size() > kMaxHeaderBytes) return value + ", ...";
    value += value.empty() ? next : ", " + next;
  }
  return value;
}

void IgnoredNames::tell(const fields::UnknownNames& names, const ServerOptions& options,
                        Exchange& exchange) {
  if (names.empty()) return;
  if (options.strict) {
    const std::string& name = names.front();
    base::fail_with(ErrorCode::kInvalidArgument, {name, ErrorReason::kUnknownField}, shown(name),
                    ": there is no such field");
  }
  exchange.common_headers().add("openllm-ignored-fields", header_of(names));
  if (!options.log) return;
  for (const std::string& name : names) {
    const std::string text = shown(name);
    if (logged_.size() >= kMaxLogged || !logged_.insert(text).second) continue;
    options.log(base::cat("requests have a field that is not known and changes nothing: ", text,
                          logged_.size() == kMaxLogged ? " (no further ones are told)" : ""));
  }
}

}  // namespace openllm::server
