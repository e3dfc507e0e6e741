// Packed copies on the disk: one that is not what it says is refused by name, and there are never
// more of them than may be.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>

#include "base/error.h"
#include "openllm/packed_copies.h"
#include "packed/copy.h"
#include "packed/folder.h"
#include "packed/writer.h"

namespace openllm::packed {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr auto kAlways = [] { return true; };

/// A RunAll.
constexpr auto kRunHere = [](std::size_t n, base::FunctionRef<void(std::size_t)> body) {
  for (std::size_t i = 0; i < n; ++i) body(i);
};

class PackedTest : public testing::Test {
 protected:
  PackedTest() {
    std::string pattern = (fs::temp_directory_path() / "openllm-packed-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    settings_.folder = folder_.string();
    settings_.least_bytes = 0;
    settings_.free_share = 0;
    std::iota(small_.begin(), small_.end(), 0);
    for (std::size_t i = 0; i < large_.size(); ++i) large_[i] = static_cast<unsigned char>(i * 7);
  }
  ~PackedTest() override { fs::remove_all(folder_); }

  /// A file that stands for a model, and the head of a copy of it.
  Contents of_model(const std::string& name, std::uint64_t key = 1) {
    const std::string model = (folder_ / name).string();
    std::ofstream(model) << name;
    Contents contents;
    contents.name = {key, 2};
    contents.source = model;
    contents.variant = "v";
    contents.first_file = base::identity_of(model);
    return contents;
  }
  std::vector<NewPart> parts() const {
    return {{{9, 9}, std::as_bytes(std::span(small_))}, {{1, 5}, std::as_bytes(std::span(large_))}};
  }
  std::string write(const Contents& contents) {
    const std::string path = path_of(settings_, contents.name);
    EXPECT_TRUE(write_copy(path, contents, parts(), kAlways));
    return path;
  }
  /// What opening says; empty: nothing is wrong.
  static std::string refusal(const std::string& path, const Key& name = {1, 2}) {
    try {
      const Copy copy(path, name, kRunHere);
      return {};
    } catch (const Error& error) {
      return error.what();
    }
  }
  static void change_byte(const std::string& path, std::uint64_t at) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const auto byte = static_cast<char>(file.get() ^ 1);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte);
  }

  fs::path folder_;
  Settings settings_;
  std::vector<unsigned char> small_ = std::vector<unsigned char>(100);
  std::vector<unsigned char> large_ = std::vector<unsigned char>(2 * kBlockBytes + 77);
};

TEST_F(PackedTest, GivesBackWhatWasWritten) {
  const std::string path = write(of_model("a"));
  const Copy copy(path, {1, 2}, kRunHere);
  const auto small = copy.find({9, 9}, small_.size());
  const auto large = copy.find({1, 5}, large_.size());
  ASSERT_EQ(small.size(), small_.size());
  ASSERT_EQ(large.size(), large_.size());
  EXPECT_EQ(std::memcmp(small.data(), small_.data(), small_.size()), 0);
  EXPECT_EQ(std::memcmp(large.data(), large_.data(), large_.size()), 0);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(large.data()) % kPartAlignment, 0U);
  EXPECT_TRUE(copy.find({9, 8}, small_.size()).empty());
  EXPECT_TRUE(copy.find({9, 9}, small_.size() + 1).empty());
  EXPECT_EQ(copy.contents().source, (folder_ / "a").string());
  EXPECT_EQ(read_contents(path).variant, "v");
  EXPECT_EQ(fs::file_size(path), copy.contents().file_bytes);
  EXPECT_EQ(file_bytes_of(of_model("a"), parts()), fs::file_size(path));
}

TEST_F(PackedTest, StaysUsableWhenItIsDeleted) {
  const std::string path = write(of_model("a"));
  const Copy copy(path, {1, 2}, kRunHere);
  fs::remove(path);
  EXPECT_EQ(std::memcmp(copy.find({9, 9}, small_.size()).data(), small_.data(), small_.size()), 0);
}

TEST_F(PackedTest, RefusesEveryDamage) {
  const Contents contents = of_model("a");
  const std::string path = write(contents);
  const std::uint64_t size = fs::file_size(path);
  EXPECT_EQ(refusal(path), "");
  for (const std::uint64_t at : {std::uint64_t{0}, std::uint64_t{8}, std::uint64_t{40},
                                 std::uint64_t{130}, kBlockBytes, size - 1}) {
    change_byte(path, at);
    EXPECT_THAT(refusal(path), HasSubstr(path)) << at;
    change_byte(path, at);
    EXPECT_EQ(refusal(path), "") << at;  // whole again: all of it is checked, and sealed
  }
  EXPECT_THAT(refusal(path, {1, 3}), HasSubstr("is the copy of something else"));
  for (const std::uint64_t n : {std::uint64_t{0}, std::uint64_t{10}, std::uint64_t{200},
                                std::uint64_t{kBlockBytes}, size - 1}) {
    fs::resize_file(path, n);
    EXPECT_THAT(refusal(path), HasSubstr(path)) << n;
  }
  fs::remove(path);
  EXPECT_THAT(refusal(path), HasSubstr("cannot open"));
  fs::create_directory(path);
  EXPECT_THAT(refusal(path), HasSubstr("not a regular file"));
}

TEST_F(PackedTest, AnotherVersionIsRefusedAsThat) {
  const Contents contents = of_model("a");
  const std::string path = write(contents);
  change_byte(path, 8);
  EXPECT_THAT(refusal(path), HasSubstr("another version (expected 1, got 0)"));
}

