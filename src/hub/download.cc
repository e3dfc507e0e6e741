#include "hub/download.h"

#include <algorithm>
#include <fstream>
#include <vector>

#include "base/error.h"
#include "hub/part_file.h"
#include "store/sha256.h"

namespace openllm::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostParts = 1 << 20U;
constexpr std::size_t kReadSize = std::size_t{1} << 20U;

Told ask_for_size(const Asking& asking, const Wanted& wanted) {
  Told told;
  Get get;
  get.url = wanted.url;
  get.headers = {"Accept-Encoding: identity", "Range: bytes=0-0"};
  get.on_body = [](std::string_view) { return false; };
  get.on_head = [&](const net::HttpAnswer& head) {
    told = told_by(head);
    return true;
  };
  const net::HttpAnswer answer = hub::get(asking, get);
  if (answer.status != 200 && answer.status != 206) fail_of_status(asking, answer, shown(wanted));
  if (told.size < 0) {
    base::fail(ErrorCode::kUnsupported, "hub: ", wanted.name,
               ": the server does not say how long it is; fetch it by other means and give its "
               "path");
  }
  return told;
}

void require_space(const fs::path& target, std::int64_t n_bytes, const std::string& name) {
  std::error_code error;
  const fs::space_info space = fs::space(target.parent_path(), error);
  if (error || space.available >= static_cast<std::uintmax_t>(std::max<std::int64_t>(n_bytes, 0)))
    return;
  base::fail(ErrorCode::kResourceExhausted, "hub: ", name, ": not enough space in ",
             target.parent_path().string(), " (expected ", n_bytes, " bytes, got ", space.available,
             "); make room, or have HF_HUB_CACHE name a folder on another disk");
}

void fetch_all(const Asking& asking, const Wanted& wanted, const fs::path& target, const Told& told,
               const DownloadOptions& options, bool is_whole) {
  const std::int64_t size = told.size;
  std::error_code ignored;
  const std::uintmax_t n_left = fs::file_size(target.string() + ".openllm.incomplete", ignored);
  const std::int64_t n_there = ignored ? 0 : static_cast<std::int64_t>(n_left);
  require_space(target, size - n_there, wanted.name);  // before much is written about a huge one
  // A file that comes in one piece cannot be gone on with.
  PartFile file(target, size, is_whole ? std::max<std::int64_t>(size, 1) : options.part_size,
                told.version);
  const std::string& expected = wanted.sha256.empty() ? wanted.sha1 : wanted.sha256;
  // Nor can what nothing tells from another content.
  if (is_whole || (expected.empty() && told.version.empty())) file.clear();
  require_space(target, size - file.n_done(), wanted.name);
  const std::int64_t n_before = file.n_done();
  if (options.on_bytes) options.on_bytes(n_before);
  const std::string digest = fetch_parts(asking, wanted, told.version, file, options, is_whole);
  if (!expected.empty() && digest != expected) {
    file.clear();
    base::fail(ErrorCode::kCorruptData, "hub: ", shown(wanted),
               ": other bytes than the hub lists (expected ",
               wanted.sha256.empty() ? "SHA-1 " : "SHA-256 ", expected, ", got ", digest,
               "), thrown away; ", kTryElsewhere);
  }
  file.publish();
}

}  // namespace

void download(const Asking& asking, const Wanted& wanted, const fs::path& target,
              const DownloadOptions& options) {
  Told told = wanted.size >= 0 ? Told{wanted.size, {}} : ask_for_size(asking, wanted);
  if (!wanted.sha256.empty() || !wanted.sha1.empty()) told.version.clear();
  const std::int64_t size = told.size;
  if (size / options.part_size >= kMostParts) {
    base::fail(ErrorCode::kUnsupported, "hub: ", shown(wanted), ": too long (expected less than ",
               kMostParts, " times ", options.part_size, " bytes, got ", size, ")");
  }
  if (options.on_size) options.on_size(size);
  DownloadOptions counted = options;
  std::int64_t n_told = 0;
  counted.on_bytes = [&](std::int64_t n) {
    n_told += n;
    if (options.on_bytes && n != 0) options.on_bytes(n);
  };
  // What an earlier process left may be damaged: once more from the beginning then.
  std::error_code ignored;
  bool may_be_old = fs::exists(target.string() + ".openllm.parts", ignored);
  bool is_whole = false;
  for (int n_failed = 0;;) {
    counted.on_bytes(-n_told);
    try {
      return fetch_all(asking, wanted, target, told, counted, is_whole);
    } catch (const NoRanges&) {
      is_whole = true;
    } catch (const Passing& failure) {
      if (n_failed >= asking.max_retries) throw Error(failure);
      pause_before_retry(asking, n_failed++, failure.asked());
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kCorruptData || !may_be_old) throw;
      may_be_old = false;
    }
  }
}

}  // namespace openllm::hub
