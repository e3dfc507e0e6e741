#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/places/roster.h"
#include "base/mutex.h"

namespace openllm::backend::places {

/// The LoRA adapters of all places as one: mounted at each, or at none. Asks places, so calls may
/// take seconds. Thread safety: every method from any thread.
class Adapters {
 public:
  explicit Adapters(Roster& roster) : roster_(roster), unmounted_(roster.size()) {}

  /// As Backend. A place that is away gets to know of it when it is back; one that refuses it makes
  /// the others take it back, and is named by the error.
  void mount(const AdapterOptions& adapter);
  void unmount(const std::string& name);
  /// `may_ask`: else what was known last.
  std::vector<AdapterOptions> list(bool may_ask) const;
  /// At which places the sum can be had. As Backend::find_adapter.
  std::shared_ptr<const AdapterUses> find(const std::string& sum) const;

  /// Whether a place that comes back may lack anything.
  bool is_changed() const noexcept { return is_changed_.load(); }
  /// A place is loaded, with what is mounted. Throws as Roster::admit; what it cannot mount is told
  /// as its reason.
  void admit(std::size_t place, std::unique_ptr<Backend> backend);
  /// A place has come back: it gets what it lacks. Its reason, empty: all is well. Throws
  /// kUnavailable or kIo when it is away again.
  std::string bring_back(std::size_t place);

 private:
  using Names = std::map<std::string, std::string>;  ///< Where each lies, by name.

  std::string catch_up(std::size_t place, Backend& backend) REQUIRES(changing_);
  [[noreturn]] void fail_at(std::size_t place, const Error& error, const char* where) const;

  Roster& roster_;
  std::atomic<bool> is_changed_{false};
  base::Mutex changing_;  // held while places are told
  Names mounted_ GUARDED_BY(changing_);
  /// By place: what was unmounted while it was away.
  std::vector<std::set<std::string>> unmounted_ GUARDED_BY(changing_);
};

}  // namespace openllm::backend::places
