// The step that the device gets, field by field.

#include "engine/build_step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/test_bench.h"

namespace openllm::engine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class BuildStep : public testing::Test {
 protected:
  BuildStep() { step_.block_tables.resize(2); }

  static kv::KvGroupSpec window(int size) {
    kv::KvGroupSpec spec;
    spec.kind = kv::KvKind::kWindow;
    spec.window = size;
    return spec;
  }

  RequestState& add(Request request) {
    auto state = std::make_unique<RequestState>(std::move(request), 1000);
    requests_.push_back(std::move(state));
    return *requests_.back();
  }
  /// Gives a choice blocks for `n_computed + n_rows` positions and puts it in the batch.
  Sequence& plan(RequestState& r, int n_computed, int n_rows, std::size_t choice = 0) {
    Sequence& s = *r.choices[choice];
    s.n_computed = n_computed;
    s.n_rows = n_rows;
    EXPECT_TRUE(cache_.grow(s.blocks, n_computed + n_rows));
    cache_.trim(s.blocks, n_computed);
    batch_.push_back(&s);
    return s;
  }

  kv::BlockCache cache_{{kv::KvGroupSpec{}, window(6)}, {32, 32}, 4};
  std::vector<std::unique_ptr<RequestState>> requests_;
  std::vector<Sequence*> batch_;
  step::Step step_;
};

Request request_of(std::vector<std::int32_t> ids, int max_new) {
  Request r;
  r.prompt_ids = std::move(ids);
  r.max_new_tokens = max_new;
  return r;
}

TEST_F(BuildStep, SequencesFollowEachOtherWithAllTheirFields) {
  Request first = request_of({10, 11, 12, 13, 14}, 7);
  first.adapter = 3;
  plan(add(first), 0, 3);
  RequestState& second = add(request_of({20, 21}, 30));
  second.choices[0]->id = 8;
  second.choices[0]->tokens.push_back(22);
  second.choices[0]->tokens.push_back(23);
  plan(second, 3, 1);
  build_step(batch_, step_);

  EXPECT_THAT(step_.token_ids, ElementsAre(10, 11, 12, 23));
  EXPECT_THAT(step_.positions, ElementsAre(0, 1, 2, 3));
  ASSERT_EQ(step_.sequences.size(), 2U);
  const step::SequenceRows& a = step_.sequences[0];
  const step::SequenceRows& b = step_.sequences[1];
  EXPECT_THAT((std::vector{a.first_row, a.n_rows, a.past_len, a.adapter, a.rope_len}),
              ElementsAre(0, 3, 0, 3, 12));
  EXPECT_THAT((std::vector{b.first_row, b.n_rows, b.past_len, b.adapter, b.rope_len}),
              ElementsAre(3, 1, 3, 0, 32));
  EXPECT_EQ(b.sequence_id, 8);
  EXPECT_THAT(step_.logit_rows, ElementsAre(3));  // the first one's prompt goes on
  EXPECT_EQ(second.choices[0]->first_output, 0);
}

TEST_F(BuildStep, RopeLengthIsThatOfTheWholeAnswerInEveryStep) {
  RequestState& r = add(request_of({1, 2, 3, 4, 5, 6, 7, 8}, 100));
  r.max_new = 9;  // as admitted: clipped to the room that there is
  plan(r, 0, 5);
  for (int i = 0; i < 3; ++i) {
    build_step(batch_, step_);
    EXPECT_EQ(step_.sequences[0].rope_len, 17);
    r.choices[0]->n_computed += 1;
    r.choices[0]->n_rows = 1;
  }
}

TEST_F(BuildStep, TablesHaveEveryBlockAndMinusOneForFreedOnes) {
  RequestState& r = add(request_of(std::vector<std::int32_t>(40, 1), 1));
  const Sequence& s = plan(r, 15, 3);  // position 15 sees 10 to 15: blocks 2 on, of 5
  const Sequence& t = plan(add(request_of({1, 2, 3, 4, 5}, 1)), 0, 5);
  build_step(batch_, step_);
  ASSERT_EQ(step_.block_tables.size(), 2U);
  for (std::size_t g = 0; g < 2; ++g) {
    const step::BlockTable& table = step_.block_tables[g];
    EXPECT_THAT(table.begin, ElementsAre(0, 5, 7)) << g;
    ASSERT_EQ(table.ids.size(), 7U);
    for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(table.ids[i], s.blocks.table(g)[i].id());
    for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(table.ids[5 + i], t.blocks.table(g)[i].id());
    for (std::size_t i = 0; i < 7; ++i) EXPECT_EQ(table.ids[i] < 0, g == 1 && i < 2) << g << i;
  }
  build_step(batch_, step_);  // nothing is left of the step before
  EXPECT_THAT(step_.block_tables[0].begin, ElementsAre(0, 5, 7));
  EXPECT_EQ(step_.token_ids.size(), 8U);
}

struct OutputCase {
  int n_prompt_logprobs;
  bool prompt_logits;
  int max_new;
  int n_reported;
  int n_computed, n_rows;
  std::vector<std::int32_t> rows;
};

TEST_F(BuildStep, OutputRowsAreTheReportedOnesAndTheLast) {
  const std::vector<OutputCase> cases = {
      {-1, false, 4, 0, 0, 5, {}},   // a chunk of the prompt
      {-1, false, 4, 0, 0, 6, {5}},  // all of it: a token is drawn
      {-1, false, 4, 0, 5, 1, {0}},
      {1, false, 4, 0, 0, 3, {0, 1, 2}},           // logprobs of what follows each row
      {1, false, 4, 0, 0, 6, {0, 1, 2, 3, 4, 5}},  // five reports, and the draw
      {1, false, 4, 3, 3, 3, {0, 1, 2}},
      {1, false, 4, 3, 0, 6, {3, 4, 5}},  // again after a preemption: reported once
      {1, false, 4, 5, 0, 6, {5}},
      {1, false, 0, 0, 0, 5, {0, 1, 2, 3, 4}},     // nothing is drawn: one row less to compute
      {-1, true, 4, 0, 0, 6, {0, 1, 2, 3, 4, 5}},  // the last is reported and drawn from, once
      {-1, true, 4, 0, 2, 2, {0, 1}},
      {-1, true, 0, 5, 5, 1, {0}},
  };
  int number = 0;
  for (const OutputCase& c : cases) {
    SCOPED_TRACE(number++);
    batch_.clear();
    Request request = request_of({1, 2, 3, 4, 5, 6}, c.max_new);
    request.n_prompt_logprobs = c.n_prompt_logprobs;
    request.prompt_logits = c.prompt_logits;
    // Another sequence before it moves its rows by two and its outputs by one.
    Sequence& before = plan(add(request_of({7, 8}, 1)), 0, 2);
    Sequence& s = plan(add(request), c.n_computed, c.n_rows);
    s.n_reported = c.n_reported;
    build_step(batch_, step_);
    std::vector<std::int32_t> want = {1};
    for (const std::int32_t row : c.rows) want.push_back(row + 2);
    EXPECT_EQ(step_.logit_rows, want);
    EXPECT_EQ(s.first_output, 1);
    EXPECT_EQ(before.first_output, 0);
    before.blocks.clear();
    s.blocks.clear();
  }
}

TEST_F(BuildStep, AnEmptyBatchIsAnEmptyStep) {
  build_step(batch_, step_);
  EXPECT_THAT(step_.token_ids, IsEmpty());
  EXPECT_THAT(step_.sequences, IsEmpty());
  EXPECT_THAT(step_.block_tables[1].begin, ElementsAre(0));
}

}  // namespace
}  // namespace openllm::engine
