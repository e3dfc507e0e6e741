// The public class on a real (small) model: stories260K, from both file formats.

#include "openllm/llm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <coroutine>
#include <filesystem>
#include <fstream>
#include <future>
#include <latch>
#include <random>
#include <thread>

#include "base/json.h"

namespace openllm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

const std::string kGguf = std::string(OPENLLM_TEST_DATA) + "/stories260K/stories260K.gguf";
const std::string kFolder = std::string(OPENLLM_TEST_DATA) + "/stories260K/hf";

/// Greedy from BOS, listed with the model.
const std::vector<std::int32_t> kGreedy = {403, 407, 261, 378, 432, 383, 286, 261, 376, 298,
                                           315, 421, 395, 317, 426, 338, 401, 396, 267, 337,
                                           410, 408, 419, 292, 411, 322, 265, 282, 295, 433};

const LLM& shared_llm() {
  static const LLM llm(kGguf, {.n_threads = 2});
  return llm;
}

ErrorCode error_code(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "no error";
  return ErrorCode::kInternal;
}

std::string error_text(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

/// Blocks and requests are given back a moment after the last output.
void expect_idle(const LLM& llm) {
  for (int i = 0; i < 40'000; ++i) {
    const EngineStats stats = llm.stats();
    if (stats.n_running == 0 && stats.n_waiting == 0 && stats.n_blocks_free == stats.n_blocks_total)
      return;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const EngineStats stats = llm.stats();
  ADD_FAILURE() << "running " << stats.n_running << ", waiting " << stats.n_waiting << ", blocks "
                << stats.n_blocks_free << " of " << stats.n_blocks_total << " free";
}

class BothFormats : public testing::TestWithParam<std::pair<std::string, std::string>> {};

TEST_P(BothFormats, GreedyIdsAndLogits) {
  const auto& [path, device] = GetParam();
  const LLM llm(path, {.device = device});
  EXPECT_FALSE(llm.is_loaded());
  const auto output =
      llm.generate(std::vector<std::int32_t>{1}, {.max_new_tokens = 30, .temperature = 0.0F});
  EXPECT_TRUE(llm.is_loaded());
  ASSERT_THAT(output.outputs, SizeIs(1));
  EXPECT_EQ(output.outputs[0].token_ids, kGreedy);
  EXPECT_EQ(output.outputs[0].finish_reason, FinishReason::kLength);
  const std::vector<float> logits = llm.logits({1});
  ASSERT_THAT(logits, SizeIs(512));
  const std::vector<float> expected = {-6.22291F, 8.40434F, -6.22374F, -6.22254F};
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(logits[i], expected[i], 1e-4F);
  EXPECT_EQ(llm.backend().device, device);
}

TEST_P(BothFormats, Information) {
  const LLM llm(GetParam().first);
  const ModelInfo info = llm.info();
  EXPECT_FALSE(llm.is_loaded());
  EXPECT_EQ(info.architecture, "llama");
  EXPECT_EQ(info.n_parameters, 260032);
  EXPECT_EQ(info.n_embedding_parameters, 512 * 64);
  EXPECT_EQ(info.weight_bytes, 4 * 260032);
  EXPECT_EQ(info.n_layers, 5);
  EXPECT_EQ(info.vocab_size, 512);
  EXPECT_EQ(info.max_context, 512);
}

INSTANTIATE_TEST_SUITE_P(Llm, BothFormats,
                         testing::Values(std::pair(kGguf, "cpu"), std::pair(kGguf, "reference"),
                                         std::pair(kFolder, "cpu"),
                                         std::pair(kFolder, "reference")));

TEST(Llm, StreamEqualsOneShot) {
  const GenerateOptions options{.max_new_tokens = 40, .seed = 5, .logprobs = 2};
  const auto whole = shared_llm().generate("Once upon a time", options);
  std::string text;
  std::vector<std::int32_t> ids;
  int n_outputs = 0;
  for (const auto& output : shared_llm().generate_iterator("Once upon a time", options)) {
    text += output.outputs[0].delta;
    EXPECT_EQ(output.outputs[0].text, text) << "text is cumulative";
    ids = output.outputs[0].token_ids;
    EXPECT_EQ(output.outputs[0].finish_reason.has_value(), output.finished);
    ++n_outputs;
  }
  EXPECT_EQ(text, whole.outputs[0].text);
  EXPECT_EQ(ids, whole.outputs[0].token_ids);
  EXPECT_GE(n_outputs, 1);
  ASSERT_TRUE(whole.outputs[0].logprobs);
  EXPECT_THAT(*whole.outputs[0].logprobs, SizeIs(ids.size()));
  double sum = 0.0;
  for (const TokenLogprobs& entry : *whole.outputs[0].logprobs)
    sum += static_cast<double>(entry[0].logprob);
  EXPECT_NEAR(whole.outputs[0].cumulative_logprob, sum, 1e-6);
}

TEST(Llm, OutputsArriveWhileTheModelWorks) {
  const LLM llm(kGguf, {.device = "reference"});
  // A reader that does not get to run sees all of an answer at once: until one sees a part.
  int n_outputs = 0;
  while (n_outputs < 2) {
    n_outputs = 0;
    for (const auto& output :
         llm.generate_iterator("Once", {.max_new_tokens = 300, .ignore_eos = true})) {
      n_outputs += output.outputs[0].n_delta_tokens > 0 ? 1 : 0;
    }
  }
}

TEST(Llm, DeltaOutputsAddUp) {
  const auto whole = shared_llm().generate("Lily", {.max_new_tokens = 30, .temperature = 0.0F});
  std::string text;
  std::vector<std::int32_t> ids;
  for (const auto& output : shared_llm().generate_iterator(
           "Lily",
           {.max_new_tokens = 30, .temperature = 0.0F, .output_kind = OutputKind::kDelta})) {
    text += output.outputs[0].text;
    ids.insert(ids.end(), output.outputs[0].token_ids.begin(), output.outputs[0].token_ids.end());
  }
  EXPECT_EQ(text, whole.outputs[0].text);
  EXPECT_EQ(ids, whole.outputs[0].token_ids);
}

TEST(Llm, OneShotCallsGiveTheWholeAnswerInEveryKind) {
  GenerateOptions options{.max_new_tokens = 30, .temperature = 0.0F};
  const auto whole = shared_llm().generate("Lily", options);
  for (const OutputKind kind : {OutputKind::kDelta, OutputKind::kFinalOnly}) {
    options.output_kind = kind;
    for (const auto& output : {shared_llm().generate("Lily", options),
                               shared_llm().async_generate("Lily", options).get()}) {
      EXPECT_EQ(output.outputs[0].text, whole.outputs[0].text);
      EXPECT_EQ(output.outputs[0].token_ids, whole.outputs[0].token_ids);
    }
  }
}

Task<std::string> collect(AsyncGenerationStream stream) {
  std::string text;
  while (const GenerationOutput* output = co_await stream.next()) text += output->outputs[0].delta;
  co_return text;
}

TEST(Llm, CoroutinesGiveTheSame) {
  const GenerateOptions options{.max_new_tokens = 25, .temperature = 0.0F};
  const std::string expected = shared_llm().generate("Tom", options).outputs[0].text;
  EXPECT_EQ(shared_llm().async_generate("Tom", options).get().outputs[0].text, expected);
  EXPECT_EQ(collect(shared_llm().async_generate_iterator("Tom", options)).get(), expected);
}

/// Says when the coroutine has been suspended.
struct NextAwaiterWithGate {
  AsyncGenerationStream::NextAwaiter next;
  std::latch* suspended;
  bool await_ready() { return next.await_ready(); }
  bool await_suspend(std::coroutine_handle<> awaiting) {
    std::latch* gate = suspended;  // the coroutine may go on, and end, once it is open
    const bool suspends = next.await_suspend(awaiting);
    gate->count_down();
    return suspends;
  }
  const GenerationOutput* await_resume() { return next.await_resume(); }
};
Task<std::string> collect_behind_gate(AsyncGenerationStream stream, std::latch* suspended) {
  const GenerationOutput* output = co_await NextAwaiterWithGate{stream.next(), suspended};
  std::string text;
  for (; output != nullptr; output = co_await stream.next()) text += output->outputs[0].delta;
  co_return text;
}

TEST(Llm, CoroutinesResumeOnTheGivenExecutor) {
  std::latch suspended(1);
  std::atomic<int> n_calls{0};
  // Nothing can be ready before the reader waits: the model loads no sooner.
  const LLM llm(kGguf, {.progress = [&](std::string_view, double) { suspended.wait(); }});
  GenerateOptions options{.max_new_tokens = 10, .temperature = 0.0F};
  options.executor = [&](std::function<void()> task) {
    ++n_calls;
    std::thread(std::move(task)).detach();
  };
  const std::string text =
      collect_behind_gate(llm.async_generate_iterator("Tom", options), &suspended).get();
  EXPECT_FALSE(text.empty());
  EXPECT_GT(n_calls, 0);
}

TEST(Llm, AsyncErrorsArriveWithNext) {
  EXPECT_EQ(
      error_code([] { (void)shared_llm().async_generate(std::vector<std::int32_t>{9999}).get(); }),
      ErrorCode::kInvalidArgument);
}

TEST(Llm, StopStringsCutTheText) {
  const auto whole = shared_llm().generate("Once", {.max_new_tokens = 40, .temperature = 0.0F});
  const std::string& text = whole.outputs[0].text;
  ASSERT_GT(text.size(), 20U);
  const std::string stop = text.substr(12, 5);
  GenerateOptions options{.max_new_tokens = 40, .temperature = 0.0F, .stop = {stop}};
  const auto cut = shared_llm().generate("Once", options);
  EXPECT_EQ(cut.outputs[0].text, text.substr(0, text.find(stop)));
  EXPECT_EQ(cut.outputs[0].finish_reason, FinishReason::kStop);
  options.include_stop_in_output = true;
  EXPECT_EQ(shared_llm().generate("Once", options).outputs[0].text,
            text.substr(0, text.find(stop) + stop.size()));
  options.include_stop_in_output = false;
  std::string streamed;
  for (const auto& output : shared_llm().generate_iterator("Once", options))
    streamed += output.outputs[0].delta;
  EXPECT_EQ(streamed, cut.outputs[0].text);
  expect_idle(shared_llm());
}

TEST(Llm, N18StopTokensAreReportedButNotText) {
  const auto whole = shared_llm().generate(std::vector<std::int32_t>{1},
                                           {.max_new_tokens = 10, .temperature = 0.0F});
  const auto cut = shared_llm().generate(
      std::vector<std::int32_t>{1},
      {.max_new_tokens = 10, .temperature = 0.0F, .stop_token_ids = {kGreedy[4]}});
  EXPECT_THAT(cut.outputs[0].token_ids, ElementsAre(403, 407, 261, 378, 432));
  EXPECT_EQ(cut.outputs[0].finish_reason, FinishReason::kStop);
  EXPECT_TRUE(whole.outputs[0].text.starts_with(cut.outputs[0].text));
}

TEST(Llm, AnswersContinueTheirPrompt) {
  // The stories model has a SentencePiece vocabulary, whose words begin with their space.
  for (const char* prompt : {"Once upon", "Lily and", "The"}) {
    const auto output = shared_llm().generate(prompt, {.max_new_tokens = 12, .temperature = 0.0F});
    std::vector<std::int32_t> ids = *output.prompt_token_ids;
    const auto& answer = output.outputs[0].token_ids;
    ids.insert(ids.end(), answer.begin(), answer.end());
    EXPECT_EQ(prompt + output.outputs[0].text, shared_llm().detokenize(ids));
  }
  const auto fresh = shared_llm().generate(std::vector<std::int32_t>{1},
                                           {.max_new_tokens = 3, .temperature = 0.0F});
  EXPECT_EQ(fresh.outputs[0].text, shared_llm().detokenize(fresh.outputs[0].token_ids))
      << "no text before it";
}

TEST(Llm, N28SeveralChoices) {
  const auto output =
      shared_llm().generate("Once", {.max_new_tokens = 20, .temperature = 1.0F, .seed = 3, .n = 4});
  ASSERT_THAT(output.outputs, SizeIs(4));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(output.outputs[static_cast<std::size_t>(i)].index, i);
  EXPECT_NE(output.outputs[0].token_ids, output.outputs[1].token_ids);
  const auto alone =
      shared_llm().generate("Once", {.max_new_tokens = 20, .temperature = 1.0F, .seed = 3});
  EXPECT_EQ(alone.outputs[0].token_ids, output.outputs[0].token_ids)
      << "the first choice is what n = 1 gives";
}

TEST(Llm, PromptLogprobs) {
  const auto output =
      shared_llm().generate(std::vector<std::int32_t>{1, 403, 407, 261},
                            {.max_new_tokens = 1, .temperature = 0.0F, .prompt_logprobs = 1});
  ASSERT_TRUE(output.prompt_logprobs);
  ASSERT_THAT(*output.prompt_logprobs, SizeIs(4));
  EXPECT_TRUE((*output.prompt_logprobs)[0].empty());
  for (std::size_t i = 1; i < 4; ++i)
    EXPECT_THAT((*output.prompt_logprobs)[i], SizeIs(1)) << "the greedy token";
}

TEST(Llm, PromptLogprobsOfOneTokenAreOneEmptyList) {
  const auto output =
      shared_llm().generate(std::vector<std::int32_t>{1},
                            {.max_new_tokens = 2, .temperature = 0.0F, .prompt_logprobs = 1});
  ASSERT_TRUE(output.prompt_logprobs);
  ASSERT_THAT(*output.prompt_logprobs, SizeIs(1));
  EXPECT_TRUE((*output.prompt_logprobs)[0].empty());
}

TEST(Llm, LogitsOfEveryPositionMatchPromptLogprobs) {
  const std::vector<std::int32_t> ids = {1, 403, 407, 261, 378, 432};
  const std::vector<float> logits = shared_llm().logits(ids);
  ASSERT_THAT(logits, SizeIs(ids.size() * 512));
  for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
    const auto row = logits.begin() + static_cast<std::ptrdiff_t>(i * 512);
    EXPECT_EQ(std::max_element(row, row + 512) - row, ids[i + 1]);
  }
}

TEST(Llm, N16LongPromptsFailUnlessTruncated) {
  const LLM llm(kGguf, {.max_model_len = 64});
  const std::vector<std::int32_t> ids(100, 403);
  EXPECT_THAT(error_text([&] { (void)llm.generate(ids); }),
              HasSubstr("prompt: too long for the context (expected at most 63 tokens, got 100)"));
  const auto output =
      llm.generate(ids, {.max_new_tokens = 8, .temperature = 0.0F, .truncate_prompt = true});
  EXPECT_THAT(*output.prompt_token_ids, SizeIs(56));
  EXPECT_THAT(output.outputs[0].token_ids, SizeIs(8));
  const auto full = llm.generate(std::vector<std::int32_t>(60, 403),
                                 {.max_new_tokens = 100, .temperature = 0.0F});
  EXPECT_EQ(full.outputs[0].finish_reason, FinishReason::kLength) << "the context is full";
}

TEST(Llm, APromptWithoutAnswerMayFillTheContext) {
  const LLM llm(kGguf, {.max_model_len = 64});
  const std::vector<std::int32_t> ids(64, 403);
  const std::vector<float> logits = llm.logits(ids);
  EXPECT_THAT(logits, SizeIs(64 * static_cast<std::size_t>(llm.info().vocab_size)));
  EXPECT_THAT(error_text([&] { (void)llm.logits(std::vector<std::int32_t>(65, 403)); }),
              HasSubstr("expected at most 64 tokens, got 65"));
  EXPECT_THAT(error_text([&] { (void)llm.generate(ids); }), HasSubstr("at most 63 tokens, got 64"));
  const auto truncated = llm.generate(std::vector<std::int32_t>(70, 403),
                                      {.max_new_tokens = 0, .truncate_prompt = true});
  EXPECT_THAT(*truncated.prompt_token_ids, SizeIs(64));
}

TEST(Llm, TokenIdsNeedNoTokenizerThatWeKnow) {
  namespace fs = std::filesystem;
  std::string name = (fs::temp_directory_path() / "openllm-llm-XXXXXX").string();
  const fs::path folder = ::mkdtemp(name.data());
  for (const char* file : {"config.json", "model.safetensors"})
    fs::create_symlink(fs::path(kFolder) / file, folder / file);
  std::ofstream(folder / "tokenizer.json")
      << R"({"model":{"type":"WordLevel","vocab":{"a":0},"unk_token":"a"}})";
  {
    const LLM llm(folder.string());
    const GenerateOptions options = {.max_new_tokens = 5, .temperature = 0.0F};
    const auto output = llm.generate(std::vector<std::int32_t>{1}, options);
    EXPECT_EQ(output.outputs[0].token_ids,
              llm.generate(std::vector<std::int32_t>{1}, options).outputs[0].token_ids);
    EXPECT_THAT(output.outputs[0].token_ids, SizeIs(5));
    EXPECT_EQ(output.outputs[0].text, "");
    EXPECT_FALSE(llm.info().has_tokenizer);
    const auto ask = [&] { (void)llm.generate("a", options); };
    EXPECT_EQ(error_code(ask), ErrorCode::kUnsupported);
    EXPECT_THAT(error_text(ask), HasSubstr("WordLevel"));
  }
  fs::remove_all(folder);
}

TEST(Llm, HopelessPromptsAreRefusedUntokenized) {
  const LLM llm(kGguf, {.max_model_len = 64});
  const std::string text(1 << 20, 'a');
  const std::string error = error_text([&] { (void)llm.generate(text); });
  EXPECT_THAT(error, HasSubstr("prompt: too long for the context (expected at most 63 tokens, got "
                               "at least "));
  EXPECT_EQ(error, error_text([&] { (void)llm.async_generate(text).get(); }));
  const auto output =
      llm.generate(text, {.max_new_tokens = 8, .temperature = 0.0F, .truncate_prompt = true});
  EXPECT_THAT(*output.prompt_token_ids, SizeIs(56));
}

TEST(Llm, LongAndShortPromptsTogether) {
  const LLM llm(kGguf, {.max_model_len = 64});
  const GenerateOptions options = {
      .max_new_tokens = 8, .temperature = 0.0F, .truncate_prompt = true};
  const std::string long_text(1 << 20, 'a');
  const auto long_alone = llm.generate(long_text, options).outputs[0].token_ids;
  const auto short_alone = llm.generate("Once upon a time", options).outputs[0].token_ids;
  std::vector<Task<GenerationOutput>> tasks;
  for (int i = 0; i < 6; ++i)
    tasks.push_back(llm.async_generate(i % 2 == 0 ? long_text : "Once upon a time", options));
  for (std::size_t i = 0; i < tasks.size(); ++i)
    EXPECT_EQ(tasks[i].get().outputs[0].token_ids, i % 2 == 0 ? long_alone : short_alone);
}

TEST(Llm, BadRequestsSayWhatIsWrong) {
  const LLM& llm = shared_llm();
  EXPECT_THAT(error_text([&] { (void)llm.generate(std::vector<std::int32_t>{}); }),
              HasSubstr("prompt"));
  EXPECT_THAT(error_text([&] { (void)llm.generate(std::vector<std::int32_t>{512}); }),
              HasSubstr("512"));
  EXPECT_THAT(error_text([&] { (void)llm.generate(std::vector<std::int32_t>{-1}); }),
              HasSubstr("-1"));
  EXPECT_THAT(error_text([&] { (void)llm.generate("x", {.temperature = -1.0F}); }),
              HasSubstr("temperature"));
  EXPECT_THAT(error_text([&] { (void)llm.generate("x", {.top_p = 1.5F}); }), HasSubstr("top_p"));
  EXPECT_THAT(error_text([&] { (void)llm.generate("x", {.n = 0}); }),
              HasSubstr("n: invalid value"));
  EXPECT_THAT(error_text([&] { (void)llm.generate("x", {.stop = {""}}); }), HasSubstr("stop"));
  EXPECT_THAT(error_text([&] { (void)llm.generate("x", {.max_new_tokens = -2}); }),
              HasSubstr("max_new_tokens"));
  EXPECT_EQ(error_code([&] { (void)llm.chat({{.role = "user", .content = "hi"}}); }),
            ErrorCode::kUnsupported);
  EXPECT_EQ(error_code([] { LLM("no/such-model"); }), ErrorCode::kNotFound);
  EXPECT_EQ(error_code([] { LLM("./no-such-file.gguf"); }), ErrorCode::kNotFound);
  EXPECT_EQ(error_code([] { LLM(kGguf, {.backend = "magic"}); }), ErrorCode::kNotFound);
  EXPECT_EQ(error_code([] { LLM(kGguf, {.backend = "vllm"}).load(); }), ErrorCode::kUnavailable);
  EXPECT_EQ(error_code([] { LLM(kGguf, {.max_model_len = 1 << 20}); }),
            ErrorCode::kInvalidArgument);
}

TEST(Llm, AChatTemplateCanBeGiven) {
  const LLM llm(kGguf, {.chat_template =
                            "{% for m in messages %}{{ m.role }}: {{ m.content }} {% endfor %}"});
  EXPECT_EQ(llm.apply_chat_template({{.role = "user", .content = "hi"}}), "user: hi ");
  const auto output =
      llm.chat({{.role = "user", .content = "hi"}}, {.max_new_tokens = 5, .temperature = 0.0F});
  EXPECT_EQ(output.prompt, "user: hi ");
  EXPECT_THAT(output.outputs[0].token_ids, SizeIs(5));
}

TEST(Llm, DroppingAStreamCancelsItsRequest) {
  {
    auto stream =
        shared_llm().generate_iterator("Once", {.max_new_tokens = 400, .ignore_eos = true});
    ASSERT_NE(stream.next(), nullptr);
  }
  expect_idle(shared_llm());
}

TEST(Llm, CancelByStopToken) {
  // An answer may be over before this thread gets to stop it: until one is not.
  GenerationOutput last;
  do {
    std::stop_source source;
    auto stream = shared_llm().generate_iterator(
        "Once", {.max_new_tokens = 480, .ignore_eos = true, .stop_token = source.get_token()});
    ASSERT_NE(stream.next(), nullptr);
    source.request_stop();
    while (const auto* output = stream.next()) last = *output;
  } while (last.outputs.empty() || last.outputs[0].finish_reason == FinishReason::kLength);
  EXPECT_EQ(last.outputs[0].finish_reason, FinishReason::kCancelled);
  std::stop_source stopped;
  stopped.request_stop();
  const auto at_once = shared_llm().generate("Once", {.stop_token = stopped.get_token()});
  EXPECT_EQ(at_once.outputs[0].finish_reason, FinishReason::kCancelled);
  EXPECT_TRUE(at_once.outputs[0].token_ids.empty());
}

TEST(Llm, ARequestThatIsStoppedBeforeItBeginsNeverReachesTheEngine) {
  shared_llm().load();
  std::stop_source stop;
  stop.request_stop();
  const std::int64_t before = shared_llm().stats().n_requests;
  const auto output =
      shared_llm().generate("Once", {.max_new_tokens = 3, .n = 2, .stop_token = stop.get_token()});
  EXPECT_TRUE(output.finished);
  for (const CompletionChunk& chunk : output.outputs)
    EXPECT_EQ(chunk.finish_reason, FinishReason::kCancelled);
  EXPECT_EQ(shared_llm().stats().n_requests, before);
}

TEST(Llm, TheContextIsNoLongerThanTheCache) {
  const LLM llm(kGguf, {.kv_cache_bytes = 64 << 10});
  const int wanted = llm.info().wanted_context;
  EXPECT_EQ(llm.info().max_context, wanted) << "not known before it is loaded";
  llm.load();
  EXPECT_LT(llm.info().max_context, wanted);
  EXPECT_GT(llm.info().max_context, 0);
  EXPECT_EQ(llm.info().wanted_context, wanted);
}

TEST(Llm, ADeadlineEndsTheAnswer) {
  const LLM llm(kGguf, {.device = "reference"});
  llm.load();
  const auto output = llm.generate(
      "Once",
      {.max_new_tokens = 490, .ignore_eos = true, .timeout = std::chrono::milliseconds(30)});
  EXPECT_EQ(output.outputs[0].finish_reason, FinishReason::kDeadline);
}

TEST(Llm, ATimeoutBeyondAllTimeIsNone) {
  const auto output = shared_llm().generate(
      "Once", {.max_new_tokens = 3, .timeout = std::chrono::milliseconds::max()});
  EXPECT_EQ(output.outputs[0].finish_reason, FinishReason::kLength);
}

TEST(Llm, RequestsOfOneNameDoNotKnowEachOther) {
  const GenerateOptions options{.max_new_tokens = 300, .ignore_eos = true, .request_id = "same"};
  auto running = shared_llm().generate_iterator("Once", options);
  const GenerationOutput* first = running.next();
  ASSERT_NE(first, nullptr);
  GenerationOutput last = *first;  // may be the whole answer already
  { auto dropped = shared_llm().generate_iterator("Once", options); }
  auto cancelled = shared_llm().generate_iterator("Once", options);
  cancelled.cancel();
  while (const auto* output = running.next()) last = *output;
  EXPECT_EQ(last.outputs[0].finish_reason, FinishReason::kLength);
  EXPECT_EQ(last.outputs[0].token_ids.size(), 300U);
  EXPECT_EQ(last.request_id, "same");
}

TEST(Llm, AStreamOutlivesItsHandle) {
  auto stream = LLM(kGguf).generate_iterator("Once", {.max_new_tokens = 5, .temperature = 0.0F});
  std::size_t n_tokens = 0;
  while (const auto* output = stream.next()) n_tokens = output->outputs[0].token_ids.size();
  EXPECT_EQ(n_tokens, 5U);
}

TEST(Llm, ConcurrentFirstUseLoadsOnce) {
  std::atomic<int> n_ready{0};
  LoadOptions options;
  options.progress = [&](const std::string& stage, double /*fraction*/) {
    n_ready += stage == "ready" ? 1 : 0;
  };
  const LLM llm(kGguf, options);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      EXPECT_EQ(
          llm.generate(std::vector<std::int32_t>{1}, {.max_new_tokens = 3, .temperature = 0.0F})
              .outputs[0]
              .token_ids.size(),
          3U);
    });
  }
  threads.clear();
  EXPECT_EQ(n_ready, 1);
}

