#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "base/mutex.h"
#include "model/model.h"
#include "openllm/options.h"

namespace openllm::backend {

/// A sum of adapters as requests name it: "style", or "style*0.5+facts".
struct AdapterTerm {
  std::string name{};
  float factor = 1.0F;
  friend bool operator==(const AdapterTerm&, const AdapterTerm&) = default;
};
/// Throws kInvalidArgument where "adapter_name" for what is no such sum.
std::vector<AdapterTerm> parse_adapter_sum(std::string_view text);

/// The LoRA adapters of a model of this process, by name: which are in memory, and under which
/// number of steps a request has them. Thread safety: every method from any thread. The model must
/// outlive this, and every use.
class NativeAdapters {
 public:
  /// `max_loaded`: most adapters in memory, 0: no limit. Beyond it those that nobody uses make
  /// room, the least recently used first, and are read again when a request names them.
  NativeAdapters(model::Model& model, std::size_t max_loaded)
      : model_(model), max_loaded_(max_loaded) {}

  /// As Backend.
  void mount(const AdapterOptions& adapter);
  void unmount(const std::string& name);
  std::vector<AdapterOptions> list() const;
  /// A sum of adapters, whose number is the same until one of them is unmounted. It is there as
  /// long as somebody keeps it.
  AdapterUse find(const std::string& sum);

  std::size_t n_loaded() const;

 private:
  using Loaded = std::shared_ptr<const model::MountedAdapter>;
  struct Entry {
    std::string id{};
    Loaded adapter{};  ///< Null: not in memory.
    std::uint64_t last_use = 0;
  };
  /// A sum that is mounted in the model, as long as somebody holds it.
  class Mounted;

  Loaded load(const std::string& id) const;
  Loaded loaded(const std::string& name, std::uint64_t use);
  void make_room() REQUIRES(mutex_);
  void drop_sums_with(const std::string& name) REQUIRES(mutex_);
  void trim_sums() REQUIRES(mutex_);
  [[noreturn]] void fail_unknown(const std::string& name) const;

  model::Model& model_;
  const std::size_t max_loaded_;
  mutable base::Mutex mutex_{};
  std::map<std::string, Entry, std::less<>> entries_ GUARDED_BY(mutex_){};
  std::map<std::string, std::shared_ptr<Mounted>, std::less<>> sums_ GUARDED_BY(mutex_){};
  std::uint64_t n_uses_ GUARDED_BY(mutex_) = 0;
  std::int32_t last_number_ GUARDED_BY(mutex_) = 0;
};

}  // namespace openllm::backend
