#include "hub/cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "openllm/error.h"

namespace openllm::hub {
namespace {

namespace fs = std::filesystem;

const std::string kOne(40, '1');
const std::string kTwo = "abcdef0" + std::string(33, '2');

class CacheTest : public ::testing::Test {
 protected:
  CacheTest() {
    char name[] = "/tmp/openllm-cache-XXXXXX";
    root_ = ::mkdtemp(name);
  }
  ~CacheTest() override { fs::remove_all(root_); }

  void write(const fs::path& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  /// As huggingface_hub does: the blob, and a link to it.
  void put(const std::string& repo, const std::string& commit, const std::string& file,
           const std::string& text) const {
    const fs::path folder = folder_name(repo);
    const std::string blob = std::to_string(std::hash<std::string>()(text));
    write(folder / "blobs" / blob, text);
    const fs::path link = root_ / folder / "snapshots" / commit / file;
    fs::create_directories(link.parent_path());
    fs::create_symlink(fs::relative(root_ / folder / "blobs" / blob, link.parent_path()), link);
  }
  void put_model(const std::string& repo, const std::string& commit) const {
    put(repo, commit, "config.json", "{}");
    put(repo, commit, "model.safetensors", "weights of " + commit);
  }
  std::optional<CachedModel> find(const std::string& text) const {
    return cache_.find(parse_reference(text).value());
  }

  fs::path root_;
  Cache cache_{fs::path()};

  void SetUp() override { cache_ = Cache(root_); }
};

TEST_F(CacheTest, FindsARevisionByItsNameOrCommit) {
  put_model("a/b", kOne);
  put_model("a/b", kTwo);
  write("models--a--b/refs/main", kOne);
  write("models--a--b/refs/refs/pr/1", kTwo + "\n");
  EXPECT_EQ(find("a/b")->path, root_ / "models--a--b/snapshots" / kOne);
  EXPECT_EQ(find("a/b")->format, "safetensors");
  EXPECT_EQ(find("a/b@refs/pr/1")->snapshot.commit, kTwo);
  EXPECT_EQ(find("a/b:" + kTwo)->snapshot.commit, kTwo);
  EXPECT_EQ(find("a/b:abcdef0")->snapshot.commit, kTwo);
  EXPECT_FALSE(find("a/b:abcdef"));
  EXPECT_FALSE(find("a/b:v2"));
  EXPECT_FALSE(find("a/c"));
  EXPECT_EQ(find("a/b")->snapshot.bytes, 2 + 11 + 40);
}

TEST_F(CacheTest, AModelThatIsNotWholeIsNone) {
  write("models--a--b/refs/main", kOne);
  put("a/b", kOne, "model.safetensors", "weights");
  EXPECT_FALSE(find("a/b")) << "without config.json";
  put("a/b", kOne, "config.json", "{}");
  EXPECT_TRUE(find("a/b"));
  put("a/b", kOne, "model.safetensors.index.json",
      R"({"weight_map":{"x":"model-00001-of-00002.safetensors","y":"model-00002-of-00002.safetensors"}})");
  EXPECT_FALSE(find("a/b")) << "without a part";
  put("a/b", kOne, "model-00001-of-00002.safetensors", "more");
  EXPECT_FALSE(find("a/b")) << "with one part of two";
  put("a/b", kOne, "model-00002-of-00002.safetensors", "more");
  EXPECT_TRUE(find("a/b"));
  fs::remove_all(root_ / "models--a--b/blobs");
  EXPECT_FALSE(find("a/b")) << "links to nothing";
}

TEST_F(CacheTest, DamagedIndexesAndRefsAreSkipped) {
  put_model("a/b", kOne);
  put("a/b", kOne, "model.safetensors.index.json", "{");
  write("models--a--b/refs/main", kOne);
  EXPECT_FALSE(find("a/b"));
  put_model("a/c", kOne);
  for (const char* ref : {"", "../../x", "zzzz", "1"}) {
    write("models--a--c/refs/main", ref);
    EXPECT_EQ(find("a/c")->snapshot.commit, kOne) << ref << ": the only one";
    EXPECT_FALSE(find("a/c@main")) << ref;
  }
  put_model("a/c", kTwo);
  EXPECT_FALSE(find("a/c")) << "which of the two?";
}

TEST_F(CacheTest, GgufFilesAreModelsOfTheirOwn) {
  put("a/g", kOne, "m-Q4_0.gguf", "x");
  put("a/g", kOne, "m-Q8_0.gguf", "yy");
  write("models--a--g/refs/main", kOne);
  EXPECT_EQ(find("a/g:q8_0")->path.filename(), "m-Q8_0.gguf");
  EXPECT_EQ(find("a/g")->path.filename(), "m-Q4_0.gguf");
  EXPECT_FALSE(find("a/g:Q2_K"));
  const std::vector<CachedModel> models = cache_.list();
  ASSERT_EQ(models.size(), 2U);
  EXPECT_EQ(models[0].variant, "Q4_0");
  EXPECT_EQ(models[1].variant, "Q8_0");
  EXPECT_THAT(models[1].snapshot.refs, ::testing::ElementsAre("main"));
}

TEST_F(CacheTest, ListsWhatIsThereAndNothingElse) {
  EXPECT_TRUE(cache_.list().empty());
  put_model("b/x", kOne);
  put_model("a/y", kTwo);
  put_model("gpt2", kOne);
  write("models--a--y/snapshots/short/config.json", "{}");
  write("models--../refs/main", kOne);
  write("datasets--a--y/refs/main", kOne);
  write("version.txt", "1");
  std::vector<std::string> names;
  for (const CachedModel& model : cache_.list()) names.push_back(model.snapshot.repo);
  EXPECT_THAT(names, ::testing::ElementsAre("a/y", "b/x", "gpt2"));
}

TEST_F(CacheTest, N8LetterCaseCountsWhereItTellsModelsApart) {
  put_model("Owner/x", kOne);
  EXPECT_EQ(find("owner/X")->snapshot.repo, "Owner/x");
  put_model("owner/X", kTwo);
  EXPECT_EQ(find("owner/X")->snapshot.commit, kTwo);
  EXPECT_EQ(find("Owner/x")->snapshot.commit, kOne);
  try {
    (void)find("OWNER/X");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("Owner/x or owner/X"));
  }
}

TEST_F(CacheTest, WhatMainIsToBecomeHidesNothing) {
  put_model("a/b", kOne);
  write("models--a--b/refs/main", kTwo);  // huggingface_hub writes it first
  EXPECT_EQ(find("a/b")->snapshot.commit, kOne);
  EXPECT_FALSE(find("a/b@main"));
}

TEST_F(CacheTest, NamesDoNotLeadElsewhere) {
  put_model("a/b", kOne);
  write("models--a--b/main", kOne);
  EXPECT_FALSE(cache_.commit_of("a/b", "../main"));
  EXPECT_FALSE(cache_.commit_of("../models--a--b", kOne));
}

}  // namespace
}  // namespace openllm::hub
