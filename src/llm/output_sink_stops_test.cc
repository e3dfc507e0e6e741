// How answers end, choice by choice: stop strings and the engine that is told of them, counts over
// choices, logprobs.

#include "llm/output_sink.h"

#include <gmock/gmock.h>

#include <future>
#include <utility>

#include "llm/test_tokenizer.h"

namespace openllm::llm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// A double: records what it is told.
class RecordingBackend final : public backend::Backend {
 public:
  backend::Capabilities capabilities() const noexcept override { return {}; }
  int vocab_size() const noexcept override { return 8; }
  int max_model_len() const noexcept override { return 64; }
  std::string device() const override { return "none"; }
  std::string isa() const override { return "none"; }
  void submit(engine::Request /*request*/) override {}
  void cancel(const std::string& id) override { cancelled.push_back(id); }
  void stop_choice(const std::string& id, int choice) override { stopped.emplace_back(id, choice); }
  EngineStats stats() const override { return {}; }
  void shut_down(const base::Failure& /*failure*/) override {}

  std::vector<std::string> cancelled;
  std::vector<std::pair<std::string, int>> stopped;
};

class SinkTest : public testing::Test {
 protected:
  void start(int n_choices, TextRules rules, bool with_tokenizer = true) {
    if (worker_ != nullptr) settle();
    mailbox_ =
        std::make_shared<Mailbox>(n_choices, true, [](const std::function<void()>&) { FAIL(); });
    worker_ = std::make_shared<base::Worker>();
    sink_ = std::make_shared<OutputSink>("request", n_choices, mailbox_, worker_);
    sink_->configure(std::move(rules), with_tokenizer ? tokenizer_ : nullptr, backend_);
  }
  /// Waits until the output thread has done everything that it was given.
  void settle() {
    std::promise<void> done;
    worker_->post([&done] { done.set_value(); });
    done.get_future().wait();
  }
  void tell(int choice, std::initializer_list<const char*> pieces) {
    for (const char* piece : pieces) {
      sink_->on_token(choice, {tokenizer_->find_token(piece).value(), -0.5F, {}});
    }
  }
  void end(int choice, FinishReason reason = FinishReason::kLength, int cached = 0) {
    sink_->on_end(choice, reason, cached, {});
  }
  static std::string text(const ChoiceUpdate& choice) {
    std::string out;
    for (const chat::Segment& segment : choice.segments) out += segment.text;
    return out;
  }

  std::shared_ptr<TestTokenizer> tokenizer_ = std::make_shared<TestTokenizer>(
      std::vector<std::string>{"a", "b", "ab", "END", "EN", "D", "\xC3", "<end>"});
  std::shared_ptr<RecordingBackend> backend_ = std::make_shared<RecordingBackend>();
  std::shared_ptr<Mailbox> mailbox_;
  std::shared_ptr<base::Worker> worker_;
  std::shared_ptr<OutputSink> sink_;
};

TEST_F(SinkTest, TheEngineIsToldOfEachStopStringOnce) {
  start(3, {.stop = {"END"}});
  tell(0, {"a", "EN"});
  tell(1, {"b", "EN", "D", "a", "END"});
  tell(2, {"a", "END", "b"});
  tell(0, {"b"});
  for (int choice = 0; choice < 3; ++choice) end(choice);
  const Update update = mailbox_->wait();
  EXPECT_TRUE(update.finished);
  EXPECT_EQ(text(update.choices[0]), "aENb");
  EXPECT_EQ(text(update.choices[1]), "b");
  EXPECT_EQ(text(update.choices[2]), "a");
  EXPECT_EQ(update.choices[0].finish_reason, FinishReason::kLength);
  EXPECT_EQ(update.choices[1].finish_reason, FinishReason::kStop);
  EXPECT_EQ(update.choices[2].finish_reason, FinishReason::kStop);
  // Tokens sampled in the meantime are nobody's.
  EXPECT_THAT(update.choices[1].token_ids, ElementsAre(1, 4, 5));
  EXPECT_THAT(update.choices[2].token_ids, ElementsAre(0, 3));
  EXPECT_DOUBLE_EQ(update.choices[2].logprob_sum, -1.0);
  settle();
  EXPECT_THAT(backend_->stopped,
              testing::UnorderedElementsAre(std::pair("request", 1), std::pair("request", 2)));
  EXPECT_THAT(backend_->cancelled, IsEmpty());
}

