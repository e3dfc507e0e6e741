// Models with recurrent mixers through the engine: prompts in chunks, prefixes taken over, several
// choices and preemption give the answers of transformers.

#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backend/native.h"
#include "format/model_source.h"
#include "model/test_support.h"

namespace openllm::backend {
namespace {

using model::test::Golden;

/// Answers of a request's choices; `wait` returns when all have ended.
class Answers final : public engine::EventSink {
 public:
  explicit Answers(int n_choices) : n_open_(n_choices) {
    tokens.resize(static_cast<std::size_t>(n_choices));
  }
  void on_prompt_logprobs(int, std::vector<engine::TokenEvent>) noexcept override {}
  void on_prompt_logits(int, int, const float*) noexcept override {}
  void on_token(int choice, engine::TokenEvent event) noexcept override {
    tokens[static_cast<std::size_t>(choice)].push_back(event.token);
    std::unique_lock lock(mutex_);
    has_token_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !is_held; });
  }
  void on_end(int, FinishReason, int cached, const base::Failure& failure) noexcept override {
    const std::lock_guard lock(mutex_);
    n_cached = cached;
    error = failure.message;
    --n_open_;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return n_open_ == 0; });
  }
  void wait_for_token() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return has_token_; });
  }
  void go_on() {
    const std::lock_guard lock(mutex_);
    is_held = false;
    changed_.notify_all();
  }

  std::vector<std::vector<std::int32_t>> tokens;
  int n_cached = -1;
  std::string error;
  bool is_held = false;  ///< on_token does not return.

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool has_token_ = false;
  int n_open_;
};

LoadOptions options_of(const std::string& device) {
  LoadOptions options;
  options.device = device;
  options.n_threads = 1;
  options.kv_block_size = 4;
  options.max_step_tokens = 8;
  options.max_sequences = 4;
  options.kv_cache_bytes = 1 << 22;
  return options;
}

std::shared_ptr<Answers> submit(Backend& backend, const std::string& id,
                                const std::vector<std::int32_t>& prompt, int max_new,
                                int n_choices = 1, int priority = 0, bool is_held = false) {
  auto answers = std::make_shared<Answers>(n_choices);
  answers->is_held = is_held;
  engine::Request request;
  request.id = id;
  request.prompt_ids = prompt;
  request.max_new_tokens = max_new;
  request.n_choices = n_choices;
  request.priority = priority;
  request.sampling.temperature = 0.0F;
  request.sink = answers;
  backend.submit(std::move(request));
  return answers;
}

class RecurrentTest : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Backend> load(const LoadOptions& options) const {
    return native_backend().load(format::open_model(model::test::data_path(GetParam())), options);
  }
  const Golden golden_ = model::test::read_golden(model::test::data_path(GetParam()));
  const int n_new_ = static_cast<int>(golden_.greedy.size());
};

TEST_P(RecurrentTest, APrefixIsTakenOverWithItsState) {
  for (const std::string device : {"reference", "cpu"}) {
    const auto backend = load(options_of(device));
    for (int round = 0; round < 3; ++round) {
      const auto answers = submit(*backend, "r", golden_.prompt, n_new_);
      answers->wait();
      EXPECT_EQ(answers->error, "");
      EXPECT_EQ(answers->tokens[0], golden_.greedy) << device << " round " << round;
      // The last full block before the end of the prompt, whose last row is computed anyway.
      const int whole = (static_cast<int>(golden_.prompt.size()) - 1) / 4 * 4;
      EXPECT_EQ(answers->n_cached, round == 0 ? 0 : whole) << device;
    }
    // The next turn of the conversation goes on from the state behind the answer.
    std::vector<std::int32_t> turn = golden_.prompt;
    turn.insert(turn.end(), golden_.greedy.begin(), golden_.greedy.end());
    turn.push_back(5);
    const auto next = submit(*backend, "next", turn, 6);
    next->wait();
    EXPECT_GT(next->n_cached, static_cast<int>(golden_.prompt.size()));
    LoadOptions plain = options_of(device);
    plain.prefix_caching = false;
    const auto without = load(plain);
    const auto same = submit(*without, "next", turn, 6);
    same->wait();
    EXPECT_EQ(same->n_cached, 0);
    EXPECT_EQ(next->tokens, same->tokens);
  }
}

TEST_P(RecurrentTest, ChoicesForkBehindThePrompt) {
  const auto backend = load(options_of("cpu"));
  const auto answers = submit(*backend, "r", golden_.prompt, n_new_, 3);
  answers->wait();
  for (const auto& tokens : answers->tokens) EXPECT_EQ(tokens, golden_.greedy);
}

TEST_P(RecurrentTest, PreemptedSequencesGetOn) {
  LoadOptions options = options_of("cpu");
  options.max_sequences = 1;
  for (const bool caches : {true, false}) {
    options.prefix_caching = caches;
    const auto backend = load(options);
    const auto first = submit(*backend, "first", golden_.prompt, n_new_, 1, 1, true);
    first->wait_for_token();
    // The engine stands still until this one has come, which takes the place.
    const auto second = submit(*backend, "second", golden_.prompt, n_new_, 1, 0);
    first->go_on();
    first->wait();
    second->wait();
    EXPECT_EQ(first->tokens[0], golden_.greedy);
    EXPECT_EQ(second->tokens[0], golden_.greedy);
    EXPECT_GT(backend->stats().n_preemptions, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, RecurrentTest,
                         testing::Values("lfm2", "mamba", "mamba2", "nemotron-h", "falcon-h1",
                                         "qwen3-next", "kimi-linear", "minimax", "recurrent-gemma",
                                         "rwkv", "zamba2"),
                         [](const auto& test) {
                           std::string name = test.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace openllm::backend
