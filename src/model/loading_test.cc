// Loading is total: whatever is wrong with configuration or tensors is told, naming the place,
// before anything large is allocated.

#include <cmath>

#include "model/test_support.h"
#include "model/weights/tensor_index.h"

namespace openllm::model::test {
namespace {

std::unique_ptr<Model> load(const format::Checkpoint& checkpoint, ModelOptions options = {}) {
  static const std::unique_ptr<device::Device> device = device::make_device("reference", {});
  return Model::load(checkpoint, *device, options);
}

TEST(LoadingTest, SmallLlamaLoads) {
  const auto model = load(small_llama());
  EXPECT_EQ(model->spec().architecture, "llama");
  EXPECT_EQ(attention_of(model->spec(), 0).head_dim, 4);
  EXPECT_FALSE(model->spec().head->tied);
  // embedding and output, final norm, and per layer: two norms, q, k, v, o, gate, up, down
  EXPECT_EQ(model->n_parameters(), 2 * 88 + 8 + 2 * (16 + 64 + 32 + 32 + 64 + 3 * 96));
  EXPECT_EQ(model->weight_bytes(), 4U * (88 + 8 + 2 * (16 + 64 + 32 + 32 + 64 + 3 * 96)));
  ASSERT_EQ(model->kv_groups().size(), 1U);
  EXPECT_EQ(model->kv_groups()[0].bytes_per_block, 32 * 2 * 2 * 4 * 4);
}

TEST(LoadingTest, ExpertsThatATokenDoesNotGoToAreCounted) {
  EXPECT_EQ(load(small_llama())->n_idle_parameters(), 0);
  const auto checkpoint = format::open_checkpoint(data_path("qwen3-moe"));
  // 2 layers, 4 of 6 experts, gate, up and down of 24 x 32
  EXPECT_EQ(load(*checkpoint)->n_idle_parameters(), 2 * 4 * 3 * 24 * 32);
}

TEST(LoadingTest, ProgressEndsAtOneAndNeverFalls) {
  ModelOptions options;
  std::vector<double> seen;
  options.progress = [&](double fraction) { seen.push_back(fraction); };
  load(small_llama(), options);
  ASSERT_FALSE(seen.empty());
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_EQ(seen.back(), 1.0);
}

TEST(LoadingTest, MissingTensorIsNamedWithItsShape) {
  MemoryCheckpoint checkpoint = small_llama();
  checkpoint.remove("model.layers.1.self_attn.k_proj.weight");
  const Error error = error_of([&] { load(checkpoint); });
  EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
  EXPECT_STREQ(
      error.what(),
      "memory: tensor model.layers.1.self_attn.k_proj.weight: missing (expected shape [4, 8])");
}

TEST(LoadingTest, SurplusTensorIsNamed) {
  MemoryCheckpoint checkpoint = small_llama();
  checkpoint.add("model.layers.0.self_attn.q_proj.bias", {8});
  const Error error = error_of([&] { load(checkpoint); });
  EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
  EXPECT_THAT(error.what(), testing::HasSubstr("model.layers.0.self_attn.q_proj.bias"));
}

TEST(LoadingTest, SurplusLayerIsNamed) {
  MemoryCheckpoint checkpoint = small_llama();
  checkpoint.mutable_config()["num_hidden_layers"] = 1;
  const Error error = error_of([&] { load(checkpoint); });
  EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
  EXPECT_THAT(error.what(), testing::HasSubstr("model.layers.1."));
}

TEST(LoadingTest, IgnoredTensorsAreIgnored) {
  MemoryCheckpoint checkpoint = small_llama();
  checkpoint.add("model.layers.0.self_attn.rotary_emb.inv_freq", {2});
  EXPECT_NO_THROW(load(checkpoint));
}

TEST(LoadingTest, WrongShapeTellsBoth) {
  MemoryCheckpoint checkpoint = small_llama();
  checkpoint.remove("model.layers.0.mlp.up_proj.weight");
  checkpoint.add("model.layers.0.mlp.up_proj.weight", {8, 12});
  const Error error = error_of([&] { load(checkpoint); });
  EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
  EXPECT_STREQ(error.what(),
               "memory: tensor model.layers.0.mlp.up_proj.weight: wrong shape (expected [12, 8], "
               "got [8, 12])");
}

TEST(LoadingTest, WeightThatIsNotFiniteIsNamed) {
  for (const char* name :
       {"input_layernorm.weight", "self_attn.v_proj.weight", "mlp.up_proj.weight"}) {
    for (const float value : {std::nanf(""), -HUGE_VALF}) {
      MemoryCheckpoint checkpoint = small_llama();
      const std::string tensor = std::string("model.layers.1.") + name;
      checkpoint.set(tensor, 3, value);
      const Error error = error_of([&] { load(checkpoint); });
      EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
      EXPECT_THAT(error.what(), testing::StartsWith("memory: tensor " + tensor +
                                                    ": element 3: not finite (expected a finite "
                                                    "number, got "));
    }
  }
}

TEST(LoadingTest, TiedWithoutOutputSharesOneUpload) {
  MemoryCheckpoint checkpoint = small_llama();
  checkpoint.mutable_config()["tie_word_embeddings"] = true;
  checkpoint.remove("lm_head.weight");
  EXPECT_TRUE(load(checkpoint)->spec().head->tied);
  // Only the output's tensor in the file serves as well.
  checkpoint.remove("model.embed_tokens.weight");
  checkpoint.add("lm_head.weight", {11, 8});
  EXPECT_TRUE(load(checkpoint)->spec().head->tied);
}

TEST(LoadingTest, TiedButDifferentOutputInFileWins) {
  MemoryCheckpoint checkpoint = small_llama();
  checkpoint.mutable_config()["tie_word_embeddings"] = true;
  EXPECT_FALSE(load(checkpoint)->spec().head->tied);
}

TEST(LoadingTest, UntiedWithoutOutputIsAnError) {
  MemoryCheckpoint checkpoint = small_llama();
  checkpoint.remove("lm_head.weight");
  EXPECT_THAT(error_of([&] { load(checkpoint); }).what(),
              testing::HasSubstr("lm_head.weight: missing"));
}

TEST(LoadingTest, NamesWithoutPrefix) {
  MemoryCheckpoint with = small_llama();
  MemoryCheckpoint without(format::Checkpoint::Kind::kHuggingFace, with.config());
  for (const format::NamedTensor& tensor : with.tensors()) {
    const bool inner = tensor.name.starts_with("model.");
    without.add(inner ? tensor.name.substr(6) : tensor.name, tensor.view.shape);
  }
  EXPECT_NO_THROW(load(without));
}

struct BadValue {
  const char* key;
  const char* value;
  ErrorCode code;

