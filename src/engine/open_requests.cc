#include "engine/open_requests.h"

#include <algorithm>

#include "base/error.h"
#include "engine/shares.h"

namespace openllm::engine {
namespace {

std::string key_of(const Request& r) {
  return r.group.empty() ? std::string() : group_key(r.tenant, r.group);
}

void give_back(std::unordered_map<std::string, std::int64_t>& counts, const std::string& key,
               int n) noexcept {
  const auto found = counts.find(key);
  if (found != counts.end() && (found->second -= n) <= 0) counts.erase(found);
}

}  // namespace

OpenRequests::Held OpenRequests::held(const Request& r) const {
  const auto count = [](const auto& counts, const std::string& key) {
    const auto found = key.empty() ? counts.end() : counts.find(key);
    return found == counts.end() ? 0 : found->second;
  };
  return {count(groups_, key_of(r)), count(tenants_, r.tenant)};
}

void OpenRequests::add(const Request& r) {
  const std::string group = key_of(r);
  if (!entries_.try_emplace(r.id, Entry{group, r.tenant, n_sequences(r)}).second)
    base::fail(ErrorCode::kInvalidArgument, "request: id already in use: ", r.id);
  try {
    if (!group.empty()) groups_.try_emplace(group, 0);
    if (!r.tenant.empty()) tenants_.try_emplace(r.tenant, 0);
  } catch (...) {  // a count of 0 that is left says nothing
    entries_.erase(r.id);
    throw;
  }
  if (!group.empty()) groups_.find(group)->second += n_sequences(r);
  if (!r.tenant.empty()) tenants_.find(r.tenant)->second += n_sequences(r);
}

void OpenRequests::remove(const std::string& id) noexcept {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return;
  const Entry& entry = found->second;
  give_back(groups_, entry.group, entry.n_choices);
  give_back(tenants_, entry.tenant, entry.n_choices);
  entries_.erase(found);
}

Excess count_excess(const EngineStats& stats, const OpenRequests::Held& held, int n_choices,
                    bool has_tenant) noexcept {
  const std::int64_t n_open = stats.n_running + stats.n_waiting;
  const auto excess = [&](std::int64_t n_own) {
    const std::int64_t n_others = std::max<std::int64_t>(0, n_open - n_own);
    return n_own + n_choices - stats.max_of_request(n_others);
  };
  const std::int64_t of_request = std::max<std::int64_t>(0, excess(held.by_group));
  const std::int64_t of_tenant = has_tenant ? excess(held.by_tenant) : 0;
  return {std::max(of_request, of_tenant), of_request == 0 && of_tenant > 0};
}

}  // namespace openllm::engine
