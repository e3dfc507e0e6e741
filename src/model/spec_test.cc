// What the families make of a configuration alone: defaults, windows, ropes, odd members.

#include <cmath>

#include "model/test_support.h"

namespace openllm::model::test {
namespace {

/// Families by a configuration alone: what the spec makes of it.
ModelSpec spec_of(const std::string& json) {
  return read_spec(
      MemoryCheckpoint(format::Checkpoint::Kind::kHuggingFace, base::Json::parse(json, "test")));
}

const DenseFfnSpec& ffn_of(const ModelSpec& spec) {
  return std::get<DenseFfnSpec>(spec.layers[0].ffn);
}

TEST(SpecTest, MistralWindowAbsentIsTheDefaultAndNullIsNone) {
  const std::string head =
      R"({"model_type": "mistral", "vocab_size": 8, "hidden_size": 16, "num_hidden_layers": 1,
          "intermediate_size": 8, "num_attention_heads": 8)";
  EXPECT_EQ(attention_of(spec_of(head + "}"), 0).window, 4096);
  EXPECT_EQ(attention_of(spec_of(head + R"(, "sliding_window": null})"), 0).window, 0);
  EXPECT_EQ(attention_of(spec_of(head + R"(, "sliding_window": 5})"), 0).window, 5);
  EXPECT_EQ(error_of([&] { spec_of(head + R"(, "sliding_window": 0})"); }).code(),
            ErrorCode::kCorruptData);
}

TEST(SpecTest, QwenWindowNeedsItsSwitch) {
  const std::string head =
      R"({"model_type": "qwen2", "vocab_size": 8, "hidden_size": 16, "num_hidden_layers": 3, "intermediate_size": 8,
          "num_attention_heads": 8, "num_key_value_heads": 8, "sliding_window": 4, "max_window_layers": 2)";
  const ModelSpec off = spec_of(head + "}");
  EXPECT_EQ(attention_of(off, 2).window, 0);
  const ModelSpec on = spec_of(head + R"(, "use_sliding_window": true})");
  EXPECT_EQ(attention_of(on, 1).window, 0);
  EXPECT_EQ(attention_of(on, 2).window > 0, true);
  EXPECT_EQ(attention_of(on, 2).window, 4);
  const Error error = error_of([&] {
    spec_of(head +
            R"(, "layer_types": ["full_attention", "full_attention", "sliding_attention"]})");
  });
  EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
  EXPECT_THAT(error.what(), testing::HasSubstr("sliding_window"));
}

/// What a configuration is refused with.
void expect_refusal(const std::string& json, ErrorCode code, const std::string& member) {
  const Error error = error_of([&] { spec_of(json); });
  EXPECT_EQ(error.code(), code) << json;
  EXPECT_THAT(error.what(), testing::HasSubstr(member));
}

TEST(SpecTest, MembersThatFamiliesCannotDoAreRefusedByName) {
  constexpr auto kNot = ErrorCode::kUnsupported;
  constexpr auto kBad = ErrorCode::kCorruptData;
  const std::string sizes =
      R"("hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2)";
  const std::string griffin = R"({"model_type": "recurrent_gemma", )" + sizes;
  expect_refusal(griffin + R"(, "block_types": ["recurrent", "mamba"]})", kNot, "block_types");
  expect_refusal(griffin + R"(, "lru_width": 15})", kBad, "lru_width");
  expect_refusal(griffin + R"(, "rope_parameters": {"rope_type": "linear", "factor": 2.0}})", kNot,
                 "rope_type");
  const std::string zamba = R"({"model_type": "zamba2", )" + sizes;
  expect_refusal(zamba + "}", kBad, "layers_block_type");
  expect_refusal(zamba + R"(, "layers_block_type": ["hybrid", "attention"]})", kNot,
                 "layers_block_type");
  const std::string deberta = R"({"model_type": "deberta-v2", )" + sizes;
  expect_refusal(deberta + R"(, "conv_kernel_size": 2})", kNot, "conv_kernel_size");
  expect_refusal(deberta + R"(, "conv_kernel_size": 3, "conv_groups": 3})", kBad, "conv_groups");
  expect_refusal(deberta + R"(, "relative_attention": true, "position_buckets": 1100})", kBad,
                 "position_buckets");
  const std::string gemma3n = R"({"model_type": "gemma3n_text", )" + sizes;
  expect_refusal(gemma3n + "}", kBad, "num_kv_shared_layers");
  expect_refusal(gemma3n + R"(, "num_kv_shared_layers": 0, "activation_sparsity_pattern": [0.5]})",
                 kBad, "activation_sparsity_pattern");
  expect_refusal(R"({"model_type": "gemma4_text", "enable_moe_block": true})", kBad, "num_experts");
  expect_refusal(R"({"model_type": "t5gemma"})", kBad, "decoder");
  expect_refusal(R"({"model_type": "t5gemma", "decoder": {"hidden_size": 16},
                     "encoder": {"hidden_size": 32}})",
                 kNot, "hidden_size");
  expect_refusal(R"({"model_type": "albert", "inner_group_num": 2})", kNot, "inner_group_num");
  expect_refusal(R"({"model_type": "mvp", "use_prompt": true})", kNot, "use_prompt");
  expect_refusal(R"({"model_type": "ernie", "use_task_id": true})", kNot, "use_task_id");
  expect_refusal(R"({"model_type": "cohere2_moe", "expert_selection_fn": "tanh"})", kNot,
                 "expert_selection_fn");
}

