#include "openllm/packed_copies.h"

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/home.h"
#include "packed/folder.h"

namespace openllm {
namespace {

namespace fs = std::filesystem;

std::string folder() {
  const std::string home = base::home_folder();
  return home.empty() ? home : home + "/packed";
}

std::string why_unusable(const packed::Entry& entry) {
  if (!entry.damage.empty()) return entry.damage;
  return entry.is_current ? std::string() : "the model's file is gone or was changed";
}

std::string megabytes(std::uint64_t bytes) {
  return base::cat((bytes + 500'000) / 1'000'000, " MB");
}

}  // namespace

std::vector<PackedCopy> packed_copies() {
  std::vector<PackedCopy> copies;
  for (packed::Entry& entry : packed::list_copies(folder())) {
    std::string unusable = why_unusable(entry);
    copies.push_back({std::move(entry.path), std::move(entry.source),
                      static_cast<std::int64_t>(entry.bytes), entry.used_ns, std::move(unusable)});
  }
  return copies;
}

bool remove_packed_copy(const PackedCopy& copy) {
  const std::vector<packed::Entry> known = packed::list_copies(folder());
  const bool is_one = std::any_of(known.begin(), known.end(),
                                  [&](const auto& entry) { return entry.path == copy.path; });
  std::error_code error;
  return is_one && fs::remove(copy.path, error) && !error;
}

std::string describe_packed_copies() {
  const packed::Settings settings = packed::read_settings();
  if (settings.folder.empty()) return "packed copies of weights are off (OPENLLM_PACKED_COPIES)";
  std::uint64_t total = 0;
  const std::vector<packed::Entry> entries = packed::list_copies(settings.folder);
  for (const packed::Entry& entry : entries) total += entry.bytes;
  return base::cat("packed copies of weights: ", entries.size(), ", ", megabytes(total), " of ",
                   megabytes(settings.limit_bytes), " in ", settings.folder);
}

}  // namespace openllm
