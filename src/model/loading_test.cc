// Loading is total: whatever is wrong with configuration or tensors is told, naming the place,
// before anything large is allocated.

#include <cmath>

#include "model/tensor_book.h"
#include "model/test_support.h"

namespace openllm::model::test {
namespace {

std::unique_ptr<Decoder> load(const format::Checkpoint& checkpoint, DecoderOptions options = {}) {
  static const std::unique_ptr<device::Device> device = device::make_device("reference", {});
  return Decoder::load(checkpoint, *device, options);
}

TEST(LoadingTest, SmallLlamaLoads) {
  const auto decoder = load(small_llama());
  EXPECT_EQ(decoder->spec().architecture, "llama");
  EXPECT_EQ(decoder->spec().head_dim, 4);
  EXPECT_FALSE(decoder->spec().tied_embeddings);
  // embedding and output, final norm, and per layer: two norms, q, k, v, o, gate, up, down
  EXPECT_EQ(decoder->n_parameters(), 2 * 88 + 8 + 2 * (16 + 64 + 32 + 32 + 64 + 3 * 96));
  EXPECT_EQ(decoder->weight_bytes(), 4U * (88 + 8 + 2 * (16 + 64 + 32 + 32 + 64 + 3 * 96)));
  ASSERT_EQ(decoder->kv_groups().size(), 1U);
  EXPECT_EQ(decoder->kv_groups()[0].bytes_per_token, 2U * 2 * 4 * 4);
}

TEST(LoadingTest, ProgressEndsAtOneAndNeverFalls) {
  DecoderOptions options;
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
  EXPECT_TRUE(load(checkpoint)->spec().tied_embeddings);
  // Only the output's tensor in the file serves as well.
  checkpoint.remove("model.embed_tokens.weight");
  checkpoint.add("lm_head.weight", {11, 8});
  EXPECT_TRUE(load(checkpoint)->spec().tied_embeddings);
}

TEST(LoadingTest, TiedButDifferentOutputInFileWins) {
  MemoryCheckpoint checkpoint = small_llama();
  checkpoint.mutable_config()["tie_word_embeddings"] = true;
  EXPECT_FALSE(load(checkpoint)->spec().tied_embeddings);
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
    testing::Values(BadValue{"model_type", "\"mamba\"", ErrorCode::kUnsupported},
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
                    BadValue{"per_layer_config", "{\"0\": {}}", ErrorCode::kUnsupported},
                    BadValue{"is_causal", "false", ErrorCode::kUnsupported}));

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

/// Families by a configuration alone: what the spec makes of it.
DecoderSpec spec_of(const std::string& json) {
  return read_spec(
      MemoryCheckpoint(format::Checkpoint::Kind::kHuggingFace, base::Json::parse(json, "test")));
}

TEST(SpecTest, MistralWindowAbsentIsTheDefaultAndNullIsNone) {
  const std::string head =
      R"({"model_type": "mistral", "vocab_size": 8, "hidden_size": 16, "num_hidden_layers": 1,
          "intermediate_size": 8, "num_attention_heads": 8)";
  EXPECT_EQ(spec_of(head + "}").layers[0].window, 4096);
  EXPECT_EQ(spec_of(head + R"(, "sliding_window": null})").layers[0].mixer, Mixer::kFullAttention);
  EXPECT_EQ(spec_of(head + R"(, "sliding_window": 5})").layers[0].window, 5);
  EXPECT_EQ(error_of([&] { spec_of(head + R"(, "sliding_window": 0})"); }).code(),
            ErrorCode::kCorruptData);
}

TEST(SpecTest, QwenWindowNeedsItsSwitch) {
  const std::string head =
      R"({"model_type": "qwen2", "vocab_size": 8, "hidden_size": 16, "num_hidden_layers": 3, "intermediate_size": 8,
          "num_attention_heads": 8, "num_key_value_heads": 8, "sliding_window": 4, "max_window_layers": 2)";
  const DecoderSpec off = spec_of(head + "}");
  EXPECT_EQ(off.layers[2].mixer, Mixer::kFullAttention);
  const DecoderSpec on = spec_of(head + R"(, "use_sliding_window": true})");
  EXPECT_EQ(on.layers[1].mixer, Mixer::kFullAttention);
  EXPECT_EQ(on.layers[2].mixer, Mixer::kWindowAttention);
  EXPECT_EQ(on.layers[2].window, 4);
  const Error error = error_of([&] {
    spec_of(head +
            R"(, "layer_types": ["full_attention", "full_attention", "sliding_attention"]})");
  });
  EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
  EXPECT_THAT(error.what(), testing::HasSubstr("sliding_window"));
}

TEST(SpecTest, LayerTypesMustFit) {
  const std::string head =
      R"({"model_type": "qwen3", "vocab_size": 8, "hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 8,
          "num_attention_heads": 1, "num_key_value_heads": 1, "use_sliding_window": true, "layer_types": )";
  EXPECT_EQ(error_of([&] { spec_of(head + R"(["full_attention"]})"); }).code(),
            ErrorCode::kCorruptData);
  EXPECT_EQ(error_of([&] { spec_of(head + R"(["full_attention", "linear_attention"]})"); }).code(),
            ErrorCode::kUnsupported);
}

