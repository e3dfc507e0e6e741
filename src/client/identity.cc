#include "client/identity.h"

#include <sys/utsname.h>

#include "base/error.h"
#include "net/http.h"
#include "openllm/version.h"

namespace openllm::client {

std::string user_agent(std::string_view client) { return base::cat(client, "/C++ ", version()); }

std::vector<std::string> identity_headers() {
  utsname system{};
  const bool is_known = ::uname(&system) == 0;
  const auto field = [](std::string_view name, std::string_view value) {
    return base::cat("X-OpenLLM-Client-", name, ": ", value);
  };
  return {field("Package-Version", version()),
          field("Language", "C++"),
          field("Runtime", "libcurl"),
          field("Runtime-Version", net::http_library_version()),
          field("Arch", is_known ? system.machine : "unknown"),
          field("OS", is_known ? system.sysname : "unknown")};
}

}  // namespace openllm::client
