#include "server/app.h"

#include <ctime>
#include <utility>

#include "base/error.h"
#include "server/fingerprint.h"
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

App::App(std::vector<ServedModel> models, ServerOptions options, RouteTable routes,
         std::string title)
    : options_(std::move(options)),
      models_(std::move(models), options_.model_aliases, Admission::Seconds(options_.max_wait_s)),
      routes_(std::move(routes)),
      title_(std::move(title)),
      cors_(options_.allowed_origins),
      start_time_(std::time(nullptr)) {}

const std::string* App::find_key(std::string_view given) const noexcept {
  const std::string* found = nullptr;
  for (const std::string& known : options_.api_keys) {
    if (constant_time_equal(given, known) != 0U && !given.empty()) found = &known;
  }
  return found;
}

const std::string* App::find_key(const Headers& headers) const noexcept {
  constexpr std::string_view kScheme = "Bearer ";
  std::string_view given = headers.find("Authorization");
  if (given.size() >= kScheme.size() &&
      equal_ignoring_case(given.substr(0, kScheme.size()), kScheme)) {
    given.remove_prefix(kScheme.size());
    while (given.starts_with(' ')) given.remove_prefix(1);
    if (const std::string* key = find_key(given)) return key;
  }
  return find_key(headers.find("X-Api-Key"));
}

bool App::is_authorized(const Headers& headers) const noexcept {
  return options_.api_keys.empty() || find_key(headers) != nullptr;
}

std::string App::tenant_of(const HttpRequest& request) const {
  const std::string* key = options_.api_keys.empty() ? nullptr : find_key(request.headers);
  return key == nullptr ? "" : "key-" + fingerprint(*key);
}

}  // namespace openllm::server
