#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "device/packed_weights.h"
#include "format/checkpoint.h"
#include "openllm/options.h"
#include "packed/copy.h"
#include "packed/folder.h"
#include "packed/writer.h"

namespace openllm::backend {

/// The packed copy of a model that a device takes its weights from, or the making of one. It has
/// the bytes of the weights, so it must outlive them; `stop` must be called before they go.
/// Thread safety: `stop`, `finish` and `state` from any thread, the rest by who loads.
class PackedCopies final : public device::PackedWeights {
 public:
  /// Opens the copy of the checkpoint's files, if there is a sound one. Never throws for one that
  /// is not, or for a folder that cannot be read: `state` says so.
  PackedCopies(const format::Checkpoint& checkpoint, const LoadOptions& options,
               packed::Settings settings);
  ~PackedCopies() override;

  std::span<const std::byte> find(std::span<const device::WeightPart* const> parts,
                                  std::uint64_t layout, std::size_t n_bytes) override;
  void note(std::span<const device::WeightPart* const> parts, std::uint64_t layout,
            std::span<const std::byte> packed) override;

  /// Behind loading: on a thread of its own, writes what had to be packed, if it is worth it. It
  /// works while `is_idle`.
  void start_writing(std::function<bool()> is_idle);
  /// Waits until it is written, or will not be; it goes on whatever is_idle says. `stops`: asked
  /// now and then; true ends the writing.
  void finish(const std::function<bool()>& stops);
  /// Ends the writing: what was written goes.
  void stop() noexcept;

  /// Whether finish would wait.
  bool is_writing() const noexcept { return is_writing_.load(); }
  /// How many matrices came from the copy, and how many had to be packed.
  std::size_t n_found() const noexcept { return n_found_; }
  std::size_t n_packed() const noexcept { return n_packed_; }
  /// What became of it, a sentence.
  std::string state() const;

 private:
  /// Nothing when the bytes of a part are not in a file of the model.
  std::optional<packed::Key> key_of(std::span<const device::WeightPart* const> parts,
                                    std::uint64_t layout, std::size_t n_bytes) const;
  void open(int n_threads);
  void write(const std::function<bool()>& is_idle);
  void set_state(std::string state);

  const packed::Settings settings_;
  std::vector<std::span<const std::byte>> files_{};
  packed::Contents contents_{};  ///< Of the copy to be made.
  std::string path_{};
  std::vector<base::FileIdentity> identities_{};
  std::vector<std::string> file_paths_{};
  std::unique_ptr<packed::Copy> copy_{};
  std::vector<packed::NewPart> parts_{};  ///< Of the copy to be made, in the order of loading.
  bool are_settled_ = true;  ///< The files were as they are for a while when they were mapped.
  std::size_t n_found_ = 0;
  std::size_t n_packed_ = 0;
  std::atomic<bool> stops_{false};
  std::atomic<bool> hurries_{false};
  std::atomic<bool> is_writing_{false};
  mutable base::Mutex mutex_;
  std::string state_ GUARDED_BY(mutex_);
  base::Mutex thread_mutex_;  // who joins
  std::thread thread_ GUARDED_BY(thread_mutex_);
};

}  // namespace openllm::backend
