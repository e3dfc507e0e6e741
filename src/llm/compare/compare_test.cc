#include "openllm/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/mapped_file.h"

namespace openllm {
namespace {

using ::testing::HasSubstr;

const std::string kStories = std::string(OPENLLM_TEST_DATA) + "/stories260K/hf";
const std::string kTiny = std::string(OPENLLM_TEST_DATA) + "/models/llama";
const std::vector<Prompt> kPrompts{"Once upon a time", std::vector<std::int32_t>{1, 403, 407, 261}};

LoadOptions one_thread() { return {.n_threads = 1}; }

std::vector<CompareTarget> targets(const std::string& list) {
  return parse_compare_targets(list, one_thread());
}

template <typename Body>
Error error_of(Body body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return {ErrorCode::kInternal, ""};
}

/// What two copies of one thing must be.
void expect_equal(const ComparedBackend& backend, std::size_t n_prompts) {
  EXPECT_FALSE(backend.code) << backend.error;
  EXPECT_EQ(backend.kl_max, 0.0);
  EXPECT_EQ(backend.logprob_difference_max, 0.0);
  EXPECT_EQ(backend.top1_agreement, 1.0);
  EXPECT_EQ(backend.n_same_answers, n_prompts);
  EXPECT_TRUE(backend.differences.empty());
}

TEST(Compare, WithItselfNothingDiffers) {
  const Comparison comparison =
      compare(kStories, targets("native,native"), kPrompts, {.max_new_tokens = 8});
  ASSERT_EQ(comparison.first, 0U);
  ASSERT_EQ(comparison.backends.size(), 2U);
  const LLM llm(kStories, one_thread());
  for (const ComparedBackend& backend : comparison.backends) {
    expect_equal(backend, 2);
    EXPECT_TRUE(backend.has_all_logits);
    EXPECT_EQ(backend.missing_max, 0.0);
    EXPECT_EQ(backend.info.device, "cpu");
    const auto n_first = static_cast<std::int64_t>(llm.tokenize("Once upon a time").size());
    EXPECT_EQ(backend.n_positions, n_first + 8 - 1 + 4 + 8 - 1);
  }
  const GenerationOutput plain = llm.generate(kPrompts[0], {.max_new_tokens = 8, .temperature = 0});
  ASSERT_EQ(comparison.prompts.size(), 2U);
  EXPECT_EQ(comparison.prompts[0].answer_token_ids, plain.outputs[0].token_ids);
  EXPECT_EQ(comparison.prompts[0].answer, plain.outputs[0].text);
  EXPECT_EQ(comparison.prompts[1].token_ids, *kPrompts[1].token_ids());
}

TEST(Compare, TheDevicesAgreeButForRounding) {
  const Comparison comparison = compare(kTiny, targets("native:reference,native:cpu"),
                                        {{1, 2, 3, 4}, {5}}, {.max_new_tokens = 12});
  const ComparedBackend& cpu = comparison.backends.at(1);
  EXPECT_FALSE(cpu.code) << cpu.error;
  EXPECT_EQ(comparison.backends[0].info.device, "reference");
  EXPECT_EQ(cpu.info.device, "cpu");
  EXPECT_TRUE(cpu.has_all_logits);
  EXPECT_LT(cpu.kl_max, 1e-8);
  EXPECT_LT(cpu.logprob_difference_max, 1e-4);
  EXPECT_EQ(cpu.n_same_answers, 2U);
}

TEST(Compare, CoarserKeysAndValuesShow) {
  const Comparison comparison =
      compare(kStories, targets("native,native:kv-dtype=int8,native:kv-dtype=f16"), kPrompts,
              {.max_new_tokens = 16});
  const ComparedBackend& int8 = comparison.backends.at(1);
  const ComparedBackend& f16 = comparison.backends.at(2);
  EXPECT_GT(int8.kl_mean, f16.kl_mean);
  EXPECT_GT(f16.kl_mean, 0.0);
  EXPECT_LT(int8.kl_mean, 0.05);
  EXPECT_GE(int8.kl_max, int8.kl_mean);
  EXPECT_GE(int8.logprob_difference_max, int8.logprob_difference_mean);
}

TEST(Compare, DefaultsOfRequestsMakeNoDifference) {
  LoadOptions load = one_thread();
  load.config.repetition_penalty = 3.0F;
  load.config.temperature = 2.0F;
  load.config.n = 3;
  load.config.stop = {"a"};
  std::vector<CompareTarget> list = targets("native,native");
  list[1].load = load;
  const Comparison comparison = compare(kStories, list, kPrompts, {.max_new_tokens = 24});
  expect_equal(comparison.backends.at(1), 2);
}

TEST(Compare, WithoutRoomForLogitsTheLikeliestTokensAreCompared) {
  const auto run = [](CompareOptions options) {
    options.max_new_tokens = 8;
    return compare(kStories, targets("native,native:kv-dtype=int8"), kPrompts, options)
        .backends.at(1);
  };
  const ComparedBackend all = run({});
  const ComparedBackend top = run({.top = 5, .max_bytes = 1000});
  EXPECT_TRUE(all.has_all_logits);
  EXPECT_FALSE(top.has_all_logits);
  EXPECT_EQ(top.n_positions, all.n_positions);
  EXPECT_GT(top.missing_mean, 0.0);
  EXPECT_GE(top.missing_max, top.missing_mean);
  EXPECT_GT(top.kl_mean, 0.0);
  EXPECT_LE(top.kl_mean, all.kl_mean + 1e-6) << "a lower bound";
  EXPECT_NEAR(top.logprob_difference_max, all.logprob_difference_max, 1e-5);
  EXPECT_EQ(top.top1_agreement, all.top1_agreement);
}

/// Another model over the same vocabulary: where the answers part is what both say alone.
TEST(Compare, TheFirstDifferenceIsWhereTheAnswersPart) {
  const std::string other = std::string(OPENLLM_TEST_DATA) + "/models/qwen3";
  const std::vector<std::int32_t> ids{1, 2, 3};
  const GenerateOptions greedy{.max_new_tokens = 6, .temperature = 0.0F, .logprobs = 2};
  const LLM a(kTiny, one_thread());
  const LLM b(other, one_thread());
  ASSERT_EQ(a.info().vocab_size, b.info().vocab_size);
  const CompletionChunk from_a = a.generate(ids, greedy).outputs[0];
  const CompletionChunk from_b = b.generate(ids, greedy).outputs[0];
  std::size_t at = 0;
  while (from_a.token_ids.at(at) == from_b.token_ids.at(at)) ++at;

  const Comparison comparison =
      compare(kTiny, targets("native,native:model=" + other), {ids}, {.max_new_tokens = 6});
  const ComparedBackend& backend = comparison.backends.at(1);
  ASSERT_EQ(backend.differences.size(), 1U);
  EXPECT_EQ(backend.n_same_answers, 0U);
  const TokenDifference& difference = backend.differences[0];
  EXPECT_EQ(difference.prompt, 0U);
  EXPECT_EQ(difference.position, at);
  EXPECT_EQ(difference.expected.token_id, from_a.token_ids[at]);
  EXPECT_EQ(difference.got.token_id, from_b.token_ids[at]);
  const TokenLogprobs& top = (*from_b.logprobs)[at];
  ASSERT_TRUE(difference.got.gap);
  EXPECT_FLOAT_EQ(static_cast<float>(*difference.got.gap), top[0].logprob - top[1].logprob);
  EXPECT_GT(backend.kl_mean, 1e-3);
  EXPECT_LT(backend.top1_agreement, 1.0);
}

TEST(Compare, WhatCannotRunIsListedAndTheNextOneIsTheFirst) {
  const Comparison comparison =
      compare(kStories, targets("triton,native:dtype=f8,native,tf,native"), kPrompts,
              {.max_new_tokens = 2});
  ASSERT_EQ(comparison.first, 2U);
  EXPECT_EQ(comparison.backends[0].code, ErrorCode::kNotFound);
  EXPECT_THAT(comparison.backends[0].error, HasSubstr("triton"));
  EXPECT_EQ(comparison.backends[1].code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(comparison.backends[3].code, ErrorCode::kUnsupported);
  expect_equal(comparison.backends[4], 2);
  const Comparison none = compare("./no-such-model", targets("native,pt"), kPrompts);
  EXPECT_FALSE(none.first);
  EXPECT_TRUE(none.prompts.empty());
  EXPECT_EQ(none.backends[0].code, ErrorCode::kNotFound);
}

TEST(Compare, PromptsThatDoNotFitAreTheTargetsErrors) {
  const auto code = [](const Prompt& prompt, const std::string& list = "native,native") {
    return compare(kStories, targets(list), {prompt}, {.max_new_tokens = 4}).backends[1].code;
  };
  EXPECT_EQ(code(std::vector<std::int32_t>{1, 1 << 30}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(std::vector<std::int32_t>{-1}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(std::vector<std::int32_t>{}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(std::vector<std::int32_t>(4000, 5)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(std::vector<Message>{{.role = "user", .content = "Hi"}}),
            ErrorCode::kUnsupported);  // no chat template
  EXPECT_EQ(code("Once", "native,native:model=" + kTiny), ErrorCode::kInvalidArgument)
      << "a vocabulary that is smaller";
}

/// The model of `kStories` with a tokenizer that puts nothing together.
class OtherTokenizer {
 public:
  OtherTokenizer() {
    std::string name = testing::TempDir() + "/compare_test_XXXXXX";
    folder_ = ::mkdtemp(name.data());
    for (const char* file : {"config.json", "model.safetensors"})
      std::filesystem::create_symlink(kStories + "/" + file, folder_ / file);
    base::Json json =
        base::Json::parse(base::read_file(kStories + "/tokenizer.json"), "tokenizer.json");
    json["model"]["merges"] = base::Json::array();
    std::ofstream(folder_ / "tokenizer.json") << json.dump();
  }
  ~OtherTokenizer() { std::filesystem::remove_all(folder_); }
  OtherTokenizer(const OtherTokenizer&) = delete;
  OtherTokenizer& operator=(const OtherTokenizer&) = delete;
  std::string path() const { return folder_.string(); }

 private:
  std::filesystem::path folder_;
};

TEST(Compare, ATextThatHasOtherTokensIsNotCompared) {
  const OtherTokenizer other;
  const std::vector<CompareTarget> list = targets("native,native:model=" + other.path());
  const auto compared = [&](const Prompt& prompt) {
    return compare(kStories, list, {prompt}, {.max_new_tokens = 2}).backends[1];
  };
  const ComparedBackend text = compared("Once upon");
  EXPECT_EQ(text.code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(text.error, HasSubstr("tokenizer"));
  expect_equal(compared(std::vector<std::int32_t>{1, 403}), 1);
}

TEST(Compare, WrongUseIsAnError) {
  const auto where = [](const std::vector<CompareTarget>& list, const std::vector<Prompt>& prompts,
                        const CompareOptions& options) {
    const Error error = error_of([&] { (void)compare(kStories, list, prompts, options); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return std::string(error.where());
  };
  const std::vector<CompareTarget> two = targets("native,native");
  EXPECT_EQ(where({}, kPrompts, {}), "targets");
  EXPECT_EQ(where({two[0]}, kPrompts, {}), "targets");
  EXPECT_EQ(where(two, {}, {}), "prompts");
  EXPECT_EQ(where(two, kPrompts, {.max_new_tokens = -1}), "max_new_tokens");
  EXPECT_EQ(where(two, kPrompts, {.top = 0}), "top");
  EXPECT_EQ(where(two, kPrompts, {.top = 129}), "top");
  EXPECT_EQ(where(two, kPrompts, {.max_bytes = -1}), "max_bytes");
}

TEST(Compare, NoAnswersAndSinglePromptTokensAreComparedToo) {
  const Comparison comparison =
      compare(kStories, targets("native,native"), {{7}}, {.max_new_tokens = 0});
  expect_equal(comparison.backends.at(1), 1);
  EXPECT_EQ(comparison.backends[1].n_positions, 0);
  EXPECT_FALSE(comparison.backends[1].has_all_logits);
}

TEST(CompareTargets, AreReadWithTheirSettings) {
  LoadOptions base;
  base.max_model_len = 64;
  base.vllm.urls = {"http://a:1"};
  base.vllm.api_key = "secret";
  base.pt.python = "/usr/bin/python3";
  base.device = "reference";
  base.draft_model = "./small";
  const auto list = parse_compare_targets(
      "native,native:cpu:kv-dtype=int8:fast-activations,pt:cuda:1:dtype=f32,vllm:url=http://b:8000,"
      "native:model=./a:b/c.gguf,native:quantize=q4",
      base);
  ASSERT_EQ(list.size(), 6U);
  EXPECT_EQ(list[0].load.device, "reference");
  EXPECT_EQ(list[0].load.draft_model, "./small");
  EXPECT_EQ(list[2].load.draft_model, "");
  EXPECT_EQ(list[3].load.draft_model, "");
  EXPECT_TRUE(list[0].load.vllm.urls.empty());
  EXPECT_TRUE(list[0].load.pt.python.empty());
  EXPECT_EQ(list[0].load.max_model_len, 64);
  EXPECT_EQ(list[1].name, "native:cpu:kv-dtype=int8:fast-activations");
  EXPECT_EQ(list[1].load.device, "cpu");
  EXPECT_EQ(list[1].load.kv_dtype, "int8");
  EXPECT_TRUE(list[1].load.fast_activations);
  EXPECT_EQ(list[2].load.backend, "pt");
  EXPECT_EQ(list[2].load.pt.device, "cuda:1");
  EXPECT_EQ(list[2].load.pt.python, "/usr/bin/python3");
  EXPECT_EQ(list[2].load.dtype, "f32");
  EXPECT_EQ(list[2].load.device, "");
  EXPECT_EQ(list[3].load.vllm.urls, std::vector<std::string>{"http://b:8000"});
  EXPECT_EQ(list[3].load.vllm.api_key, "secret");
  EXPECT_EQ(list[4].model, "./a:b/c.gguf");
  EXPECT_EQ(list[5].load.quantize, "q4");
}

TEST(CompareTargets, WhatIsNoneIsRefused) {
  const auto refused = [](const std::string& list, const LoadOptions& base = {}) {
    const Error error = error_of([&] { (void)parse_compare_targets(list, base); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << list;
    return std::string(error.what());
  };
  for (const char* list :
       {"", ",", "native,", ",native", ":reference", "native:", "native::cpu",
        "native:kv-dtype=", "native:=f16", "native:url=http://a", "vllm:cpu", "vllm:kv-dtype=f16",
        "pt:fast-activations", "pt:model=", "pt:quantize=q8", "vllm:url="})
    EXPECT_NE(refused(list), "");
  EXPECT_THAT(refused("native:threads=2"), HasSubstr("unknown setting"));
  EXPECT_THAT(refused("native:threads=2"), HasSubstr("native:threads=2"));
  LoadOptions vllm;
  vllm.tensor_parallel = 2;
  EXPECT_THAT(refused("native,pt", vllm), HasSubstr("tensor_parallel"));
  EXPECT_THAT(refused("native,vllm", {.pt = {.python = "x"}}), HasSubstr("pt.python"));
  EXPECT_THAT(refused("pt,vllm", {.device = "cpu"}), HasSubstr("device"));
  EXPECT_THAT(refused("pt,vllm", {.draft_model = "x"}), HasSubstr("draft_model"));
}

}  // namespace
}  // namespace openllm
