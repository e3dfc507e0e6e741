// What is put into the store is on the disk before it appears, and appears though others remove
// folders at the same time. The system calls of this program are counted and made to fail.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "openllm/error.h"
#include "openllm/store.h"

namespace {

struct Calls {
  std::vector<std::string> log;  ///< "flush NAME" and "rename NAME", in order.
  std::function<bool(const std::string& to)> fail_rename;  ///< True: sets errno itself.
  bool fail_flush = false;
};
/// Of the test that runs; none in the other tests of this program.
Calls* calls = nullptr;

std::string name_of(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

}  // namespace

// The store is linked into this program, so that these are found before the C library's.
extern "C" int fsync(int fd) {
  if (calls != nullptr) {
    char path[PATH_MAX] = {};
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    const ssize_t n = ::readlink(link.c_str(), path, sizeof path - 1);
    calls->log.push_back("flush " + name_of(std::string(path, n > 0 ? static_cast<size_t>(n) : 0)));
    if (calls->fail_flush) {
      errno = ENOSPC;
      return -1;
    }
  }
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

extern "C" int rename(const char* from, const char* to) noexcept {
  if (calls != nullptr) {
    calls->log.push_back("rename " + name_of(to));
    if (calls->fail_rename && calls->fail_rename(to)) return -1;
  }
  return ::renameat(AT_FDCWD, from, AT_FDCWD, to);
}

namespace openllm {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Durability : public ::testing::Test {
 protected:
  Durability() {
    std::string name = (fs::temp_directory_path() / "openllm-durable-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    base_ = name;
    fs::create_directories(base_ / "model");
    for (const char* file : {"config.json", "model.safetensors"})
      std::ofstream(base_ / "model" / file) << "{}";
    calls = &calls_;
  }
  ~Durability() override {
    calls = nullptr;
    std::error_code ignored;
    fs::remove_all(base_, ignored);
  }
  StoredModel add() const {
    return ModelStore((base_ / "root").string()).add("me/x", (base_ / "model").string(), "v1");
  }

  fs::path base_;
  Calls calls_;
};

TEST_F(Durability, EveryFileIsFlushedBeforeTheModelAppears) {
  add();
  std::vector<std::string> until_there;
  for (const std::string& call : calls_.log) {
    until_there.push_back(call);
    if (call == "rename v1") break;
  }
  EXPECT_EQ(until_there.back(), "rename v1");
  for (const char* file : {"config.json", "model.safetensors", "model.json"})
    EXPECT_THAT(until_there, ::testing::Contains(std::string("flush ") + file));
}

TEST_F(Durability, AFullDiskIsToldAndNothingAppears) {
  calls_.fail_flush = true;
  try {
    add();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kResourceExhausted);
    EXPECT_THAT(error.what(), HasSubstr("cannot flush"));
  }
  EXPECT_TRUE(ModelStore((base_ / "root").string()).list().empty());
}

TEST_F(Durability, AFolderThatSomebodyRemovesIsMadeAgain) {
  int n_failures = 0;
  calls_.fail_rename = [&](const std::string& to) {
    if (!to.ends_with("/v1") || n_failures == 3) return false;
    ++n_failures;
    fs::remove_all(fs::path(to).parent_path());  // as `remove` of the last version does
    errno = ENOENT;
    return true;
  };
  EXPECT_EQ(add().version, "v1");
  EXPECT_EQ(n_failures, 3);
  EXPECT_EQ(ModelStore((base_ / "root").string()).list().size(), 1U);
}

TEST_F(Durability, WhatGoesOnFailingIsAnErrorInTheEnd) {
  int n_calls = 0;
  calls_.fail_rename = [&](const std::string& to) {
    if (!to.ends_with("/v1")) return false;
    ++n_calls;
    errno = n_calls > 100 ? EIO : ENOENT;
    return true;
  };
  EXPECT_THROW(add(), Error);
  EXPECT_GT(n_calls, 1);
  EXPECT_LT(n_calls, 100);
  n_calls = 100;
  EXPECT_THROW(add(), Error);
  EXPECT_EQ(n_calls, 101);  // another reason than a missing folder does not go away
}

}  // namespace
}  // namespace openllm