TEST(SpecTest, EncodersAndTheirLikesAreRefusedByName) {
  constexpr auto kNot = ErrorCode::kUnsupported;
  constexpr auto kBad = ErrorCode::kCorruptData;
  const auto refused = [](const std::string& type, const std::string& members, ErrorCode code,
                          const std::string& member) {
    expect_refusal(R"({"model_type": ")" + type + R"(", )" + members + "}", code, member);
  };
  refused("deberta", R"("talking_head": true)", kNot, "talking_head");
  refused("dpr", R"("projection_dim": 8)", kNot, "projection_dim");
  refused("bert", R"("position_embedding_type": "alibi")", kNot, "feed_forward_type");
  refused("bert", R"("is_decoder": true, "add_cross_attention": true)", kNot,
          "add_cross_attention");
  refused("bert", R"("is_decoder": true, "architectures": ["BertForSequenceClassification"])", kNot,
          "is_decoder");
  refused("roformer", R"("rotary_value": true)", kNot, "rotary_value");
  refused("new", R"("logn_attention_scale": true)", kNot, "logn_attention_scale");
  refused("new", R"("layer_norm_type": "rms_norm")", kNot, "layer_norm_type");
  refused("big_bird", R"("attention_type": "sparse")", kNot, "attention_type");
  refused("longformer", R"("attention_window": [4])", kBad, "attention_window");
  refused("longformer", R"("architectures": ["LongformerForSequenceClassification"])", kNot,
          "architectures");
  refused("led", R"("attention_window": 7)", kBad, "attention_window");
  refused("fsmt", R"("tgt_vocab_size": 7)", kNot, "src_vocab_size");
  refused("xlm", R"("asm": true)", kNot, "asm");
  refused("flaubert", R"("is_encoder": false)", kNot, "is_encoder");
  refused("nomic_bert", R"("num_experts": 2, "moe_every_n_layers": 2)", kNot, "num_experts");
  refused("mistral", R"("is_causal": false)", kNot, "is_causal");
  refused("mamba", R"("is_causal": false)", kNot, "is_causal");
}

TEST(SpecTest, LaterDecodersAreRefusedByName) {
  constexpr auto kNot = ErrorCode::kUnsupported;
  constexpr auto kBad = ErrorCode::kCorruptData;
  expect_refusal(R"({"model_type": "diffllama", "num_key_value_heads": 1})", kNot,
                 "num_key_value_heads");
  expect_refusal(R"({"model_type": "laguna", "moe_router_logit_softcapping": 2.0})", kNot,
                 "moe_router_logit_softcapping");
  expect_refusal(R"({"model_type": "laguna", "num_attention_heads_per_layer": [8]})", kBad,
                 "num_attention_heads_per_layer");
  expect_refusal(R"({"model_type": "gpt_neox_japanese", "intermediate_multiple_size": 1e-9})", kBad,
                 "intermediate_multiple_size");
}

