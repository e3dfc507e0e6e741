#include "base/system_limits.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>

namespace openllm::base {
namespace {

namespace fs = std::filesystem;

class SystemLimits : public ::testing::Test {
 protected:
  SystemLimits() {
    std::string name = (fs::temp_directory_path() / "openllm-limits-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
    files_.proc = (root_ / "proc").string();
    files_.cgroup = (root_ / "cgroup").string();
    write("proc/meminfo", "MemTotal:       24000000 kB\nMemAvailable:   16000000 kB\n");
  }
  ~SystemLimits() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }

  fs::path root_;
  SystemFiles files_;
};

TEST_F(SystemLimits, WithoutGroupsTheMachineCounts) {
  EXPECT_EQ(available_memory(files_), std::int64_t{16'000'000} * 1024);
  EXPECT_GE(available_cpus(files_), 1);
  EXPECT_EQ(total_memory(files_), std::int64_t{24'000'000} * 1024);
  EXPECT_EQ(memory_limit(files_), 0);
  write("proc/meminfo", "nonsense\n");
  EXPECT_EQ(available_memory(files_), std::int64_t{4} << 30U);
}

TEST_F(SystemLimits, TheTightestGroupOfVersion2Counts) {
  write("proc/self/cgroup", "0::/a/b\n");
  write("cgroup/a/b/memory.max", "max\n");
  write("cgroup/a/b/memory.current", "5000\n");
  write("cgroup/a/memory.max", "9000\n");
  write("cgroup/a/memory.current", "6000\n");
  write("cgroup/a/memory.stat", "anon 4000\ninactive_file 1500\nactive_file 500\n");
  EXPECT_EQ(available_memory(files_), 9000 - (6000 - 2000));
  EXPECT_EQ(memory_limit(files_), 9000);
  write("cgroup/a/b/memory.max", "5500\n");
  EXPECT_EQ(available_memory(files_), 500);
  write("cgroup/a/b/memory.max", "4000\n");
  EXPECT_EQ(available_memory(files_), 0);
}

TEST_F(SystemLimits, AContainerSeesItsGroupAtTheRoot) {
  write("proc/self/cgroup", "4:memory:/docker/0123\n3:cpu,cpuacct:/docker/0123\n0::/\n");
  write("cgroup/memory/memory.limit_in_bytes", "7000\n");
  write("cgroup/memory/memory.usage_in_bytes", "3000\n");
  write("cgroup/memory/memory.stat", "total_inactive_file 400\ntotal_active_file 600\n");
  EXPECT_EQ(available_memory(files_), 5000);
  write("cgroup/cpu/cpu.cfs_quota_us", "50000\n");
  write("cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(available_cpus(files_), 1);
}

TEST_F(SystemLimits, NoLimitIsNotALimit) {
  write("proc/self/cgroup", "4:memory:/\n3:cpu,cpuacct:/\n");
  write("cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(memory_limit(files_), 0);
  write("cgroup/memory/memory.usage_in_bytes", "3000\n");
  write("cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  write("cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(available_memory(files_), std::int64_t{16'000'000} * 1024);
  const int all = available_cpus({files_.proc, (root_ / "none").string()});
  EXPECT_EQ(available_cpus(files_), all);
}

TEST_F(SystemLimits, QuotasAreRoundedUp) {
  write("proc/self/cgroup", "0::/a\n");
  write("cgroup/a/cpu.max", "10000 100000\n");
  EXPECT_EQ(available_cpus(files_), 1);
  write("cgroup/a/cpu.max", "max 100000\n");
  write("cgroup/cpu.max", "100001 100000\n");
  const int all = available_cpus({files_.proc, (root_ / "none").string()});
  EXPECT_EQ(available_cpus(files_), std::min(all, 2));
}

// What taskset leaves is what counts.
TEST_F(SystemLimits, TheAffinityIsALimitToo) {
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof(before), &before), 0);
  int first = 0;
  while (!CPU_ISSET(first, &before)) ++first;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(available_cpus(files_), 1);
  ASSERT_EQ(::sched_setaffinity(0, sizeof(before), &before), 0);
  EXPECT_EQ(available_cpus(files_), CPU_COUNT(&before));
}

// The sanitizers' own memory is beyond any limit.
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
TEST_F(SystemLimits, TheAddressSpaceIsALimitToo) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_DATA, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = std::min<rlim_t>(before.rlim_max, rlim_t{1} << 33U);
  ASSERT_EQ(::setrlimit(RLIMIT_DATA, &tight), 0);
  write("proc/self/status", "Name:\ttest\nVmSize:\t  200 kB\nVmData:\t  1000 kB\n");
  EXPECT_EQ(available_memory(files_),
            static_cast<std::int64_t>(tight.rlim_cur) - std::int64_t{1000} * 1024);
  ASSERT_EQ(::setrlimit(RLIMIT_DATA, &before), 0);
}
#endif

}  // namespace
}  // namespace openllm::base
