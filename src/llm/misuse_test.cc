// What programs do by mistake is an Error, not a crash.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "openllm/llm.h"
#include "openllm/runner.h"
#include "openllm/tokenizer.h"

// NOLINTBEGIN(*-use-after-move): what this is about
namespace openllm {
namespace {

const std::string kModel = std::string(OPENLLM_TEST_DATA) + "/stories260K/stories260K.gguf";

void expect_invalid(const char* what, const std::function<void()>& action) {
  try {
    action();
    ADD_FAILURE() << what << ": no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << what << ": " << error.what();
  }
}

TEST(Misuse, AnLlmThatWasMovedFrom) {
  LLM llm(kModel, {.n_threads = 1});
  LLM other = std::move(llm);
  EXPECT_EQ(llm.id(), "");
  EXPECT_FALSE(llm.is_loaded());
  const std::vector<std::pair<const char*, std::function<void()>>> actions{
      {"generate", [&] { (void)llm.generate("Once"); }},
      {"generate_iterator", [&] { (void)llm.generate_iterator("Once"); }},
      {"async_generate", [&] { (void)llm.async_generate("Once").get(); }},
      {"async_generate_iterator", [&] { (void)llm.async_generate_iterator("Once"); }},
      {"chat", [&] { (void)llm.chat({{.role = "user", .content = "Hi"}}); }},
      {"load", [&] { llm.load(); }},
      {"tag", [&] { (void)llm.tag(); }},
      {"info", [&] { (void)llm.info(); }},
      {"backend", [&] { (void)llm.backend(); }},
      {"config", [&] { (void)llm.config(); }},
      {"stats", [&] { (void)llm.stats(); }},
      {"runner", [&] { (void)llm.runner(); }},
      {"tokenizer", [&] { (void)llm.tokenizer(); }},
      {"eos_token_ids", [&] { (void)llm.eos_token_ids(); }},
      {"tokenize", [&] { (void)llm.tokenize("Once"); }},
      {"detokenize", [&] { (void)llm.detokenize({5}); }},
      {"token_text", [&] { (void)llm.token_text(5); }},
      {"apply_chat_template", [&] { (void)llm.apply_chat_template({}); }},
      {"logits", [&] { (void)llm.logits({5}); }}};
  for (const auto& [name, action] : actions) expect_invalid(name, action);
  llm = other;
  EXPECT_EQ(llm.id(), "stories260K");
}

TEST(Misuse, ErrorsNameTheirFieldAndReasonOnEveryThread) {
  const LLM llm(kModel, {.n_threads = 1});
  const auto expect = [&](const Prompt& prompt, const GenerateOptions& options, const char* where,
                          ErrorReason reason) {
    const std::function<void()> actions[] = {
        [&] { (void)llm.generate(prompt, options); },
        [&] { (void)llm.async_generate(prompt, options).get(); }};
    for (const auto& action : actions) {
      try {
        action();
        ADD_FAILURE() << where << ": no error";
      } catch (const Error& error) {
        EXPECT_EQ(error.where(), where) << error.what();
        EXPECT_EQ(error.reason(), reason) << error.what();
      }
    }
  };
  expect("Once", {.logit_bias = std::map<std::int32_t, float>{{99999, 1.0F}}}, "logit_bias",
         ErrorReason::kNone);
  expect(std::vector<std::int32_t>{-1}, {}, "prompt", ErrorReason::kNone);
  expect(std::vector<std::int32_t>(5000, 1), {}, "prompt", ErrorReason::kContextTooLong);
  expect(std::vector<Message>{{.role = "user", .content = "Hi"}}, {}, "messages",
         ErrorReason::kTemplateMissing);
  expect("Once", {.n = 0}, "n", ErrorReason::kNone);
  expect("Once", {.max_wait = std::chrono::milliseconds(-1)}, "max_wait", ErrorReason::kNone);
}

TEST(Misuse, FieldsOfMessagesBesideAnotherPrompt) {
  const LLM llm(kModel, {.n_threads = 1});
  const std::pair<const char*, GenerateOptions> cases[] = {
      {"add_generation_prompt", {.add_generation_prompt = false}},
      {"continue_final_message", {.continue_final_message = true}},
      {"special_tokens_in_messages", {.special_tokens_in_messages = true}},
      {"chat_template_json", {.chat_template_json = "{}"}},
      {"tools_json", {.tools_json = "[]"}}};
  for (const auto& [where, options] : cases) {
    for (const Prompt& prompt : {Prompt("Once"), Prompt({1, 403})}) {
      for (const auto& action : std::vector<std::function<void()>>{
               [&] { (void)llm.generate(prompt, options); },
               [&] { (void)llm.async_generate(prompt, options).get(); }}) {
        try {
          action();
          ADD_FAILURE() << where << ": no error";
        } catch (const Error& error) {
          EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
          EXPECT_EQ(error.where(), where) << error.what();
        }
      }
    }
  }
}

TEST(Misuse, APreTokenizerForAVocabularyThatHasNone) {
  const LLM llm(kModel, {.n_threads = 1, .tokenizer_pre = "llama-bpe"});
  try {
    (void)llm.tokenize("Once");
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
    EXPECT_EQ(error.where(), "tokenizer_pre") << error.what();
  }
}

TEST(Misuse, OneLayerThatSaysALengthInTwoWays) {
  expect_invalid("LoadOptions", [] {
    const LLM none(kModel, {.config = {.max_new_tokens = 3, .max_length = 40}});
  });
  expect_invalid("JSON", [] {
    (void)LLMConfig::model_construct_env(R"({"min_tokens": 3, "min_length": 4})");
  });
}

TEST(Misuse, ErrorsOfTheConstructorNameTheOptionOrTheFile) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "model"}, {"./nowhere", "model"}, {OPENLLM_TEST_DATA, OPENLLM_TEST_DATA}};
  for (const auto& [model, where] : cases) {
    try {
      const LLM llm(model);
      ADD_FAILURE() << model << ": no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.where(), where) << error.what();
    }
  }
  try {
    const LLM llm(kModel, {.backend = "other"});
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.where(), "backend") << error.what();
  }
}

