#include "server/app.h"

#include <ctime>
#include <utility>

#include "base/error.h"
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
      models_(std::move(models), options_.model_aliases, Admission::Seconds(options_.max_wait_s)),
      routes_(built_in_routes()),
      cors_(options_.allowed_origins),
      start_time_(std::time(nullptr)) {}

std::size_t App::find_key(std::string_view authorization) const noexcept {
  const std::size_t n_keys = options_.api_keys.size();
  constexpr std::string_view kScheme = "Bearer ";
  if (authorization.size() < kScheme.size() ||
      !equal_ignoring_case(authorization.substr(0, kScheme.size()), kScheme)) {
    return n_keys;
  }
  std::string_view key = authorization.substr(kScheme.size());
  while (!key.empty() && key.front() == ' ') key.remove_prefix(1);
  std::size_t found = n_keys;
  for (std::size_t i = 0; i < n_keys; ++i) {  // all of them, found or not
    if (constant_time_equal(key, options_.api_keys[i]) != 0) found = i;
  }
  return key.empty() ? n_keys : found;
}

bool App::is_authorized(std::string_view authorization) const noexcept {
  return options_.api_keys.empty() || find_key(authorization) < options_.api_keys.size();
}

std::string App::tenant_of(const HttpRequest& request) const {
  if (options_.api_keys.empty()) return {};
  return base::cat("key ", find_key(request.headers.find("Authorization")));
}

}  // namespace openllm::server
