#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

namespace openllm::engine {

/// What one tenant was given and holds.
struct Tenant {
  std::int64_t served = 0;  ///< Rows of prompts, and tokens of answers twice.
  int n_running = 0;        ///< Sequences.
  int n_open = 0;           ///< Requests.
  std::size_t id = 0;       ///< A hash of its name.
};

/// What the requests that count as one were given and hold.
struct Group {
  std::int64_t served = 0;  ///< Rows.
  int n_running = 0;        ///< Sequences.
  int n_open = 0;           ///< Requests.
  std::uint64_t stamp = 0;  ///< Of the last count that it was in.
};

/// Who shares the engine's time. Tenants are compared by what they were given while they had
/// something to do: one that comes, or comes back, starts with no less than the least served of
/// those that are there, so that nobody saves up time.
class Shares {
 public:
  /// The tenant of that name, made if there is none. Leaves it as it is.
  std::shared_ptr<Tenant> tenant(const std::string& name);
  /// The same for requests of a tenant that count as one; without a name a group of its own.
  std::shared_ptr<Group> group(const std::string& tenant, const std::string& name);

  void enter(Tenant& tenant, Group& group) noexcept;
  void leave(Tenant& tenant, Group& group) noexcept;

  /// Whether there are others than the tenant without a name, so that a place must be kept for
  /// those to come.
  bool has_tenants() const noexcept { return tenants_.size() > (tenants_.contains("") ? 1U : 0U); }

 private:
  std::unordered_map<std::string, std::shared_ptr<Tenant>> tenants_;
  std::unordered_map<std::string, std::shared_ptr<Group>> groups_;
  std::size_t n_groups_to_clean_ = 64;  // as many are worth looking for those that have ended
};

/// The key of a group among those of all tenants.
std::string group_key(const std::string& tenant, const std::string& group);

}  // namespace openllm::engine
