#include "base/system_limits.h"

#include <malloc.h>
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <limits>
#include <optional>
#include <string_view>
#include <thread>

namespace openllm::base {
namespace {

/// The first number of a file; none for "max" or no file.
std::optional<std::int64_t> read_number(const std::string& path) {
  std::ifstream file(path);
  std::int64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

/// The number behind `key` in a file of "key number" lines.
std::optional<std::int64_t> read_field(const std::string& path, std::string_view key) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (line.compare(0, key.size(), key) != 0) continue;
    std::size_t i = key.size();
    while (i < line.size() && (line[i] == ' ' || line[i] == '\t')) ++i;
    std::int64_t value = 0;
    if (i == key.size() || i == line.size()) continue;
    for (; i < line.size() && line[i] >= '0' && line[i] <= '9'; ++i) {
      if (value > std::numeric_limits<std::int64_t>::max() / 16) return std::nullopt;
      value = value * 10 + (line[i] - '0');
    }
    return value;
  }
  return std::nullopt;
}

/// This process's group in the hierarchy of `controller`; empty: version 2. Within a container the
/// path may be the host's and not exist.
std::string group_path(const SystemFiles& files, std::string_view controller) {
  std::ifstream file(files.proc + "/self/cgroup");
  std::string line;
  while (std::getline(file, line)) {  // "4:cpu,cpuacct:/path", version 2: "0::/path"
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string names = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string wanted = "," + std::string(controller) + ",";
    if (names.find(wanted) != std::string::npos) return line.substr(second + 1);
  }
  return "/";
}

/// Calls `visit` with the folder of this process's group and of those around it, up to the root.
void for_each_group(const SystemFiles& files, std::string_view controller,
                    const std::function<void(const std::string&)>& visit) {
  std::string root = files.cgroup;
  if (!controller.empty()) root += "/" + std::string(controller);
  std::string path = group_path(files, controller);
  while (!path.empty() && path != "/") {
    visit(root + path);
    path.erase(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
  visit(root);
}

std::int64_t cgroup_memory(const SystemFiles& files) {
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  const auto look = [&](const std::string& folder, const char* limit_name, const char* used_name,
                        std::string_view inactive, std::string_view active) {
    const auto limit = read_number(folder + limit_name);
    const auto used = read_number(folder + used_name);
    if (!limit || !used) return;
    const std::string stat = folder + "/memory.stat";
    const std::int64_t file_pages =
        read_field(stat, inactive).value_or(0) + read_field(stat, active).value_or(0);
    const std::int64_t held = std::max<std::int64_t>(0, *used - file_pages);
    least = std::min(least, std::max<std::int64_t>(0, *limit - held));
  };
  for_each_group(files, "", [&](const std::string& folder) {
    look(folder, "/memory.max", "/memory.current", "inactive_file", "active_file");
  });
  for_each_group(files, "memory", [&](const std::string& folder) {
    look(folder, "/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file",
         "total_active_file");
  });
  return least;
}

/// What a limit of the process leaves beyond what the line `key` of its status counts.
std::int64_t process_memory(const SystemFiles& files, __rlimit_resource what,
                            std::string_view key) {
  rlimit limit{};
  if (::getrlimit(what, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return std::numeric_limits<std::int64_t>::max();
  const std::int64_t used = read_field(files.proc + "/self/status", key).value_or(0) * 1024;
  const auto most =
      static_cast<std::int64_t>(std::min<rlim_t>(limit.rlim_cur, std::int64_t{1} << 62U));
  return std::max<std::int64_t>(0, most - used);
}

/// Whole CPUs of the quotas, or a large number.
std::int64_t cgroup_cpus(const SystemFiles& files) {
  std::int64_t least = std::numeric_limits<int>::max();
  const auto look = [&](std::optional<std::int64_t> quota, std::optional<std::int64_t> period) {
    if (!quota || !period || *quota <= 0 || *period <= 0) return;  // no quota: "max", -1
    least = std::min(least, (*quota - 1) / *period + 1);
  };
  for_each_group(files, "", [&](const std::string& folder) {
    std::ifstream file(folder + "/cpu.max");
    std::int64_t quota = 0;
    std::int64_t period = 0;
    if (file >> quota >> period) look(quota, period);
  });
  for_each_group(files, "cpu", [&](const std::string& folder) {
    look(read_number(folder + "/cpu.cfs_quota_us"), read_number(folder + "/cpu.cfs_period_us"));
  });
  return least;
}

}  // namespace

std::int64_t available_memory(const SystemFiles& files) {
  constexpr std::int64_t kUnknown = std::int64_t{4} << 30U;
  const auto kib = read_field(files.proc + "/meminfo", "MemAvailable:");
  const std::int64_t machine = kib ? *kib * 1024 : kUnknown;
  return std::min({machine, cgroup_memory(files), process_memory(files, RLIMIT_AS, "VmSize:"),
                   process_memory(files, RLIMIT_DATA, "VmData:")});
}

std::int64_t total_memory(const SystemFiles& files) {
  return read_field(files.proc + "/meminfo", "MemTotal:").value_or(0) * 1024;
}

std::int64_t memory_limit(const SystemFiles& files) {
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  const auto look = [&](const std::string& path) {
    if (const auto limit = read_number(path)) least = std::min(least, *limit);
  };
  for_each_group(files, "", [&](const std::string& folder) { look(folder + "/memory.max"); });
  for_each_group(files, "memory",
                 [&](const std::string& folder) { look(folder + "/memory.limit_in_bytes"); });
  // Version 1 says so where there is none.
  return least > std::int64_t{1} << 62U ? 0 : least;
}

int available_cpus(const SystemFiles& files) {
  cpu_set_t set;
  CPU_ZERO(&set);
  const int n = ::sched_getaffinity(0, sizeof(set), &set) == 0
                    ? CPU_COUNT(&set)
                    : static_cast<int>(std::thread::hardware_concurrency());
  return static_cast<int>(std::clamp<std::int64_t>(cgroup_cpus(files), 1, std::max(n, 1)));
}

void return_free_memory() noexcept { ::malloc_trim(0); }

}  // namespace openllm::base
