#include "packed/folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/home.h"
#include "packed/copy.h"

namespace openllm::packed {
namespace {

namespace fs = std::filesystem;

constexpr const char* kVariable = "OPENLLM_PACKED_COPIES";
constexpr std::string_view kEnding = ".packed";

/// "20G"; nothing when it is no size.
std::optional<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end + 1 != text.data() + text.size()) return std::nullopt;
  constexpr std::string_view kUnits = "KMGT";
  const std::size_t unit =
      kUnits.find(static_cast<char>(std::toupper(static_cast<unsigned char>(*end))));
  if (unit == std::string_view::npos) return std::nullopt;
  const auto shift = static_cast<unsigned>(10 * (unit + 1));
  if (number > UINT64_MAX >> shift) return std::nullopt;
  return number << shift;
}

std::string hex(std::uint64_t value) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text(16, '0');
  for (std::size_t i = 16; i-- > 0; value >>= 4U) text[i] = kDigits[value & 15U];
  return text;
}

Entry read_entry(const fs::path& path) {
  Entry entry;
  entry.path = path.string();
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return entry;
  entry.bytes = static_cast<std::uint64_t>(info.st_size);
  entry.used_ns =
      static_cast<std::int64_t>(info.st_atim.tv_sec) * 1'000'000'000 + info.st_atim.tv_nsec;
  try {
    Contents contents = read_contents(entry.path);
    entry.is_current = base::identity_of(contents.source) == contents.first_file;
    entry.source = std::move(contents.source);
    entry.variant = std::move(contents.variant);
  } catch (const Error& error) {
    entry.damage = error.what();
  }
  return entry;
}

bool remove(const Entry& entry) {
  std::error_code error;
  return fs::remove(entry.path, error) && !error;
}

void check_disk(const Settings& settings, std::uint64_t n_bytes) {
  struct statvfs disk {};
  if (::statvfs(settings.folder.c_str(), &disk) != 0) return;
  const std::uint64_t left = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  const auto kept =
      static_cast<std::uint64_t>(static_cast<double>(disk.f_blocks) *
                                 static_cast<double>(disk.f_frsize) * settings.free_share);
  if (left >= n_bytes && left - n_bytes >= kept) return;
  base::fail_at(ErrorCode::kResourceExhausted, settings.folder, "no room for a packed copy of ",
                n_bytes, " bytes (expected ", kept, " bytes of the disk to stay free, got ", left,
                " before)");
}

}  // namespace

Settings read_settings() {
  Settings settings;
  const char* value = std::getenv(kVariable);
  const std::string_view wanted = value == nullptr ? "" : value;
  const bool is_off = wanted == "off" || wanted == "0";
  if (!is_off && !wanted.empty() && wanted != "auto") {
    const std::optional<std::uint64_t> limit = parse_size(wanted);
    if (!limit) {
      base::fail_at(ErrorCode::kInvalidArgument, kVariable,
                    "cannot be understood (expected off, auto or a size such as 20G, got ", wanted,
                    ")");
    }
    settings.limit_bytes = *limit;
  }
  const std::string home = base::home_folder();
  if (!is_off && !home.empty()) settings.folder = home + "/packed";
  return settings;
}

std::vector<Entry> list_copies(const std::string& folder) {
  std::vector<Entry> entries;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with('.') && name.ends_with(kEnding))
      entries.push_back(read_entry(it->path()));
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.used_ns != b.used_ns ? a.used_ns > b.used_ns : a.path < b.path;
  });
  return entries;
}

std::string path_of(const Settings& settings, const Key& name) {
  return base::cat(settings.folder, "/", hex(name.high), hex(name.low), kEnding);
}

void note_use_of_copy(const std::string& path) noexcept {
  const timespec times[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};  // what changed last is its seal
  (void)::utimensat(AT_FDCWD, path.c_str(), static_cast<const timespec*>(times), 0);
}

void make_room(const Settings& settings, const Contents& contents, std::uint64_t n_bytes) {
  if (n_bytes > settings.limit_bytes) {
    base::fail_at(ErrorCode::kResourceExhausted, settings.folder, "a packed copy of ", n_bytes,
                  " bytes is larger than all may be (expected at most ", settings.limit_bytes, "; ",
                  kVariable, " sets it)");
  }
  std::vector<Entry> kept;
  std::uint64_t total = n_bytes;
  for (Entry& entry : list_copies(settings.folder)) {
    const bool is_older = entry.source == contents.source && entry.variant == contents.variant;
    if ((is_older || !entry.is_current) && remove(entry)) continue;
    total += entry.bytes;
    kept.push_back(std::move(entry));
  }
  for (; total > settings.limit_bytes && !kept.empty(); kept.pop_back()) {
    if (remove(kept.back())) total -= kept.back().bytes;
  }
  check_disk(settings, n_bytes);
}

}  // namespace openllm::packed
