// LoRA adapters: what there is, in OpenLLM's form, and mounting and unmounting as vLLM has it.

#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "server/api/fields.h"
#include "server/generation.h"
#include "server/offload.h"
#include "server/routes.h"

namespace openllm::server {
namespace {

/// Reading files, or asking servers, is nothing for the I/O thread however small the request.
constexpr std::size_t kAlways = std::numeric_limits<std::size_t>::max();

struct AdapterRequest {
  std::string model{};
  AdapterOptions adapter{};
};

AdapterRequest parse(std::string_view text, bool loads) {
  const base::Json json = parse_body(text);
  const Fields body(json);
  for (const auto& [name, value] : *json.if_object()) {
    const bool is_known = name == "model" || name == "lora_name" || (loads && name == "lora_path");
    if (!is_known) body.fail_unknown(name);
  }
  AdapterRequest request;
  if (const std::string* model = body.string("model")) request.model = *model;
  const auto require = [&](std::string_view name) -> const std::string& {
    const std::string* value = body.string(name);
    if (value == nullptr || value->empty()) body.fail_missing(name);
    return *value;
  };
  request.adapter.name = require("lora_name");
  if (loads) request.adapter.id = require("lora_path");
  return request;
}

AdapterRequest parse_load(std::string_view text) { return parse(text, true); }
AdapterRequest parse_unload(std::string_view text) { return parse(text, false); }

/// What is mounted is everybody's, and the list says where it lies: only who has a key, or is on
/// this machine, may change or see it.
void require_trust(const Call& call) {
  const ServerOptions& options = call.app.options();
  const std::string& host = options.host;
  const bool is_local =
      host == "localhost" || host == "::1" || host == "[::1]" || host.starts_with("127.");
  if (is_local || !options.api_keys.empty()) return;
  base::fail(ErrorCode::kUnsupported,
             "adapters: not for a server that anybody can reach (expected an API key, or an "
             "address of this machine alone)");
}

void respond(Call& call, const std::string& what) {
  HttpResponse response;
  response.content_type = "text/plain; charset=utf-8";
  response.body = what;
  call.exchange.respond(std::move(response));
}

}  // namespace

Task<void> load_adapter(Call& call) {
  require_trust(call);
  Task<AdapterRequest> parsing = read_request(call, parse_load);
  const AdapterRequest request = co_await std::move(parsing);
  const ModelEntry& entry = *call.app.models().require(request.model).entry;
  entry.require_loadable();
  const std::function<void()> work = [&] { entry.llm().load_adapter(request.adapter); };
  co_await Offload(call.app.large_bodies, call.app.executor, kAlways, work);
  respond(call, base::cat("Success: LoRA adapter '", request.adapter.name, "' is mounted.\n"));
}

Task<void> unload_adapter(Call& call) {
  require_trust(call);
  Task<AdapterRequest> parsing = read_request(call, parse_unload);
  const AdapterRequest request = co_await std::move(parsing);
  const ModelEntry& entry = *call.app.models().require(request.model).entry;
  const std::function<void()> work = [&] { entry.llm().unload_adapter(request.adapter.name); };
  co_await Offload(call.app.large_bodies, call.app.executor, kAlways, work);
  respond(call, base::cat("Success: LoRA adapter '", request.adapter.name, "' is unmounted.\n"));
}

/// Names and kinds by where adapters lie; one that lies where another does has its name behind
/// that, as --adapter-id is written.
Task<void> list_adapters(Call& call) {
  require_trust(call);
  const LLM& llm = call.app.models().require("").entry->llm();
  std::vector<AdapterOptions> adapters;
  const std::function<void()> work = [&] { adapters = llm.adapters(); };
  co_await Offload(call.app.large_bodies, call.app.executor, kAlways, work);
  base::Json list = base::Json::object();
  for (const AdapterOptions& adapter : adapters) {
    const bool is_taken = list.find(adapter.id) != nullptr;
    base::Json& entry = list[is_taken ? base::cat(adapter.id, ":", adapter.name) : adapter.id];
    entry["adapter_name"] = adapter.name;
    entry["adapter_type"] = "lora";
  }
  HttpResponse response;
  response.body = list.dump();
  call.exchange.respond(std::move(response));
  co_return;
}

}  // namespace openllm::server
