#include "llm/model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "format/test_files.h"
#include "llm/test_environment.h"
#include "openllm/llm.h"
#include "openllm/store.h"

namespace openllm::llm {
namespace {

using format::testing::error_of;
using format::testing::GgufBuilder;
using format::testing::le;
using format::testing::TempFolder;
using ::testing::HasSubstr;

constexpr std::uint32_t kI32 = 5;

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
  EXPECT_EQ(config.top_k, 12) << "the family's";
  EXPECT_EQ(config.min_p, 0.0F) << "the table's";
}

TEST(GenerationConfig, IsPatchedFieldByField) {
  const ModelWithDefaults model(R"({"temperature": 0.6, "top_p": 0.9, "eos_token_id": 5})");
  const LLMConfig config =
      LLM(model.path(), {.config = {.max_new_tokens = 7, .temperature = 0.0F}}).config();
  EXPECT_EQ(config.temperature, 0.0F);
  EXPECT_EQ(config.max_new_tokens, 7);
  EXPECT_EQ(config.top_p, 0.9F) << "the file's";
  EXPECT_EQ(config.top_k, 12) << "the family's";
  EXPECT_EQ(config.min_p, 0.0F) << "the table's";
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

/// A working folder and a store of its own.
class ResolveModel : public ::testing::Test {
 protected:
  ResolveModel() : before_(std::filesystem::current_path()) {
    std::filesystem::current_path(folder_.path());
    ::setenv("OPENLLM_HOME", (folder_.path() + "/store").c_str(), 1);
  }
  ~ResolveModel() override {
    std::filesystem::current_path(before_);
    ::unsetenv("OPENLLM_HOME");
  }
  /// Adds the small model to the store.
  static StoredModel add(const std::string& name) {
    return ModelStore().add(name, std::string(OPENLLM_TEST_DATA) + "/models/llama");
  }
  static std::string message(const std::string& model) {
    const Error error = error_of([&] { (void)resolve_model({.model = model}); });
    EXPECT_EQ(error.code(), ErrorCode::kNotFound) << model;
    return error.what();
  }

  TempFolder folder_;
  std::filesystem::path before_;
};

TEST_F(ResolveModel, N4AFolderDoesNotHideAStoredModel) {
  const StoredModel stored = add("me/Tiny");
  std::filesystem::create_directories("me/Tiny");
  EXPECT_EQ(resolve_model({.model = "me/Tiny"}).path, stored.path) << "an empty folder";
  std::ofstream("me/Tiny/config.json") << "{}";
  EXPECT_EQ(resolve_model({.model = "me/Tiny"}).path, stored.path) << "another model";
  EXPECT_EQ(resolve_model({.model = "./me/Tiny"}).path, "./me/Tiny") << "an explicit path";
  EXPECT_EQ(resolve_model({.model = "native-me--tiny:" + stored.version}).path, stored.path);
}

TEST_F(ResolveModel, AFolderWithAModelNeedsNoStore) {
  std::filesystem::create_directories("local/model");
  EXPECT_THAT(message("local/model"), HasSubstr("the folder of that name has none"));
  EXPECT_THAT(message("local/model"), HasSubstr(folder_.path() + "/store"));
  std::ofstream("local/model/config.json") << "{}";
  EXPECT_EQ(resolve_model({.model = "local/model"}).path, "local/model");
  EXPECT_EQ(resolve_model({.model = "local/model"}).version, "local");
  const TempFolder gguf;
  gguf.write("x.gguf", "GGUF");
  std::filesystem::create_directory_symlink(gguf.path(), "linked");
  EXPECT_EQ(resolve_model({.model = "linked"}).path, "linked");
}

Error refusal(const WantedModel& wanted) {
  return error_of([&] { (void)resolve_model(wanted); });
}

TEST_F(ResolveModel, N5AVersionIsPartOfTheNameOrAnOption) {
  const StoredModel stored = add("me/Tiny");
  const std::string& version = stored.version;
  EXPECT_EQ(resolve_model({.model = "me/Tiny", .version = version}).path, stored.path);
  EXPECT_EQ(resolve_model({.model = "me/Tiny:" + version, .version = version}).path, stored.path);
  EXPECT_EQ(refusal({.model = "me/Tiny", .version = "other"}).code(), ErrorCode::kNotFound);
  const Error both = refusal({.model = "me/Tiny:" + version, .version = "other"});
  EXPECT_EQ(both.code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(both.where(), "model_version");
  EXPECT_THAT(both.what(), HasSubstr("got other and me/Tiny:" + version));
}

TEST_F(ResolveModel, ATagIsTakenExactly) {
  const StoredModel stored = add("me/Tiny");
  const std::string tag = "native-me--tiny:" + stored.version;
  EXPECT_EQ(resolve_model({.tag = tag}).path, stored.path);
  EXPECT_EQ(resolve_model({.model = "me/tiny", .tag = tag}).id, "me/Tiny");
  EXPECT_EQ(resolve_model({.tag = "vllm" + tag.substr(6)}).path, stored.path);
  for (const std::string& wrong : {std::string("me/Tiny"), std::string("native-me--tiny"),
                                   "me--tiny:" + stored.version, tag + "0"}) {
    const Error error = refusal({.tag = wrong});
    EXPECT_EQ(error.code(), ErrorCode::kNotFound) << wrong;
    EXPECT_EQ(error.where(), "model_tag");
  }
  EXPECT_EQ(refusal({.model = "other", .tag = tag}).code(), ErrorCode::kInvalidArgument);
}

TEST_F(ResolveModel, APathGetsANameAndAVersion) {
  std::filesystem::create_directories("local");
  std::ofstream("local/config.json") << R"({"model_type":"llama"})";
  const ResolvedModel plain = resolve_model({.model = "./local"});
  EXPECT_EQ(open_source(plain).id, "local");
  EXPECT_EQ(plain.version, "local");
  const ResolvedModel named =
      resolve_model({.model = "./local", .name = "me/mine", .version = "2"});
  EXPECT_EQ(open_source(named).id, "me/mine");
  EXPECT_EQ(open_source(named).version, "2");
  EXPECT_EQ(refusal({.model = "./local", .name = "../x"}).where(), "model_name");
  EXPECT_EQ(refusal({.model = "./local", .version = "a/b"}).where(), "model_version");
}

TEST_F(ResolveModel, OnlyTheFilesThatAreAskedFor) {
  std::filesystem::create_directories("both");
  std::ofstream("both/config.json") << R"({"model_type":"llama"})";
  const auto resolved = resolve_model({.model = "./both"});
  const auto format = [&](const char* serialisation) {
    return open_source(resolved, serialisation).weights;
  };
  EXPECT_EQ(format("auto"), format::WeightFormat::kNone);
  for (const char* missing : {"safetensors", "gguf", "legacy", "flax", "tensorflow"})
    EXPECT_EQ(error_of([&] { (void)format(missing); }).code(), ErrorCode::kNotFound) << missing;
  std::ofstream("both/model.safetensors") << "x";
  std::ofstream("both/pytorch_model.bin") << "x";
  EXPECT_EQ(format("auto"), format::WeightFormat::kSafetensors);
  EXPECT_EQ(format("safetensors"), format::WeightFormat::kSafetensors);
  EXPECT_EQ(format("legacy"), format::WeightFormat::kPytorch);
  std::ofstream("both/flax_model.msgpack") << "x";
  std::ofstream("both/tf_model.h5") << "x";
  EXPECT_EQ(format("auto"), format::WeightFormat::kSafetensors);
  EXPECT_EQ(format("flax"), format::WeightFormat::kFlax);
  EXPECT_EQ(format("tensorflow"), format::WeightFormat::kTensorflow);
  EXPECT_EQ(error_of([&] { (void)format("onnx"); }).where(), "serialisation");
}

TEST_F(ResolveModel, MessagesNameTheStore) {
  EXPECT_THAT(message("no/such"), HasSubstr(folder_.path() + "/store"));
  add("me/Tiny");
  EXPECT_THAT(message("me/Tniy"), HasSubstr("did you mean me/Tiny?"));
  EXPECT_THAT(message("./me/Tiny"), HasSubstr("no such file or folder: ./me/Tiny"));
}

TEST(LoadTokenizer, ErrorsNameTheFile) {
  const TempFolder folder;
  GgufBuilder b;
  b.key("tokenizer.ggml.model", kI32, le(std::int32_t{7}));
  b.array("tokenizer.ggml.tokens", 8, 1, format::testing::gguf_string("a"));
  const std::string path = folder.write("m.gguf", b.build());
  const format::ModelSource source = format::open_model(path);
  const Error error = error_of([&] { load_tokenizer(source); });
  EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
  EXPECT_THAT(error.what(), HasSubstr(path + ": tokenizer.ggml.model: wrong type"));
}

TEST(LoadTokenizer, ErrorsNameTheFolderOnce) {
  const TempFolder folder;
  const std::string source = std::string(OPENLLM_TEST_DATA) + "/models/llama/";
  for (const char* name : {"config.json", "model.safetensors"})
    std::filesystem::copy(source + name, folder.path() + "/" + name);
  folder.write("tokenizer.json", R"({"added_tokens": 5})");
  const format::ModelSource opened = format::open_model(folder.path());
  const Error error = error_of([&] { load_tokenizer(opened); });
  EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
  EXPECT_THAT(error.what(), ::testing::StartsWith(folder.path() + ": tokenizer.json: "));
}

/// A byte-level vocabulary in a GGUF file.
GgufBuilder byte_level_gguf() {
  GgufBuilder b;
  b.text("general.architecture", "foo").text("tokenizer.ggml.model", "gpt2");
  std::string tokens;
  for (const char* token : {"a", "b", "ab", "<e>", "<f>"})
    tokens += format::testing::gguf_string(token);
  b.array("tokenizer.ggml.tokens", 8, 5, tokens);
  b.array("tokenizer.ggml.merges", 8, 1, format::testing::gguf_string("a b"));
  return b;
}

TEST(LoadTokenizer, AGgufFileNamesItsPreTokenizerOrTheCallerDoes) {
  const TempFolder folder;
  GgufBuilder b = byte_level_gguf();
  const format::ModelSource source = format::open_model(folder.write("m.gguf", b.build()));
  const Error error = error_of([&] { load_tokenizer(source); });
  EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
  EXPECT_THAT(error.what(), HasSubstr(folder.path() + "/m.gguf: tokenizer.ggml.pre: missing"));
  EXPECT_EQ(load_tokenizer(source, "default")->encode("ab").size(), 1U);
  EXPECT_EQ(error_of([&] { load_tokenizer(source, "nonsense"); }).code(), ErrorCode::kUnsupported);
  EXPECT_EQ(LLM(folder.path() + "/m.gguf", {.tokenizer_pre = "gpt-2"}).tokenize("ab").size(), 1U);
  const format::ModelSource hf =
      format::open_model(std::string(OPENLLM_TEST_DATA) + "/stories260K/hf");
  const Error refused = error_of([&] { load_tokenizer(hf, "gpt-2"); });
  EXPECT_EQ(refused.code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused.where(), "tokenizer_pre");
}

TEST(LoadTokenizer, EveryEndThatAGgufFileNamesEndsAnswers) {
  for (const char* key : {"eos", "eot", "eom", "fim_pad", "fim_rep", "fim_sep"}) {
    const TempFolder folder;
    GgufBuilder b = byte_level_gguf();
    b.text("tokenizer.ggml.pre", "gpt-2");
    b.key(std::string("tokenizer.ggml.") + key + "_token_id", kI32, le(std::int32_t{3}));
    const auto tokenizer = load_tokenizer(format::open_model(folder.write("m.gguf", b.build())));
    EXPECT_EQ(tokenizer->eos_ids(), std::vector<tokenizer::TokenId>{3}) << key;
    EXPECT_TRUE(tokenizer->is_special(3)) << key;
  }
  const TempFolder folder;
  GgufBuilder b = byte_level_gguf();
  b.text("tokenizer.ggml.pre", "gpt-2");
  for (const char* key : {"seperator", "padding", "cls", "mask", "unknown"})
    b.key(std::string("tokenizer.ggml.") + key + "_token_id", kI32, le(std::int32_t{4}));
  const auto tokenizer = load_tokenizer(format::open_model(folder.write("m.gguf", b.build())));
  EXPECT_EQ(tokenizer->special_tokens_map().dump(),
            R"({"unk_token":"<f>","sep_token":"<f>","pad_token":"<f>","cls_token":"<f>",)"
            R"("mask_token":"<f>"})");
}

TEST(LoadTokenizer, OldFoldersHaveAMapOfSpecialTokens) {
  const TempFolder folder;
  const std::string stories = std::string(OPENLLM_TEST_DATA) + "/stories260K/hf/";
  for (const char* name : {"config.json", "tokenizer.json"})
    std::filesystem::copy(stories + name, folder.path() + "/" + name);
  const auto map = [&] {
    return load_tokenizer(format::open_model(folder.path()))->special_tokens_map().dump();
  };
  folder.write("tokenizer_config.json", R"({"bos_token": "<s>", "pad_token": "<unk>"})");
  folder.write("special_tokens_map.json",
               R"({"pad_token": {"content": "</s>"}, "unk_token": "<unk>"})");
  EXPECT_EQ(map(), R"({"bos_token":"<s>","pad_token":"</s>","unk_token":"<unk>"})");
  folder.write("tokenizer_config.json", R"({"bos_token": "<s>", "added_tokens_decoder": {}})");
  EXPECT_EQ(map(), R"({"bos_token":"<s>"})");  // newer files say it all themselves
}

TEST_F(ResolveModel, AGgufFileNeedsNoEnding) {
  std::filesystem::create_directory("blobs");
  for (const char* name : {"blobs/sha256-0123", "M.GGUF", "plain"}) {
    std::ofstream(name) << GgufBuilder().build();
    EXPECT_EQ(resolve_model({.model = name}).path, name);
    EXPECT_EQ(open_source(resolve_model({.model = name})).layout, format::Layout::kGguf) << name;
    const std::string path = std::string("./") + name;
    EXPECT_EQ(open_source(resolve_model({.model = path})).layout, format::Layout::kGguf) << name;
  }
  std::ofstream("notes") << "PK\x03\x04";
  EXPECT_THAT(message("notes"), HasSubstr("the file of that name is a zip archive"));
}

TEST_F(ResolveModel, MessagesAboutPathsNameTheStoredModel) {
  const StoredModel stored = add("me/Tiny");
  EXPECT_THAT(message("./me/Tiny"), HasSubstr("the store has me/Tiny"));
  EXPECT_THAT(message("tiny"), HasSubstr("did you mean me/Tiny?"));
  std::filesystem::create_directories("me/Tiny");
  EXPECT_THAT(error_of([] { (void)open_source(resolve_model({.model = "./me/Tiny"})); }).what(),
              HasSubstr("the store has me/Tiny"));
  std::ofstream("me/Tiny/config.json") << "{}";
  std::filesystem::remove(stored.path + "/model.json");
  const Error damaged = error_of([] { (void)resolve_model({.model = "me/Tiny"}); });
  EXPECT_EQ(damaged.code(), ErrorCode::kCorruptData);
  EXPECT_THAT(damaged.what(), HasSubstr("./me/Tiny is a folder with a model"));
}

TEST_F(ResolveModel, AnOpenedModelKnowsWhereItCameFrom) {
  const StoredModel stored = add("me/Tiny");
  const auto from_store = open_source(resolve_model({.model = "me/Tiny"}));
  EXPECT_EQ(from_store.id, "me/Tiny");
  EXPECT_EQ(from_store.version, stored.version);
  const std::string path = std::string(OPENLLM_TEST_DATA) + "/models/llama";
  const auto from_path = open_source(resolve_model({.model = path}));
  EXPECT_EQ(from_path.id, "llama");
  EXPECT_EQ(from_path.version, "local");
}

TEST(DescribeFiles, TheCallerMayKnowTheVocabularyBetter) {
  const format::ModelSource source =
      format::open_model(std::string(OPENLLM_TEST_DATA) + "/stories260K/hf");
  EXPECT_EQ(describe_files(source).vocab_size, 512);
  const ModelInfo info = describe_files(source, 64);
  EXPECT_EQ(info.vocab_size, 64);
  EXPECT_EQ(info.n_embedding_parameters, 5 * 64 * (64 + 64 + 172))
      << "matrices with a row for each token: each layer has three of 64 rows";
}

TEST(DescribeFiles, TheMostFrequentTypeComesFirst) {
  const format::ModelSource source =
      format::open_model(std::string(OPENLLM_TEST_DATA) + "/models/llama-gguf/q8_0");
  EXPECT_EQ(describe_files(source).weight_types, "Q8_0 (16), F32 (6)");
}

TEST(LoadTokenizer, AConfigurationThatIsNoneIsDamaged) {
  const TempFolder folder;
  const std::string stories = std::string(OPENLLM_TEST_DATA) + "/stories260K/hf/";
  for (const char* name : {"config.json", "tokenizer.json"})
    std::filesystem::copy(stories + name, folder.path() + "/" + name);
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const std::string path = folder.write(name, "[]");
    const Error error = error_of([&] { load_tokenizer(format::open_model(folder.path())); });
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData) << name;
    EXPECT_EQ(error.where(), path);
    EXPECT_THAT(error.what(), HasSubstr("expected object, got array"));
    folder.write(name, "{}");
  }
}

TEST_F(ResolveModel, N8TheExactNameGoesBeforeOneInAnotherLetterCase) {
  const StoredModel stored = add("me/Tiny");
  Environment environment;
  const std::string cache = folder_.path() + "/cache";
  environment.set("HF_HUB_CACHE", cache.c_str());
  const std::string commit(40, '1');
  std::filesystem::create_directories(cache + "/models--Me--tiny/snapshots");
  std::filesystem::create_directory_symlink(std::string(OPENLLM_TEST_DATA) + "/models/llama",
                                            cache + "/models--Me--tiny/snapshots/" + commit);
  EXPECT_EQ(resolve_model({.model = "me/Tiny"}).path, stored.path);
  EXPECT_EQ(resolve_model({.model = "Me/tiny"}).version, commit);
  EXPECT_EQ(resolve_model({.model = "Me/tiny"}).stored->origin, "hub");
  EXPECT_EQ(resolve_model({.tag = "native-me--tiny:" + commit}).stored->origin, "hub");
  const Error error = refusal({.model = "ME/TINY"});
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(error.what(), HasSubstr("me/Tiny or Me/tiny"));
  environment.set("HF_HUB_CACHE", "/nonexistent");
  EXPECT_EQ(resolve_model({.model = "ME/TINY"}).path, stored.path);
}

TEST_F(ResolveModel, RefreshIsRefusedWhereNoHubCanBeAsked) {
  const StoredModel stored = add("me/Tiny");
  const auto refused = [&](WantedModel wanted) {
    wanted.refresh = true;
    const Error error = refusal(wanted);
    EXPECT_EQ(error.where(), "refresh") << error.what();
    return error.code();
  };
  EXPECT_EQ(refused({.model = "me/Tiny"}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused({.model = folder_.path()}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused({.tag = "native-me--tiny:" + stored.version}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused({.model = "org/other", .offline = true}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused({.model = "org/other", .ensure_available = false}),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused({.model = "org/other"}), ErrorCode::kUnavailable) << "HF_HUB_OFFLINE";
}

}  // namespace
}  // namespace openllm::llm
