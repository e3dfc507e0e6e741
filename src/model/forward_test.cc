// What a model promises beyond the goldens: hostile batches are refused, given embeddings,
// prefix visibility, RoPE that depends on length.

#include <cmath>

#include "model/test_support.h"

namespace openllm::model::test {
namespace {

class ForwardTest : public testing::Test {
 protected:
  void SetUp() override {
    device_ = device::make_device("reference", {});
    ModelOptions options;
    options.max_rows = 8;
    options.max_output_rows = 4;
    options.kv_block_size = 4;
    model_ = Model::load(small_llama(), *device_, options);
    model_->allocate_kv({3});
  }

  std::vector<float> run(const step::Step& step) {
    const float* logits = model_->forward(step).logits;
    return {logits, logits + step.logit_rows.size() * 11};
  }
  std::string refusal() {
    const Error error = error_of([&] { run(step_); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
    return error.what();
  }

  /// Three rows of one sequence.
  step::Step step_{.token_ids = {1, 2, 3},
                   .positions = {0, 1, 2},
                   .sequences = {{0, 3, 0}},
                   .block_tables = {{{1}, {0, 1}}},
                   .logit_rows = {2}};
  std::unique_ptr<device::Device> device_;
  std::unique_ptr<Model> model_;
};

TEST_F(ForwardTest, GoodBatchRuns) {
  const std::vector<float> logits = run(step_);
  for (const float value : logits) EXPECT_TRUE(std::isfinite(value));
}

TEST_F(ForwardTest, BadTokenIds) {
  for (const std::int32_t id : {11, -1, -2, 2147483647}) {
    step_.token_ids[1] = id;
    EXPECT_THAT(refusal(), testing::HasSubstr("token id out of range"));
  }
}

TEST_F(ForwardTest, BadRows) {
  step_.token_ids.clear();
  EXPECT_THAT(refusal(), testing::HasSubstr("no rows"));
  step_.token_ids.assign(9, 1);
  EXPECT_THAT(refusal(), testing::HasSubstr("too many rows"));
  step_.token_ids.assign(2, 1);
  EXPECT_THAT(refusal(), testing::HasSubstr("positions"));
  step_.token_ids.assign(3, 1);
  step_.positions[0] = -1;
  EXPECT_THAT(refusal(), testing::HasSubstr("negative position"));
}

TEST_F(ForwardTest, BadOutputRows) {
  for (const std::vector<std::int32_t>& rows :
       {std::vector<std::int32_t>{3}, {-1}, {1, 1}, {2, 1}, {0, 1, 2, 3, 4}}) {
    step_.logit_rows = rows;
    EXPECT_THAT(refusal(), testing::HasSubstr("output row"));
  }
}

TEST_F(ForwardTest, BadSequences) {
  for (const step::SequenceRows& sequence : {step::SequenceRows{0, 2, 0},
                                             {0, 4, 0},
                                             {1, 2, 0},
                                             {0, 0, 0},
                                             {0, 3, -1},
                                             {0, 2147483647, 0}}) {
    step_.sequences = {sequence};
    EXPECT_THAT(refusal(), testing::HasSubstr("sequences"));
  }
}

TEST_F(ForwardTest, BadBlocks) {
  step_.block_tables[0].ids = {3};
  EXPECT_THAT(refusal(), testing::HasSubstr("block id out of range"));
  step_.block_tables[0].ids = {-1};
  EXPECT_THAT(refusal(), testing::HasSubstr("block id out of range"));
  step_.block_tables[0].ids = {};
  EXPECT_THAT(refusal(), testing::HasSubstr("block table range"));
  step_.block_tables[0].ids = {1};
  step_.block_tables[0].begin = {0};
  EXPECT_THAT(refusal(), testing::HasSubstr("block table 0"));
  step_.block_tables[0].begin = {0, 0};
  EXPECT_THAT(refusal(), testing::HasSubstr("too few blocks"));
  step_.block_tables[0].begin = {-1, 1};
  EXPECT_THAT(refusal(), testing::HasSubstr("block table range"));
}

TEST_F(ForwardTest, NoOutputsStillFillTheCache) {
  const std::vector<float> whole = run(step_);
  step_.token_ids = {1, 2};
  step_.positions = {0, 1};
  step_.sequences = {{0, 2, 0}};
  step_.logit_rows = {};
  step_.block_tables[0].ids = {2};
  run(step_);
  step_.token_ids = {3};
  step_.positions = {2};
  step_.sequences = {{0, 1, 2}};
  step_.logit_rows = {0};
  EXPECT_EQ(run(step_), whole);
}

TEST_F(ForwardTest, GivenEmbeddingsReplaceLookedUpOnes) {
  const std::vector<float> expected = run(step_);
  const MemoryCheckpoint checkpoint = small_llama();
  const auto* table =
      reinterpret_cast<const float*>(checkpoint.find("model.embed_tokens.weight")->bytes.data());
  const std::vector<float> given(table + 2 * 8, table + 3 * 8);  // of token 2
  step_.token_ids[1] = -1;
  step_.embeddings = given;
  EXPECT_EQ(run(step_), expected);
  step_.embeddings.pop_back();
  EXPECT_THAT(refusal(), testing::HasSubstr("embeddings"));
}

TEST_F(ForwardTest, VisibleEndWidensAndNarrows) {
  step_.logit_rows = {0, 2};
  const std::vector<float> causal = run(step_);
  step_.visible_end = {0, 1, 2};
  EXPECT_EQ(run(step_), causal);
  step_.visible_end = {2, 2, 2};
  EXPECT_NE(run(step_), causal);
  step_.visible_end = {0, 1, 3};
  EXPECT_THAT(refusal(), testing::HasSubstr("visible end"));
}

TEST_F(ForwardTest, HiddenStatesOfSomeRows) {
  step_.logit_rows = {0, 2};
  const std::vector<float> expected = run(step_);
  step_.logit_rows = {2};
  step_.hidden_rows = {0, 2};
  const step::Outputs outputs = model_->forward(step_);
  EXPECT_TRUE(std::equal(outputs.logits, outputs.logits + 11, expected.begin() + 11));
  const MemoryCheckpoint checkpoint = small_llama();
  const auto* head =
      reinterpret_cast<const float*>(checkpoint.find("lm_head.weight")->bytes.data());
  for (std::size_t row = 0; row < 2; ++row) {
    for (std::size_t v = 0; v < 11; ++v) {
      double sum = 0.0;
      for (std::size_t d = 0; d < 8; ++d) {
        sum +=
            static_cast<double>(outputs.hidden[row * 8 + d]) * static_cast<double>(head[v * 8 + d]);
      }
      EXPECT_NEAR(sum, static_cast<double>(expected[row * 11 + v]), 1e-5) << row << " " << v;
    }
  }
  step_.hidden_rows = {1, 0};
  EXPECT_THAT(refusal(), testing::HasSubstr("output row"));
}

TEST_F(ForwardTest, AdaptersThatAreNotMountedAreRefused) {
  step_.sequences[0].adapter = 1;
  EXPECT_THAT(refusal(), testing::HasSubstr("adapter"));
}

// Files mix types within a layer: such tensors go up as several weights, with the same result.
TEST(MixedTypesTest, SameNumbersAsOneType) {
  for (const char* device : {"reference", "cpu"}) {
    for (const char* name : {"self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj"}) {
      MemoryCheckpoint mixed = small_llama();
      MemoryCheckpoint plain = small_llama();
      const std::string tensor = "model.layers.0." + std::string(name) + ".weight";
      mixed.round_to_f16(tensor, false);
      plain.round_to_f16(tensor, true);
      Runner mixed_model(mixed, device);
      Runner plain_model(plain, device);
      const std::vector<float> expected = plain_model.step({{0, {1, 5, 3}}});
      const std::vector<float> got = mixed_model.step({{0, {1, 5, 3}}});
      for (std::size_t i = 0; i < expected.size(); ++i) {
        ASSERT_NEAR(got[i], expected[i], 1e-5F) << device << " " << name;
      }
    }
  }
}

TEST(GrowingRopeTest, LengthIsPartOfTheSequence) {
  MemoryCheckpoint checkpoint = small_llama();
  checkpoint.mutable_config()["rope_scaling"] =
      base::Json::parse(R"({"type": "dynamic", "factor": 3.0})", "test");
  checkpoint.mutable_config()["max_position_embeddings"] = 16;
  const std::vector<std::int32_t> ids = {1, 2, 3, 4, 5, 6};
  Runner plain(checkpoint, "reference");
  EXPECT_TRUE(plain.model().spec().rope_depends_on_length());
  const std::vector<float> expected = plain.step({{0, ids}});
  plain.set_rope_len(16);
  EXPECT_EQ(plain.step({{1, ids}}), expected);
  plain.set_rope_len(30);
  const std::vector<float> grown = plain.step({{2, ids}});
  EXPECT_NE(grown, expected);
  // Chunks and neighbours make no difference.
  std::vector<float> chunked = plain.step({{3, {1, 2}}});
  const std::vector<float> rest = plain.step({{3, {3, 4, 5, 6}}});
  chunked.insert(chunked.end(), rest.begin(), rest.end());
  EXPECT_EQ(chunked, grown);
}

TEST(LearnedPositionTest, BeyondTheTableIsRefused) {
  const auto checkpoint = format::open_checkpoint(data_path("gpt2"));
  Runner model(*checkpoint, "reference");
  EXPECT_NO_THROW(model.step({{0, std::vector<std::int32_t>(64, 1)}}));
  EXPECT_EQ(error_of([&] { model.step({{0, {1}}}); }).code(), ErrorCode::kInvalidArgument);
}

TEST(KvGroupTest, WindowsHaveTheirOwnTables) {
  const auto checkpoint = format::open_checkpoint(data_path("gemma3"));
  Runner model(*checkpoint, "reference");
  const auto& groups = model.model().kv_groups();
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0].kind, kv::KvKind::kWindow);
  EXPECT_EQ(groups[0].window, 10);
  EXPECT_EQ(groups[0].layers, (std::vector<int>{0, 1, 2, 3, 4, 6}));
  EXPECT_EQ(groups[1].kind, kv::KvKind::kFull);
  EXPECT_EQ(groups[1].layers, std::vector<int>{5});
}

}  // namespace
}  // namespace openllm::model::test
