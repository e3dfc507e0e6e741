// Everything that devices index with, at its bounds: the last value that is taken and the first
// that is refused.

#include "model/step_check.h"

#include <functional>

#include "model/test_support.h"

namespace openllm::model::test {
namespace {

/// Two sequences: four rows from the start, and one behind nine others.
step::Step good_step() {
  return {
      .token_ids = {1, 2, 3, 4, 5},
      .positions = {0, 1, 2, 3, 9},
      .sequences = {{.first_row = 0, .n_rows = 4}, {.first_row = 4, .n_rows = 1, .past_len = 9}},
      .block_tables = {{{0, 1, 2, 3}, {0, 1, 4}}, {{0, -1, 2, 3}, {0, 1, 4}}},
      .logit_rows = {3, 4}};
}

class StepCheck : public testing::Test {
 protected:
  StepCheck() {
    spec_.vocab_size = 20;
    spec_.dim = 3;
    spec_.head.emplace();
    groups_.resize(2);
    groups_[1].kind = kv::KvKind::kWindow;
    groups_[1].window = 5;
  }
  /// "" when the step is taken.
  std::string refusal() const {
    try {
      check_step(step_, spec_,
                 {max_rows_, max_output_rows_, max_sequences_, 4, &blocks_, &groups_, &adapters_,
                  whole_sequences_});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      return error.what();
    }
    return "";
  }
  /// The change makes the step wrong for this reason.
  void expect_refusal(const char* words, const std::function<void(step::Step&)>& change) {
    const step::Step before = step_;
    EXPECT_EQ(refusal(), "") << "before: " << words;
    change(step_);
    EXPECT_THAT(refusal(), testing::HasSubstr(words));
    step_ = before;
  }
  void expect_taken(const std::function<void(step::Step&)>& change) {
    const step::Step before = step_;
    change(step_);
    EXPECT_EQ(refusal(), "");
    step_ = before;
  }

  int max_rows_ = 5;
  int max_sequences_ = 4;
  int max_output_rows_ = 2;
  bool whole_sequences_ = false;
  ModelSpec spec_{};
  std::vector<int> blocks_{4, 4};
  std::vector<kv::KvGroupSpec> groups_{};
  step::Step step_ = good_step();