  friend void PrintTo(const BadValue& test, std::ostream* out) {
    *out << test.key << ": " << test.value;
  }
};

class BadConfigTest : public testing::TestWithParam<BadValue> {};

TEST_P(BadConfigTest, IsToldByKey) {
  MemoryCheckpoint checkpoint = small_llama();
  checkpoint.mutable_config()[GetParam().key] = base::Json::parse(GetParam().value, "test");
  const Error error = error_of([&] { load(checkpoint); });
  EXPECT_EQ(error.code(), GetParam().code) << error.what();
  EXPECT_THAT(error.what(), testing::HasSubstr(GetParam().key));
  EXPECT_THAT(error.what(), testing::StartsWith("memory/config.json: "));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadConfigTest,
    testing::Values(BadValue{"model_type", "\"none_such\"", ErrorCode::kUnsupported},
                    BadValue{"model_type", "null", ErrorCode::kCorruptData},
                    BadValue{"model_type", "7", ErrorCode::kCorruptData},
                    BadValue{"hidden_size", "0", ErrorCode::kCorruptData},
                    BadValue{"hidden_size", "-8", ErrorCode::kCorruptData},
                    BadValue{"hidden_size", "8.5", ErrorCode::kCorruptData},
                    BadValue{"hidden_size", "\"8\"", ErrorCode::kCorruptData},
                    BadValue{"hidden_size", "null", ErrorCode::kCorruptData},
                    BadValue{"hidden_size", "9223372036854775807", ErrorCode::kCorruptData},
                    BadValue{"hidden_size", "1e300", ErrorCode::kCorruptData},
                    BadValue{"num_hidden_layers", "0", ErrorCode::kCorruptData},
                    BadValue{"num_hidden_layers", "1000000000", ErrorCode::kCorruptData},
                    BadValue{"num_attention_heads", "3", ErrorCode::kCorruptData},
                    BadValue{"num_attention_heads", "0", ErrorCode::kCorruptData},
                    BadValue{"num_key_value_heads", "0", ErrorCode::kCorruptData},
                    BadValue{"num_key_value_heads", "4", ErrorCode::kCorruptData},
                    BadValue{"head_dim", "7", ErrorCode::kUnsupported},
                    BadValue{"head_dim", "-1", ErrorCode::kCorruptData},
                    BadValue{"vocab_size", "0", ErrorCode::kCorruptData},
                    BadValue{"intermediate_size", "[1]", ErrorCode::kCorruptData},
                    BadValue{"max_position_embeddings", "0", ErrorCode::kCorruptData},
                    BadValue{"rms_norm_eps", "-1", ErrorCode::kCorruptData},
                    BadValue{"rms_norm_eps", "\"x\"", ErrorCode::kCorruptData},
                    BadValue{"rope_theta", "-1", ErrorCode::kCorruptData},
                    BadValue{"rope_scaling", "3", ErrorCode::kCorruptData},
                    BadValue{"rope_parameters", "[]", ErrorCode::kCorruptData},
                    BadValue{"hidden_act", "\"swishy\"", ErrorCode::kUnsupported},
                    BadValue{"tie_word_embeddings", "\"yes\"", ErrorCode::kCorruptData},
                    BadValue{"attention_bias", "1", ErrorCode::kCorruptData},
                    BadValue{"quantization_config", "{\"bits\": 4}", ErrorCode::kUnsupported},
                    BadValue{"quantization_config", "[4]", ErrorCode::kCorruptData},
                    BadValue{"per_layer_config", "{\"0\": {}}", ErrorCode::kUnsupported},
                    BadValue{"is_causal", "1", ErrorCode::kCorruptData}));

/// As transformers: with `is_causal` false the decoder is an encoder, whose head counts for
/// nothing.
TEST(LoadingTest, DecodersThatSeeEverythingAreEncoders) {
  MemoryCheckpoint checkpoint = small_llama();
  checkpoint.mutable_config()["is_causal"] = false;
  EXPECT_NO_THROW(load(checkpoint));
  const ModelSpec spec = read_spec(checkpoint);
  EXPECT_TRUE(spec.sees_all());
  EXPECT_FALSE(spec.head);
}

TEST(LoadingTest, AbsurdLayerCountIsToldBeforeUpload) {
  MemoryCheckpoint checkpoint = small_llama();
  checkpoint.mutable_config()["num_hidden_layers"] = 4000;
  EXPECT_THAT(error_of([&] { load(checkpoint); }).what(),
              testing::HasSubstr("expected 4000 layers"));
}

TEST(LoadingTest, AbsurdSizesAreToldByTheFirstTensor) {
  for (const char* key : {"vocab_size", "hidden_size"}) {
    MemoryCheckpoint checkpoint = small_llama();
    checkpoint.mutable_config()[key] = 1 << 20;
    EXPECT_THAT(error_of([&] { load(checkpoint); }).what(),
                testing::HasSubstr("model.embed_tokens.weight: wrong shape"));
  }
}

// Defaults of the configuration classes of transformers 5.
// What transformers 5 makes of the two generations of members when both or parts are there.
TEST(LoadingTest, MissingFusedTensorIsNamed) {
  const auto full = format::open_checkpoint(data_path("gpt2"));
  MemoryCheckpoint checkpoint(format::Checkpoint::Kind::kHuggingFace, full->config());
  for (const format::NamedTensor& tensor : full->tensors()) {
    if (tensor.name != "transformer.h.1.attn.c_attn.weight") {
      checkpoint.add(tensor.name, tensor.view.shape);
    }
  }
  EXPECT_THAT(
      error_of([&] { load(checkpoint); }).what(),
      testing::HasSubstr("transformer.h.1.attn.c_attn.weight: missing (expected shape [40, 120])"));
}

TEST(TensorNameTest, Patterns) {
  EXPECT_TRUE(matches("h.12.attn.bias", "h.#.attn.bias"));
  EXPECT_FALSE(matches("h..attn.bias", "h.#.attn.bias"));
  EXPECT_FALSE(matches("h.1x.attn.bias", "h.#.attn.bias"));
  EXPECT_FALSE(matches("h.1.attn.bias2", "h.#.attn.bias"));
  EXPECT_TRUE(matches("vision_tower.x.y", "vision_tower.*"));
  EXPECT_FALSE(matches("vision_towe", "vision_tower.*"));
}

}  // namespace
}  // namespace openllm::model::test