TEST_F(SinkTest, NoStopStringCountsAmongTheFirstTokens) {
  // Text of the first `min` tokens is not searched; a string that goes on behind them is none.
  struct Case {
    int min;
    const char* text;
    std::size_t n_tokens;
  };
  for (const Case& c : {Case{0, "", 1}, Case{1, "END", 2}, Case{2, "ENDEND", 3},
                        Case{3, "ENDENDEND", 4}, Case{4, "ENDENDENDEND", 4}}) {
    start(1, {.stop = {"END"}, .min_new_tokens = c.min});
    tell(0, {"END", "END", "END", "END"});
    end(0);
    const Update update = mailbox_->wait();
    EXPECT_EQ(text(update.choices[0]), c.text) << c.min;
    EXPECT_EQ(update.choices[0].token_ids.size(), c.n_tokens) << c.min;
  }
  start(1, {.stop = {"END"}, .min_new_tokens = 1});
  tell(0, {"EN", "D", "a"});
  end(0);
  EXPECT_EQ(text(mailbox_->wait().choices[0]), "ENDa");
}

TEST_F(SinkTest, TextThatComesAtTheEndMayCompleteAStop) {
  // Half a character is held back; at the end it becomes U+FFFD, which the stop string ends with.
  start(2, {.stop = {"b\xEF\xBF\xBD"}});
  tell(0, {"a", "b", "\xC3"});
  tell(1, {"a", "b"});
  end(0);
  end(1);
  const Update update = mailbox_->wait();
  EXPECT_EQ(text(update.choices[0]), "a");
  EXPECT_EQ(update.choices[0].finish_reason, FinishReason::kStop);
  EXPECT_EQ(text(update.choices[1]), "ab");  // held back until then
  EXPECT_EQ(update.choices[1].finish_reason, FinishReason::kLength);
}

TEST_F(SinkTest, StopsMayBelongToTheText) {
  for (const bool include : {false, true}) {
    start(1, {.stop = {"END"}, .include_stop = include});
    tell(0, {"a", "EN", "D"});
    end(0);
    EXPECT_EQ(text(mailbox_->wait().choices[0]), include ? "aEND" : "a");
    start(1, {.skip_special_tokens = false, .include_stop = include, .stop_token_ids = {7}});
    tell(0, {"a", "<end>"});
    end(0, FinishReason::kStop);
    const Update update = mailbox_->wait();
    EXPECT_EQ(text(update.choices[0]), include ? "a<end>" : "a");
    EXPECT_THAT(update.choices[0].token_ids, ElementsAre(0, 7));
    EXPECT_EQ(update.choices[0].finish_reason, FinishReason::kStop);
  }
}

TEST_F(SinkTest, CachedTokensAreThoseOfThePromptNotOfEveryChoice) {
  start(3, {});
  end(0, FinishReason::kLength, 5);
  end(1, FinishReason::kLength, 8);
  end(2, FinishReason::kLength, 8);
  EXPECT_EQ(mailbox_->wait().n_cached_tokens, 8);
  start(1, {.stop = {"END"}});
  tell(0, {"END"});
  end(0, FinishReason::kCancelled, 4);  // it has its end already
  Update update = mailbox_->wait();
  EXPECT_EQ(update.choices[0].finish_reason, FinishReason::kStop);
}

TEST_F(SinkTest, EveryEndHasItsReason) {
  for (const FinishReason reason : {FinishReason::kStop, FinishReason::kLength,
                                    FinishReason::kCancelled, FinishReason::kDeadline}) {
    start(1, {});
    end(0, reason);
    const Update update = mailbox_->wait();
    EXPECT_EQ(update.choices[0].finish_reason, reason);
    EXPECT_TRUE(update.finished);
    EXPECT_FALSE(update.error);
  }
}

TEST_F(SinkTest, LogprobsHaveTheChosenTokenFirstAndOnce) {
  const auto ids = [](const TokenLogprobs& list) {
    std::vector<std::int32_t> out;
    for (const auto& entry : list) out.push_back(entry.token_id);
    return out;
  };
  for (const bool wanted : {true, false}) {
    start(1, {.want_logprobs = wanted}, false);
    sink_->on_token(0, {3, -2.0F, {{5, -0.5F}, {3, -2.0F}, {4, -3.0F}}});
    sink_->on_token(0, {1, -9.0F, {{5, -0.5F}}});
    sink_->on_token(0, {2, -1.0F, {}});
    end(0);
    const Update update = mailbox_->wait();
    EXPECT_DOUBLE_EQ(update.choices[0].logprob_sum, -12.0);
    ASSERT_EQ(update.choices[0].logprobs.size(), wanted ? 3U : 0U);
    if (!wanted) continue;
    EXPECT_THAT(ids(update.choices[0].logprobs[0]), ElementsAre(3, 5, 4));
    EXPECT_THAT(ids(update.choices[0].logprobs[1]), ElementsAre(1, 5));
    EXPECT_THAT(ids(update.choices[0].logprobs[2]), ElementsAre(2));
  }
}

