#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/json.h"
#include "openllm/deprecated.h"
#include "openllm/llm.h"
#include "openllm/runner.h"
#include "openllm/tokenizer.h"

namespace openllm {
namespace {

constexpr const char* kPath = OPENLLM_TEST_DATA "/stories260K/hf";

GenerateOptions greedy(int n_tokens) {
  GenerateOptions options;
  options.temperature = 0.0F;
  options.max_new_tokens = n_tokens;
  return options;
}

template <typename Call>
Error error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return {ErrorCode::kInternal, ""};
}

TEST(LlmNames, APathIsLocalAndMayHaveAName) {
  const LLM plain(kPath);
  EXPECT_EQ(plain.model_id(), "hf");
  EXPECT_EQ(plain.revision(), "local");
  EXPECT_TRUE(plain.is_local());
  EXPECT_FALSE(plain.stored_model());
  LoadOptions options;
  options.model_name = "me/my_stories";
  options.model_version = "3";
  const LLM named(kPath, options);
  EXPECT_EQ(named.id(), "me/my_stories");
  EXPECT_EQ(named.llm_type(), "me--my-stories");
  EXPECT_EQ(named.tag(), "native-me--my-stories:3");
  EXPECT_EQ(named.info().id, "me/my_stories");
  EXPECT_EQ(named.runner().name(), "llm-me--my-stories-runner");
  EXPECT_EQ(named.runner().llm_tag(), named.tag());
}

TEST(LlmNames, IdentifyingParamsAreJson) {
  const LLM llm(kPath);
  const base::Json params = base::Json::parse(llm.identifying_params(), "params");
  EXPECT_EQ(*params.find("model_id")->if_string(), "hf");
  EXPECT_EQ(*params.find("model_ids")->if_string(), R"(["hf"])");
  const base::Json config = base::Json::parse(*params.find("configuration")->if_string(), "config");
  EXPECT_EQ(*config.find("max_new_tokens")->if_int(), 128) << "its family's";
}

TEST(LlmCancel, EndsAllRequestsOfAName) {
  const LLM llm(kPath);
  GenerateOptions options = greedy(100'000);
  options.ignore_eos = true;
  options.n = 128;
  options.request_id = "mine";
  GenerationStream first = llm.generate_iterator("Once", options);
  AsyncGenerationStream second = llm.async_generate_iterator("Once", options);
  options.request_id = "other";
  GenerationStream other = llm.generate_iterator("Once", options);
  EXPECT_EQ(llm.cancel("none"), 0U);
  EXPECT_EQ(llm.cancel("mine"), 2U);
  EXPECT_EQ(llm.cancel("mine"), 0U);
  const auto end_of = [](GenerationStream& stream) {
    GenerationOutput last;
    while (const GenerationOutput* output = stream.next()) last = *output;
    return last.outputs[0].finish_reason;
  };
  EXPECT_EQ(end_of(first), FinishReason::kCancelled);
  other.cancel();
  EXPECT_EQ(end_of(other), FinishReason::kCancelled);
  options.request_id = "short";
  options.n = 1;
  options.max_new_tokens = 2;
  (void)llm.generate("Once", options);
  EXPECT_EQ(llm.cancel("short"), 0U);                                   // it is over
  for (int i = 0; i < 200; ++i) (void)llm.generate("Once", greedy(1));  // forgets those
}

TEST(LlmSanitize, SeesAndChangesEveryPrompt) {
  LoadOptions options;
  options.sanitize = [](Prompt prompt) -> Prompt {
    const std::string* text = prompt.text();
    if (text == nullptr) return prompt;
    if (*text == "bad") throw Error(ErrorCode::kUnsupported, "prompt: not here", "prompt");
    if (*text == "worse") throw std::runtime_error("never");
    if (*text == "worst") throw 5;
    return "Once upon " + *text;
  };
  const LLM llm(kPath, options);
  const std::string expected = LLM(kPath).generate("Once upon a time", greedy(5)).outputs[0].text;
  EXPECT_EQ(llm.generate("a time", greedy(5)).outputs[0].text, expected);
  EXPECT_EQ(llm.generate("a time", greedy(5)).prompt, "Once upon a time");
  EXPECT_EQ(llm.async_generate("a time", greedy(5)).get().outputs[0].text, expected);
  EXPECT_EQ(error_of([&] { (void)llm.generate("bad"); }).code(), ErrorCode::kUnsupported);
  EXPECT_EQ(error_of([&] { (void)llm.async_generate("bad").get(); }).code(),
            ErrorCode::kUnsupported);
  EXPECT_STREQ(error_of([&] { (void)llm.generate("worse"); }).what(),
               "prompt: was refused (never)");
  EXPECT_EQ(error_of([&] { (void)llm.generate("worst"); }).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(llm.logits({1, 2}), LLM(kPath).logits({1, 2}));
}

TEST(LlmOptions, CodeOfTheModelIsNeverRun) {
  LoadOptions options;
  options.trust_remote_code = true;
  options.backend = "native";
  const Error error = error_of([&] { LLM(kPath, options).load(); });
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(error.what(), ::testing::HasSubstr("trust_remote_code"));
}

TEST(LlmTokenizer, IsTheLlmsOwn) {
  const LLM llm(kPath);
  const Tokenizer tokenizer = llm.tokenizer();
  const std::vector<std::int32_t> ids = tokenizer.encode("Once upon");
  EXPECT_EQ(ids, llm.tokenize("Once upon"));
  EXPECT_EQ(tokenizer.decode(ids), llm.detokenize(ids));
  EXPECT_EQ(tokenizer.vocab_size(), 512);
  EXPECT_EQ(tokenizer.eos_token_ids(), llm.config().eos_token_ids);
  EXPECT_FALSE(llm.is_loaded());
}

TEST(Runner, GivesWhatTheLlmGives) {
  const LLM llm(kPath);
  const Runner runner = llm.runner();
  const GenerationOutput expected = llm.generate("Once", greedy(6));
  EXPECT_EQ(runner.generate("Once", greedy(6)).outputs[0].text, expected.outputs[0].text);
  EXPECT_EQ(runner.generate.async_run("Once", greedy(6)).get().outputs[0].text,
            expected.outputs[0].text);
  std::string text;
  for (const auto& output : runner.generate_iterator("Once", greedy(6)))
    text += output.outputs[0].delta;
  EXPECT_EQ(text, expected.outputs[0].text);
  text.clear();
  const auto read = [&]() -> Task<void> {
    AsyncGenerationStream stream = runner.generate_iterator.async_stream("Once", greedy(6));
    while (const GenerationOutput* output = co_await stream.next())
      text += output->outputs[0].delta;
  };
  read().get();
  EXPECT_EQ(text, expected.outputs[0].text);
  EXPECT_EQ(runner.llm_type(), "hf");
  EXPECT_EQ(runner.config().max_new_tokens, llm.config().max_new_tokens);
  EXPECT_EQ(runner.backend().name, "native");
  EXPECT_FALSE(runner.has_adapters());
  EXPECT_EQ(runner.stats().n_finished, llm.stats().n_finished);
}

TEST(Runner, SharesStepsWithTheLlm) {
  // A step of the plain device takes much longer than to send all requests.
  const LLM llm(kPath, {.device = "reference"});
  llm.load();
  const Runner runner = llm.runner();
  GenerateOptions options = greedy(40);
  options.ignore_eos = true;
  std::vector<GenerationStream> streams;
  for (int i = 0; i < 32; ++i) {
    streams.push_back(i % 2 == 0 ? llm.generate_iterator("Once", options)
                                 : runner.generate_iterator("Once", options));
  }
  for (GenerationStream& stream : streams)
    while (stream.next() != nullptr) {
    }
  const EngineStats stats = llm.stats();
  EXPECT_GT(stats.n_step_sequences, 16 * stats.n_steps);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
TEST(Deprecated, SaysTheSameInOldWords) {
  ForModelOptions options;
  options.model_id = kPath;
  const std::string expected = LLM(kPath).generate("Once", greedy(4)).outputs[0].text;
  EXPECT_EQ(LLM::from_pretrained(kPath).generate("Once", greedy(4)).outputs[0].text, expected);
  EXPECT_EQ(AutoLLM::for_model("llama", options).generate("Once", greedy(4)).outputs[0].text,
            expected);
  const Runner runner("llama", options);
  EXPECT_EQ(runner.generate("Once", greedy(4)).outputs[0].text, expected);
  EXPECT_NE(runner.vllm_generate_iterator("Once", greedy(4)).next(), nullptr);
  EXPECT_EQ(LLM(kPath).to_runner().llm_type(), "hf");
  EXPECT_EQ(error_of([&] { (void)AutoTFLLM::for_model("llama", options); }).code(),
            ErrorCode::kUnsupported);
  EXPECT_EQ(error_of([&] { (void)AutoFlaxLLM::for_model("llama", options); }).where(), "backend");
  EXPECT_EQ(error_of([&] { AutoVLLM::for_model("llama", options).load(); }).code(),
            ErrorCode::kUnavailable);
}
#pragma GCC diagnostic pop

}  // namespace
}  // namespace openllm
