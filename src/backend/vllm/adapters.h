#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "backend/vllm/servers.h"
#include "base/mutex.h"
#include "openllm/options.h"

namespace openllm::backend::vllm {

/// The LoRA adapters of a model at servers: those that they list, and those that are mounted there
/// by /v1/load_lora_adapter. Asks servers, so calls may take seconds. Thread safety: every method
/// from any thread.
class Adapters {
 public:
  /// Told which adapters a server has, whenever that changes.
  using Tell = std::function<void(std::size_t server, std::set<std::string> names)>;

  /// `known`: what the servers list, in their order.
  Adapters(const std::vector<Server>& servers, std::string api_key,
           std::vector<std::vector<AdapterOptions>> known, Tell tell);

  /// At all servers that can be reached; at none of them when one refuses it. Throws as
  /// Backend::mount_adapter; kUnavailable when no server can be reached.
  void mount(const AdapterOptions& adapter);
  void unmount(const std::string& name);
  /// As Backend::find_adapter. Asks the servers again for what is not known, once a second at most.
  /// Sums are had by our own servers alone.
  std::int32_t find(const std::string& text);
  /// Of a number that `find` gave; empty for 0.
  AdapterChoice choice_of(std::int32_t number) const;
  /// As Backend::adapters. Asks the servers again, once a second at most.
  std::vector<AdapterOptions> list();
  /// The same, as the servers said last.
  std::vector<AdapterOptions> known() const;
  /// A server began anew at `url`: mounts there what was mounted before.
  void restore(std::size_t server, const std::string& url);

 private:
  using Names = std::map<std::string, std::string>;  ///< Where each lies, by name.

  struct Place {
    Server server{};
    Names adapters{};
  };

  bool refresh(std::size_t index);
  void refresh_all() REQUIRES(asking_mutex_);
  bool mount_at(std::size_t index, const AdapterOptions& adapter);
  void unmount_at(std::size_t index, const std::string& name);
  bool is_known(const std::string& name) const;
  bool has(const AdapterChoice& adapter) const;
  [[noreturn]] void fail_lacking(const AdapterChoice& adapter) const;
  void set(std::size_t index, Names names);
  Place at(std::size_t index) const;
  void require_free(const AdapterOptions& adapter) const;

  const std::string api_key_;
  const Tell tell_;
  const std::size_t n_servers_;
  base::Mutex asking_mutex_;  // held while servers are asked
  std::chrono::steady_clock::time_point asked_ GUARDED_BY(asking_mutex_){};
  Names mounted_ GUARDED_BY(asking_mutex_);
  mutable base::Mutex mutex_;
  std::vector<Place> places_ GUARDED_BY(mutex_);
  std::vector<AdapterChoice> numbered_ GUARDED_BY(mutex_);  ///< That were found; 1 is the first.
};

}  // namespace openllm::backend::vllm
