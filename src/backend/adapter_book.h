#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/mutex.h"
#include "openllm/options.h"

namespace openllm::backend {

/// What has the weights of adapters, and computes rows with sums of them. Thread safety: every
/// method from any thread.
class AdapterHost {
 public:
  /// An adapter in memory, until nobody holds it any more.
  class Weights {
   public:
    Weights() = default;
    virtual ~Weights() = default;
    Weights(const Weights&) = delete;
    Weights& operator=(const Weights&) = delete;
  };
  struct Part {
    std::shared_ptr<const Weights> weights{};
    float factor = 1.0F;
  };
  /// A sum, which rows can name from `mount` until it is destroyed.
  class Sum {
   public:
    Sum() = default;
    virtual ~Sum() = default;
    Sum(const Sum&) = delete;
    Sum& operator=(const Sum&) = delete;
    /// `number` is above 0 and of no other sum, before or after it. Called once.
    virtual void mount(std::int32_t number) = 0;
  };

  virtual ~AdapterHost() = default;
  /// Reads the adapter at that path. Throws what is wrong with it.
  virtual std::shared_ptr<const Weights> load(const std::string& id) = 0;
  /// Throws kUnsupported where there is no such sum.
  virtual std::unique_ptr<Sum> mix(const std::vector<Part>& parts) = 0;
};

/// The LoRA adapters of a model that is loaded here, by name: which are in memory, and under which
/// number of steps a request has them. Thread safety: every method from any thread. The host must
/// outlive this, and every use.
class AdapterBook {
 public:
  /// `max_loaded`: most adapters in memory, 0: no limit. Beyond it those that nobody uses make
  /// room, the least recently used first, and are read again when a request names them.
  AdapterBook(AdapterHost& host, std::size_t max_loaded) : host_(host), max_loaded_(max_loaded) {}

  /// As Backend.
  void mount(const AdapterOptions& adapter);
  void unmount(const std::string& name);
  std::vector<AdapterOptions> list() const;
  /// A sum of adapters, whose number is the same until one of them is unmounted. It is there as
  /// long as somebody keeps it.
  AdapterUse find(const std::string& sum);

  std::size_t n_loaded() const;

 private:
  using Loaded = std::shared_ptr<const AdapterHost::Weights>;
  struct Entry {
    std::string id{};
    Loaded adapter{};  ///< Null: not in memory.
    std::uint64_t last_use = 0;
  };
  /// A sum that is mounted, as long as somebody holds it.
  class Mounted;

  Loaded loaded(const std::string& name, std::uint64_t use);
  void make_room() REQUIRES(mutex_);
  void drop_sums_with(const std::string& name) REQUIRES(mutex_);
  void trim_sums() REQUIRES(mutex_);
  [[noreturn]] void fail_unknown(const std::string& name) const;

  AdapterHost& host_;
  const std::size_t max_loaded_;
  mutable base::Mutex mutex_{};
  std::map<std::string, Entry, std::less<>> entries_ GUARDED_BY(mutex_){};
  std::map<std::string, std::shared_ptr<Mounted>, std::less<>> sums_ GUARDED_BY(mutex_){};
  std::uint64_t n_uses_ GUARDED_BY(mutex_) = 0;
  std::int32_t last_number_ GUARDED_BY(mutex_) = 0;
};

}  // namespace openllm::backend