TEST_F(SinkTest, PromptLogprobsBeginWithAnEmptyListAndJoin) {
  start(1, {.vocab_size = 2}, false);
  sink_->on_prompt_logprobs(1, {{4, -1.0F, {}}, {5, -2.0F, {}}});
  sink_->on_prompt_logprobs(3, {{6, -3.0F, {}}});
  const std::vector<float> logits = {1.0F, 2.0F, 3.0F, 4.0F, 5.0F, 6.0F, 7.0F};
  sink_->on_prompt_logits(0, 2, logits.data());
  sink_->on_prompt_logits(2, 1, logits.data() + 4);
  end(0);
  const Update update = mailbox_->wait();
  ASSERT_EQ(update.prompt_logprobs.size(), 4U);
  EXPECT_THAT(update.prompt_logprobs[0], IsEmpty());
  EXPECT_EQ(update.prompt_logprobs[3][0].token_id, 6);
  EXPECT_THAT(update.prompt_logits, ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST_F(SinkTest, CancellingReachesTheBackendUntilItIsGone) {
  start(1, {});
  EXPECT_FALSE(sink_->is_cancelled());
  sink_->cancel();
  EXPECT_TRUE(sink_->is_cancelled());
  EXPECT_THAT(backend_->cancelled, ElementsAre("request"));
  backend_.reset();
  sink_->cancel();  // nobody to tell
}

TEST_F(SinkTest, TheEngineIsNotToldAgainWhenOthersGoOn) {
  start(2, {.stop = {"END"}});
  tell(0, {"END"});
  settle();
  tell(1, {"a"});
  settle();
  end(1);
  settle();
  EXPECT_THAT(backend_->stopped, ElementsAre(std::pair("request", 0)));
}

TEST_F(SinkTest, AChoiceThatHasEndedHearsOfNoFailure) {
  start(1, {.stop = {"END"}});
  tell(0, {"END"});
  sink_->on_end(0, FinishReason::kError, 0, {ErrorCode::kIo, "device: went away"});
  const Update update = mailbox_->wait();
  EXPECT_TRUE(update.finished);
  EXPECT_FALSE(update.error.has_value());
  EXPECT_EQ(update.choices[0].finish_reason, FinishReason::kStop);
}

TEST_F(SinkTest, TheFirstTokenHasItsTimeOnce) {
  const auto mailbox =
      std::make_shared<Mailbox>(1, false, [](const std::function<void()>&) { FAIL(); });
  const auto worker = std::make_shared<base::Worker>();
  const auto sink = std::make_shared<OutputSink>("request", 1, mailbox, worker);
  sink->configure({}, nullptr, {});
  sink->on_token(0, {1, -0.5F, {}});
  const Timing first = mailbox->wait().timing;
  ASSERT_TRUE(first.first_token_s.has_value());
  EXPECT_FALSE(first.queued_s.has_value()) << "no step was told of";
  sink->on_start(std::chrono::steady_clock::now());
  sink->on_token(0, {2, -0.5F, {}});
  const Timing second = mailbox->wait().timing;
  EXPECT_EQ(second.first_token_s, first.first_token_s);
  EXPECT_GE(second.queued_s.value(), 0.0);
  EXPECT_GE(second.total_s, first.total_s);
}

TEST_F(SinkTest, AnEndWithoutTheEngineIsThatOfEveryChoice) {
  start(2, {});
  sink_->end_all(nullptr);
  Update update = mailbox_->wait();
  EXPECT_TRUE(update.finished);
  EXPECT_FALSE(update.error.has_value());
  for (const ChoiceUpdate& choice : update.choices)
    EXPECT_EQ(choice.finish_reason, FinishReason::kCancelled);
  start(2, {});
  const base::Failure failure{ErrorCode::kIo, "gone"};
  sink_->end_all(&failure);
  update = mailbox_->wait();
  EXPECT_EQ(update.error->code(), ErrorCode::kIo);
  for (const ChoiceUpdate& choice : update.choices)
    EXPECT_EQ(choice.finish_reason, FinishReason::kError);
}

}  // namespace
}  // namespace openllm::llm