/// A request of its own length, sampling and seed.
GenerateOptions varied_options(int i) {
  GenerateOptions options;
  options.max_new_tokens = 5 + (i * 7) % 60;
  options.temperature = i % 4 == 0 ? 0.0F : 0.5F + 0.1F * static_cast<float>(i % 9);
  options.top_k = i % 3 == 0 ? 0 : 5 + i;
  options.top_p = i % 5 == 0 ? 0.9F : 1.0F;
  options.repetition_penalty = i % 7 == 0 ? 1.2F : 1.0F;
  options.seed = static_cast<std::uint64_t>(i) * 977;
  options.ignore_eos = true;
  return options;
}
std::vector<std::int32_t> varied_prompt(int i) {
  std::vector<std::int32_t> ids = {1};
  for (int k = 0; k < (i * 13) % 150; ++k) ids.push_back(259 + (i * 31 + k * 17) % 250);
  return ids;
}

TEST(Llm, ManyAtOnceEqualAlone) {
  const LLM llm(kGguf, {.n_threads = 2, .max_step_tokens = 96, .max_sequences = 64});
  constexpr int kRequests = 64;
  std::vector<std::vector<std::int32_t>> alone;
  for (int i = 0; i < kRequests; ++i) {
    alone.push_back(llm.generate(varied_prompt(i), varied_options(i)).outputs[0].token_ids);
  }
  // Where threads hardly get to run, each request may end before the next one comes: until enough
  // of them were computed together.
  bool were_together = false;
  while (!were_together) {
    const EngineStats before = llm.stats();
    std::vector<std::jthread> threads;
    std::latch start(kRequests);
    for (int i = 0; i < kRequests; ++i) {
      threads.emplace_back([&, i] {
        start.arrive_and_wait();
        const auto output = llm.generate(varied_prompt(i), varied_options(i));
        EXPECT_EQ(output.outputs[0].token_ids, alone[static_cast<std::size_t>(i)])
            << "request " << i;
      });
    }
    threads.clear();
    const EngineStats after = llm.stats();
    were_together =
        after.n_generated_tokens - before.n_generated_tokens > (after.n_steps - before.n_steps) * 4;
  }
  expect_idle(llm);
}

