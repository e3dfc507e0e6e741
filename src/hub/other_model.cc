#include "hub/other_model.h"

#include <algorithm>
#include <chrono>
#include <system_error>

namespace openllm::hub {

namespace fs = std::filesystem;

std::vector<std::string> entries_of(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
       it.increment(error))
    names.push_back(it->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

bool measure_file(const fs::path& path, OtherModel& model) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return false;
  const std::uintmax_t size = fs::file_size(path, error);
  if (error) return false;
  const auto time = std::chrono::file_clock::to_sys(fs::last_write_time(path, error));
  if (error) return false;
  model.bytes += static_cast<std::int64_t>(size);
  model.changed_ns = std::max<std::int64_t>(
      model.changed_ns,
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count());
  return true;
}

}  // namespace openllm::hub