TEST(SpecTest, GemmaDefaultsOfSparseConfigurations) {
  // The published 4B model's text_config leaves out heads, head_dim and vocabulary.
  const DecoderSpec spec = spec_of(
      R"({"model_type": "gemma3", "text_config": {"hidden_size": 2560, "intermediate_size": 10240,
          "model_type": "gemma3_text", "num_hidden_layers": 34, "sliding_window": 1024,
          "rope_scaling": {"factor": 8.0, "rope_type": "linear"}}})");
  EXPECT_EQ(spec.n_heads, 8);
  EXPECT_EQ(spec.n_kv_heads, 4);
  EXPECT_EQ(spec.head_dim, 256);
  EXPECT_EQ(spec.vocab_size, 262208);
  EXPECT_TRUE(spec.tied_embeddings);
  EXPECT_EQ(spec.layers[4].window, 1024);
  EXPECT_EQ(spec.layers[5].mixer, Mixer::kFullAttention);
  ASSERT_EQ(spec.ropes.size(), 2U);
  EXPECT_FLOAT_EQ(spec.ropes[0].inv_freq[0], 0.125F);
  EXPECT_FLOAT_EQ(spec.ropes[1].inv_freq[0], 1.0F);
  EXPECT_EQ(spec.max_positions, 131072);
}

TEST(SpecTest, LinearAndDynamicScalingLengthenTheContext) {
  const std::string head =
      R"({"model_type": "llama", "vocab_size": 8, "hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 8,
          "num_attention_heads": 2, "max_position_embeddings": 100, "rope_scaling": )";
  EXPECT_EQ(spec_of(head + R"({"type": "linear", "factor": 4.0}})").max_positions, 400);
  EXPECT_EQ(spec_of(head + R"({"type": "dynamic", "factor": 2.5}})").max_positions, 250);
  EXPECT_EQ(
      spec_of(head +
              R"({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 25}})")
          .max_positions,
      100);
}

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

TEST(SpecTest, ArchitecturesAreListed) {
  EXPECT_THAT(architectures(), testing::ElementsAre("llama", "mistral", "qwen2", "qwen3", "gemma2",
                                                    "gemma3", "gpt2"));
  const Error error = error_of([] { spec_of(R"({"model_type": "bloom"})"); });
  EXPECT_THAT(error.what(), testing::HasSubstr("qwen3"));
}

TEST(SpecTest, GgufNeedsItsEmbedding) {
  MemoryCheckpoint checkpoint(
      format::Checkpoint::Kind::kGguf,
      base::Json::parse(
          R"({"general.architecture": "llama", "llama.embedding_length": 8, "llama.block_count": 1,
          "llama.feed_forward_length": 8, "llama.attention.head_count": 2})",
          "test"));
  EXPECT_THAT(error_of([&] { read_spec(checkpoint); }).what(),
              testing::HasSubstr("token_embd.weight"));
  checkpoint.add("token_embd.weight", {5, 8});
  EXPECT_EQ(read_spec(checkpoint).vocab_size, 5);
  checkpoint.mutable_config()["llama.attention.head_count_kv"] =
      base::Json::parse("[1, 2]", "test");
  EXPECT_EQ(error_of([&] { read_spec(checkpoint); }).code(), ErrorCode::kUnsupported);
  checkpoint.mutable_config()["llama.attention.head_count_kv"] =
      base::Json::parse("[1, 1]", "test");
  EXPECT_EQ(read_spec(checkpoint).n_kv_heads, 1);
  checkpoint.mutable_config()["llama.expert_count"] = 8;
  EXPECT_EQ(error_of([&] { read_spec(checkpoint); }).code(), ErrorCode::kUnsupported);
}

TEST(SpecTest, GgufWindowPatternsAreChecked) {
  MemoryCheckpoint checkpoint(
      format::Checkpoint::Kind::kGguf,
      base::Json::parse(
          R"({"general.architecture": "gemma3", "gemma3.embedding_length": 8, "gemma3.block_count": 2,
          "gemma3.feed_forward_length": 8, "gemma3.attention.head_count": 2,
          "gemma3.attention.sliding_window": 4})",
          "test"));
  checkpoint.add("token_embd.weight", {5, 8});
  const auto with_pattern = [&](const char* json) {
    checkpoint.mutable_config()["gemma3.attention.sliding_window_pattern"] =
        base::Json::parse(json, "test");
    return read_spec(checkpoint);
  };
  EXPECT_EQ(with_pattern("[true, 0]").layers[0].mixer, Mixer::kWindowAttention);
  EXPECT_EQ(with_pattern("[true, 0]").layers[1].mixer, Mixer::kFullAttention);
  EXPECT_EQ(with_pattern("2").layers[0].mixer, Mixer::kWindowAttention);
  for (const char* bad : {"[true]", R"(["yes", "no"])", "0", R"("x")"}) {
    const Error error = error_of([&] { with_pattern(bad); });
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData) << bad;
    EXPECT_THAT(error.what(), testing::HasSubstr("sliding_window_pattern")) << bad;
  }
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