TEST_F(PackedTest, OnlyTheSealSparesTheCheck) {
  const Contents contents = of_model("a");
  const std::string path = write(contents);
  std::size_t n_checked = 0;
  const auto counting = [&](std::size_t n, base::FunctionRef<void(std::size_t)> body) {
    n_checked += n;
    kRunHere(n, body);
  };
  const auto open_it = [&] { const Copy copy(path, {1, 2}, counting); };
  open_it();
  EXPECT_EQ(n_checked, 0U);
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), nullptr, 0), 0);  // as writing does
  open_it();
  EXPECT_EQ(n_checked, 3U);
  open_it();
  EXPECT_EQ(n_checked, 3U);
  note_use_of_copy(path);
  open_it();
  EXPECT_EQ(n_checked, 3U);
}

TEST_F(PackedTest, NothingHalfIsSeen) {
  const Contents contents = of_model("a");
  const std::string path = path_of(settings_, contents.name);
  int n_blocks = 0;
  EXPECT_FALSE(write_copy(path, contents, parts(), [&] { return ++n_blocks < 3; }));
  EXPECT_EQ(n_blocks, 3);
  EXPECT_TRUE(list_copies(settings_.folder).empty());
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);  // "a"
}

TEST_F(PackedTest, OneOfTwoWritersWrites) {
  const Contents contents = of_model("a");
  const std::string path = path_of(settings_, contents.name);
  bool is_other_refused = false;
  EXPECT_TRUE(write_copy(path, contents, parts(), [&] {
    remove_unfinished(settings_.folder);  // leaves what is being written
    is_other_refused = !write_copy(path, contents, parts(), kAlways);
    return true;
  }));
  EXPECT_TRUE(is_other_refused);
  EXPECT_EQ(refusal(path), "");
  const std::string left = (folder_ / ".x.packed.unfinished").string();
  std::ofstream(left) << "of a process that was ended";
  remove_unfinished(settings_.folder);
  EXPECT_FALSE(fs::exists(left));
}

TEST_F(PackedTest, MakesRoomByWhatWasUsedLongestAgo) {
  std::vector<std::string> paths;
  for (std::uint64_t i = 0; i < 3; ++i) {
    paths.push_back(write(of_model(base::cat("model", i), 10 + i)));
    const timespec times[2] = {{static_cast<time_t>(1000 - i), 0}, {0, UTIME_OMIT}};
    ASSERT_EQ(::utimensat(AT_FDCWD, paths.back().c_str(), static_cast<const timespec*>(times), 0),
              0);
  }
  const std::uint64_t one = fs::file_size(paths[0]);
  settings_.limit_bytes = 3 * one;
  make_room(settings_, of_model("new", 20), one);
  EXPECT_TRUE(fs::exists(paths[0]));
  EXPECT_TRUE(fs::exists(paths[1]));
  EXPECT_FALSE(fs::exists(paths[2]));
  // Those of a model that is gone, and older ones of the same, go first.
  fs::remove(folder_ / "model0");
  make_room(settings_, of_model("model1", 21), one);
  EXPECT_FALSE(fs::exists(paths[0]));
  EXPECT_FALSE(fs::exists(paths[1]));
}

TEST_F(PackedTest, WhatDoesNotFitIsRefused) {
  settings_.limit_bytes = 1000;
  const auto told = [&] {
    try {
      make_room(settings_, of_model("new"), 1001);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kResourceExhausted);
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(told(), HasSubstr("expected at most 1000; OPENLLM_PACKED_COPIES sets it"));
  settings_.limit_bytes = 2000;
  EXPECT_EQ(told(), "");
  settings_.free_share = 1.0;
  EXPECT_THAT(told(), HasSubstr("of the disk to stay free"));
}

TEST_F(PackedTest, TellsWhatIsThereAndWhatIsOfNoUse) {
  ::setenv("OPENLLM_HOME", folder_.c_str(), 1);
  fs::create_directory(folder_ / "packed");
  settings_.folder = (folder_ / "packed").string();
  const std::string good = write(of_model("good", 1));
  const std::string stale = write(of_model("stale", 2));
  std::ofstream(folder_ / "stale") << "edited";
  std::ofstream(folder_ / "packed" / "bad.packed") << "no copy";
  std::map<std::string, std::string> found;
  for (const PackedCopy& copy : packed_copies()) found[copy.path] = copy.unusable;
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[good], "");
  EXPECT_THAT(found[stale], HasSubstr("gone or was changed"));
  EXPECT_THAT(found[(folder_ / "packed" / "bad.packed").string()], HasSubstr("too short"));
  EXPECT_THAT(describe_packed_copies(), HasSubstr("packed copies of weights: 3,"));
  EXPECT_TRUE(remove_packed_copy({.path = stale}));
  EXPECT_FALSE(remove_packed_copy({.path = stale}));
  EXPECT_FALSE(remove_packed_copy({.path = (folder_ / "good").string()}));  // no copy
  ::unsetenv("OPENLLM_HOME");
}

TEST_F(PackedTest, TheVariableIsASizeOrOff) {
  ::setenv("OPENLLM_HOME", "/home-of-nobody", 1);
  const auto with = [](const char* value) {
    ::setenv("OPENLLM_PACKED_COPIES", value, 1);
    return read_settings();
  };
  EXPECT_EQ(with("3G").limit_bytes, std::uint64_t{3} << 30U);
  EXPECT_EQ(with("500m").limit_bytes, std::uint64_t{500} << 20U);
  EXPECT_EQ(with("auto").folder, "/home-of-nobody/packed");
  EXPECT_EQ(with("off").folder, "");
  for (const char* value : {"on", "5", "5X", "G", "-1G", "5GB", "99999999999T"})
    EXPECT_THROW((void)with(value), Error) << value;
  ::unsetenv("OPENLLM_PACKED_COPIES");
  ::unsetenv("OPENLLM_HOME");
}

}  // namespace
}  // namespace openllm::packed
