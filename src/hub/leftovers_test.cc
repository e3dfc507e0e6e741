// What is deleted of the cache, and what is not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "hub/blob_links.h"
#include "hub/lock_file.h"
#include "hub/upkeep.h"
#include "openllm/error.h"

namespace openllm::hub {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

const std::string kOne(40, '1');
const std::string kTwo(40, '2');

class LeftoversTest : public ::testing::Test {
 protected:
  LeftoversTest() {
    char name[] = "/tmp/openllm-leftovers-XXXXXX";
    root_ = ::mkdtemp(name);
    cache_ = Cache(root_);
  }
  ~LeftoversTest() override { fs::remove_all(root_); }

  fs::path repo() const { return root_ / "models--a--b"; }
  fs::path write(const fs::path& path, const std::string& text) const {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path;
  }
  void put(const std::string& commit, const std::string& file, const std::string& blob) const {
    write(repo() / "blobs" / blob, "content of " + blob);
    const fs::path link = repo() / "snapshots" / commit / file;
    fs::create_directories(link.parent_path());
    fs::create_symlink(fs::relative(repo() / "blobs" / blob, link.parent_path()), link);
  }
  void put_model(const std::string& commit) const {
    put(commit, "config.json", "config");
    put(commit, "model.safetensors", "weights-" + commit);
    write(repo() / "refs/main", commit);
  }
  std::vector<std::string> found(
      std::chrono::file_clock::time_point now = std::chrono::file_clock::now()) const {
    std::vector<std::string> names;
    for (const Leftover& leftover : leftovers(cache_, now))
      names.push_back(fs::path(leftover.path).lexically_relative(repo()).string());
    return names;
  }