 private:
  // A model without adapters.
  const MemoryCheckpoint checkpoint_ = small_llama();
  const ModuleLayout layout_{};
  const std::function<void(double)> progress_{};
  const std::unique_ptr<device::Device> device_ = device::make_device("reference", {});
  WeightLoader loader_{checkpoint_, {&layout_, &layout_}, *device_, progress_};
  const Adapters adapters_{loader_};
};

TEST_F(StepCheck, LimitsOfTheStepAreInclusive) {
  EXPECT_EQ(refusal(), "");
  max_rows_ = 4;
  EXPECT_THAT(refusal(), testing::HasSubstr("too many rows (expected at most 4, got 5)"));
  max_rows_ = 5;
  max_output_rows_ = 1;
  EXPECT_THAT(refusal(), testing::HasSubstr("too many output rows (expected at most 1, got 2)"));
  max_output_rows_ = 2;
  // Hidden states have rows of their own, up to those of the step together.
  expect_taken([](step::Step& s) { s.hidden_rows = {0, 1, 2}; });
  expect_refusal("too many rows with results (expected at most 5, got 6)", [](step::Step& s) {
    s.hidden_rows = {0, 1, 2, 3};
  });
}

TEST_F(StepCheck, TokenIdsAndEmbeddings) {
  expect_taken([](step::Step& s) { s.token_ids = {0, 19, 0, 19, 0}; });
  for (const std::int32_t id : {20, -1, -2}) {
    expect_refusal("row 2: token id out of range (expected 0 to 19",
                   [&](step::Step& s) { s.token_ids[2] = id; });
  }
  expect_taken([](step::Step& s) {
    s.token_ids[0] = s.token_ids[4] = -1;
    s.embeddings.assign(6, 0.0F);
  });
  for (const std::size_t n : {3U, 5U, 7U, 9U}) {
    expect_refusal("wrong number of embeddings (expected 6", [&](step::Step& s) {
      s.token_ids[0] = s.token_ids[4] = -1;
      s.embeddings.assign(n, 0.0F);
    });
  }
  expect_refusal("embeddings", [](step::Step& s) { s.embeddings.assign(3, 0.0F); });
  expect_refusal("row 1: token id out of range", [](step::Step& s) {
    s.token_ids[0] = -1;
    s.token_ids[1] = -2;
    s.embeddings.assign(3, 0.0F);
  });
}

TEST_F(StepCheck, PositionsAndTheirTable) {
  expect_refusal("row 0: negative position", [](step::Step& s) { s.positions[0] = -1; });
  expect_refusal("wrong number of positions", [](step::Step& s) { s.positions.pop_back(); });
  expect_refusal("wrong number of positions", [](step::Step& s) { s.positions.push_back(0); });
  spec_.embedding.n_positions = 12;
  spec_.embedding.position_offset = 2;
  EXPECT_EQ(refusal(), "");  // position 9 is row 11
  expect_refusal("row 4: position beyond the model's table (expected less than 10, got 10)",
                 [](step::Step& s) { s.positions[4] = 10; });
}

TEST_F(StepCheck, OutputRowsRiseWithinTheStep) {
  expect_taken([](step::Step& s) { s.logit_rows = {0, 4}; });
  expect_taken([](step::Step& s) { s.logit_rows.clear(); });
  expect_taken([](step::Step& s) {  // the same row may give both
    s.logit_rows = {4};
    s.hidden_rows = {4};
  });
  for (const auto& rows : {std::vector<std::int32_t>{5}, {-1}, {2, 2}, {3, 2}}) {
    expect_refusal("bad output row", [&](step::Step& s) { s.logit_rows = rows; });
    expect_refusal("bad output row", [&](step::Step& s) {
      s.logit_rows.clear();
      s.hidden_rows = rows;
    });
  }
  spec_.head.reset();
  EXPECT_THAT(refusal(), testing::HasSubstr("gives no logits"));
  step_.hidden_rows = step_.logit_rows;
  step_.logit_rows.clear();
  EXPECT_EQ(refusal(), "");
}

TEST_F(StepCheck, SequencesCoverTheRowsInOrder) {
  using Change = std::function<void(step::Step&)>;
  const std::vector<std::pair<const char*, Change>> cases = {
      {"cover the rows in order", [](step::Step& s) { s.sequences[0].first_row = 1; }},
      {"cover the rows in order", [](step::Step& s) { s.sequences[1].first_row = 3; }},
      {"cover the rows in order", [](step::Step& s) { s.sequences[1].n_rows = 0; }},
      {"cover the rows in order", [](step::Step& s) { s.sequences[1].past_len = -1; }},
      {"cover the rows in order", [](step::Step& s) { s.sequences[1].rope_len = -1; }},
      {"more rows than the step", [](step::Step& s) { s.sequences[1].n_rows = 2; }},
      {"do not cover all rows", [](step::Step& s) { s.sequences.pop_back(); }},
      {"no such adapter is mounted", [](step::Step& s) { s.sequences[1].adapter = 1; }},
      {"wrong source length", [](step::Step& s) { s.sequences[0].source_len = 1; }},
      {"encoded whole", [](step::Step& s) { s.sequences[0].n_source_rows = 1; }},
      {"wrong number of source tokens", [](step::Step& s) { s.source_ids = {1}; }},
  };
  for (const auto& [words, change] : cases) expect_refusal(words, change);
}

TEST_F(StepCheck, VisibleEndsAreWithinTheirSequence) {
  expect_taken([](step::Step& s) { s.visible_end = {3, 0, 3, 3, 9}; });
  const std::vector<std::vector<std::int32_t>> bad = {
      {4, 0, 3, 3, 9}, {3, -1, 3, 3, 9}, {3, 0, 3, 3, 10}};
  for (const auto& ends : bad) {
    expect_refusal("visible end out of range", [&](step::Step& s) { s.visible_end = ends; });
  }
  for (const std::size_t n : {4U, 6U}) {
    expect_refusal("wrong number of visible ends",
                   [&](step::Step& s) { s.visible_end.assign(n, 0); });
  }
}

TEST_F(StepCheck, BlockTablesHaveWhatTheRowsRead) {
  expect_taken([](step::Step& s) { s.block_tables[0].ids = {3, 3, 0, 0}; });
  for (const std::int32_t id : {4, -1}) {
    expect_refusal("sequence 1: block id out of range (expected 0 to 3",
                   [&](step::Step& s) { s.block_tables[0].ids[3] = id; });
  }
  blocks_[1] = 3;
  EXPECT_THAT(refusal(), testing::HasSubstr("expected 0 to 2, got 3"));
  blocks_[1] = 4;
  // The second sequence has positions 0 to 9: three blocks, full or not.
  expect_refusal("sequence 1: too few blocks (expected 3, got 2)", [](step::Step& s) {
    s.block_tables[0].ids.pop_back();
    s.block_tables[0].begin[2] = 3;
  });
  expect_taken([](step::Step& s) {  // more than needed do no harm
    s.block_tables[0].ids.push_back(-1);
    s.block_tables[0].begin[2] = 5;
  });
  for (const auto& begin : {std::vector<std::int32_t>{0, 1, 5}, {-1, 1, 4}, {0, 5, 4}}) {
    expect_refusal("bad block table range",
                   [&](step::Step& s) { s.block_tables[0].begin = begin; });
  }
  expect_refusal("expected 3 bounds, got 2",
                 [](step::Step& s) { s.block_tables[1].begin.pop_back(); });
  expect_refusal("wrong number of block tables", [](step::Step& s) { s.block_tables.pop_back(); });
}

TEST_F(StepCheck, FreedBlocksLieBeforeTheWindowOfTheFirstRow) {
  // Position 9 sees 5 to 9: block 0 is not read, block 1 is.
  expect_taken([](step::Step& s) { s.block_tables[1].ids = {0, -1, 2, 3}; });
  for (const std::size_t i : {2U, 3U}) {
    expect_refusal("sequence 1: block id out of range",
                   [&](step::Step& s) { s.block_tables[1].ids[i] = -1; });
  }
  expect_refusal("sequence 0: block id out of range",
                 [](step::Step& s) { s.block_tables[1].ids[0] = -1; });
  groups_[1].window = 6;  // 4 to 9
  EXPECT_EQ(refusal(), "");
  groups_[1].window = 7;  // 3 to 9: block 0 is read
  EXPECT_THAT(refusal(), testing::HasSubstr("block id out of range"));
}

TEST_F(StepCheck, SourcesComeWholeOrNotAtAll) {
  spec_.encoder.emplace();
  groups_[1] = {};
  groups_[1].kind = kv::KvKind::kCross;
  step_.block_tables[1] = {{0, 1, 2}, {0, 2, 3}};
  step_.sequences[0].source_len = 5;
  step_.sequences[1].source_len = 4;
  EXPECT_EQ(refusal(), "");  // encoded before
  expect_taken([](step::Step& s) {
    s.sequences[0].n_source_rows = 5;
    s.source_ids = {0, 19, 1, 2, 3};
  });
  const auto encode_both = [](step::Step& s) {
    s.sequences[0].n_source_rows = 5;
    s.sequences[1].n_source_rows = 4;
    s.source_ids.assign(9, 1);
  };
  expect_refusal("source tokens (expected 9, at most 5", encode_both);
  max_rows_ = 9;
  expect_taken(encode_both);
  expect_refusal("wrong number of source tokens", [&](step::Step& s) {
    encode_both(s);
    s.source_ids.pop_back();
  });
  expect_refusal("encoded whole (expected 5 rows or none, got 4)", [](step::Step& s) {
    s.sequences[0].n_source_rows = 4;
    s.source_ids.assign(4, 1);
  });
  for (const std::int32_t id : {20, -1}) {
    expect_refusal("source token id out of range", [&](step::Step& s) {
      encode_both(s);
      s.source_ids[8] = id;
    });
  }
  expect_refusal("wrong source length 0", [](step::Step& s) { s.sequences[0].source_len = 0; });
  // Cross blocks hold the source, whatever the sequence's own length.
  expect_refusal("sequence 0: too few blocks (expected 2, got 1)", [](step::Step& s) {
    s.block_tables[1].begin = {0, 1, 3};
  });
}

TEST_F(StepCheck, EncodersReadWholeSequences) {
  whole_sequences_ = true;
  EXPECT_THAT(refusal(), testing::HasSubstr("sequence 1: an encoder reads whole sequences"));
  step_.sequences[1].past_len = 0;
  step_.block_tables[1].ids[1] = 1;  // its window begins there now
  EXPECT_EQ(refusal(), "");
}

}  // namespace
}  // namespace openllm::model::test
