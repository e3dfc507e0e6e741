#include "server/app.h"

#include <ctime>
#include <utility>

#include "server/routes.h"

namespace openllm::server {
namespace {

/// 1 if equal. Runs over the whole of `given`, so that its duration says nothing about `key`.
unsigned constant_time_equal(std::string_view given, std::string_view key) noexcept {
  unsigned difference = given.size() == key.size() ? 0U : 1U;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const char expected = key.empty() ? '\0' : key[i % key.size()];
    difference |= static_cast<unsigned>(static_cast<unsigned char>(given[i]) ^
                                        static_cast<unsigned char>(expected));
  }
  return difference == 0U ? 1U : 0U;
}

}  // namespace

App::App(std::vector<ServedModel> models, ServerOptions options)
    : options_(std::move(options)),
      models_(std::move(models), options_.model_aliases),
      routes_(built_in_routes()),
      cors_(options_.allowed_origins),
      start_time_(std::time(nullptr)) {}

bool App::is_authorized(std::string_view authorization) const noexcept {
  if (options_.api_keys.empty()) return true;
  constexpr std::string_view kScheme = "Bearer ";
  if (authorization.size() < kScheme.size() ||
      !equal_ignoring_case(authorization.substr(0, kScheme.size()), kScheme)) {
    return false;
  }
  std::string_view key = authorization.substr(kScheme.size());
  while (!key.empty() && key.front() == ' ') key.remove_prefix(1);
  unsigned matches = 0;
  for (const std::string& known : options_.api_keys) matches |= constant_time_equal(key, known);
  return matches != 0 && !key.empty();
}

}  // namespace openllm::server
