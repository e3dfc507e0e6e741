#include <utility>

#include "base/json.h"
#include "server/routes.h"

namespace openllm::server {
namespace {

/// What another server of ours, with this one as a place, has to know.
void add_facts(const ModelEntry& entry, const ModelInfo& info, base::Json& model) {
  model["max_model_len"] = info.max_context;
  if (info.vocab_size > 0) model["vocab_size"] = info.vocab_size;
  if (!entry.llm().is_loaded()) return;  // it was unloaded, and need not come back for this
  const BackendInfo backend = entry.llm().backend();
  model["backend"] = backend.name;
  if (!backend.draft_model.empty()) model["draft_model"] = backend.draft_model;
  const std::int64_t max_running = entry.llm().stats().max_running;
  if (max_running > 0) model["max_num_seqs"] = max_running;
}

base::Json describe(const App& app, const ModelEntry& entry, const std::string& name) {
  base::Json model = base::Json::object();
  model["id"] = name;
  model["object"] = "model";
  const Readiness readiness = entry.readiness();
  model["created"] = readiness.changed.value_or(app.start_time());
  model["owned_by"] = "openllm";
  model["root"] = entry.llm().id();
  model["parent"] = name == entry.name() ? base::Json() : base::Json(entry.name());
  model["permission"] = base::Json::array();
  if (readiness.state == Readiness::State::kReady) add_facts(entry, readiness.info, model);
  return model;
}

/// As vLLM lists them: `root` is where the adapter lies, `parent` the model.
base::Json describe_adapter(const App& app, const ModelEntry& entry,
                            const AdapterOptions& adapter) {
  base::Json model = describe(app, entry, adapter.name);
  model["root"] = adapter.id;
  model["parent"] = entry.name();
  return model;
}

}  // namespace

Task<void> list_models(Call& call) {
  base::Json list = base::Json::object();
  list["object"] = "list";
  list["data"] = base::Json::array();
  for (const auto& entry : call.app.models().entries()) {
    for (const std::string& name : entry->names())
      list["data"].push_back(describe(call.app, *entry, name));
    for (const AdapterOptions& adapter : entry->llm().adapters(false)) {
      if (!entry->is_named(adapter.name))
        list["data"].push_back(describe_adapter(call.app, *entry, adapter));
    }
  }
  HttpResponse response;
  response.body = list.dump();
  call.exchange.respond(std::move(response));
  co_return;
}

/// Ids contain slashes: everything after /v1/models/ is the id.
Task<void> show_model(Call& call) {
  constexpr std::string_view kPrefix = "/v1/models/";
  const std::string path = routed_path(call.exchange.request());
  const ModelSet::Selection model = call.app.models().require(path.substr(kPrefix.size()));
  base::Json description = describe(call.app, *model.entry, model.name);
  for (const AdapterOptions& adapter : model.entry->llm().adapters(false)) {
    if (adapter.name == model.adapter)
      description = describe_adapter(call.app, *model.entry, adapter);
  }
  HttpResponse response;
  response.body = description.dump();
  call.exchange.respond(std::move(response));
  co_return;
}

}  // namespace openllm::server