TEST(Misuse, TheEndsOfAnswersAreKnownWithoutAConfiguration) {
  const LLM llm(kModel, {.n_threads = 1});
  ASSERT_TRUE(llm.config().eos_token_ids.empty());
  EXPECT_EQ(llm.eos_token_ids(), std::vector<std::int32_t>{2});
  EXPECT_EQ(llm.tokenizer().eos_token_ids(), std::vector<std::int32_t>{2});
  EXPECT_FALSE(llm.is_loaded());
  const LLM other(kModel, {.n_threads = 1, .config = {.eos_token_ids = {7, 8}}});
  EXPECT_EQ(other.eos_token_ids(), (std::vector<std::int32_t>{7, 8}));
}

TEST(Misuse, AStreamThatWasMovedFrom) {
  const LLM llm(kModel, {.n_threads = 1});
  GenerationStream stream = llm.generate_iterator("Once", {.max_new_tokens = 2});
  GenerationStream other = std::move(stream);
  EXPECT_EQ(stream.next(), nullptr);
  EXPECT_TRUE(stream.begin() == stream.end());
  stream.cancel();
  EXPECT_NE(other.next(), nullptr);
}

Task<bool> is_at_its_end(AsyncGenerationStream& stream) {
  co_await stream.accepted();
  co_return co_await stream.next() == nullptr;
}

TEST(Misuse, AnAsyncStreamThatWasMovedFrom) {
  const LLM llm(kModel, {.n_threads = 1});
  AsyncGenerationStream stream = llm.async_generate_iterator("Once", {.max_new_tokens = 2});
  AsyncGenerationStream other = std::move(stream);
  EXPECT_TRUE(is_at_its_end(stream).get());
  stream.cancel();
  EXPECT_FALSE(is_at_its_end(other).get());
}

Task<int> make_number() { co_return 5; }
Task<int> await_twice() {
  Task<int> number = make_number();
  const int first = co_await std::move(number);
  co_return first + co_await std::move(number);
}

TEST(Misuse, TasksThatRunTwiceOrWereMovedFrom) {
  Task<int> task = make_number();
  EXPECT_EQ(task.get(), 5);
  expect_invalid("get twice", [&] { task.get(); });
  Task<int> other = std::move(task);
  expect_invalid("get after the move", [&] { task.get(); });
  expect_invalid("get twice, moved", [&] { other.get(); });
  expect_invalid("co_await twice", [] { await_twice().get(); });
}

TEST(Misuse, NullPointers) {
  const LLM llm(kModel, {.n_threads = 1});
  const char* const null = nullptr;
  const std::vector<std::pair<const char*, std::function<void()>>> actions{
      {"generate", [&] { (void)llm.generate(nullptr); }},
      {"generate of a variable", [&] { (void)llm.generate(null); }},
      {"generate_iterator", [&] { (void)llm.generate_iterator(null); }},
      {"async_generate", [&] { (void)llm.async_generate(null); }},
      {"tokenize", [&] { (void)llm.tokenize(null); }},
      {"LLM", [&] { const LLM none(null); }},
      {"LLM of nullptr", [&] { const LLM none(nullptr); }}};
  for (const auto& [name, action] : actions) expect_invalid(name, action);
}

