#pragma once

#include <cstdint>
#include <string>

namespace openllm::base {

/// Where the system tells about itself; tests have their own.
struct SystemFiles {
  std::string proc = "/proc";
  std::string cgroup = "/sys/fs/cgroup";
};

/// Bytes that this process may still take: the least of what the machine has available
/// (MemAvailable), what its control groups leave (v1 and v2; file pages count as free) and what
/// RLIMIT_AS and RLIMIT_DATA leave. 4 GiB where nothing can be read.
std::int64_t available_memory(const SystemFiles& files = {});

/// Memory of the machine; 0 where it does not say.
std::int64_t total_memory(const SystemFiles& files = {});
/// The least limit of the control groups around this process; 0: none.
std::int64_t memory_limit(const SystemFiles& files = {});

/// CPUs that this process may use, at least 1: those of its affinity mask, at most the control
/// groups' quota, rounded up.
int available_cpus(const SystemFiles& files = {});

/// Gives memory that was freed back to the system: the allocator keeps it otherwise, to use it
/// again. Takes milliseconds; for after something large is gone.
void return_free_memory() noexcept;

}  // namespace openllm::base
