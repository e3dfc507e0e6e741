#include "hub/part_fetch.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <exception>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "base/start_thread.h"
#include "store/sha256.h"

namespace openllm::hub {
namespace {

constexpr std::size_t kReadSize = std::size_t{1} << 20U;

std::int64_t number(std::string_view text) {
  std::int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : -1;
}

/// "bytes 0-99/1000": where it begins and how long the whole is; -1 for what is not said.
struct ContentRange {
  std::int64_t begin = -1;
  std::int64_t size = -1;
};

ContentRange parse_range(std::string_view text) {
  if (!text.starts_with("bytes ")) return {};
  text.remove_prefix(6);
  const std::size_t dash = std::min(text.find('-'), text.size());
  const std::size_t slash = std::min(text.find('/'), text.size());
  return {number(text.substr(0, dash)), number(text.substr(std::min(slash + 1, text.size())))};
}

/// As Told::version.
std::string version_of(const net::HttpAnswer& head) {
  std::string_view said = head.field("etag");
  if (said.starts_with("W/")) said.remove_prefix(2);  // of the same length, that is good enough
  if (said.empty()) said = head.field("last-modified");
  if (said.empty()) return {};
  store::Sha256 digest;
  digest.update(said);
  return digest.hex().substr(0, 8);
}

/// The digest of a file that grows at its end.
class Follower {
 public:
  Follower(const Wanted& wanted, std::int64_t size)
      : digest_(wanted.sha256.empty() ? store::Digest::Kind::kSha1 : store::Digest::Kind::kSha256) {
    if (wanted.sha256.empty()) digest_.update(base::cat("blob ", size) + '\0');
  }
  void follow(const PartFile& file) {
    const std::int64_t end = file.n_contiguous();
    while (done_ < end) {
      const auto n = static_cast<std::size_t>(
          std::min<std::int64_t>(end - done_, static_cast<std::int64_t>(kReadSize)));
      buffer_.resize(n);
      file.read(done_, buffer_.data(), n);
      digest_.update(buffer_.data(), n);
      done_ += static_cast<std::int64_t>(n);
    }
  }
  std::string hex() { return digest_.hex(); }

 private:
  store::Digest digest_;
  std::vector<char> buffer_;
  std::int64_t done_ = 0;
};

/// Bytes on their way to a part of a file. They come in small pieces, and connections that write
/// each to the same file would wait for each other most of the time.
class Gathered {
 public:
  Gathered(PartFile& file, std::size_t index) : file_(file), index_(index) {}

  void add(std::string_view bytes) { bytes_ += bytes; }
  /// So many, or waiting so long, that a process that is killed would lose something.
  bool is_due() const {
    constexpr std::size_t kMostBytes = std::size_t{256} << 10U;
    constexpr std::chrono::milliseconds kLongest{10};
    return bytes_.size() >= kMostBytes || Clock::now() - written_ >= kLongest;
  }
  /// How many were written. Throws as PartFile::write, and has forgotten them then.
  std::int64_t write() {
    const std::string bytes = std::exchange(bytes_, {});
    if (!bytes.empty()) file_.write(index_, bytes);
    written_ = Clock::now();
    return static_cast<std::int64_t>(bytes.size());
  }

 private:
  using Clock = std::chrono::steady_clock;

  PartFile& file_;
  const std::size_t index_;
  std::string bytes_{};
  Clock::time_point written_{};  // long ago: the first bytes are told of at once
};

/// The connections that fetch the parts of one file.
class Fetch {
 public:
  /// `version`: as `version_of` gives it, empty if a digest tells other contents.
  Fetch(const Asking& asking, const Wanted& wanted, const std::string& version, PartFile& file,
        const DownloadOptions& options)
      : asking_(asking), wanted_(wanted), version_(version), file_(file), options_(options) {
    asking_.stop_token = stop_.get_token();
  }

