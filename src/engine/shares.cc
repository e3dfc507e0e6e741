#include "engine/shares.h"

#include <algorithm>
#include <functional>
#include <limits>

namespace openllm::engine {
namespace {

// Tenants that have nothing to do are remembered up to this number of all.
constexpr std::size_t kMostIdleTenants = 1024;

}  // namespace

std::string group_key(const std::string& tenant, const std::string& group) {
  return std::to_string(tenant.size()) + ':' + tenant + group;
}

std::shared_ptr<Tenant> Shares::tenant(const std::string& name) {
  if (const auto found = tenants_.find(name); found != tenants_.end()) return found->second;
  if (tenants_.size() >= kMostIdleTenants) {
    std::erase_if(tenants_, [](const auto& entry) { return entry.second->n_open == 0; });
  }
  auto made = std::make_shared<Tenant>();
  made->id = std::hash<std::string>{}(name);
  tenants_.emplace(name, made);
  return made;
}

std::shared_ptr<Group> Shares::group(const std::string& tenant, const std::string& name) {
  if (name.empty()) return std::make_shared<Group>();
  std::string key = group_key(tenant, name);
  if (const auto found = groups_.find(key); found != groups_.end()) return found->second;
  if (groups_.size() >= n_groups_to_clean_) {
    std::erase_if(groups_, [](const auto& entry) { return entry.second->n_open == 0; });
    n_groups_to_clean_ = std::max<std::size_t>(64, 2 * groups_.size());
  }
  auto made = std::make_shared<Group>();
  groups_.emplace(std::move(key), made);
  return made;
}

void Shares::enter(Tenant& tenant, Group& group) noexcept {
  if (group.n_open++ == 0) group.served = 0;
  if (tenant.n_open++ > 0) return;
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (const auto& entry : tenants_) {
    const Tenant& other = *entry.second;
    if (&other != &tenant && other.n_open > 0) least = std::min(least, other.served);
  }
  if (least == std::numeric_limits<std::int64_t>::max()) {  // alone: nothing to be compared with
    for (const auto& entry : tenants_) entry.second->served = 0;
  } else {
    tenant.served = std::max(tenant.served, least);
  }
}

void Shares::leave(Tenant& tenant, Group& group) noexcept {
  --tenant.n_open;
  --group.n_open;
}

}  // namespace openllm::engine
