#include "format/checkpoint.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "format/test_files.h"

namespace openllm::format {
namespace {

using testing::error_of;
using testing::GgufBuilder;
using testing::le;
using testing::TempFolder;

std::string some_gguf() {
  GgufBuilder b;
  b.tensor("t", {1}, 0, le(1.0F));
  return b.build();
}

TEST(OpenCheckpoint, GgufFileWhateverItsName) {
  const TempFolder folder;
  EXPECT_EQ(open_checkpoint(folder.write("m.gguf", some_gguf()))->kind(), Checkpoint::Kind::kGguf);
  EXPECT_EQ(open_checkpoint(folder.write("blob", some_gguf()))->tensors().size(), 1U);
}

TEST(OpenCheckpoint, FolderWithOneGguf) {
  const TempFolder folder;
  folder.write("m.gguf", some_gguf());
  folder.write("mmproj-m.gguf", some_gguf());  // an image encoder is no model of its own
  folder.write("config.json", "{}");
  folder.write("README.md", "x");
  const auto model = open_checkpoint(folder.path());
  EXPECT_EQ(model->kind(), Checkpoint::Kind::kGguf);
  EXPECT_EQ(model->path(), folder.path() + "/m.gguf");
  folder.write("n.gguf", some_gguf());
  const Error error = error_of([&] { (void)open_checkpoint(folder.path()); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_NE(std::string(error.what()).find("holds 2 GGUF models; name one of them: m.gguf, n.gguf"),
            std::string::npos)
      << error.what();
}

TEST(OpenCheckpoint, ANameMayLookLikeAPartOfASplitModel) {
  const TempFolder folder;
  folder.write("tales-small-of-story.gguf", some_gguf());
  EXPECT_EQ(open_checkpoint(folder.path())->tensors().size(), 1U);
}

TEST(OpenCheckpoint, SaysWhatIsMissing) {
  const TempFolder folder;
  const auto code = [](const std::string& path) {
    return error_of([&] { (void)open_checkpoint(path); }).code();
  };
  EXPECT_EQ(code(folder.path()), ErrorCode::kNotFound);
  EXPECT_EQ(code(folder.path() + "/none"), ErrorCode::kNotFound);
  EXPECT_EQ(code(folder.path() + "/none.gguf"), ErrorCode::kNotFound);
  EXPECT_EQ(code(""), ErrorCode::kNotFound);
  folder.write("config.json", "{}");
  EXPECT_NE(std::string(error_of([&] { (void)open_checkpoint(folder.path()); }).what())
                .find("there is a config.json"),
            std::string::npos);
  EXPECT_EQ(code(folder.path() + "/config.json"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(folder.write("model.safetensors", "")), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(folder.write("model.bin", "PK")), ErrorCode::kUnsupported);
  EXPECT_EQ(code(folder.write("bad.gguf", "PK")), ErrorCode::kCorruptData);
  std::filesystem::create_directory(folder.path() + "/dir.gguf");
  EXPECT_EQ(code(folder.path() + "/dir.gguf"), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace openllm::format
