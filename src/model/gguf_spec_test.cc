// What the metadata of GGUF files must say: keys that change the numbers are read or refused, and
// what contradicts the tensors is an error.

#include "model/test_support.h"

namespace openllm::model::test {
namespace {

/// A file of that architecture with the keys that all have, and a table of tokens.
MemoryCheckpoint file_of(const std::string& architecture, int n_layers) {
  base::Json config = base::Json::object();
  config["general.architecture"] = architecture;
  config[architecture + ".block_count"] = n_layers;
  config[architecture + ".embedding_length"] = 16;
  config[architecture + ".feed_forward_length"] = 8;
  config[architecture + ".attention.head_count"] = 2;
  MemoryCheckpoint checkpoint(format::Checkpoint::Kind::kGguf, std::move(config));
  checkpoint.add("token_embd.weight", {5, 16});
  return checkpoint;
}

void expect_refusal(const MemoryCheckpoint& checkpoint, ErrorCode code, const std::string& what) {
  const Error error = error_of([&] { read_spec(checkpoint); });
  EXPECT_EQ(error.code(), code) << error.what();
  EXPECT_THAT(error.what(), testing::HasSubstr(what));
}

TEST(GgufSpecTest, KeysThatChangeTheNumbersAreReadOrRefused) {
  struct Key {
    const char* name;
    const char* neutral;
    const char* other;
  };
  for (const Key& key :
       {Key{"attention.sliding_window", "0", "4"}, Key{"final_logit_softcapping", "0.0", "30.0"},
        Key{"attention.value_scale", "1.0", "0.5"}, Key{"attention.causal", "true", "false"},
        Key{"swiglu_clamp_exp", "[0.0, 0.0]", "[0.0, 7.0]"}}) {
    MemoryCheckpoint checkpoint = file_of("arcee", 2);
    const std::string name = std::string("arcee.") + key.name;
    checkpoint.mutable_config()[name] = base::Json::parse(key.neutral, "test");
    EXPECT_EQ(read_spec(checkpoint).n_layers(), 2) << key.name;
    checkpoint.mutable_config()[name] = base::Json::parse(key.other, "test");
    expect_refusal(checkpoint, ErrorCode::kUnsupported, key.name);
  }
}

TEST(GgufSpecTest, LayersWithoutHeadsAreForHybrids) {
  MemoryCheckpoint plain = file_of("arcee", 2);
  plain.mutable_config()["arcee.attention.head_count_kv"] = base::Json::parse("[0, 2]", "test");
  expect_refusal(plain, ErrorCode::kUnsupported, "head_count_kv");

  MemoryCheckpoint hybrid = file_of("jamba", 2);
  base::Json& config = hybrid.mutable_config();
  for (const char* key : {"ssm.inner_size", "ssm.state_size", "ssm.conv_kernel"})
    config[std::string("jamba.") + key] = 16;
  config["jamba.ssm.time_step_rank"] = 2;
  config["jamba.attention.head_count_kv"] = base::Json::parse("[0, 2]", "test");
  const ModelSpec spec = read_spec(hybrid);
  EXPECT_TRUE(std::holds_alternative<MambaSpec>(spec.layers[0].mixer));
  EXPECT_EQ(std::get<SelfAttentionSpec>(spec.layers[1].mixer).n_kv_heads, 2);
  config["jamba.attention.head_count_kv"] = base::Json::parse("[2]", "test");
  expect_refusal(hybrid, ErrorCode::kCorruptData, "head_count_kv");
  config["jamba.attention.head_count_kv"] = base::Json::parse("[1, 2]", "test");
  expect_refusal(hybrid, ErrorCode::kUnsupported, "head_count_kv");
  config["jamba.attention.head_count_kv"] = base::Json::parse("[0, 2]", "test");
  config["jamba.ssm.inner_size"] = 24;
  expect_refusal(hybrid, ErrorCode::kUnsupported, "inner_size");
}

TEST(GgufSpecTest, HeadsThatTurnInPartHaveNoOrderInGraniteHybrid) {
  MemoryCheckpoint checkpoint = file_of("granitehybrid", 2);
  base::Json& config = checkpoint.mutable_config();
  for (const char* key : {"ssm.inner_size", "ssm.state_size", "ssm.conv_kernel"})
    config[std::string("granitehybrid.") + key] = 16;
  config["granitehybrid.ssm.time_step_rank"] = 4;
  config["granitehybrid.attention.head_count_kv"] = base::Json::parse("[0, 2]", "test");
  checkpoint.add("blk.0.ffn_up.weight", {8, 16});
  EXPECT_EQ(read_spec(checkpoint).ropes.size(), 1U);
  config["granitehybrid.rope.dimension_count"] = 4;
  expect_refusal(checkpoint, ErrorCode::kUnsupported, "rope.dimension_count");
  config["granitehybrid.rope.scaling.finetuned"] = false;
  EXPECT_TRUE(read_spec(checkpoint).ropes.empty());
}

}  // namespace
}  // namespace openllm::model::test
