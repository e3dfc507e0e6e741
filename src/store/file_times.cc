#include "store/file_times.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/mapped_file.h"

namespace openllm::store {
namespace {

namespace fs = std::filesystem;

std::int64_t nanoseconds(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

/// Files of a model: those in the folder itself, or the one.
template <typename Visit>
void for_each_file(const fs::path& model, const Visit& visit) {
  std::error_code error;
  if (fs::is_regular_file(model, error)) visit(model);
  for (auto it = fs::directory_iterator(model, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored)) visit(it->path());
  }
}

}  // namespace

FileTimes times_of(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return {};
  FileTimes times;
  times.bytes = info.st_size;
  times.changed_ns = nanoseconds(info.st_mtim);
  times.used_ns = std::max(nanoseconds(info.st_atim), times.changed_ns);
  return times;
}

std::int64_t last_use_of(const fs::path& model) {
  std::int64_t last = 0;
  for_each_file(model,
                [&](const fs::path& file) { last = std::max(last, times_of(file).used_ns); });
  return last;
}

void note_use_of(const fs::path& model) {
  for_each_file(model, [](const fs::path& file) { base::note_use(file.string()); });
}

}  // namespace openllm::store
