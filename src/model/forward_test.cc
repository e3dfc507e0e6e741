// What the decoder promises beyond the goldens: hostile batches are refused, given embeddings,
// prefix visibility, RoPE that depends on length.

#include <cmath>

#include "model/test_support.h"

namespace openllm::model::test {
namespace {

class ForwardTest : public testing::Test {
 protected:
  void SetUp() override {
    device_ = device::make_device("reference", {});
    DecoderOptions options;
    options.max_rows = 8;
    options.max_output_rows = 4;
    options.kv_block_size = 4;
    decoder_ = Decoder::load(small_llama(), *device_, options);
    decoder_->allocate_kv({3});
  }

  /// Three rows of one sequence, then what the test changes.
  device::Batch batch() {
    device::Batch b;
    b.token_ids = ids_;
    b.positions = positions_;
    b.sequences = sequences_;
    tables_ = {{blocks_, begins_}};
    b.block_tables = tables_;
    b.output_rows = outputs_;
    return b;
  }
  std::vector<float> run(const device::Batch& b) {
    std::vector<float> logits(b.output_rows.size() * 11);
    decoder_->forward(b, logits.data());
    return logits;
  }
  std::string refusal() {
    const Error error = error_of([&] { run(batch()); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
    return error.what();
  }

  std::vector<std::int32_t> ids_ = {1, 2, 3};
  std::vector<std::int32_t> positions_ = {0, 1, 2};
  std::vector<std::int32_t> outputs_ = {2};
  std::vector<device::BatchSequence> sequences_ = {{0, 3, 0, 0, 0}};
  std::vector<std::int32_t> blocks_ = {1};
  std::vector<std::int32_t> begins_ = {0, 1};
  std::vector<device::BlockTable> tables_;
  std::unique_ptr<device::Device> device_;
  std::unique_ptr<Decoder> decoder_;
};

TEST_F(ForwardTest, GoodBatchRuns) {
  const std::vector<float> logits = run(batch());
  for (const float value : logits) EXPECT_TRUE(std::isfinite(value));
}

TEST_F(ForwardTest, BadTokenIds) {
  for (const std::int32_t id : {11, -1, -2, 2147483647}) {
    ids_[1] = id;
    EXPECT_THAT(refusal(), testing::HasSubstr("token id out of range"));
  }
}

TEST_F(ForwardTest, BadRows) {
  ids_.clear();
  EXPECT_THAT(refusal(), testing::HasSubstr("no rows"));
  ids_.assign(9, 1);
  EXPECT_THAT(refusal(), testing::HasSubstr("too many rows"));
  ids_.assign(2, 1);
  EXPECT_THAT(refusal(), testing::HasSubstr("positions"));
  ids_.assign(3, 1);
  positions_[0] = -1;
  EXPECT_THAT(refusal(), testing::HasSubstr("negative position"));
}

TEST_F(ForwardTest, BadOutputRows) {
  for (const std::vector<std::int32_t>& rows :
       {std::vector<std::int32_t>{3}, {-1}, {1, 1}, {2, 1}, {0, 1, 2, 3, 4}}) {
    outputs_ = rows;
    EXPECT_THAT(refusal(), testing::HasSubstr("output row"));
  }
}

TEST_F(ForwardTest, BadSequences) {
  for (const device::BatchSequence& sequence : {device::BatchSequence{0, 2, 0},
                                                {0, 4, 0},
                                                {1, 2, 0},
                                                {0, 0, 0},
                                                {0, 3, -1},
                                                {0, 2147483647, 0}}) {
    sequences_ = {sequence};
    EXPECT_THAT(refusal(), testing::HasSubstr("sequences"));
  }
}

TEST_F(ForwardTest, BadBlocks) {
  blocks_ = {3};
  EXPECT_THAT(refusal(), testing::HasSubstr("block id out of range"));
  blocks_ = {-1};
  EXPECT_THAT(refusal(), testing::HasSubstr("block id out of range"));
  blocks_ = {};
  EXPECT_THAT(refusal(), testing::HasSubstr("block table range"));
  blocks_ = {1};
  begins_ = {0};
  EXPECT_THAT(refusal(), testing::HasSubstr("block table 0"));
  begins_ = {0, 0};
  EXPECT_THAT(refusal(), testing::HasSubstr("too few blocks"));
  begins_ = {-1, 1};
  EXPECT_THAT(refusal(), testing::HasSubstr("block table range"));
}

TEST_F(ForwardTest, NoOutputsStillFillTheCache) {
  const std::vector<float> whole = run(batch());
  ids_ = {1, 2};
  positions_ = {0, 1};
  sequences_ = {{0, 2, 0, 0, 0}};
  outputs_ = {};
  blocks_ = {2};
  run(batch());
  ids_ = {3};
  positions_ = {2};
  sequences_ = {{0, 1, 2, 0, 0}};
  outputs_ = {0};
  EXPECT_EQ(run(batch()), whole);
}

TEST_F(ForwardTest, GivenEmbeddingsReplaceLookedUpOnes) {
  const std::vector<float> expected = run(batch());
  const MemoryCheckpoint checkpoint = small_llama();
  const auto* table =
      reinterpret_cast<const float*>(checkpoint.find("model.embed_tokens.weight")->bytes.data());
  const std::vector<float> given(table + 2 * 8, table + 3 * 8);  // of token 2
  ids_[1] = -1;
  device::Batch b = batch();
  b.embeddings = given.data();
  EXPECT_EQ(run(b), expected);
}

TEST_F(ForwardTest, VisibleEndWidensAndNarrows) {
  outputs_ = {0, 2};
  const std::vector<float> causal = run(batch());
  device::Batch b = batch();
  const std::vector<std::int32_t> own = {0, 1, 2};
  b.visible_end = own;
  EXPECT_EQ(run(b), causal);
  const std::vector<std::int32_t> all = {2, 2, 2};
  b.visible_end = all;
  EXPECT_NE(run(b), causal);
  const std::vector<std::int32_t> beyond = {0, 1, 3};
  b.visible_end = beyond;
  EXPECT_EQ(error_of([&] { run(b); }).code(), ErrorCode::kInvalidArgument);
}

TEST_F(ForwardTest, AdaptersAreRefused) {
  sequences_[0].adapter = 1;
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
  EXPECT_TRUE(plain.decoder().spec().rope_depends_on_length());
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
  const auto& groups = model.decoder().kv_groups();
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0].kind, kv::KvKind::kWindow);
  EXPECT_EQ(groups[0].window, 10);
  EXPECT_EQ(groups[0].layers, (std::vector<int>{0, 1, 2, 3, 4, 6}));
  EXPECT_EQ(groups[1].kind, kv::KvKind::kFull);
  EXPECT_EQ(groups[1].layers, std::vector<int>{5});
}

}  // namespace
}  // namespace openllm::model::test