/// Beyond that transformers looks at some blocks alone, or experts leave rows out.
TEST(SpecTest, ContextsEndWhereNetworksWouldBeOthers) {
  EXPECT_EQ(spec_of(R"({"model_type": "big_bird"})").max_positions, 704);
  EXPECT_EQ(
      spec_of(R"({"model_type": "big_bird", "attention_type": "original_full"})").max_positions,
      4096);
  EXPECT_EQ(spec_of(R"({"model_type": "bigbird_pegasus", "block_size": 16})").max_positions, 176);
  EXPECT_EQ(spec_of(R"({"model_type": "switch_transformers"})").max_positions, 64);
}

TEST(SpecTest, TextsBesideTowersAreThoseOfTheirFamily) {
  const ModelSpec nested = spec_of(
      R"({"model_type": "llava", "text_config": {"model_type": "granite", "logits_scaling": 4.0}})");
  EXPECT_EQ(nested.head->scale, 1.0F) << "the whole has a head of its own";
  EXPECT_TRUE(nested.head->tied);
  const ModelSpec flat = spec_of(R"({"model_type": "qwen2_vl", "hidden_size": 1024, "rope_scaling":
                                     {"type": "mrope", "mrope_section": [16, 24, 24]}})");
  EXPECT_EQ(flat.dim, 1024);
  EXPECT_EQ(flat.ropes.at(0).n_rotary, 16) << "its axes are equal without images";
  expect_refusal(R"({"model_type": "llava", "text_config": {"model_type": "no_such"}})",
                 ErrorCode::kUnsupported, "no_such");
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
  const ModelSpec spec = spec_of(
      R"({"model_type": "gemma3", "text_config": {"hidden_size": 2560, "intermediate_size": 10240,
          "model_type": "gemma3_text", "num_hidden_layers": 34, "sliding_window": 1024,
          "rope_scaling": {"factor": 8.0, "rope_type": "linear"}}})");
  EXPECT_EQ(attention_of(spec, 0).n_heads, 8);
  EXPECT_EQ(attention_of(spec, 0).n_kv_heads, 4);
  EXPECT_EQ(attention_of(spec, 0).head_dim, 256);
  EXPECT_EQ(spec.vocab_size, 262208);
  EXPECT_TRUE(spec.head->tied);
  EXPECT_EQ(attention_of(spec, 4).window, 1024);
  EXPECT_EQ(attention_of(spec, 5).window, 0);
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

TEST(SpecTest, YarnLengthensTheContextOfFilesThatGiveTheLengthBefore) {
  const std::string head =
      R"({"model_type": "qwen2", "vocab_size": 8, "hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 8,
          "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 100, "rope_scaling": )";
  const auto positions = [&](const char* scaling) {
    return spec_of(head + scaling + "}").max_positions;
  };
  EXPECT_EQ(
      positions(R"({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 100})"),
      400);
  EXPECT_EQ(positions(R"({"type": "yarn", "factor": 2.0, "original_max_position_embeddings": 25})"),
            100);
  EXPECT_EQ(positions(R"({"type": "linear", "factor": 0.001})"), 1);
}

TEST(SpecTest, SizesThatAreAbsentAreTheDefaults) {
  const ModelSpec llama = spec_of(R"({"model_type": "llama"})");
  EXPECT_EQ(llama.vocab_size, 32000);
  EXPECT_EQ(llama.dim, 4096);
  EXPECT_EQ(llama.n_layers(), 32);
  EXPECT_EQ(attention_of(llama, 0).n_heads, 32);
  EXPECT_EQ(attention_of(llama, 0).n_kv_heads, 32);
  EXPECT_EQ(ffn_of(llama).ffn_dim, 11008);
  EXPECT_EQ(llama.max_positions, 2048);
  const ModelSpec mistral = spec_of(R"({"model_type": "mistral"})");
  EXPECT_EQ(ffn_of(mistral).ffn_dim, 14336);
  EXPECT_EQ(attention_of(mistral, 0).n_kv_heads, 8);
  for (const char* name : {"qwen2", "qwen3"}) {
    const ModelSpec qwen = spec_of(std::string(R"({"model_type": ")") + name + R"("})");
    EXPECT_EQ(qwen.vocab_size, 151936) << name;
    EXPECT_EQ(ffn_of(qwen).ffn_dim, 22016) << name;
    EXPECT_EQ(attention_of(qwen, 0).n_kv_heads, 32) << name;
    EXPECT_EQ(qwen.max_positions, 32768) << name;
  }
  const ModelSpec gpt2 = spec_of(R"({"model_type": "gpt2"})");
  EXPECT_EQ(gpt2.vocab_size, 50257);
  EXPECT_EQ(gpt2.dim, 768);
  EXPECT_EQ(gpt2.n_layers(), 12);
  EXPECT_EQ(attention_of(gpt2, 0).n_heads, 12);
  EXPECT_EQ(ffn_of(gpt2).ffn_dim, 3072);
  EXPECT_EQ(gpt2.max_positions, 1024);
  EXPECT_EQ(error_of([] { spec_of(R"({"model_type": "gpt2", "n_layer": null})"); }).code(),
            ErrorCode::kCorruptData);
}

TEST(SpecTest, GeneralNamesWinOverThoseOfGpt2) {
  const ModelSpec spec = spec_of(
      R"({"model_type": "gpt2", "n_embd": 8, "hidden_size": 12, "n_layer": 2, "num_hidden_layers": 3,
          "n_head": 4, "num_attention_heads": 2, "n_positions": 9, "max_position_embeddings": 5})");
  EXPECT_EQ(spec.dim, 12);
  EXPECT_EQ(spec.n_layers(), 3);
  EXPECT_EQ(attention_of(spec, 0).n_heads, 2);
  EXPECT_EQ(spec.max_positions, 5);
}

