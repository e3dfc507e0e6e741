#include "backend/packed_copies.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/start_thread.h"
#include "base/thread_team.h"
#include "format/mapped_files.h"
#include "openllm/version.h"

namespace openllm::backend {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

/// Numbers and texts in a row, to be hashed.
class KeyText {
 public:
  void add(std::uint64_t number) { add(std::as_bytes(std::span(&number, 1))); }
  void add(std::string_view text) {
    add(std::uint64_t{text.size()});
    add(std::as_bytes(std::span(text)));
  }
  packed::Key key() const { return packed::hash_key(bytes_); }

 private:
  void add(std::span<const std::byte> more) {
    bytes_.insert(bytes_.end(), more.begin(), more.end());
  }
  std::vector<std::byte> bytes_{};
};

std::uint64_t number(std::int64_t value) { return static_cast<std::uint64_t>(value); }

packed::Key name_of_copy(const std::vector<base::FileIdentity>& files, std::string_view variant) {
  KeyText text;
  text.add(variant);
  for (const base::FileIdentity& file : files) {
    text.add(file.device);
    text.add(file.inode);
    text.add(file.bytes);
    text.add(number(file.changed_ns));
    text.add(number(file.entry_changed_ns));
  }
  return text.key();
}

/// The nearest path that means the same in another process.
std::string absolute(const std::string& path) {
  std::error_code error;
  const fs::path whole = fs::absolute(path, error);
  return error ? path : whole.lexically_normal().string();
}

/// Of the calling thread alone: others come first at the disk. (At the CPUs it works while there is
/// nothing to do, and when somebody waits for it, it cannot take a lower priority back.)
void be_modest() noexcept {
  constexpr int kWhoProcess = 1;
  constexpr int kLastOfBestEffort = (2 << 13) | 7;
  (void)::syscall(SYS_ioprio_set, kWhoProcess, ::gettid(), kLastOfBestEffort);
}

/// A file changed a moment ago may change again within the same tick of the file system's clock,
/// and nothing would show it.
bool is_settled(const base::FileIdentity& file, std::int64_t tick_ns) {
  const auto now = std::chrono::duration_cast<std::chrono::nanoseconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  return std::max(file.changed_ns, file.entry_changed_ns) + tick_ns <= now;
}

}  // namespace

PackedCopies::PackedCopies(const format::Checkpoint& checkpoint, const LoadOptions& options,
                           packed::Settings settings)
    : settings_(std::move(settings)) {
  if (settings_.folder.empty()) {
    set_state("packed copies are off");
    return;
  }
  for (const base::MappedFile* file : format::mapped_files(checkpoint)) {
    files_.push_back(file->bytes());
    identities_.push_back(file->identity());
    file_paths_.push_back(absolute(file->path()));
  }
  if (files_.empty()) {
    set_state("no packed copy: the weights are in no mapped file");
    return;
  }
  contents_.variant =
      base::cat("openllm ", version(), ", dtype ", options.dtype, ", quantize ", options.quantize);
  contents_.source = file_paths_.front();
  contents_.first_file = identities_.front();
  contents_.name = name_of_copy(identities_, contents_.variant);
  path_ = packed::path_of(settings_, contents_.name);
  are_settled_ = std::all_of(identities_.begin(), identities_.end(), [&](const auto& file) {
    return is_settled(file, settings_.settled_ns);
  });
  open(options.n_threads);
}

PackedCopies::~PackedCopies() { stop(); }

void PackedCopies::open(int n_threads) {
  try {
    copy_ = std::make_unique<packed::Copy>(
        path_, contents_.name, [&](std::size_t n, base::FunctionRef<void(std::size_t)> body) {
          base::ThreadTeam(n_threads).run(n, body);
        });
    packed::note_use_of_copy(path_);
    set_state(base::cat("packed copy ", path_));
  } catch (const Error& error) {
    set_state(error.code() == ErrorCode::kNotFound
                  ? std::string("no packed copy yet")
                  : base::cat("the packed copy was not taken: ", error.what()));
  }
}

