#include "backend/places/adapters.h"

#include <functional>
#include <optional>
#include <string_view>
#include <utility>

#include "backend/adapter_sum.h"
#include "base/error.h"

namespace openllm::backend::places {
namespace {

bool is_away(const PlaceSource& place, const Error& error) {
  return !place.url.empty() &&
         (error.code() == ErrorCode::kUnavailable || error.code() == ErrorCode::kIo);
}

std::optional<std::string> id_of(const std::vector<AdapterOptions>& adapters,
                                 const std::string& name) {
  for (const AdapterOptions& adapter : adapters) {
    if (adapter.name == name) return adapter.id;
  }
  return std::nullopt;
}

/// The error of a change stands, whatever becomes of what was done before it.
void take_back(const std::vector<std::function<void()>>& undo) {
  for (const auto& one : undo) {
    try {
      one();
    } catch (const Error&) {
      continue;
    }
  }
}

}  // namespace

void Adapters::fail_at(std::size_t place, const Error& error, const char* where) const {
  const std::string prefix = base::cat(where, ": ");
  std::string_view message = error.what();
  if (message.starts_with(prefix)) message.remove_prefix(prefix.size());
  throw Error(error.code(),
              base::cat(prefix, "the place ", roster_.source(place).name, ": ", message), where,
              error.reason());
}

void Adapters::mount(const AdapterOptions& adapter) {
  require_adapter_name(adapter.name);
  const base::MutexLock lock(changing_);
  const auto mounted = mounted_.find(adapter.name);
  if (mounted != mounted_.end() && mounted->second != adapter.id) {
    base::fail_at(ErrorCode::kInvalidArgument, "adapters", "the name ", adapter.name,
                  " is taken (expected another one, or ", mounted->second, "; got ", adapter.id,
                  ")");
  }
  std::vector<std::function<void()>> undo;
  std::optional<Error> away;
  bool is_somewhere = false;
  for (std::size_t i = 0; i < roster_.size(); ++i) {
    Backend* place = roster_.backend(i);
    if (place == nullptr) continue;
    try {
      const bool was_there = id_of(place->adapters(), adapter.name).has_value();
      place->mount_adapter(adapter);
      is_somewhere = true;
      if (!was_there) undo.emplace_back([=] { place->unmount_adapter(adapter.name); });
    } catch (const Error& error) {
      if (is_away(roster_.source(i), error)) {
        if (!away) away = error;
        continue;
      }
      take_back(undo);
      fail_at(i, error, "adapters");
    }
  }
  if (!is_somewhere) throw *away;
  mounted_[adapter.name] = adapter.id;
  is_changed_.store(true);
}

void Adapters::unmount(const std::string& name) {
  const base::MutexLock lock(changing_);
  std::vector<std::function<void()>> undo;
  std::vector<std::size_t> away;
  for (std::size_t i = 0; i < roster_.size(); ++i) {
    Backend* place = roster_.backend(i);
    if (place == nullptr) continue;
    const std::optional<std::string> id = id_of(place->known_adapters(), name);
    try {
      place->unmount_adapter(name);
      if (id) undo.emplace_back([=] { place->mount_adapter({*id, name}); });
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kNotFound) continue;
      if (is_away(roster_.source(i), error)) {
        away.push_back(i);
        continue;
      }
      take_back(undo);
      fail_at(i, error, "adapter_name");
    }
  }
  if (undo.empty() && away.empty() && !mounted_.contains(name)) fail_no_adapter(name, list(false));
  for (const std::size_t place : away) unmounted_[place].insert(name);
  mounted_.erase(name);
  is_changed_.store(true);
}

std::vector<AdapterOptions> Adapters::list(bool may_ask) const {
  Names all;
  for (const Backend* place : roster_.loaded()) {
    for (const AdapterOptions& adapter : may_ask ? place->adapters() : place->known_adapters())
      all.emplace(adapter.name, adapter.id);
  }
  std::vector<AdapterOptions> adapters;
  for (const auto& [name, id] : all) adapters.push_back({id, name});
  return adapters;
}

/// A place that is not well is not asked for what it is not known to have: that would take long.
std::shared_ptr<const AdapterUses> Adapters::find(const std::string& sum) const {
  auto uses = std::make_shared<AdapterUses>();
  uses->name = sum;
  std::optional<Error> refusal;
  for (std::size_t i = 0; i < roster_.size(); ++i) {
    Backend* place = roster_.backend(i);
    if (place == nullptr) continue;
    if (!roster_.is_well(i) && !id_of(place->known_adapters(), sum)) continue;
    try {
      uses->by_place[i] = place->find_adapter(sum);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kInvalidArgument) throw;
      const bool says_more = refusal && refusal->code() == ErrorCode::kNotFound;
      if (!refusal || says_more) refusal = error;
    }
  }
  if (!uses->by_place.empty()) return uses;
  if (refusal && refusal->code() != ErrorCode::kNotFound) throw *refusal;
  const std::vector<AdapterOptions> known = list(false);
  for (const AdapterTerm& term : parse_adapter_sum(sum))
    if (!id_of(known, term.name)) fail_no_adapter(term.name, known);
  base::fail_with(ErrorCode::kUnsupported, {"adapter_name", ErrorReason::kUnsupportedField},
                  "adapter_name: no place that is there has all parts (expected one name, or "
                  "adapters of one place; got ",
                  sum, ")");
}

/// What it cannot have is told, and does not keep it from other requests.
std::string Adapters::catch_up(std::size_t place, Backend& backend) {
  std::string reason;
  const auto attempt = [&](const std::function<void()>& change) {
    try {
      change();
    } catch (const Error& error) {
      if (is_away(roster_.source(place), error)) throw;
      if (error.code() != ErrorCode::kNotFound || error.where() != "adapter_name")
        reason += base::cat(reason.empty() ? "" : "; ", error.what());
    }
  };
  while (!unmounted_[place].empty()) {
    const std::string name = *unmounted_[place].begin();
    attempt([&] { backend.unmount_adapter(name); });
    unmounted_[place].erase(name);
  }
  for (const auto& [name, id] : mounted_)
    attempt([&, adapter = AdapterOptions{id, name}] { backend.mount_adapter(adapter); });
  return reason;
}

void Adapters::admit(std::size_t place, std::unique_ptr<Backend> backend) {
  const base::MutexLock lock(changing_);
  const std::string reason = catch_up(place, *backend);
  roster_.admit(place, std::move(backend));
  if (!reason.empty()) roster_.keep_out(place, reason);
}

std::string Adapters::bring_back(std::size_t place) {
  const base::MutexLock lock(changing_);
  return catch_up(place, *roster_.backend(place));
}

}  // namespace openllm::backend::places