TEST(Llm, RandomCancellationsLeaveNothingBehind) {
  const LLM llm(kGguf, {.n_threads = 2});
  constexpr int kThreads = 10;
  constexpr int kEach = 100;
  std::atomic<int> n_cut{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (int i = 0; i < kEach; ++i) {
        auto options = varied_options(t * kEach + i);
        options.n = 1 + i % 2;
        auto stream = llm.generate_iterator(varied_prompt(i), options);
        const int reads = static_cast<int>(random() % 12);
        bool ended = false;
        for (int k = 0; k < reads && !ended; ++k) ended = stream.next() == nullptr;
        if (!ended) ++n_cut;
        if (random() % 3 == 0) stream.cancel();
      }
    });
  }
  threads.clear();
  EXPECT_GT(n_cut, kThreads * kEach / 10);  // a sixth of them reads one output at most
  expect_idle(llm);
}

TEST(Llm, JsonHasEveryField) {
  const auto output = shared_llm().generate(
      std::vector<std::int32_t>{1, 403}, {.max_new_tokens = 2, .temperature = 0.0F, .logprobs = 1});
  const base::Json json = base::Json::parse(to_json(output), "output");
  for (const char* field :
       {"prompt", "finished", "outputs", "prompt_token_ids", "prompt_logprobs", "request_id",
        "n_cached_tokens", "error", "usage", "timing", "receipt"}) {
    EXPECT_NE(json.find(field), nullptr) << field;
  }
  const base::Json& chunk = json.find("outputs")->as_array("outputs")[0];
  for (const char* field : {"index", "text", "token_ids", "cumulative_logprob", "logprobs",
                            "finish_reason", "delta", "n_delta_tokens"}) {
    EXPECT_NE(chunk.find(field), nullptr) << field;
  }
  EXPECT_EQ(chunk.find("logprobs")->as_array("logprobs")[0].as_object("entry").size(), 1U);
}

}  // namespace
}  // namespace openllm
