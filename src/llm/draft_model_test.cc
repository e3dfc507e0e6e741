// A model with a draft model: the same answers, and who may be one.

#include "llm/draft_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "format/test_files.h"
#include "llm/test_environment.h"
#include "llm/test_tokenizer.h"
#include "openllm/llm.h"

namespace openllm::llm {
namespace {

namespace fs = std::filesystem;
using format::testing::error_of;
using format::testing::TempFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kData = OPENLLM_TEST_DATA;
const std::string kStories = kData + "/stories260K/hf";
const std::string kGguf = kData + "/stories260K/stories260K.gguf";

Error load_error(const std::string& model, const LoadOptions& options) {
  return error_of([&] { LLM(model, options).load(); });
}

std::vector<std::int32_t> answer(const LLM& llm, float temperature) {
  GenerateOptions options;
  options.max_new_tokens = 60;
  options.temperature = temperature;
  options.seed = 3;
  return llm.generate("Once upon a time", options).outputs.front().token_ids;
}

TEST(DraftModelOption, ChangesNoAnswer) {
  const LLM plain(kStories);
  for (const std::string& draft : {kStories, kGguf}) {
    const LLM llm(kStories, {.draft_model = draft});
    EXPECT_EQ(llm.stats().n_draft_model_rows, 0) << "it loads at first use, as the model";
    for (const float temperature : {0.0F, 0.8F})
      EXPECT_EQ(answer(llm, temperature), answer(plain, temperature)) << draft;
    EXPECT_GT(llm.stats().n_draft_model_rows, 0);
    EXPECT_EQ(llm.stats().n_draft_model_failures, 0);
    EXPECT_EQ(llm.backend().draft_model, draft == kGguf ? "stories260K" : "hf");
    const_cast<LLM&>(llm).unload();
    EXPECT_EQ(answer(llm, 0.0F), answer(plain, 0.0F)) << "loaded again";
  }
  EXPECT_EQ(plain.backend().draft_model, "");
  EXPECT_EQ(plain.stats().n_draft_model_rows, 0);
}

TEST(DraftModelOption, ComesFromTheEnvironmentToo) {
  Environment environment;
  environment.set("OPENLLM_DRAFT_MODEL", kGguf.c_str());
  const LLM llm(kStories);
  EXPECT_EQ(llm.backend().draft_model, "stories260K");
  EXPECT_EQ(LLM(kStories, {.draft_model = kStories}).backend().draft_model, "hf");
  EXPECT_EQ(LLM(kStories, {.max_draft_tokens = 0}).backend().draft_model, "");
  environment.set("OPENLLM_DRAFT_MODEL", "/nonexistent");
  const Error error = load_error(kStories, {});
  EXPECT_EQ(error.where(), "OPENLLM_DRAFT_MODEL");
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
}

TEST(DraftModelOption, ThatCannotBeLoadedIsNamed) {
  const TempFolder folder;
  folder.write("damaged.gguf", "GGUF but no more");
  struct Case {
    std::string draft;
    ErrorCode code;
    std::string part;
  };
  for (const Case& c : {Case{"/nonexistent", ErrorCode::kNotFound, "/nonexistent"},
                        Case{folder.path() + "/damaged.gguf", ErrorCode::kCorruptData, "damaged"},
                        Case{kData + "/models/mamba", ErrorCode::kUnsupported, "recurrent"},
                        Case{kData + "/models/t5", ErrorCode::kUnsupported, "encoder"},
                        Case{kData + "/encoders/distilbert", ErrorCode::kUnsupported, "no text"}}) {
    const Error error = load_error(kStories, {.draft_model = c.draft});
    EXPECT_EQ(error.code(), c.code) << error.what();
    EXPECT_THAT(error.what(), AllOf(HasSubstr("draft_model: "), HasSubstr(c.part)));
  }
}

TEST(DraftModelOption, IsNotForEveryModel) {
  for (const char* model : {"/models/mamba", "/models/t5", "/encoders/distilbert"}) {
    const Error error = load_error(kData + model, {.draft_model = kStories});
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << error.what();
    EXPECT_THAT(error.what(), HasSubstr("draft_model: ")) << model;
  }
}

TEST(DraftModelOption, ContradictsNoGuesses) {
  const Error error = load_error(kStories, {.max_draft_tokens = 0, .draft_model = kGguf});
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error.where(), "draft_model");
}

TEST(DraftModelOption, IsOfTheNativeBackend) {
  for (const char* backend : {"pt", "vllm"}) {
    const Error error = load_error(kStories, {.backend = backend, .draft_model = kGguf});
    EXPECT_THAT(error.what(), HasSubstr("draft_model: unsupported")) << backend;
  }
  EXPECT_THAT(load_error(kStories, {.places = {"pt"}, .draft_model = kGguf}).what(),
              HasSubstr("draft_model: unsupported"));
}

TEST(DraftModelOption, NeedsTheSameVocabulary) {
  const Error error = load_error(kStories, {.draft_model = kData + "/models/llama"});
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
  EXPECT_EQ(error.where(), "draft_model");
  // Two tokens that have each other's places.
  const TempFolder folder;
  fs::copy(kStories, folder.path(), fs::copy_options::recursive);
  std::stringstream text;
  text << std::ifstream(kStories + "/tokenizer.json").rdbuf();
  base::Json json = base::Json::parse(text.str(), "tokenizer.json");
  base::Json& vocab = json["model"]["vocab"];
  const std::int64_t one = *vocab.find("a")->if_int();
  const std::int64_t other_id = *vocab.find("b")->if_int();
  vocab["a"] = other_id;
  vocab["b"] = one;
  folder.write("tokenizer.json", json.dump());
  const Error other = load_error(kStories, {.draft_model = folder.path()});
  EXPECT_EQ(other.code(), ErrorCode::kInvalidArgument) << other.what();
  EXPECT_THAT(other.what(), AllOf(HasSubstr("another vocabulary"), HasSubstr("got \"b\"")));
}

/// A tokenizer of these tokens, and of no others.
class Pieces final : public TestTokenizer {
 public:
  using TestTokenizer::TestTokenizer;
  std::string_view token_piece(tokenizer::TokenId id) const noexcept override {
    return id < vocab_size() ? token_bytes(id) : std::string_view();
  }
};

TEST(RequireSameTokens, ButForThoseThatStandForNothing) {
  const Pieces model(std::vector<std::string>{"a", "b", "c"});
  require_same_tokens(model, Pieces(std::vector<std::string>{"a", "b", "c"}), "d");
  require_same_tokens(model, Pieces(std::vector<std::string>{"a", "b", "c", "[PAD3]", "<unused0>"}),
                      "d");
  require_same_tokens(Pieces(std::vector<std::string>{"a", "b", "<|reserved_special_token_7|>"}),
                      Pieces(std::vector<std::string>{"a", "b"}), "d");
  for (const auto& other : {std::vector<std::string>{"a", "c", "b"},
                            {"a", "b"},
                            {"a", "b", "c", "<|im_start|>"},
                            {"a", "b", "c", "pad"}}) {
    const Error error = error_of([&] { require_same_tokens(model, Pieces(other), "small"); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("draft_model: small has another vocabulary"));
  }
}

}  // namespace
}  // namespace openllm::llm
