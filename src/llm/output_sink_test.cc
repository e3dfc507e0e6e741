#include "llm/output_sink.h"

#include <gtest/gtest.h>

#include <future>

#include "base/failing_new.h"

namespace openllm::llm {
namespace {

constexpr std::size_t kVocab = 3;

/// Tells the sink of a request with logprobs and logits of one event of each kind, while allocation
/// number `n` fails. True when there were that many.
bool tell(OutputSink& sink, long n) {
  std::vector<engine::TokenEvent> events(2);
  for (engine::TokenEvent& event : events) event.top.resize(2);
  engine::TokenEvent token{2, -0.5F, {}};
  const std::vector<float> logits(2 * kVocab, 1.0F);
  const base::FailingNew failing(n);
  sink.on_prompt_logprobs(1, std::move(events));
  sink.on_prompt_logits(0, 2, logits.data());
  sink.on_token(0, std::move(token));
  sink.on_end(0, FinishReason::kLength, 0, {});
  return failing.has_failed();
}

TEST(OutputSink, ALackOfMemoryEndsTheRequestAndIsTold) {
  int n_errors = 0;
  for (long n = 0;; ++n) {
    SCOPED_TRACE("allocation " + std::to_string(n));
    const auto mailbox =
        std::make_shared<Mailbox>(1, false, [](const std::function<void()>&) { FAIL(); });
    const auto sink =
        std::make_shared<OutputSink>("r", 1, mailbox, std::make_shared<base::Worker>());
    TextRules rules;
    rules.vocab_size = kVocab;
    sink->configure(std::move(rules), nullptr, {});
    const bool failed = tell(*sink, n);

    Update all;
    while (!all.error && !all.finished) {
      Update update = mailbox->wait();
      all.error = std::move(update.error);
      all.finished = update.finished;
      const std::vector<std::int32_t>& ids = update.choices.at(0).token_ids;
      for (const std::int32_t id : ids) EXPECT_EQ(id, 2);
    }
    if (all.error) {
      EXPECT_EQ(all.error->code(), ErrorCode::kResourceExhausted);
      EXPECT_STREQ(all.error->what(), "out of memory");
      EXPECT_TRUE(sink->is_cancelled());
      ++n_errors;
    }
    EXPECT_EQ(failed, all.error.has_value());
    if (!failed || HasFailure()) break;
  }
  EXPECT_GT(n_errors, 5);
}

TEST(OutputSink, TheLastTokenComesWithTheEnd) {
  const auto mailbox =
      std::make_shared<Mailbox>(1, false, [](const std::function<void()>&) { FAIL(); });
  const auto worker = std::make_shared<base::Worker>();
  const auto sink = std::make_shared<OutputSink>("r", 1, mailbox, worker);
  sink->configure({}, nullptr, {});
  const auto wait_for_worker = [&] {
    std::promise<void> done;
    worker->post([&] { done.set_value(); });
    done.get_future().wait();
  };
  engine::TokenEvent token{1, -0.5F, {}};
  sink->on_token(0, token);
  wait_for_worker();
  EXPECT_EQ(mailbox->wait().choices[0].token_ids, (std::vector<std::int32_t>{1}));
  token.token = 2;
  token.is_last = true;
  sink->on_token(0, token);
  wait_for_worker();
  EXPECT_FALSE(mailbox->ready());
  sink->on_end(0, FinishReason::kLength, 0, {});
  const Update last = mailbox->wait();
  EXPECT_EQ(last.choices[0].token_ids, (std::vector<std::int32_t>{2}));
  EXPECT_EQ(last.choices[0].finish_reason, FinishReason::kLength);
  EXPECT_TRUE(last.finished);
}

TEST(OutputSink, ReadersAreToldOfTheFirstTokenOfEverySoManyAndOfTheEnd) {
  const auto mailbox = std::make_shared<Mailbox>(2, false, [](const std::function<void()>&) {});
  const auto sink = std::make_shared<OutputSink>("r", 2, mailbox, std::make_shared<base::Worker>());
  TextRules rules;
  rules.stream_interval = 3;
  sink->configure(std::move(rules), nullptr, {});
  const auto push = [&](int choice, int n) {
    for (int i = 0; i < n; ++i) sink->on_token(choice, {7, -0.5F, {}});
  };
  const auto told = [&] {
    const Update update = mailbox->wait();
    return std::pair{update.choices.at(0).token_ids.size(), update.choices.at(1).token_ids.size()};
  };
  push(0, 1);
  EXPECT_EQ(told(), std::pair(std::size_t{1}, std::size_t{0}));
  push(0, 2);  // not yet
  push(1, 1);  // the first of this choice, and what the other one has
  EXPECT_EQ(told(), std::pair(std::size_t{2}, std::size_t{1}));
  push(1, 2);
  push(0, 2);
  push(1, 1);
  EXPECT_EQ(told(), std::pair(std::size_t{2}, std::size_t{3}));
  push(1, 1);
  sink->on_end(0, FinishReason::kLength, 0, {});
  EXPECT_EQ(told(), std::pair(std::size_t{0}, std::size_t{1}));
  push(1, 1);
  sink->on_end(1, FinishReason::kLength, 0, {});
  const Update last = mailbox->wait();
  EXPECT_EQ(last.choices.at(1).token_ids.size(), 1U);
  EXPECT_TRUE(last.finished);
}

TEST(OutputSink, AnErrorKeepsItsCode) {
  const auto mailbox =
      std::make_shared<Mailbox>(1, false, [](const std::function<void()>&) { FAIL(); });
  const auto sink = std::make_shared<OutputSink>("r", 1, mailbox, std::make_shared<base::Worker>());
  sink->configure({}, nullptr, {});
  sink->on_end(0, FinishReason::kError, 0, {ErrorCode::kIo, "device: went away"});
  const Update update = mailbox->wait();
  ASSERT_TRUE(update.error);
  EXPECT_EQ(update.error->code(), ErrorCode::kIo);
  EXPECT_STREQ(update.error->what(), "device: went away");
}

}  // namespace
}  // namespace openllm::llm
