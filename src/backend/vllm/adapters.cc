#include "backend/vllm/adapters.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "backend/adapter_sum.h"
#include "backend/backend.h"
#include "backend/vllm/probe.h"
#include "base/error.h"
#include "base/json.h"
#include "net/http.h"
#include "net/server_error.h"
#include "net/url.h"

namespace openllm::backend::vllm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kListLimit{5};
/// Weights may come from a slow disk, or from a hub.
constexpr std::chrono::minutes kLoadLimit{10};
constexpr std::chrono::seconds kRefreshInterval{1};

bool is_away(const Error& error) {
  return error.code() == ErrorCode::kUnavailable || error.code() == ErrorCode::kIo;
}

/// Of the route itself, not of what it was asked for: vLLM tells the latter in an error of its own.
bool lacks_route(const net::HttpAnswer& answer) {
  if (answer.status != 404 && answer.status != 405) return false;
  try {
    const base::Json body = base::Json::parse(answer.body, "answer");
    const base::Json* error = body.find("error");
    const base::Json* type = error == nullptr ? nullptr : error->find("type");
    return type == nullptr || !type->is_string() || *type->if_string() != "NotFoundError";
  } catch (const Error&) {
    return true;
  }
}

net::HttpAnswer post(const Server& server, const std::string& api_key, const char* path,
                     const base::Json& body) {
  net::HttpCall call;
  call.where = "vllm";
  call.url = base::cat(server.url, path);
  call.api_key = api_key;
  call.body = body.dump();
  call.deadline = Clock::now() + kLoadLimit;
  net::HttpAnswer answer = net::http_call(call);
  if (lacks_route(answer)) {
    base::fail_with(ErrorCode::kUnsupported, {"adapters", ErrorReason::kUnsupportedField},
                    "adapters: ", net::shown_url(server.url), path, ": HTTP status ", answer.status,
                    " (expected a vLLM that was started with --enable-lora and "
                    "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True)");
  }
  return answer;
}

[[noreturn]] void fail_of(const net::HttpAnswer& answer, const Server& server, const char* where) {
  const Error error = net::make_error(answer.status, answer.body);
  throw Error(error.code(), base::cat(where, ": ", net::shown_url(server.url), ": ", error.what()),
              where);
}

/// One of ours may have several models.
base::Json body_for(const Server& server) {
  base::Json body = base::Json::object();
  if (server.is_ours) body["model"] = server.model;
  return body;
}

void load(const Server& server, const std::string& api_key, const AdapterOptions& adapter) {
  base::Json body = body_for(server);
  body["lora_name"] = adapter.name;
  body["lora_path"] = adapter.id;
  const net::HttpAnswer answer = post(server, api_key, "/v1/load_lora_adapter", body);
  if (answer.status != 200) fail_of(answer, server, "adapters");
}

/// One that is not there any more is no trouble.
void unload(const Server& server, const std::string& api_key, const std::string& name) {
  base::Json body = body_for(server);
  body["lora_name"] = name;
  const net::HttpAnswer answer = post(server, api_key, "/v1/unload_lora_adapter", body);
  if (answer.status != 200 && answer.status != 404) fail_of(answer, server, "adapter_name");
}

std::set<std::string> names_of(const std::map<std::string, std::string>& adapters) {
  std::set<std::string> names;
  for (const auto& [name, path] : adapters) names.insert(name);
  return names;
}

AdapterChoice chosen_by(const std::string& text) {
  AdapterChoice choice{text};
  const std::vector<AdapterTerm> terms = parse_adapter_sum(text);
  for (const AdapterTerm& term : terms) choice.names.push_back(term.name);
  choice.is_sum = terms.size() > 1 || terms.front().factor != 1.0F;
  return choice;
}

}  // namespace

Adapters::Adapters(const std::vector<Server>& servers, std::string api_key,
                   std::vector<std::vector<AdapterOptions>> known, Tell tell)
    : api_key_(std::move(api_key)), tell_(std::move(tell)), n_servers_(servers.size()) {
  known.resize(servers.size());
  for (std::size_t i = 0; i < servers.size(); ++i) {
    Place place{servers[i]};
    for (const AdapterOptions& adapter : known[i]) place.adapters[adapter.name] = adapter.id;
    places_.push_back(std::move(place));
  }
}

Adapters::Place Adapters::at(std::size_t index) const {
  const base::MutexLock lock(mutex_);
  return places_[index];
}

void Adapters::set(std::size_t index, Names names) {
  tell_(index, names_of(names));
  const base::MutexLock lock(mutex_);
  places_[index].adapters = std::move(names);
}

/// False for a server that is away.
bool Adapters::refresh(std::size_t index) {
  const Place place = at(index);
  try {
    const Facts facts =
        ask_for_model({place.server.url, api_key_, {place.server.model}}, kListLimit);
    Names names;
    for (const AdapterOptions& adapter : facts.adapters) names[adapter.name] = adapter.id;
    set(index, std::move(names));  // also what a failed request found missing
    return true;
  } catch (const Error& error) {
    if (!is_away(error)) throw;
    return false;
  }
}

/// Unless that was done just now.
void Adapters::refresh_all() {
  if (Clock::now() - asked_ < kRefreshInterval) return;
  for (std::size_t i = 0; i < n_servers_; ++i) (void)refresh(i);
  asked_ = Clock::now();
}

bool Adapters::is_known(const std::string& name) const {
  const base::MutexLock lock(mutex_);
  return std::any_of(places_.begin(), places_.end(),
                     [&](const Place& place) { return place.adapters.contains(name); });
}

