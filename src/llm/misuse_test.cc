// What programs do by mistake is an Error, not a crash.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "openllm/llm.h"

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
      {"tokenize", [&] { (void)llm.tokenize("Once"); }},
      {"detokenize", [&] { (void)llm.detokenize({5}); }},
      {"token_text", [&] { (void)llm.token_text(5); }},
      {"apply_chat_template", [&] { (void)llm.apply_chat_template({}); }},
      {"logits", [&] { (void)llm.logits({5}); }}};
  for (const auto& [name, action] : actions) expect_invalid(name, action);
  llm = other;
  EXPECT_EQ(llm.id(), "stories260K");
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

}  // namespace
}  // namespace openllm
// NOLINTEND(*-use-after-move)