  fs::path root_;
  Cache cache_{fs::path()};
};

TEST_F(LeftoversTest, PartsOfFilesAndBlobsThatNothingLinksTo) {
  put_model(kOne);
  EXPECT_THAT(found(), IsEmpty());
  const fs::path blobs = repo() / "blobs";
  write(blobs / "aa.openllm.incomplete", "12345");
  write(blobs / "aa.openllm.parts", "record");
  write(blobs / "bb.openllm.parts", "record");
  write(blobs / "cc.12345678.incomplete", "1");
  write(blobs / "dd", "1");
  EXPECT_THAT(found(),
              ElementsAre("blobs/aa.openllm.incomplete", "blobs/bb.openllm.parts", "blobs/dd"));
  EXPECT_EQ(leftovers(cache_)[0].bytes, 5);
  EXPECT_THAT(found(std::chrono::file_clock::now() + std::chrono::hours(25)),
              ElementsAre("blobs/aa.openllm.incomplete", "blobs/bb.openllm.parts",
                          "blobs/cc.12345678.incomplete", "blobs/dd"))
      << "another program's after a day";
  for (const Leftover& leftover : leftovers(cache_))
    EXPECT_TRUE(remove_leftover(cache_, leftover.path)) << leftover.path;
  EXPECT_FALSE(fs::exists(blobs / "aa.openllm.parts"));
  EXPECT_TRUE(fs::exists(blobs / "cc.12345678.incomplete"));
  EXPECT_TRUE(cache_.find(parse_reference("a/b").value()));
}

TEST_F(LeftoversTest, LinksThatLeadNowhereAndWhatWasOnItsWayToAName) {
  put_model(kOne);
  put(kTwo, "sub/gone.txt", "gone");
  fs::remove(repo() / "blobs/gone");
  write(repo() / "snapshots" / kOne / "x.openllm-123", "");
  write(repo() / "snapshots" / (kTwo + ".openllm-removed") / "config.json", "{}");
  EXPECT_THAT(found(), ElementsAre("snapshots/" + kOne + "/x.openllm-123",
                                   "snapshots/" + kTwo + ".openllm-removed",
                                   "snapshots/" + kTwo + "/sub/gone.txt"));
  for (const Leftover& leftover : leftovers(cache_))
    EXPECT_TRUE(remove_leftover(cache_, leftover.path)) << leftover.path;
  EXPECT_THAT(found(), IsEmpty());
  EXPECT_FALSE(fs::exists(repo() / "snapshots" / kTwo)) << "empty folders go too";
  EXPECT_EQ(cache_.list().size(), 1U);
}

TEST_F(LeftoversTest, WhatSomebodyHasUseForStays) {
  write(repo() / "blobs/aa.openllm.incomplete", "12345");
  {
    const LockFile lock(lock_of_blob(root_, repo(), "aa"), {});
    EXPECT_THAT(found(), IsEmpty()) << "it is being downloaded";
  }
  EXPECT_EQ(found().size(), 1U);
  {
    const LockFile lock(lock_of_repo(root_, repo()), {}, LockFile::Kind::kShared);
    EXPECT_THAT(found(), IsEmpty()) << "another file of it is";
    EXPECT_FALSE(remove_leftover(cache_, repo() / "blobs/aa.openllm.incomplete"));
  }
  put_model(kOne);
  EXPECT_FALSE(remove_leftover(cache_, repo() / "blobs/config")) << "linked meanwhile";
  EXPECT_FALSE(remove_leftover(cache_, "/etc/passwd"));
  EXPECT_FALSE(remove_leftover(cache_, root_));
  EXPECT_TRUE(remove_leftover(cache_, repo() / "blobs/aa.openllm.incomplete"));
}

TEST_F(LeftoversTest, FoldersBehindLinksAreNotLookedAt) {
  write(root_ / "elsewhere/blobs/aa", "1");
  fs::create_directory_symlink(root_ / "elsewhere", repo());
  EXPECT_THAT(found(), IsEmpty());
  fs::remove(repo());
  fs::create_directories(repo());
  fs::create_directory_symlink(root_ / "elsewhere/blobs", repo() / "blobs");
  EXPECT_THAT(found(), IsEmpty());
}

TEST_F(LeftoversTest, DownloadsOfSingleFiles) {
  const fs::path downloads = root_ / "downloads";
  const fs::path part = write(downloads / "0123/m.gguf.part.openllm.incomplete", "123");
  write(downloads / "0123/m.gguf.part.openllm.parts", "x");
  write(downloads / "4567/m.gguf", "GGUF");
  ASSERT_EQ(url_leftovers(downloads).size(), 1U);
  EXPECT_EQ(url_leftovers(downloads)[0].bytes, 3);
  EXPECT_FALSE(remove_url_leftover(downloads, downloads / "4567/m.gguf"));
  EXPECT_TRUE(remove_url_leftover(downloads, part));
  EXPECT_FALSE(fs::exists(downloads / "0123"));
  EXPECT_THAT(url_leftovers(downloads), IsEmpty());
}

TEST_F(LeftoversTest, ModelsOfWhichAPartIsThere) {
  put_model(kOne);
  EXPECT_THAT(partial_models(cache_), IsEmpty());
  put(kTwo, "config.json", "config2");
  put(kTwo, "model.safetensors", "weights2");
  fs::remove(repo() / "blobs/weights2");
  write(root_ / "models--c--d/blobs/aa.openllm.incomplete", "12345");
  std::vector<PartialModel> partial = partial_models(cache_);
  ASSERT_EQ(partial.size(), 2U);
  EXPECT_EQ(partial[0].commit, kTwo);
  EXPECT_EQ(partial[0].reason, "lacks model.safetensors");
  EXPECT_EQ(partial[1].id, "c/d");
  EXPECT_EQ(partial[1].bytes, 5);
  EXPECT_THAT(partial[1].reason, HasSubstr("was cut"));
  const LockFile lock(lock_of_blob(root_, root_ / "models--c--d", "aa"), {});
  EXPECT_EQ(partial_models(cache_)[1].reason, "is being downloaded");
}

TEST_F(LeftoversTest, RemovingOneOfSeveralFilesKeepsTheOthers) {
  put(kOne, "m-Q4_0.gguf", "q4");
  put(kOne, "m-Q8_0-00001-of-00002.gguf", "q8-1");
  put(kOne, "m-Q8_0-00002-of-00002.gguf", "q8-2");
  put(kTwo, "m-Q8_0-00001-of-00002.gguf", "q8-1");
  write(repo() / "refs/main", kOne);
  EXPECT_FALSE(remove(cache_, parse_reference("a/b:Q2_K").value()));
  EXPECT_TRUE(remove(cache_, parse_reference("a/b:Q8_0").value()));
  EXPECT_TRUE(fs::exists(repo() / "blobs/q8-1")) << "another commit has it";
  EXPECT_FALSE(fs::exists(repo() / "blobs/q8-2"));
  EXPECT_TRUE(cache_.find(parse_reference("a/b:Q4_0").value()));
  EXPECT_FALSE(remove(cache_, parse_reference("a/b:Q8_0").value()));
  EXPECT_TRUE(remove(cache_, parse_reference("a/b:Q4_0").value()));
  EXPECT_FALSE(fs::exists(repo() / "snapshots" / kOne));
}

TEST_F(LeftoversTest, RemovingStopsBeforeLinkedFoldersAndDownloads) {
  put_model(kOne);
  const Reference reference = parse_reference("a/b").value();
  const auto code = [&] {
    try {
      (void)remove(cache_, reference);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kInternal;
  };
  {
    const LockFile lock(lock_of_repo(root_, repo()), {}, LockFile::Kind::kShared);
    EXPECT_EQ(code(), ErrorCode::kBusy);
  }
  fs::rename(repo() / "blobs", root_ / "elsewhere");
  fs::create_directory_symlink(root_ / "elsewhere", repo() / "blobs");
  EXPECT_EQ(code(), ErrorCode::kUnsupported);
  EXPECT_TRUE(fs::exists(root_ / "elsewhere/config"));
  EXPECT_TRUE(cache_.find(reference));
}

}  // namespace
}  // namespace openllm::hub
