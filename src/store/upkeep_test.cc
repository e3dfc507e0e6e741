// What keeps the store in order: verifying, leftovers, imports from Hugging Face's cache.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "format/test_files.h"
#include "openllm/store.h"
#include "store/hub_cache.h"
#include "store/sha256.h"

namespace openllm {
namespace {

namespace fs = std::filesystem;
using format::testing::error_of;
using format::testing::TempFolder;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

FileHash hash_of(const std::string& path, const std::string& content) {
  store::Sha256 hash;
  hash.update(content);
  return {path, static_cast<std::int64_t>(content.size()), hash.hex()};
}

void make_folders(const TempFolder& folder, const std::string& path) {
  fs::create_directories(fs::path(folder.path()) / path);
}

TEST(VerifyFiles, NamesEachFileThatDiffers) {
  const TempFolder folder;
  folder.write("same", "1");
  folder.write("changed", "2");
  folder.write("longer", "33");
  folder.write("list.json", "");
  make_folders(folder, "is-folder");
  const std::vector<FileProblem> problems =
      verify_files(folder.path(),
                   {hash_of("same", "1"), hash_of("changed", "x"), hash_of("longer", "3"),
                    hash_of("missing", ""), hash_of("is-folder", "")},
                   {"list.json"});
  ASSERT_EQ(problems.size(), 4U);
  EXPECT_EQ(problems[0].path, "changed");
  EXPECT_THAT(problems[0].reason, HasSubstr("other content"));
  EXPECT_THAT(problems[1].reason, HasSubstr("another size (expected 1 bytes, got 2)"));
  EXPECT_EQ(problems[2].reason, "missing");
  EXPECT_EQ(problems[3].reason, "is no file");
  folder.write("more", "");
  EXPECT_EQ(verify_files(folder.path(), {}, {"list.json"}).size(), 4U);
}

TEST(VerifyFiles, TellsItsProgressAndCanBeEnded) {
  const TempFolder folder;
  folder.write("a", std::string(10, 'a'));
  folder.write("b", std::string(30, 'b'));
  const std::vector<FileHash> files{hash_of("a", std::string(10, 'a')),
                                    hash_of("b", std::string(30, 'b'))};
  std::vector<double> told;
  EXPECT_THAT(verify_files(folder.path(), files, {},
                           [&](const std::string&, double part) { told.push_back(part); }),
              IsEmpty());
  EXPECT_THAT(told, ElementsAre(0.25, 1.0));
  const Error error = error_of([&] {
    (void)verify_files(folder.path(), files, {},
                       [](const std::string&, double) { throw std::runtime_error("enough"); });
  });
  EXPECT_EQ(error.code(), ErrorCode::kCancelled);
}

TEST(VerifyFiles, OfAFolderNeedAList) {
  const TempFolder folder;
  EXPECT_EQ(error_of([&] { (void)verify_folder(folder.path()); }).code(), ErrorCode::kNotFound);
  folder.write("openllm.json", "{");
  EXPECT_EQ(error_of([&] { (void)verify_folder(folder.path()); }).code(), ErrorCode::kCorruptData);
  folder.write("openllm.json", "{}");
  EXPECT_EQ(error_of([&] { (void)verify_folder(folder.path()); }).code(), ErrorCode::kCorruptData);
}

TEST(Leftovers, AreNotWhatSomebodyWorksIn) {
  const TempFolder root;
  const ModelStore store(root.path());
  make_folders(root, "tmp/working");
  make_folders(root, "tmp/ended");
  root.write("tmp/working/lock", "");
  root.write("tmp/ended/lock", "");
  root.write("tmp/ended/weights", "12345");
  const std::string lock = root.path() + "/tmp/working/lock";
  const int fd = ::open(lock.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(fd, LOCK_EX), 0);
  const std::vector<Leftover> found = store.leftovers();
  ASSERT_THAT(found, ElementsAre(Field(&Leftover::path, root.path() + "/tmp/ended")));
  EXPECT_EQ(found[0].bytes, 5);
  EXPECT_FALSE(store.remove_leftover({.path = root.path() + "/tmp/working"}));
  EXPECT_TRUE(store.remove_leftover(found[0]));
  EXPECT_FALSE(store.remove_leftover(found[0]));
  ::close(fd);
  EXPECT_TRUE(store.remove_leftover({.path = root.path() + "/tmp/working"}));
}

TEST(Leftovers, ThatWerePutRightStay) {
  const TempFolder root;
  const TempFolder model;
  model.write("x.gguf", "GGUF");
  const ModelStore store(root.path());
  make_folders(root, "models/me/x/1");
  const std::vector<Leftover> found = store.leftovers();
  ASSERT_EQ(found.size(), 1U);
  store.add("me/x", model.path() + "/x.gguf", "1");
  EXPECT_FALSE(store.remove_leftover(found[0]));
  EXPECT_EQ(store.list().size(), 1U);
  EXPECT_FALSE(store.remove_leftover({.path = root.path()}));
  EXPECT_FALSE(store.remove_leftover({.path = "/"}));
}

/// A variable for the time of a test.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    if (value == nullptr) {
      ::unsetenv(name);
    } else {
      ::setenv(name, value, 1);
    }
  }
  ~Variable() {
    if (before_) {
      ::setenv(name_, before_->c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_{};
};

TEST(HubCache, IsWhereTheVariablesSay) {
  const Variable home("HOME", "/h");
  const Variable xdg("XDG_CACHE_HOME", nullptr);
  const Variable hf("HF_HOME", nullptr);
  const Variable hub("HF_HUB_CACHE", nullptr);
  const Variable older("HUGGINGFACE_HUB_CACHE", nullptr);
  EXPECT_EQ(store::hub_cache(), "/h/.cache/huggingface/hub");
  const Variable xdg_set("XDG_CACHE_HOME", "/x");
  EXPECT_EQ(store::hub_cache(), "/x/huggingface/hub");
  const Variable hf_set("HF_HOME", "/f");
  EXPECT_EQ(store::hub_cache(), "/f/hub");
  const Variable older_set("HUGGINGFACE_HUB_CACHE", "~/o");
  EXPECT_EQ(store::hub_cache(), "/h/o");
  const Variable hub_set("HF_HUB_CACHE", "/c");
  EXPECT_EQ(store::hub_cache(), "/c");
}

TEST(HubCache, FindsTheSnapshotOfARevision) {
  const TempFolder cache;
  const std::string one(40, '1');
  const std::string two(40, '2');
  make_folders(cache, "models--a--b/snapshots/" + one);
  make_folders(cache, "models--a--b/snapshots/" + two);
  make_folders(cache, "models--a--b/refs");
  cache.write("models--a--b/refs/main", two + "\n");
  cache.write("models--a--b/refs/gone", std::string(40, '3'));
  const Variable hub("HF_HUB_CACHE", cache.path().c_str());
  EXPECT_EQ(store::find_snapshot("a/b", "")->commit, two);
  EXPECT_EQ(store::find_snapshot("A/b", "")->id, "a/b");
  EXPECT_EQ(store::find_snapshot("a/b", "1111111")->folder,
            fs::path(cache.path()) / "models--a--b/snapshots" / one);
  EXPECT_FALSE(store::find_snapshot("a/c", ""));
  EXPECT_EQ(error_of([] { (void)store::find_snapshot("a/b", "gone"); }).code(),
            ErrorCode::kNotFound);
  EXPECT_EQ(error_of([] { (void)store::find_snapshot("a/b", "../refs"); }).code(),
            ErrorCode::kNotFound);
  EXPECT_EQ(store::open_snapshot(cache.path() + "/models--a--b/", "")->id, "a/b");
  EXPECT_EQ(store::open_snapshot(cache.path() + "/models--a--b/snapshots/" + one, "")->commit, one);
  EXPECT_FALSE(store::open_snapshot(cache.path(), ""));
}

}  // namespace
}  // namespace openllm
