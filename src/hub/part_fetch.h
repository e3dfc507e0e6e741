#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "hub/part_file.h"
#include "hub/request.h"

namespace openllm::hub {

/// A file to download.
struct Wanted {
  std::string url{};
  std::string name{};      ///< For messages.
  std::int64_t size = -1;  ///< In bytes; -1: what the server says.
  std::string sha256{};    ///< Of the content; empty: not known.
  std::string sha1{};      ///< Of git's blob; empty: not known.
  std::string repo{};      ///< Whose it is, for messages; empty: nobody's.
};

struct DownloadOptions {
  int n_connections = 4;
  std::int64_t part_size = std::int64_t{64} << 20U;
  /// Called where somebody else fetches the file and has to be waited for. Not by `download`.
  std::function<void()> on_wait{};
  /// Told of the size of the file, first.
  std::function<void(std::int64_t)> on_size{};
  /// Told of bytes that are there: that were, that came, or a negative number of them that are
  /// thrown away. Called by several threads, one at a time.
  std::function<void(std::int64_t)> on_bytes{};
  /// Told of bytes that came, before `on_bytes` is.
  std::function<void(std::int64_t)> on_fetched{};
};

/// What the server says of a file.
struct Told {
  std::int64_t size = -1;  ///< -1: nothing.
  /// Eight digits that are others for another content at the same address; empty when nothing is
  /// said that would tell.
  std::string version{};
};

/// Of a head that gives a file, or a part of it.
Told told_by(const net::HttpAnswer& head);

/// The server gives no ranges: the file has to come in one piece.
struct NoRanges {};

/// A failure that may pass.
class Passing : public Error {
 public:
  explicit Passing(const Error& error, std::optional<std::chrono::milliseconds> asked = {})
      : Error(error), asked_(asked) {}
  /// When the server wants to be asked again, if it says so.
  std::optional<std::chrono::milliseconds> asked() const noexcept { return asked_; }

 private:
  std::optional<std::chrono::milliseconds> asked_;
};

/// Fetches all parts that are missing, over several connections; the digest of the file, as
/// `wanted` has it. `version`: as Told::version, empty if a digest tells other contents.
/// `is_whole`: ranges are not given. Throws NoRanges; Passing where the file has to come in one
/// piece and has to begin again; else as `download`.
std::string fetch_parts(const Asking& asking, const Wanted& wanted, const std::string& version,
                        PartFile& file, const DownloadOptions& options, bool is_whole);

/// The file as messages name it: "config.json of owner/name".
std::string shown(const Wanted& wanted);

/// For errors of servers that give something else than was asked for.
constexpr const char* kTryElsewhere =
    "try again later, or another hub (HF_ENDPOINT); no proxy or login page may stand before it";

}  // namespace openllm::hub
