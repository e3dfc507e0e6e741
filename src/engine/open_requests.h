#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "engine/request.h"
#include "openllm/stats.h"

namespace openllm::engine {

/// The requests that have not ended, by whose they are: nobody takes all places of the queue.
/// Thread safety: one thread at a time.
class OpenRequests {
 public:
  /// Choices of requests that have not ended.
  struct Held {
    std::int64_t by_group = 0;   ///< 0 for a request without a group.
    std::int64_t by_tenant = 0;  ///< 0 for the tenant without a name.
  };
  Held held(const Request& request) const;
  /// Takes a request in. When it throws (kInvalidArgument for an id that is open), nothing is
  /// changed.
  void add(const Request& request);
  /// It has ended. Unknown ids are ignored.
  void remove(const std::string& id) noexcept;

 private:
  struct Entry {
    std::string group;  // its key, if any
    std::string tenant;
    int n_choices;
  };
  std::unordered_map<std::string, Entry> entries_;        // by id
  std::unordered_map<std::string, std::int64_t> groups_;  // choices, by key
  std::unordered_map<std::string, std::int64_t> tenants_;
};

/// How many choices there are too many for the queue's places, of `stats`, when the request is
/// taken; 0: it may be. A group, and a tenant with a name, leave an eighth of the places that the
/// others do not hold.
struct Excess {
  std::int64_t n = 0;
  bool is_of_tenant = false;  ///< Another tenant would be taken.
};
Excess count_excess(const EngineStats& stats, const OpenRequests::Held& held, int n_choices,
                    bool has_tenant) noexcept;

}  // namespace openllm::engine
