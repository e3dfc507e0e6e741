// What OpenLLM's own clients ask a server about its model.

#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "fields/access.h"
#include "server/api/fields.h"
#include "server/api/native_request.h"
#include "server/generation.h"
#include "server/routes.h"

namespace openllm::server {
namespace {

/// Where requests have no limit of time. Clients want a number; this is the one that OpenLLM had.
constexpr int kNoTimeout = 36'000'000;

/// Defaults of requests that a request may set. Clients may send all of them back.
base::Json generation_config(const LLMConfig& config) {
  base::Json result = base::Json::object();
  for (const fields::Field& field : fields::all()) {
    const bool is_in_requests = (field.ways & fields::kNative) != 0 && !field.is_beside_config;
    if (is_in_requests && fields::has_config(field)) result[field.name] = get(field, config);
  }
  return result;
}

base::Json to_json(const std::vector<PlaceStats>& places) {
  base::Json list = base::Json::array();
  for (const PlaceStats& place : places) {
    base::Json entry = base::Json::object();
    entry["name"] = place.name;
    entry["is_up"] = place.is_up;
    entry["reason"] = place.reason;
    entry["n_open"] = place.n_open;
    entry["n_slots"] = place.n_slots;
    entry["n_requests"] = place.n_requests;
    entry["n_failures"] = place.n_failures;
    entry["n_generated_tokens"] = place.n_generated_tokens;
    entry["token_s"] = place.token_s;
    list.push_back(std::move(entry));
  }
  return list;
}

base::Json metadata_of(const ModelEntry& entry, int request_timeout_s) {
  const LLM& llm = entry.llm();
  base::Json configuration = base::Json::object();
  configuration["generation_config"] = generation_config(llm.config());
  base::Json metadata = base::Json::object();
  metadata["model_id"] = llm.id();
  metadata["timeout"] = request_timeout_s > 0 ? request_timeout_s * std::int64_t{1000} : kNoTimeout;
  metadata["model_name"] = llm.llm_type();
  metadata["backend"] = llm.backend().name;
  metadata["configuration"] = configuration.dump();
  const std::vector<PlaceStats> places = llm.stats().places;
  if (!places.empty()) metadata["places"] = to_json(places);
  return metadata;
}

/// The `model` of a body that may be empty.
std::string model_of(std::string_view text) {
  if (text.find_first_not_of(" \t\r\n\"") == std::string_view::npos) return {};
  const base::Json json = parse_body(text);
  const Fields body(json);
  for (const auto& [name, value] : *json.if_object()) {
    if (name != "model") body.fail_unknown(name);
  }
  const std::string* model = body.string("model");
  return model == nullptr ? "" : *model;
}

}  // namespace

Task<void> show_metadata(Call& call) {
  const std::string model = model_of(call.exchange.request().body);
  HttpResponse response;
  response.body =
      metadata_of(*call.app.models().require(model).entry, call.app.options().request_timeout_s)
          .dump();
  call.exchange.respond(std::move(response));
  co_return;
}

}  // namespace openllm::server