  /// Throws the first failure once all connections have ended. `is_whole`: ranges are not given.
  void run(Follower& follower, bool is_whole) {
    is_whole_ = is_whole;
    const std::stop_callback passed_on(caller_stop(), [this] { stop_.request_stop(); });
    const std::size_t n = std::min<std::size_t>(
        file_.n_parts(),
        is_whole ? 1 : static_cast<std::size_t>(std::max(options_.n_connections, 1)));
    std::vector<std::thread> threads;
    try {
      {
        const base::MutexLock lock(mutex_);
        n_running_ = static_cast<int>(n);
      }
      for (std::size_t i = 0; i < n; ++i) threads.push_back(base::start_thread([this] { work(); }));
      wait(follower);
    } catch (...) {
      fail(std::current_exception());
    }
    for (std::thread& thread : threads) thread.join();
    const base::MutexLock lock(mutex_);
    if (failure_) std::rethrow_exception(failure_);
  }

  void set_caller_stop(std::stop_token token) { caller_stop_ = std::move(token); }

 private:
  std::stop_token caller_stop() const { return caller_stop_; }

  void fail(std::exception_ptr failure) {
    const base::MutexLock lock(mutex_);
    if (!failure_) failure_ = std::move(failure);
    stop_.request_stop();
  }

  /// Computes the digest of what has come until all connections have ended.
  void wait(Follower& follower) {
    for (;;) {
      {
        base::MutexLock lock(mutex_);
        if (n_running_ == 0) break;
        changed_.wait_until(lock, std::chrono::steady_clock::now() + std::chrono::milliseconds(50));
      }
      follower.follow(file_);
    }
  }

  void work() {
    try {
      while (!stop_.stop_requested()) {
        const std::size_t index = next_++;
        if (index >= file_.n_parts()) break;
        fetch_part(index);
      }
    } catch (...) {
      fail(std::current_exception());
    }
    const base::MutexLock lock(mutex_);
    --n_running_;
    changed_.notify_all();
  }

  void fetch_part(std::size_t index) {
    for (int n_failed = 0;;) {
      const Part part = file_.part(index);
      if (part.done == part.end) return;
      const Passing failure = try_part(index, part);
      const std::int64_t done = file_.part(index).done;
      if (done == part.end) return;
      if (done > part.done) n_failed = 0;
      if (is_whole_) throw failure;  // has to begin again
      if (n_failed >= asking_.max_retries) {
        throw Error(failure.code(),
                    base::cat(failure.what(), "; what came is kept, the next try goes on there"),
                    failure.where(), failure.reason());
      }
      pause_before_retry(asking_, n_failed++, failure.asked());
    }
  }

  /// Asks for what is missing of a part; the failure to mean if it is still not whole.
  Passing try_part(std::size_t index, const Part& part) {
    net::HttpAnswer answer;
    try {
      answer = ask(index, part);
    } catch (const Error& error) {
      if (!may_pass(error)) throw;
      return Passing(error);
    }
    if (answer.status != 200 && answer.status != 206) {
      if (!may_pass(answer.status)) fail_of_status(asking_, answer, shown(wanted_));
      try {
        fail_of_status(asking_, answer, shown(wanted_));
      } catch (const Error& error) {
        return Passing(error, answer.retry_after);
      }
    }
    return Passing(Error(ErrorCode::kIo,
                         base::cat("hub: ", shown(wanted_), ": the connection ended too early")));
  }

  net::HttpAnswer ask(std::size_t index, const Part& part) {
    Get get;
    get.url = wanted_.url;
    get.headers = {"Accept-Encoding: identity"};
    const bool is_all = part.done == 0 && part.end == file_.size();
    if (!is_all) get.headers.push_back(base::cat("Range: bytes=", part.done, "-", part.end - 1));
    bool is_range = false;
    get.on_head = [&](const net::HttpAnswer& head) {
      check_head(head, part, is_all);
      is_range = head.status == 206;
      return true;
    };
    get.on_redirection = [this](const net::HttpAnswer& head) { check_linked(head); };
    std::int64_t n_missing = part.end - part.done;
    Gathered gathered(file_, index);
    get.on_body = [&](std::string_view bytes) {
      const bool has_more = static_cast<std::int64_t>(bytes.size()) > n_missing;
      if (has_more && !is_range) fail_size("more bytes than it should have");
      // Some servers give a range from its beginning to the end of the file.
      bytes = bytes.substr(0, static_cast<std::size_t>(n_missing));
      n_missing -= static_cast<std::int64_t>(bytes.size());
      gathered.add(bytes);
      if (gathered.is_due() || n_missing == 0) tell(gathered.write());
      return !has_more && !stop_.stop_requested();
    };
    try {
      net::HttpAnswer answer = get_once(asking_, get);
      tell(gathered.write());
      return answer;
    } catch (...) {
      tell(gathered.write());  // what came is kept
      throw;
    }
  }