TEST(SpecTest, ActivationsByTheirNames) {
  using device::Activation;
  const std::vector<std::pair<const char*, Activation>> names = {
      {"swish", Activation::kSilu},        {"gelu_python", Activation::kGelu},
      {"gelu_new", Activation::kGeluTanh}, {"quick_gelu", Activation::kQuickGelu},
      {"relu", Activation::kRelu},         {"relu2", Activation::kReluSquared},
      {"tanh", Activation::kTanh}};
  for (const auto& [name, activation] : names) {
    EXPECT_EQ(
        ffn_of(spec_of(std::string(R"({"model_type": "llama", "hidden_act": ")") + name + R"("})"))
            .activation,
        activation)
        << name;
  }
}

TEST(SpecTest, AttentionIsAnOlderNameOfFullAttention) {
  const ModelSpec spec = spec_of(
      R"({"model_type": "gemma2", "num_hidden_layers": 3, "sliding_window": 4,
          "layer_types": ["attention", "sliding_attention", "full_attention"]})");
  EXPECT_EQ(attention_of(spec, 0).window, 0);
  EXPECT_EQ(attention_of(spec, 1).window > 0, true);
  EXPECT_EQ(attention_of(spec, 2).window, 0);
}

TEST(SpecTest, Gemma3LaysRopeScalingOverRopeParameters) {
  const auto first_frequencies = [](const std::string& members) {
    const ModelSpec spec =
        spec_of(R"({"model_type": "gemma3_text", "head_dim": 8, )" + members + "}");
    return std::pair(spec.ropes[0].inv_freq[1], spec.ropes[1].inv_freq[1]);
  };
  const float plain = 1.0F / std::pow(1e6F, 0.25F);
  EXPECT_FLOAT_EQ(
      first_frequencies(R"("rope_scaling": {"rope_type": "linear", "factor": 8.0})").first,
      plain / 8.0F);
  EXPECT_FLOAT_EQ(first_frequencies(R"("rope_scaling": {"type": "linear", "factor": 8.0})").first,
                  plain);
  const auto both = first_frequencies(
      R"("rope_scaling": {"rope_type": "linear", "factor": 2.0},
         "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 16.0},
                             "sliding_attention": {"type": "linear", "factor": 4.0, "rope_theta": 81.0}})");
  EXPECT_FLOAT_EQ(both.first, 0.25F);
  EXPECT_FLOAT_EQ(both.second, 1.0F / 12.0F);
}

TEST(SpecTest, PartialRotaryFactorMayStandBesideTheRope) {
  const std::string head =
      R"({"model_type": "llama", "head_dim": 8, "partial_rotary_factor": 0.5, "rope_scaling": )";
  const std::vector<float> half =
      spec_of(head + R"({"rope_type": "proportional"}})").ropes[0].inv_freq;
  ASSERT_EQ(half.size(), 4U);
  EXPECT_GT(half[1], 0.0F);
  EXPECT_EQ(half[2], 0.0F);
  EXPECT_EQ(spec_of(head + R"({"rope_type": "default"}})").ropes[0].n_rotary, 8);
  EXPECT_EQ(error_of([&] { spec_of(head + R"({"rope_type": "linear", "factor": 2.0}})"); }).code(),
            ErrorCode::kUnsupported);
}