TEST(Misuse, IdsThatTheVocabularyDoesNotHave) {
  const LLM llm(kModel, {.n_threads = 1});
  for (const std::int32_t id : {-1, 512, 1 << 30}) {
    expect_invalid("detokenize", [&] { (void)llm.detokenize({5, id}); });
    expect_invalid("token_text", [&] { (void)llm.token_text(id); });
    expect_invalid("stop_token_ids", [&] {
      (void)llm.generate("Once", {.stop_token_ids = std::vector<std::int32_t>{3, id}});
    });
    expect_invalid("eos_token_ids",
                   [&] { const LLM none(kModel, {.config = {.eos_token_ids = {id}}}); });
  }
  EXPECT_EQ(llm.detokenize({511}), llm.token_text(511));
  EXPECT_TRUE(
      llm.generate("Once", {.max_new_tokens = 1, .stop_token_ids = std::vector{511}}).finished);
}

TEST(Misuse, LeastLengthsAboveTheGreatest) {
  const LLM llm(kModel, {.n_threads = 1, .config = {.min_new_tokens = 5}});
  expect_invalid("request",
                 [&] { (void)llm.generate("Once", {.max_new_tokens = 3, .min_new_tokens = 4}); });
  expect_invalid("default length", [&] { (void)llm.generate("Once", {.min_new_tokens = 129}); });
  expect_invalid("config", [&] {
    const LLM none(kModel, {.config = {.max_new_tokens = 3, .min_new_tokens = 4}});
  });
  // What only the defaults ask for gives way to the request.
  EXPECT_EQ(llm.generate("Once", {.max_new_tokens = 3}).outputs[0].token_ids.size(), 3U);
  EXPECT_EQ(llm.logits({1, 2}).size(), 2U * 512U);
}

TEST(Misuse, OptionsThatNothingCouldBeLoadedWith) {
  const std::pair<const char*, LoadOptions> cases[] = {
      {"n_threads", {.n_threads = -1}},
      {"n_threads", {.n_threads = 1 << 20}},
      {"max_model_len", {.max_model_len = -1}},
      {"max_model_len", {.max_model_len = 1 << 20}},
      {"max_step_tokens", {.max_step_tokens = 0}},
      {"max_sequences", {.max_sequences = 0}},
      {"max_queue", {.max_queue = -5}},
      {"kv_cache_bytes", {.kv_cache_bytes = -1}},
      {"kv_dtype", {.kv_dtype = "f17"}},
      {"kv_dtype", {.kv_dtype = ""}},
      {"device", {.device = "gpu9"}},
      {"kv_block_size", {.kv_block_size = 0}}};
  for (const auto& [where, options] : cases) {
    try {
      const LLM llm(kModel, options);
      ADD_FAILURE() << where << ": no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
      EXPECT_EQ(error.where(), where) << error.what();
    }
  }
  EXPECT_THROW(LLM(kModel, {.backend = "other"}), Error);
}

TEST(Misuse, ProgressThatThrowsIsAnErrorWithItNested) {
  const std::vector<std::function<void()>> throws{
      [] { throw std::runtime_error("stop"); }, [] { throw 5; },
      [] { throw Error(ErrorCode::kUnsupported, "stop"); }, [] { throw std::bad_alloc(); }};
  for (const char* const stage : {"loading tokenizer", "loading weights", "ready"}) {
    for (const auto& thrown : throws) {
      std::atomic<bool> is_armed{true};
      LoadOptions load{.n_threads = 1};
      load.progress = [&](const std::string& now, double) {
        if (is_armed && now == stage) thrown();
      };
      const LLM llm(kModel, load);
      for (const auto& action : std::vector<std::function<void()>>{
               [&] { (void)llm.async_generate("Once").get(); }, [&] { (void)llm.generate("Once"); },
               [&] { llm.load(); }}) {
        try {
          action();
          ADD_FAILURE() << stage << ": no error";
        } catch (const Error& error) {
          EXPECT_EQ(error.code(), ErrorCode::kCancelled) << stage << error.what();
          EXPECT_EQ(error.where(), "progress");
        }
      }
      const auto unpack = [&] {
        try {
          llm.load();
        } catch (const Error& error) {
          std::rethrow_if_nested(error);
        }
      };
      EXPECT_ANY_THROW(unpack()) << stage;
      EXPECT_FALSE(llm.is_loaded()) << stage;
      is_armed = false;
      EXPECT_TRUE(llm.generate("Once", {.max_new_tokens = 1}).finished) << stage;
    }
  }
}

TEST(Misuse, AProgressCallbackMayNotUseItsLlm) {
  std::unique_ptr<LLM> llm;
  std::atomic<int> n_told{0};
  LoadOptions load{.n_threads = 1};
  load.progress = [&](const std::string& stage, double) {
    if (stage != "loading tokenizer") return;
    for (const auto& action : std::vector<std::function<void()>>{
             [&] { llm->load(); }, [&] { (void)llm->generate("Once"); }, [&] { llm->unload(); }}) {
      expect_invalid("within progress", action);
      ++n_told;
    }
  };
  llm = std::make_unique<LLM>(kModel, load);
  llm->load();
  EXPECT_EQ(n_told, 3);
}