std::vector<AdapterOptions> Adapters::list() {
  {
    const base::MutexLock lock(asking_mutex_);
    refresh_all();
  }
  return known();
}

std::vector<AdapterOptions> Adapters::known() const {
  const base::MutexLock lock(mutex_);
  Names all;
  for (const Place& place : places_) all.insert(place.adapters.begin(), place.adapters.end());
  std::vector<AdapterOptions> adapters;
  for (const auto& [name, path] : all) adapters.push_back({path, name});
  return adapters;
}

bool Adapters::has(const AdapterChoice& adapter) const {
  const base::MutexLock lock(mutex_);
  return std::any_of(places_.begin(), places_.end(), [&](const Place& place) {
    Server server{.is_ours = place.server.is_ours};
    server.adapters = names_of(place.adapters);
    return server.has(adapter);
  });
}

void Adapters::fail_lacking(const AdapterChoice& adapter) const {
  for (const std::string& name : adapter.names)
    if (!is_known(name)) fail_no_adapter(name, known());
  base::fail_with(ErrorCode::kUnsupported, {"adapter_name", ErrorReason::kUnsupportedField},
                  "adapter_name: sums and factors are computed by servers of openllm that have all "
                  "parts (expected one name; got ",
                  adapter.text, ")");
}

std::int32_t Adapters::find(const std::string& text) {
  AdapterChoice wanted{text, {text}};  // vLLM takes any name
  if (!has(wanted)) {
    wanted = chosen_by(text);
    const base::MutexLock lock(asking_mutex_);
    if (!has(wanted)) refresh_all();
    if (!has(wanted)) fail_lacking(wanted);
  }
  const base::MutexLock lock(mutex_);
  const auto found =
      std::find_if(numbered_.begin(), numbered_.end(),
                   [&](const AdapterChoice& other) { return other.text == wanted.text; });
  const auto number = static_cast<std::int32_t>(found - numbered_.begin()) + 1;
  if (found == numbered_.end()) numbered_.push_back(std::move(wanted));
  return number;
}

AdapterChoice Adapters::choice_of(std::int32_t number) const {
  const base::MutexLock lock(mutex_);
  return number > 0 ? numbered_.at(static_cast<std::size_t>(number) - 1) : AdapterChoice();
}

/// Requests name the model and its adapters in the same place.
void Adapters::require_free(const AdapterOptions& adapter) const {
  const base::MutexLock lock(mutex_);
  for (const Place& place : places_) {
    if (place.server.model != adapter.name) continue;
    base::fail_at(ErrorCode::kInvalidArgument, "adapters",
                  "the model itself has that name there (got ", adapter.name, ")");
  }
}

/// Whether it was loaded; false where it is already, by whomever.
bool Adapters::mount_at(std::size_t index, const AdapterOptions& adapter) {
  if (refresh(index) && at(index).adapters.contains(adapter.name)) return false;
  Place place = at(index);
  load(place.server, api_key_, adapter);
  place.adapters[adapter.name] = adapter.id;
  set(index, std::move(place.adapters));
  return true;
}

void Adapters::unmount_at(std::size_t index, const std::string& name) {
  Place place = at(index);
  if (!place.adapters.contains(name)) return;
  unload(place.server, api_key_, name);
  place.adapters.erase(name);
  set(index, std::move(place.adapters));
}

void Adapters::mount(const AdapterOptions& adapter) {
  require_free(adapter);
  const base::MutexLock lock(asking_mutex_);
  const auto mounted = mounted_.find(adapter.name);
  if (mounted != mounted_.end() && mounted->second != adapter.id) {
    base::fail_at(ErrorCode::kInvalidArgument, "adapters", "another adapter has the name ",
                  adapter.name, " (expected ", mounted->second, ", got ", adapter.id, ")");
  }
  std::vector<std::size_t> done;
  std::optional<Error> away;
  std::size_t n_away = 0;
  for (std::size_t i = 0; i < n_servers_; ++i) {
    try {
      if (mount_at(i, adapter)) done.push_back(i);
    } catch (const Error& error) {
      if (is_away(error)) {
        if (n_away++ == 0) away = error;
        continue;
      }
      for (const std::size_t other : done) unmount_at(other, adapter.name);
      throw;
    }
  }
  if (n_away == n_servers_) throw *away;
  mounted_[adapter.name] = adapter.id;
}

void Adapters::unmount(const std::string& name) {
  (void)find(name);
  const base::MutexLock lock(asking_mutex_);
  std::vector<std::pair<std::size_t, std::string>> done;  // with where it lay
  for (std::size_t i = 0; i < n_servers_; ++i) {
    const Names before = at(i).adapters;
    const auto found = before.find(name);
    if (found == before.end()) continue;
    try {
      unmount_at(i, name);
      done.emplace_back(i, found->second);
    } catch (const Error&) {
      for (const auto& [other, path] : done) (void)mount_at(other, {path, name});
      throw;
    }
  }
  mounted_.erase(name);
}

void Adapters::restore(std::size_t server, const std::string& url) {
  const base::MutexLock lock(asking_mutex_);
  Place place = at(server);
  place.server.url = url;
  for (const auto& [name, path] : mounted_) load(place.server, api_key_, {path, name});
  {
    const base::MutexLock places_lock(mutex_);
    places_[server].server.url = url;
  }
  set(server, mounted_);
}

}  // namespace openllm::backend::vllm
