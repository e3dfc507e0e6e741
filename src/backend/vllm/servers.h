#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backend/balance.h"

namespace openllm::backend::vllm {

/// What a request names of adapters.
struct AdapterChoice {
  std::string text{};                ///< As requests name it; empty: none.
  std::vector<std::string> names{};  ///< Of its parts.
  /// Of several, or with a factor: no name that vLLM knows.
  bool is_sum = false;

  bool empty() const noexcept { return names.empty(); }
};

/// A server that has the model.
struct Server {
  std::string url{};    ///< Without a slash at its end.
  std::string model{};  ///< The model's name there.
  /// The same seed gives the same tokens wherever a choice goes on, as at our own servers.
  bool repeats_seeds = false;
  std::set<std::string> adapters{};  ///< That it has, by the names which requests give it.
  bool is_ours = false;              ///< An openllm.

  bool has(const AdapterChoice& adapter) const;
};

/// Which servers there are, what they do, and which one is next. Not thread-safe.
class Servers {
 public:
  explicit Servers(std::vector<Server> servers);

  std::size_t size() const noexcept { return places_.size(); }
  const Server& at(std::size_t index) const { return places_[index].server; }

  /// The one to ask next, of those that are not in `tried` and have the adapter, unless that is
  /// empty, as choose_place has it. nullopt: none is left.
  std::optional<std::size_t> choose(std::span<const std::int32_t> prompt,
                                    const std::set<std::size_t>& tried,
                                    const AdapterChoice& adapter = {});
  /// Whether `choose` would find one.
  bool has_other(const std::set<std::size_t>& tried, const AdapterChoice& adapter) const;
  void call_began(std::size_t index) { ++places_[index].n_calls; }
  void call_ended(std::size_t index) { --places_[index].n_calls; }
  int n_calls(std::size_t index) const { return places_[index].n_calls; }

  /// What was found when a server was asked, or a call failed. How often in a row it was not well.
  int tell_health(std::size_t index, bool is_healthy);
  bool is_healthy(std::size_t index) const { return places_[index].n_failures == 0; }

  void set_adapters(std::size_t index, std::set<std::string> adapters) {
    places_[index].server.adapters = std::move(adapters);
  }
  void drop_adapter(std::size_t index, const AdapterChoice& adapter) {
    for (const std::string& name : adapter.names) places_[index].server.adapters.erase(name);
  }
  /// It is at another address now.
  void move(std::size_t index, const std::string& url) {
    places_[index].server.url = url;
    places_[index].n_failures = 0;
  }

 private:
  struct Place {
    Server server{};
    int n_calls = 0;
    int n_failures = 0;  ///< In a row.
  };

  bool may_take(std::size_t index, const std::set<std::size_t>& tried,
                const AdapterChoice& adapter) const;

  std::vector<Place> places_;
  PrefixMemory memory_;
};

}  // namespace openllm::backend::vllm