TEST(SpecTest, RopeScalingThatSaysNothingLeavesItToRopeParameters) {
  const std::string head =
      R"({"model_type": "llama", "head_dim": 8, "rope_parameters": {"rope_theta": 16.0})";
  for (const char* scaling : {"", R"(, "rope_scaling": {})", R"(, "rope_scaling": null)"}) {
    EXPECT_FLOAT_EQ(spec_of(head + scaling + "}").ropes[0].inv_freq[1], 0.5F) << scaling;
  }
  EXPECT_NE(spec_of(head + R"(, "rope_scaling": {"rope_type": "default"}})").ropes[0].inv_freq[1],
            0.5F);
}

TEST(SpecTest, RopesByLayerTypeAreForGemmaOnly) {
  for (const char* type : {"full_attention", "sliding_attention"}) {
    const Error error = error_of([&] {
      spec_of(base::cat(R"({"model_type": "llama", "rope_parameters": {")", type,
                        R"(": {"rope_theta": 16.0}}})"));
    });
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << type;
    EXPECT_THAT(error.what(), testing::HasSubstr("rope_parameters"));
  }
}

TEST(SpecTest, Gemma3WithAVisionTowerIsTiedByTheOuterConfiguration) {
  const auto tied = [](const char* outer, const char* inner) {
    return spec_of(base::cat(R"({"model_type": "gemma3", "text_config": {"tie_word_embeddings": )",
                             inner, "}", outer, "}"))
        .head->tied;
  };
  for (const char* inner : {"true", "false"}) {
    EXPECT_TRUE(tied("", inner));
    EXPECT_TRUE(tied(R"(, "tie_word_embeddings": true)", inner));
    EXPECT_FALSE(tied(R"(, "tie_word_embeddings": false)", inner));
  }
}

TEST(SpecTest, GgufScalesOfRope) {
  const auto second_frequency = [](const std::string& members) {
    MemoryCheckpoint checkpoint(
        format::Checkpoint::Kind::kGguf,
        base::Json::parse(
            R"({"general.architecture": "llama", "llama.embedding_length": 8, "llama.block_count": 1,
            "llama.feed_forward_length": 8, "llama.attention.head_count": 1,
            "llama.rope.freq_base": 16.0)" +
                members + "}",
            "test"));
    checkpoint.add("token_embd.weight", {5, 8});
    return read_spec(checkpoint).ropes[0].inv_freq[1];
  };
  EXPECT_FLOAT_EQ(second_frequency(""), 0.5F);
  EXPECT_FLOAT_EQ(second_frequency(R"(, "llama.rope.scaling.factor": 0.0)"), 0.5F);
  EXPECT_FLOAT_EQ(second_frequency(R"(, "llama.rope.scaling.factor": 4.0)"), 0.125F);
  EXPECT_FLOAT_EQ(second_frequency(R"(, "llama.rope.scale_linear": 2.0)"), 0.25F);
  EXPECT_FLOAT_EQ(
      second_frequency(R"(, "llama.rope.scale_linear": 2.0, "llama.rope.scaling.factor": 4.0)"),
      0.125F);
  EXPECT_FLOAT_EQ(
      second_frequency(R"(, "llama.rope.scaling.type": "none", "llama.rope.scaling.factor": 4.0)"),
      0.5F);
}

TEST(SpecTest, BertLooksAtNoHeadDim) {
  const ModelSpec spec = spec_of(R"({"model_type": "bert", "hidden_size": 16,
      "num_attention_heads": 2, "head_dim": 32})");
  EXPECT_EQ(attention_of(spec, 0).head_dim, 8);
}

