#include "llm/model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "format/test_files.h"
#include "openllm/llm.h"

namespace openllm::llm {
namespace {

using format::testing::error_of;
using format::testing::GgufBuilder;
using format::testing::le;
using format::testing::TempFolder;
using ::testing::HasSubstr;

constexpr std::uint32_t kI32 = 5;
constexpr std::uint32_t kF32 = 6;

base::Json generation_config_of(const GgufBuilder& builder) {
  const TempFolder folder;
  const std::string path = folder.write("m.gguf", builder.build());
  return read_generation_config(*format::open_checkpoint(path));
}

TEST(GenerationConfig, OfGgufIsItsSamplingMetadata) {
  GgufBuilder b;
  b.text("general.architecture", "llama").key("general.sampling.temp", kF32, le(0.5F));
  b.key("general.sampling.top_k", kI32, le(std::int32_t{20}));
  b.key("general.sampling.top_p", kF32, le(0.75F)).key("general.sampling.min_p", kF32, le(0.0F));
  b.key("general.sampling.penalty_repeat", kF32, le(1.25F));
  EXPECT_EQ(generation_config_of(b).dump(),
            R"({"temperature":0.5,"top_k":20,"top_p":0.75,"min_p":0.0,"repetition_penalty":1.25})");
}

TEST(GenerationConfig, MeansWhatLlamaCppMeans) {
  GgufBuilder b;
  b.key("general.sampling.temp", kF32, le(-1.0F));  // greedy
  b.key("general.sampling.penalty_repeat", kF32, le(1.25F));
  b.key("general.sampling.penalty_last_n", kI32, le(std::int32_t{0}));  // off
  EXPECT_EQ(generation_config_of(b).dump(), R"({"temperature":0,"repetition_penalty":1})");
}

TEST(GenerationConfig, OfGgufIsNullWithoutMetadata) {
  GgufBuilder b;
  b.text("general.architecture", "llama");
  EXPECT_TRUE(generation_config_of(b).is_null());
}

/// A copy of the small model with one more file.
class ModelWithDefaults {
 public:
  explicit ModelWithDefaults(const std::string& generation_config) {
    const std::string source = std::string(OPENLLM_TEST_DATA) + "/models/llama/";
    for (const char* name : {"config.json", "model.safetensors"})
      std::filesystem::copy(source + name, folder_.path() + "/" + name);
    folder_.write("generation_config.json", generation_config);
  }
  LLM open() const { return LLM(folder_.path()); }
  const std::string& path() const { return folder_.path(); }

 private:
  TempFolder folder_;
};

TEST(GenerationConfig, BecomesTheDefaults) {
  const LLMConfig config =
      ModelWithDefaults(R"({"do_sample": true, "temperature": 0.6, "top_p": 0.9})").open().config();
  EXPECT_EQ(config.temperature, 0.6F);
  EXPECT_EQ(config.top_p, 0.9F);
  EXPECT_EQ(config.top_k, 50);
}

TEST(GenerationConfig, IsPatchedFieldByField) {
  const ModelWithDefaults model(R"({"temperature": 0.6, "top_p": 0.9, "eos_token_id": 5})");
  const LLMConfig config =
      LLM(model.path(), {.config = {.max_new_tokens = 7, .temperature = 0.0F}}).config();
  EXPECT_EQ(config.temperature, 0.0F);
  EXPECT_EQ(config.max_new_tokens, 7);
  EXPECT_EQ(config.top_p, 0.9F) << "the file's";
  EXPECT_EQ(config.top_k, 50) << "the table's";
  EXPECT_EQ(config.eos_token_ids, std::vector<std::int32_t>{5});
  const Error error = error_of([&] { LLM(model.path(), {.config = {.temperature = -1.0F}}); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error.where(), "temperature");
}

TEST(GenerationConfig, TheEnvironmentStandsBetweenFileAndLoadOptions) {
  const ModelWithDefaults model(R"({"temperature": 0.6, "top_p": 0.9, "min_p": 0.1})");
  ::setenv("OPENLLM_GENERATION_TEMPERATURE", "0.7", 1);
  ::setenv("OPENLLM_CONFIG", R"({"top_p": 0.8})", 1);
  const LLMConfig config = LLM(model.path(), {.config = {.temperature = 0.5F}}).config();
  const LLMConfig without = model.open().config();
  ::unsetenv("OPENLLM_GENERATION_TEMPERATURE");
  ::unsetenv("OPENLLM_CONFIG");
  EXPECT_EQ(config.temperature, 0.5F);
  EXPECT_EQ(config.top_p, 0.8F);
  EXPECT_EQ(config.min_p, 0.1F);
  EXPECT_EQ(without.temperature, 0.7F);
}

TEST(GenerationConfig, ErrorsNameTheFile) {
  for (const char* bad : {R"({"temperature": "x"})", R"({"temperature": -1})", R"({"top_p": 5})",
                          R"({"eos_token_id": 1.5})", "[]", "{"}) {
    const ModelWithDefaults model(bad);
    const Error error = error_of([&] { model.open(); });
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData) << bad << ": " << error.what();
    EXPECT_THAT(error.what(), HasSubstr(model.path() + "/generation_config.json: ")) << bad;
  }
}

TEST(LoadTokenizer, ErrorsNameTheFile) {
  const TempFolder folder;
  GgufBuilder b;
  b.key("tokenizer.ggml.model", kI32, le(std::int32_t{7}));
  b.array("tokenizer.ggml.tokens", 8, 1, format::testing::gguf_string("a"));
  const std::string path = folder.write("m.gguf", b.build());
  const auto checkpoint = format::open_checkpoint(path);
  const Error error = error_of([&] { load_tokenizer(*checkpoint); });
  EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
  EXPECT_THAT(error.what(), HasSubstr(path + ": tokenizer.ggml.model: wrong type"));
}

TEST(LoadTokenizer, ErrorsNameTheFolderOnce) {
  const TempFolder folder;
  const std::string source = std::string(OPENLLM_TEST_DATA) + "/models/llama/";
  for (const char* name : {"config.json", "model.safetensors"})
    std::filesystem::copy(source + name, folder.path() + "/" + name);
  folder.write("tokenizer.json", R"({"added_tokens": 5})");
  const auto checkpoint = format::open_checkpoint(folder.path());
  const Error error = error_of([&] { load_tokenizer(*checkpoint); });
  EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
  EXPECT_THAT(error.what(), ::testing::StartsWith(folder.path() + ": tokenizer.json: "));
}

}  // namespace
}  // namespace openllm::llm