  void check_head(const net::HttpAnswer& head, const Part& part, bool is_all) const {
    if (head.status == 200 && !is_all) throw NoRanges();
    if (head.status == 416) fail_size("fewer bytes than it should have");
    if (head.status != 200 && head.status != 206) return;
    if (!version_.empty() && version_of(head) != version_) {
      base::fail(ErrorCode::kCorruptData, "hub: ", shown(wanted_),
                 ": it was changed at its address while it was fetched; try again");
    }
    const std::int64_t length = number(head.field("content-length"));
    if (head.status == 206) {
      const ContentRange range = parse_range(head.field("content-range"));
      if (range.begin != part.done) fail_size("another range than was asked for");
      if (range.size >= 0 && range.size != file_.size())
        fail_size("another size than it should have");
    } else if (length >= 0 && length != file_.size()) {
      fail_size("another size than it should have");
    }
  }

  /// What hubs say of a large file before they point to where it lies: another one than was listed
  /// need not be fetched to be known.
  void check_linked(const net::HttpAnswer& head) const {
    const std::int64_t size = number(head.field("x-linked-size"));
    if (size >= 0 && size != file_.size()) fail_size("another size than it should have");
    std::string_view digest = head.field("x-linked-etag");
    if (digest.starts_with('"') && digest.ends_with('"') && digest.size() > 1)
      digest = digest.substr(1, digest.size() - 2);
    const bool is_digest = digest.size() == 64;  // of a SHA-256
    if (!is_digest || wanted_.sha256.empty() || digest == wanted_.sha256) return;
    base::fail(ErrorCode::kCorruptData, "hub: ", shown(wanted_),
               ": the server has another file than the hub lists (expected SHA-256 ",
               wanted_.sha256, ", got ", digest, "); ", kTryElsewhere);
  }

  [[noreturn]] void fail_size(const char* what) const {
    base::fail(ErrorCode::kCorruptData, "hub: ", shown(wanted_), ": the server gives ", what,
               " (expected ", file_.size(), " bytes); ", kTryElsewhere);
  }

  void tell(std::int64_t n) {
    if (n == 0) return;
    const base::MutexLock lock(mutex_);
    if (options_.on_fetched) options_.on_fetched(n);
    if (options_.on_bytes) options_.on_bytes(n);
  }

  Asking asking_;
  const Wanted& wanted_;
  const std::string version_;
  PartFile& file_;
  const DownloadOptions& options_;
  std::stop_token caller_stop_{};
  std::stop_source stop_{};
  bool is_whole_ = false;
  std::atomic<std::size_t> next_{0};
  base::Mutex mutex_;
  base::CondVar changed_;
  int n_running_ GUARDED_BY(mutex_) = 0;
  std::exception_ptr failure_ GUARDED_BY(mutex_){};
};

}  // namespace

Told told_by(const net::HttpAnswer& head) {
  std::int64_t size = -1;
  if (head.status == 206) size = parse_range(head.field("content-range")).size;
  if (head.status == 200) size = number(head.field("content-length"));
  return {size, version_of(head)};
}

std::string shown(const Wanted& wanted) {
  return wanted.repo.empty() ? wanted.name : base::cat(wanted.name, " of ", wanted.repo);
}

std::string fetch_parts(const Asking& asking, const Wanted& wanted, const std::string& version,
                        PartFile& file, const DownloadOptions& options, bool is_whole) {
  Follower follower(wanted, file.size());
  Fetch fetch(asking, wanted, version, file, options);
  fetch.set_caller_stop(asking.stop_token);
  fetch.run(follower, is_whole);
  follower.follow(file);
  return follower.hex();
}

}  // namespace openllm::hub