/// What waiting with `wait` gives where the coroutine resumes; nothing if the answer was there
/// before it had to wait for it.
Task<std::optional<ErrorCode>> try_to_wait_within(LLM llm, GenerateOptions options,
                                                  std::function<void()> wait) {
  const std::thread::id here = std::this_thread::get_id();
  auto stream = llm.async_generate_iterator("Once", options);
  while (co_await stream.next() != nullptr) {
  }
  if (std::this_thread::get_id() == here) co_return std::nullopt;
  try {
    wait();
  } catch (const Error& error) {
    co_return error.code();
  }
  co_return ErrorCode::kInternal;
}

ErrorCode wait_within(const LLM& llm, const GenerateOptions& options,
                      const std::function<void()>& wait) {
  std::optional<ErrorCode> code;
  while (!code) code = try_to_wait_within(llm, options, wait).get();
  return *code;
}

TEST(Misuse, AThreadThatRequestsNeedMayNotWaitForThem) {
  const LLM llm(kModel, {.n_threads = 1});
  const GenerateOptions short_answer{.max_new_tokens = 2, .output_kind = OutputKind::kFinalOnly};
  GenerateOptions in_place = short_answer;
  // It resumes on the thread that makes text of tokens.
  in_place.executor = [](const std::function<void()>& resume) { resume(); };
  const auto get = [&] { (void)llm.async_generate("Once", short_answer).get(); };
  EXPECT_EQ(wait_within(llm, short_answer, get), ErrorCode::kInvalidArgument);
  EXPECT_EQ(wait_within(llm, in_place, get), ErrorCode::kInvalidArgument);
  const auto block = [&] { (void)llm.generate("Once", short_answer); };
  EXPECT_EQ(wait_within(llm, in_place, block), ErrorCode::kInvalidArgument);
  // Where coroutines resume by themselves nothing is needed for that.
  EXPECT_EQ(wait_within(llm, short_answer, block), ErrorCode::kInternal) << "no error";
}

TEST(Misuse, AnExecutorThatThrowsIsReplaced) {
  const LLM llm(kModel, {.n_threads = 1});
  GenerateOptions options{.max_new_tokens = 3, .temperature = 0.0F};
  const std::string expected = llm.generate("Once", options).outputs[0].text;
  std::atomic<int> n_calls{0};
  options.executor = [&](const std::function<void()>& task) {
    if (++n_calls % 2 == 0) task();  // and then throws too
    throw std::runtime_error("shut down");
  };
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(llm.async_generate("Once", options).get().outputs[0].text, expected);
  EXPECT_GT(n_calls, 0);
}

TEST(Misuse, AGivenTemplateIsCheckedAtOnce) {
  try {
    (void)LLM(kModel, {.chat_template = "{% for m in %}"});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << "the caller's to mend";
  }
}

// The sanitizers' own locks do not survive a fork while other threads run.
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
/// What `action` returns in a forked process; -1 when it crashes or hangs.
int in_child(const std::function<int()>& action) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(300);
    ::_exit(action());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Misuse, AForkedProcessIsTold) {
  auto llm = std::make_unique<LLM>(kModel, LoadOptions{.n_threads = 1});
  const GenerateOptions options{.max_new_tokens = 3, .temperature = 0.0F};
  EXPECT_EQ(in_child([&] { return llm->generate("Once", options).finished ? 5 : 6; }), 5)
      << "nothing was started before";
  auto stream = std::make_unique<GenerationStream>(llm->generate_iterator("Once", options));
  stream->next();
  const auto is_told = [](const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.code() == ErrorCode::kUnsupported;
    }
    return false;
  };
  EXPECT_EQ(in_child([&] {
              int n = 0;
              n += is_told([&] { llm->generate("Once", options); }) ? 1 : 0;
              n += is_told([&] { llm->async_generate("Once", options).get(); }) ? 1 : 0;
              n += is_told([&] { (void)llm->logits({5}); }) ? 1 : 0;
              n += llm->tokenize("Once").empty() ? 0 : 1;  // needs no thread
              stream.reset();
              llm.reset();
              const LLM own(kModel, {.n_threads = 1});
              n += own.generate("Once", options).finished ? 1 : 0;
              return n;
            }),
            5);
  EXPECT_TRUE(llm->generate("Once", options).finished) << "the parent goes on";
}
#endif

}  // namespace
}  // namespace openllm
// NOLINTEND(*-use-after-move)
