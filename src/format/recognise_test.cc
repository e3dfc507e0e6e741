// What files are that should have been a model's, told by name instead of by bad numbers.

#include "format/recognise.h"

#include <gmock/gmock.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <span>

#include "format/checkpoint.h"
#include "format/gguf.h"
#include "format/locate.h"
#include "format/model_source.h"
#include "format/test_files.h"

namespace openllm::format {
namespace {

using namespace std::string_literals;
using testing::error_of;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::TempFolder;

const std::string kPointer =
    "version https://git-lfs.github.com/spec/v1\noid sha256:" + std::string(64, '0') +
    "\nsize 1044992\n";

struct Case {
  std::string bytes;
  std::string what;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"", "empty"},
      {kPointer, "a Git LFS pointer"},
      {"<!DOCTYPE html><html><body>Access denied</body></html>", "an HTML page"},
      {"\xEF\xBB\xBF\n <HTML>", "an HTML page"},
      {"<?xml version='1.0'?><Error/>", "an XML text"},
      {"PK\x03\x04\x14\0\0\0\0\0archive/data.pkl"s, "a zip archive"},
      {"\x80\x02\x8A\x0Al\xFC\x9C\x46\xF9 j\xA8P\x19.\x80\x02M"s, "a pickle"},
      {"\x80\x04\x95"s, "a pickle"},
      {"\x1F\x8B\x08\0\0\0\0\0\0\x03zz"s, "compressed by gzip"},
      {"\x28\xB5\x2F\xFDxx", "compressed by zstd"},
      {"\xFD"
       "7zXZ\0\0"s,
       "compressed by xz"},
      {"BZh91AY", "compressed by bzip2"},
      {"tjgg\3\0\0\0"s, "a model of ggml from before GGUF"},
      {"FUGG\3\0\0\0"s, "a big-endian GGUF file"},
      {"\x89HDF\r\n\x1A\n", "an HDF5 file"},
      {"\x93NUMPY\1\0"s, "a NumPy array"},
      {std::string(257, 'x') + "ustar\0000"s, "a tar archive"},
      {std::string(4096, '\0'), "zero bytes"},
      {"{\"error\": \"Repository not found\"}", "a JSON text that begins \"{\"error\""},
      {"Entry not found\n", "a text that begins \"Entry not found\""},
      {std::string(511, 'a') + "\xC3\xA9", "a text that begins \"aaaa"},
      {"\x01\x02\x03\x04\x05\x06\x07\x08\x09", ""},
  };
  return all;
}

TEST(Recognise, KnowsWhatComesInPlaceOfModels) {
  for (const Case& c : cases()) {
    const std::string what = recognise(std::as_bytes(std::span(c.bytes)));
    EXPECT_THAT(what, StartsWith(c.what)) << c.what;
    EXPECT_EQ(what.empty(), c.what.empty()) << what;
  }
  const std::string tensors = testing::safetensors("{}", "");
  EXPECT_EQ(recognise(std::as_bytes(std::span(tensors))), "a safetensors file");
  EXPECT_EQ(recognise_file("/nonexistent/file"), "");
}

TEST(Recognise, EveryReaderOfWeightsSaysIt) {
  for (const Case& c : cases()) {
    const TempFolder folder;
    folder.write("config.json", "{}");
    folder.write("model.safetensors", c.bytes);
    const Error safetensors = error_of([&] { (void)open_checkpoint(folder.path()); });
    EXPECT_EQ(safetensors.code(), ErrorCode::kCorruptData);
    EXPECT_THAT(safetensors.what(), HasSubstr(c.what));
    const std::string path = folder.write("x.gguf", c.bytes);
    const Error gguf = error_of([&] { const Gguf model(path); });
    EXPECT_THAT(gguf.what(), HasSubstr(c.what));
    EXPECT_THAT(gguf.what(), StartsWith(path));
  }
}

TEST(Recognise, AGgufFileAsSafetensorsAndTheOtherWayRound) {
  const TempFolder folder;
  folder.write("config.json", "{}");
  folder.write("model.safetensors", testing::GgufBuilder().build());
  EXPECT_THAT(error_of([&] { (void)open_checkpoint(folder.path()); }).what(),
              HasSubstr("it is a GGUF file"));
  const std::string path = folder.write("x.gguf", testing::safetensors("{}", std::string(99, 'x')));
  EXPECT_THAT(error_of([&] { const Gguf model(path); }).what(),
              HasSubstr("it is a safetensors file"));
}

TEST(Recognise, JsonFilesSayIt) {
  const TempFolder folder;
  folder.write("config.json", kPointer);
  const Error config = error_of([&] { (void)open_model(folder.path()); });
  EXPECT_EQ(config.code(), ErrorCode::kCorruptData);
  EXPECT_THAT(config.what(), HasSubstr("config.json: invalid JSON"));
  EXPECT_THAT(config.what(), HasSubstr("(it is a Git LFS pointer"));
  folder.write("tokenizer.json", "\x1F\x8B\x08");
  EXPECT_THAT(error_of([&] { read_json_file(folder.path(), "tokenizer.json"); }).what(),
              HasSubstr("(it is compressed by gzip"));
  folder.write("tokenizer.json", "{\"a\": ");
  EXPECT_THAT(error_of([&] { read_json_file(folder.path(), "tokenizer.json"); }).what(),
              ::testing::Not(HasSubstr("(it is")));
}