TEST(SpecTest, ArchitecturesAreListed) {
  EXPECT_THAT(architectures(),
              testing::IsSupersetOf({"llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3",
                                     "gpt2", "mixtral", "deepseek2", "bert", "t5"}));
  const Error error = error_of([] { spec_of(R"({"model_type": "qwen3_nekst"})"); });
  EXPECT_THAT(error.what(), testing::HasSubstr("got qwen3_nekst; did you mean qwen3_next?"));
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
  EXPECT_EQ(attention_of(read_spec(checkpoint), 0).n_kv_heads, 1);
  checkpoint.mutable_config()["llama.expert_count"] = 8;
  EXPECT_EQ(error_of([&] { read_spec(checkpoint); }).code(), ErrorCode::kCorruptData);
  checkpoint.mutable_config()["llama.expert_used_count"] = 2;
  const ModelSpec spec = read_spec(checkpoint);
  EXPECT_EQ(std::get<MoeFfnSpec>(spec.layers[0].ffn).router.top_k, 2);
}

TEST(SpecTest, GgufScoresOfExpertsAreThoseOfTheFamily) {
  MemoryCheckpoint checkpoint(
      format::Checkpoint::Kind::kGguf,
      base::Json::parse(
          R"({"general.architecture": "qwen3moe", "qwen3moe.embedding_length": 8,
          "qwen3moe.block_count": 1, "qwen3moe.feed_forward_length": 8,
          "qwen3moe.attention.head_count": 2, "qwen3moe.expert_count": 4,
          "qwen3moe.expert_used_count": 2, "qwen3moe.attention.key_length": 4})",
          "test"));
  checkpoint.add("token_embd.weight", {5, 8});
  EXPECT_EQ(read_spec(checkpoint).vocab_size, 5);
  checkpoint.mutable_config()["qwen3moe.expert_gating_func"] = 1;
  EXPECT_EQ(read_spec(checkpoint).vocab_size, 5);
  checkpoint.mutable_config()["qwen3moe.expert_gating_func"] = 2;
  const Error error = error_of([&] { read_spec(checkpoint); });
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(error.what(), testing::HasSubstr("expert_gating_func"));
}

TEST(SpecTest, SoftCapsThatAreNullOrZeroAreOff) {
  const auto caps = [](const char* value) {
    const ModelSpec spec =
        spec_of(base::cat(R"({"model_type": "gemma2", "attn_logit_softcapping": )", value,
                          R"(, "final_logit_softcapping": )", value, "}"));
    return std::pair(attention_of(spec, 0).soft_cap, spec.head->soft_cap);
  };
  EXPECT_EQ(caps("null"), std::pair(0.0F, 0.0F));
  EXPECT_EQ(caps("0.0"), std::pair(0.0F, 0.0F));
  EXPECT_EQ(caps("7.5"), std::pair(7.5F, 7.5F));
  EXPECT_EQ(error_of([&] { caps("-1"); }).code(), ErrorCode::kCorruptData);
  const ModelSpec spec = spec_of(R"({"model_type": "gemma2"})");
  EXPECT_EQ(attention_of(spec, 0).soft_cap, 50.0F);
  EXPECT_EQ(spec.head->soft_cap, 30.0F);
}

TEST(SpecTest, GgufYarnFactorsOfAttention) {
  const auto factor = [](const std::string& members) {
    MemoryCheckpoint checkpoint(
        format::Checkpoint::Kind::kGguf,
        base::Json::parse(
            R"({"general.architecture": "qwen2", "qwen2.embedding_length": 8, "qwen2.block_count": 1,
            "qwen2.feed_forward_length": 8, "qwen2.attention.head_count": 2,
            "qwen2.rope.scaling.type": "yarn", "qwen2.rope.scaling.factor": 4.0)" +
                members + "}",
            "test"));
    checkpoint.add("token_embd.weight", {5, 8});
    return read_spec(checkpoint).ropes[0].attention_factor;
  };
  EXPECT_FLOAT_EQ(factor(""), 1.0F + 0.1F * std::log(4.0F));
  EXPECT_FLOAT_EQ(factor(R"(, "qwen2.rope.scaling.yarn_attn_factor": 1.25)"), 1.25F);
  EXPECT_FLOAT_EQ(factor(R"(, "qwen2.rope.scaling.attn_factor": 2.0,
                             "qwen2.rope.scaling.yarn_attn_factor": 1.25)"),
                  2.5F);
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
  EXPECT_EQ(attention_of(with_pattern("[true, 0]"), 0).window, 4);
  EXPECT_EQ(attention_of(with_pattern("[true, 0]"), 1).window, 0);
  EXPECT_EQ(attention_of(with_pattern("2"), 0).window, 4);
  for (const char* bad : {"[true]", R"(["yes", "no"])", "0", R"("x")"}) {
    const Error error = error_of([&] { with_pattern(bad); });
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData) << bad;
    EXPECT_THAT(error.what(), testing::HasSubstr("sliding_window_pattern")) << bad;
  }
}