std::optional<packed::Key> PackedCopies::key_of(std::span<const device::WeightPart* const> parts,
                                                std::uint64_t layout, std::size_t n_bytes) const {
  KeyText text;
  text.add(layout);
  text.add(std::uint64_t{n_bytes});
  for (const device::WeightPart* part : parts) {
    const std::span<const std::byte> bytes = part->view.bytes;
    const auto file = std::find_if(files_.begin(), files_.end(), [&](const auto& whole) {
      return std::less_equal<>()(whole.data(), bytes.data()) &&
             std::less_equal<>()(bytes.data() + bytes.size(), whole.data() + whole.size());
    });
    if (part->rows != nullptr || part->grouped || bytes.empty() || file == files_.end())
      return std::nullopt;
    text.add(number(file - files_.begin()));
    text.add(number(bytes.data() - file->data()));
    text.add(tensor::info(part->view.dtype).name);
    text.add(std::uint64_t{part->transposed});
    for (int i = 0; i < part->view.shape.n_dims(); ++i) text.add(number(part->view.shape[i]));
  }
  return text.key();
}

std::span<const std::byte> PackedCopies::find(std::span<const device::WeightPart* const> parts,
                                              std::uint64_t layout, std::size_t n_bytes) {
  if (copy_ == nullptr) return {};
  const std::optional<packed::Key> key = key_of(parts, layout, n_bytes);
  if (!key) return {};
  const std::span<const std::byte> found = copy_->find(*key, n_bytes);
  if (found.empty()) return {};
  ++n_found_;
  parts_.push_back({*key, found});
  return found;
}

void PackedCopies::note(std::span<const device::WeightPart* const> parts, std::uint64_t layout,
                        std::span<const std::byte> packed) {
  if (path_.empty()) return;
  const std::optional<packed::Key> key = key_of(parts, layout, packed.size());
  if (!key) return;
  ++n_packed_;
  parts_.push_back({*key, packed});
}

void PackedCopies::start_writing(std::function<bool()> is_idle) {
  if (n_packed_ == 0) return;
  std::set<packed::Key> seen;  // a tied table may have been loaded twice
  std::erase_if(parts_, [&](const packed::NewPart& part) { return !seen.insert(part.key).second; });
  if (packed::file_bytes_of(contents_, parts_) < settings_.least_bytes)
    return set_state("no packed copy: packing takes no time");
  if (!are_settled_)
    return set_state("no packed copy this time: the model's files were changed a moment ago");
  is_writing_ = true;
  const base::MutexLock lock(thread_mutex_);
  try {
    thread_ = base::start_thread([this, is_idle = std::move(is_idle)] {
      write(is_idle);
      is_writing_ = false;
    });
  } catch (const Error& error) {
    is_writing_ = false;
    set_state(base::cat("no packed copy: ", error.what()));
  }
}

void PackedCopies::write(const std::function<bool()>& is_idle) {
  be_modest();
  const auto may_go_on = [&] {
    while (!stops_ && !hurries_ && !is_idle()) std::this_thread::sleep_for(milliseconds(5));
    return !stops_.load();
  };
  const auto is_unchanged = [&] {
    for (std::size_t i = 0; i < identities_.size(); ++i) {
      if (base::identity_of(file_paths_[i]) != identities_[i]) return false;
    }
    return true;
  };
  try {
    if (!may_go_on()) return;
    if (!is_unchanged()) return set_state("no packed copy: the model's files were changed");
    fs::create_directories(settings_.folder);
    packed::remove_unfinished(settings_.folder);
    packed::make_room(settings_, contents_, packed::file_bytes_of(contents_, parts_));
    const bool is_whole = packed::write_copy(path_, contents_, parts_, may_go_on);
    if (is_whole) set_state(base::cat("wrote the packed copy ", path_));
  } catch (const std::exception& error) {  // of the file system too: whatever it is, only a copy
    set_state(base::cat("no packed copy: ", error.what()));
  }
}

void PackedCopies::finish(const std::function<bool()>& stops) {
  hurries_ = true;
  while (is_writing_ && !stops()) std::this_thread::sleep_for(milliseconds(5));
  if (is_writing_) stop();
}

void PackedCopies::stop() noexcept {
  stops_ = true;
  const base::MutexLock lock(thread_mutex_);
  if (thread_.joinable()) thread_.join();
}

void PackedCopies::set_state(std::string state) {
  const base::MutexLock lock(mutex_);
  state_ = std::move(state);
}

std::string PackedCopies::state() const {
  const base::MutexLock lock(mutex_);
  return state_;
}

}  // namespace openllm::backend
