// Which files of a folder are taken, and what their sum is.

#include "store/import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "format/test_files.h"
#include "store/sha256.h"

namespace openllm::store {
namespace {

namespace fs = std::filesystem;
using format::testing::error_of;
using format::testing::TempFolder;

/// A folder that is a model, with more files.
void make_model(const TempFolder& folder, const std::vector<std::string>& more = {}) {
  folder.write("config.json", "{}");
  folder.write("model.safetensors", "weights");
  for (const std::string& name : more) {
    fs::create_directories((fs::path(folder.path()) / name).parent_path());
    folder.write(name, name);
  }
}

std::vector<std::string> taken_from(const TempFolder& folder) {
  std::vector<std::string> names;
  for (const SourceFile& file : inspect(folder.path()).files) names.push_back(file.to.string());
  return names;
}

TEST(Import, TheStoresOwnDescriptionIsLeftOutAtTheTopOnly) {
  const TempFolder folder;
  make_model(folder, {"model.json", "onnx/model.json", ".cache/x"});
  EXPECT_THAT(taken_from(folder),
              testing::ElementsAre("config.json", "model.safetensors", "onnx/model.json"));
}

TEST(Import, WeightsFurtherDownAreNoModel) {
  const TempFolder folder;
  make_model(folder, {"onnx/model.safetensors"});
  EXPECT_EQ(inspect(folder.path()).format, "safetensors");
  fs::remove(fs::path(folder.path()) / "model.safetensors");
  EXPECT_EQ(error_of([&] { (void)inspect(folder.path()); }).code(), ErrorCode::kInvalidArgument);
}

TEST(Import, FoldersAreFollowedFourDeep) {
  const TempFolder folder;
  make_model(folder, {"1/2/3/4/x"});
  EXPECT_THAT(taken_from(folder), testing::Contains("1/2/3/4/x"));
  make_model(folder, {"1/2/3/4/5/x"});
  EXPECT_EQ(error_of([&] { (void)inspect(folder.path()); }).code(), ErrorCode::kInvalidArgument);
}

TEST(Import, TheSumIsThatOfTheFileOrOfTheListOfSums) {
  const auto sum_of = [](const std::string& text) {
    Sha256 hash;
    hash.update(text);
    return hash.hex();
  };
  const TempFolder folder;
  make_model(folder);
  const TempFolder target;
  const Copied copied = copy_files(inspect(folder.path()), target.path());
  EXPECT_EQ(copied.sha256,
            sum_of(sum_of("{}") + "  config.json\n" + sum_of("weights") + "  model.safetensors\n"));
  EXPECT_EQ(copied.bytes, 2 + 7);
  EXPECT_EQ(hash_model(folder.path()), copied.sha256) << "of one that lies anywhere";
  const TempFolder one;
  const std::string path = one.write("m.gguf", "GGUF and more");
  EXPECT_EQ(copy_files(inspect(path), target.path()).sha256, sum_of("GGUF and more"));
  EXPECT_EQ(hash_model(path), sum_of("GGUF and more"));
  EXPECT_EQ(error_of([&] { (void)hash_model(path + ".not"); }).code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace openllm::store
