#include "cli/nearby_server.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <sstream>

#include "base/error.h"
#include "openllm/backends.h"
#include "openllm/hub.h"

namespace openllm::cli {
namespace {

/// 127.0.0.1 and addresses that it is among, as the tables write them on little-endian machines.
constexpr std::array<std::string_view, 4> kAddresses{
    "0100007F", "00000000", "00000000000000000000000000000000", "0000000000000000FFFF00000100007F"};
constexpr std::string_view kListening = "0A";

/// A line of a table: its number, the local address and port, the other side's, the state, ...
bool line_listens(const std::string& line, std::uint16_t port) {
  std::istringstream words(line);
  std::string number;
  std::string local;
  std::string other;
  std::string state;
  if (!(words >> number >> local >> other >> state) || state != kListening) return false;
  const std::size_t colon = local.find(':');
  if (colon == std::string::npos) return false;
  const std::string_view address = std::string_view(local).substr(0, colon);
  unsigned value = 0;
  const char* end = local.data() + local.size();
  const auto [stop, error] = std::from_chars(local.data() + colon + 1, end, value, 16);
  return error == std::errc() && stop == end && value == port &&
         std::find(kAddresses.begin(), kAddresses.end(), address) != kAddresses.end();
}

bool somebody_listens(std::uint16_t port) {
  for (const char* path : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream file(path);
    const std::string table{std::istreambuf_iterator<char>(file), {}};
    if (listens(table, port)) return true;
  }
  return false;
}

bool has_model(const std::string& model, const LoadOptions& load) {
  const BackendReport report = ask_backends(model, load);
  return std::any_of(report.backends.begin(), report.backends.end(),
                     [](const Availability& one) { return one.name == "vllm" && one.available; });
}

}  // namespace

bool listens(std::string_view table, std::uint16_t port) {
  std::istringstream lines{std::string(table)};
  for (std::string line; std::getline(lines, line);) {
    if (line_listens(line, port)) return true;
  }
  return false;
}

std::string tell_of_server(const LLM& llm, const std::string& model, const LoadOptions& load,
                           std::uint16_t port) {
  const std::string backend = llm.backend().name;
  if (!load.backend.empty() || backend == "vllm" || backend == "places") return {};
  if (load.offline || !somebody_listens(port)) return {};
  const std::string url = base::cat("http://127.0.0.1:", port);
  LoadOptions there = load;
  there.vllm = {.urls = {url}};
  try {
    if (Hub().is_offline() || !has_model(model, there)) return {};
  } catch (const Error&) {
    return {};  // the environment says what runs it
  }
  return base::cat("openllm: a server at ", url, " has this model too; --place ", url,
                   " puts it behind this one\n");
}

}  // namespace openllm::cli