TEST(SpecTest, BaichuanIsToldByItsMembers) {
  const std::string head =
      R"({"model_type": "baichuan", "vocab_size": 8, "hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 8,
          "num_attention_heads": 2)";
  const ModelSpec small = spec_of(head + R"(, "max_position_embeddings": 64})");
  EXPECT_EQ(attention_of(small, 0).rope, 0);
  EXPECT_EQ(small.head->norm, MatrixNorm::kNone);
  const ModelSpec large = spec_of(head + R"(, "model_max_length": 64, "z_loss_weight": 0})");
  EXPECT_EQ(attention_of(large, 0).rope, -1);
  EXPECT_EQ(attention_of(large, 0).position_bias, 0);
  EXPECT_EQ(large.max_positions, 64);
  EXPECT_EQ(large.head->norm, MatrixNorm::kRows);
  const ModelSpec second = spec_of(
      R"({"model_type": "baichuan", "vocab_size": 125696, "max_position_embeddings": 4096})");
  EXPECT_EQ(second.head->norm, MatrixNorm::kRows);
}

TEST(SpecTest, LengthsThatFamiliesDoNotStretchBeyondEndThere) {
  const auto positions = [](const std::string& json) { return spec_of(json).max_positions; };
  const std::string qwen = R"({"model_type": "qwen", "max_position_embeddings": 32768)";
  EXPECT_EQ(positions(qwen + R"(, "seq_length": 8192})"), 8192);
  EXPECT_EQ(positions(qwen + R"(, "seq_length": 8192, "use_dynamic_ntk": false,
                                 "use_logn_attn": false})"),
            32768);
  EXPECT_EQ(positions(R"({"model_type": "telechat", "base_seqlen": 8192, "training_seqlen": 8192,
                          "seq_length": 32768})"),
            8192);
  EXPECT_EQ(positions(R"({"model_type": "minicpm", "max_position_embeddings": 32768,
                          "sparse_config": {"dense_len": 4096}})"),
            4096);
}

TEST(SpecTest, WhatPublishedFamiliesCannotDoIsRefusedByName) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"model_type": "chatglm", "position_encoding_2d": true})", "position_encoding_2d"},
      {R"({"model_type": "chatglm", "quantization_bit": 4})", "quantization_bit"},
      {R"({"model_type": "chatglm", "pre_seq_len": 128})", "pre_seq_len"},
      {R"({"model_type": "chatglm", "original_rope": false})", "original_rope"},
      {R"({"model_type": "qwen", "use_cache_quantization": true})", "use_cache_quantization"},
      {R"({"model_type": "internlm", "rotary": {"type": "other"}})", "type"},
      {R"({"model_type": "xverse", "num_experts": 64})", "num_experts"},
      {R"({"model_type": "deepseek", "n_routed_experts": 4, "scoring_func": "sigmoid"})",
       "scoring_func"},
      {R"({"model_type": "bailing_moe", "multi_gate": true})", "multi_gate"},
      {R"({"model_type": "bailing_moe", "norm_head": true, "tie_word_embeddings": true})",
       "norm_head"},
      {R"({"model_type": "bailing_moe_v2", "score_function": "softmax"})", "score_function"},
      {R"({"model_type": "jais", "position_embedding_type": "learned"})",
       "position_embedding_type"},
      {R"({"model_type": "dbrx", "ffn_config": {"moe_normalize_expert_weights": 2.0}})",
       "moe_normalize_expert_weights"},
      {R"({"model_type": "openelm", "normalization_layer_name": "layer_norm"})",
       "normalization_layer_name"},
      {R"({"model_type": "nemotron-nas", "num_hidden_layers": 1, "block_configs":
           [{"attention": {"replace_with_linear": true}, "ffn": {"ffn_mult": 1.0}}]})",
       "replace_with_linear"},
  };
  for (const auto& [json, member] : cases) {
    const Error error = error_of([&] { spec_of(json); });
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << json;
    EXPECT_THAT(error.what(), testing::HasSubstr(member)) << json;
  }
}

}  // namespace
}  // namespace openllm::model::test
