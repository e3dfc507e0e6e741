// Requests with a source text: what an encoder reads, whole and once for all choices.

#include <gmock/gmock.h>

#include "engine/test_bench.h"

namespace openllm::engine::test {
namespace {

using testing::HasSubstr;

/// A full group, and a cross group of `cross_blocks`.
EngineOptions source_options(int full_blocks = 64, int cross_blocks = 16) {
  EngineOptions o = small_options(4, full_blocks);
  o.kv_groups[1] = {};
  o.kv_groups[1].kind = kv::KvKind::kCross;
  o.blocks_per_group = {full_blocks, cross_blocks};
  o.max_source_len = 24;
  return o;
}

Request source_request(const std::string& id, int n_source, int max_new, int n_choices = 1) {
  Request r;
  r.id = id;
  r.prompt_ids = {2};
  for (int i = 0; i < n_source; ++i)
    r.source_ids.push_back((i * 5 + static_cast<int>(id.size()) + id.back()) % kVocab);
  r.max_new_tokens = max_new;
  r.n_choices = n_choices;
  r.sampling.temperature = 0.9F;
  r.sampling.seed = 5;
  return r;
}

void expect_answers(const RecordingSink& sink, const Request& r, const EngineOptions& options) {
  for (int i = 0; i < r.n_choices; ++i) {
    const Expected expected = expected_answer(r, i, kVocab, options);
    EXPECT_EQ(sink.tokens[static_cast<std::size_t>(i)], expected.tokens) << r.id << " " << i;
    EXPECT_EQ(sink.reasons[static_cast<std::size_t>(i)], expected.reason) << r.id;
  }
}

TEST(Source, IsEncodedOnceForAllChoices) {
  Bench bench(source_options());
  Request r = source_request("a", 11, 9, 3);
  const auto sink = bench.submit(r);
  bench.run_all();
  expect_answers(*sink, r, bench.options);
  EXPECT_EQ(bench.runner.n_source_rows, 11U);
}

TEST(Source, ManyTogetherAnswerAsAlone) {
  Bench bench(source_options());
  std::vector<Request> requests;
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (int i = 0; i < 12; ++i) {
    requests.push_back(source_request("r" + std::to_string(i), 1 + (i * 7) % 24, 3 + i, 1 + i % 2));
    sinks.push_back(bench.submit(requests.back()));
  }
  bench.run_all();
  for (std::size_t i = 0; i < requests.size(); ++i)
    expect_answers(*sinks[i], requests[i], bench.options);
  EXPECT_GT(bench.runner.most_sequences, 1U);
  EXPECT_EQ(bench.engine.stats().n_cached_tokens, 0) << "prefixes depend on the source";
}

TEST(Source, APreemptedSequenceEncodesItsSourceAgain) {
  Bench bench(source_options(7, 64));
  std::vector<Request> requests;
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  std::size_t n_rows = 0;
  for (int i = 0; i < 4; ++i) {
    requests.push_back(source_request("r" + std::to_string(i), 9 + i, 20));
    n_rows += requests.back().source_ids.size();
    sinks.push_back(bench.submit(requests.back()));
  }
  bench.run_all();
  for (std::size_t i = 0; i < requests.size(); ++i)
    expect_answers(*sinks[i], requests[i], bench.options);
  EXPECT_GT(bench.engine.stats().n_preemptions, 0);
  EXPECT_GT(bench.runner.n_source_rows, n_rows);
}

TEST(Source, WaitsWhileItsBlocksAreHeld) {
  Bench bench(source_options(64, 6));  // one source of 24 tokens fills the cross group
  Request first = source_request("a", 24, 6);
  Request second = source_request("b", 20, 4);
  const auto a = bench.submit(first);
  const auto b = bench.submit(second);
  bench.run_all();
  expect_answers(*a, first, bench.options);
  expect_answers(*b, second, bench.options);
  EXPECT_EQ(bench.runner.most_sequences, 1U);
}

TEST(Source, CancellingFreesItsBlocks) {
  Bench bench(source_options());
  Request r = source_request("a", 20, 50, 2);
  const auto sink = bench.submit(r);
  for (int i = 0; i < 5; ++i) bench.engine.step();
  EXPECT_LT(bench.engine.stats().n_blocks_free, bench.engine.stats().n_blocks_total);
  bench.engine.cancel("a");
  bench.run_all();
  EXPECT_EQ(sink->reasons[1], FinishReason::kCancelled);
}

TEST(Source, IsRefusedWhereItDoesNotFit) {
  const auto refusal = [](Bench& bench, Request r) -> std::string {
    try {
      bench.submit(r);
    } catch (const Error& error) {
      return error.what();
    }
    return "taken";
  };
  Bench bench(source_options());
  EXPECT_THAT(refusal(bench, source_request("a", 25, 3)), HasSubstr("too long for the encoder"));
  EXPECT_THAT(refusal(bench, source_request("a", 0, 3)), HasSubstr("empty prompt"));
  Request r = source_request("a", 3, 3);
  r.source_ids[1] = kVocab;
  EXPECT_THAT(refusal(bench, r), HasSubstr("no such id"));
  r = source_request("a", 3, 3);
  r.n_prompt_logprobs = 0;
  EXPECT_THAT(refusal(bench, r), HasSubstr("prompt_logprobs"));
  Bench plain;
  EXPECT_THAT(refusal(plain, source_request("a", 3, 3)), HasSubstr("no encoder"));
}

}  // namespace
}  // namespace openllm::engine::test