TEST(Recognise, APathThatIsNoModelSaysWhatItIs) {
  const TempFolder folder;
  const std::string path = folder.write("pytorch_model.bin", "PK\x03\x04");
  const Error error = error_of([&] { (void)locate_model(path); });
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(error.what(), HasSubstr("it is a zip archive"));
}

std::string open_error(const std::string& path) {
  return error_of([&] { (void)open_checkpoint(path); }).what();
}

TEST(DescribeFolder, NamesWhatIsThere) {
  const TempFolder folder;
  EXPECT_THAT(open_error(folder.path()), HasSubstr("it is empty"));
  folder.write("README.md", "x");
  EXPECT_THAT(open_error(folder.path()), HasSubstr("it holds 1 other file or folder"));
  folder.write("config.json", "{}");
  folder.write("model-00001-of-00001.safetensors", testing::safetensors("{}", ""));
  EXPECT_THAT(open_error(folder.path()),
              HasSubstr("it holds config.json, model-00001-of-00001.safetensors)"));
  std::filesystem::create_symlink("../blobs/nope", folder.path() + "/model.safetensors");
  EXPECT_THAT(open_error(folder.path()),
              HasSubstr("model.safetensors (a link to ../blobs/nope, which is not there)"));
  folder.write("consolidated.pth", "PK\x03\x04");
  EXPECT_THAT(open_error(folder.path()), HasSubstr("consolidated.pth (a zip archive"));
  folder.write("a.bin", "GGUF");  // told where the name does not say it
  EXPECT_THAT(describe_folder(folder.path()),
              HasSubstr("it holds a.bin (a GGUF file), config.json"));
  std::filesystem::remove(folder.path() + "/a.bin");
  for (int i = 0; i < 9; ++i) folder.write(std::to_string(i) + ".pt", "");
  EXPECT_THAT(open_error(folder.path()), HasSubstr("and 7 more"));
}

TEST(DescribeFolder, AShardThatIsMissingIsNamed) {
  const TempFolder folder;
  folder.write("config.json", "{}");
  folder.write("model.safetensors.index.json", R"({"weight_map": {"a": "m-1.safetensors"}})");
  std::filesystem::create_symlink("gone", folder.path() + "/m-1.safetensors");
  const Error error = error_of([&] { (void)open_checkpoint(folder.path()); });
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  EXPECT_THAT(error.what(), StartsWith(folder.path() + "/m-1.safetensors: missing, though"));
  EXPECT_THAT(error.what(), HasSubstr("m-1.safetensors (a link to gone, which is not there)"));
}

TEST(LocateModel, AGgufFileNeedsNoEnding) {
  const TempFolder folder;
  const std::string gguf = testing::GgufBuilder().build();
  for (const char* name : {"sha256-0123", "M.GGUF", "m.safetensors", "noise.bin"}) {
    const Location found = locate_model(folder.write(name, gguf));
    EXPECT_EQ(found.layout, Layout::kGguf) << name;
    EXPECT_EQ(found.path, folder.path() + "/" + name);
  }
  EXPECT_EQ(open_model(folder.path() + "/M.GGUF").id, "M");
  const TempFolder blobs;
  blobs.write("notes", "text");
  EXPECT_FALSE(is_model_folder(blobs.path()));
  blobs.write(".hidden", gguf);
  blobs.write("mmproj-model", gguf);
  EXPECT_FALSE(is_model_folder(blobs.path()));
  blobs.write("sha256-0123", gguf);
  EXPECT_TRUE(is_model_folder(blobs.path()));
  EXPECT_EQ(locate_model(blobs.path()).path, blobs.path() + "/sha256-0123");
  blobs.write("m.Gguf", gguf);  // a name that says so goes first
  EXPECT_EQ(locate_model(blobs.path()).path, blobs.path() + "/m.Gguf");
  EXPECT_FALSE(starts_with_gguf_magic(blobs.path()));
  EXPECT_FALSE(starts_with_gguf_magic("/dev/null"));
}

TEST(ConfigurationFiles, MayHoldWhatPythonWrites) {
  const TempFolder folder;
  folder.write("config.json", R"({"time_step_limit": [0.0, Infinity], "x": -Infinity, "y": NaN,
    "text": "NaN \" Infinity"})");
  folder.write("generation_config.json", R"({"a": NaN})");
  const ModelSource source = open_model(folder.path());
  const base::JsonArray& limit = source.config.find("time_step_limit")->as_array("test");
  EXPECT_EQ(limit[1].as_double("test"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(source.config.find("text")->as_string("test"), "NaN \" Infinity");
  EXPECT_TRUE(std::isnan(source.generation_defaults.find("a")->as_double("test")));
}

}  // namespace
}  // namespace openllm::format
