// Adapters in memory: settings that matter and settings that do not, tensors that fit and tensors
// that do not.

#include <cmath>

#include "model/adapters/adapter_source.h"
#include "model/test_support.h"

namespace openllm::model::test {
namespace {

using testing::HasSubstr;

/// An adapter of small_llama whose settings and tensors tests can spoil.
MemoryCheckpoint small_adapter() {
  MemoryCheckpoint adapter(
      format::Checkpoint::Kind::kHuggingFace,
      base::Json::parse(R"({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "none"})",
                        "test"));
  const std::string layer = "base_model.model.model.layers.1.";
  adapter.add(layer + "self_attn.k_proj.lora_A.weight", {2, 8});
  adapter.add(layer + "self_attn.k_proj.lora_B.weight", {4, 2});
  adapter.add(layer + "mlp.up_proj.lora_A.weight", {2, 8});
  adapter.add(layer + "mlp.up_proj.lora_B.weight", {12, 2});
  return adapter;
}

// A linear may be in pieces: an adapter finds the one that its module is in.
TEST(AdapterTest, ModulesOfLinearsInPieces) {
  for (const char* device : {"reference", "cpu"}) {
    std::vector<std::vector<float>> results;
    for (const bool in_pieces : {false, true}) {
      MemoryCheckpoint base = small_llama();
      base.round_to_f16("model.layers.1.self_attn.q_proj.weight", !in_pieces);
      base.round_to_f16("model.layers.1.mlp.up_proj.weight", !in_pieces);
      Runner model(base, device);
      const std::vector<float> bare = model.step({{0, {1, 5, 3}}});
      const MemoryCheckpoint adapter = small_adapter();
      mount_adapter(model.model(), 3, read_adapter(adapter));
      results.push_back(model.step({{1, {1, 5, 3}, {}, 3}}));
      EXPECT_GT(std::abs(results.back()[2] - bare[2]), 1e-3F);
    }
    for (std::size_t i = 0; i < results[0].size(); ++i) {
      ASSERT_NEAR(results[0][i], results[1][i], 1e-5F) << device;
    }
  }
}

class AdapterErrorTest : public testing::Test {
 protected:
  AdapterErrorTest() : model_(small_llama(), "cpu"), adapter_(small_adapter()) {}

  void expect_error(ErrorCode code, const std::string& text) {
    const Error error = error_of([&] { mount_adapter(model_.model(), 1, read_adapter(adapter_)); });
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(text));
    // Nothing is left of it.
    EXPECT_EQ(error_of([&] { model_.model().unmount_adapter(1); }).code(), ErrorCode::kNotFound);
    adapter_ = small_adapter();
  }

  Runner model_;
  MemoryCheckpoint adapter_;
};

TEST_F(AdapterErrorTest, SettingsThatAreNotImplemented) {
  const std::pair<const char*, const char*> settings[] = {
      {"peft_type", R"("IA3")"},
      {"peft_type", "null"},
      {"bias", R"("some")"},
      {"rank_pattern", R"({"(q_proj": 4})"},
      {"layer_replication", "[[0, 1]]"},
      {"use_qalora", "true"},
      {"alora_invocation_tokens", "[1]"},
      {"init_lora_weights", R"("pissa_niter_4")"},
      {"init_lora_weights", R"("olora")"},
      {"a_setting_of_next_year", R"({"on": true})"},
  };
  for (const auto& [key, value] : settings) {
    adapter_.mutable_config()[key] = base::Json::parse(value, "test");
    expect_error(ErrorCode::kUnsupported, base::cat("memory/adapter_config.json: ", key, ": "));
  }
}

TEST_F(AdapterErrorTest, SettingsThatDoNotMatter) {
  const std::pair<const char*, const char*> settings[] = {
      {"fan_in_fan_out", "true"},     {"target_modules", R"(["q_proj"])"},
      {"lora_dropout", "0.5"},        {"init_lora_weights", R"("gaussian")"},
      {"modules_to_save", "[]"},      {"rank_pattern", "{}"},
      {"layers_to_transform", "[1]"}, {"revision", R"("main")"},
  };
  for (const auto& [key, value] : settings) {
    adapter_.mutable_config()[key] = base::Json::parse(value, "test");
  }
  mount_adapter(model_.model(), 1, read_adapter(adapter_));
}

TEST_F(AdapterErrorTest, BadSettings) {
  const std::pair<const char*, const char*> settings[] = {{"r", "0"},
                                                          {"r", "2.5"},
                                                          {"r", R"("2")"},
                                                          {"lora_alpha", "-1"},
                                                          {"lora_alpha", "1e30"},
                                                          {"lora_alpha", "[]"},
                                                          {"peft_type", "1"},
                                                          {"use_rslora", "1"},
                                                          {"bias", "1"},
                                                          {"use_dora", "true"},
                                                          {"lora_bias", "true"},
                                                          {"rank_pattern", "[]"},
                                                          {"rank_pattern", R"({"k_proj": 0})"},
                                                          {"alpha_pattern", R"({"k_proj": "1"})"}};
  for (const auto& [key, value] : settings) {
    adapter_.mutable_config()[key] = base::Json::parse(value, "test");
    expect_error(ErrorCode::kCorruptData, key);
  }
}

TEST_F(AdapterErrorTest, Scales) {
  EXPECT_EQ(read_adapter(adapter_).modules[0].scale, 2.0F);
  adapter_.mutable_config()["use_rslora"] = true;
  EXPECT_EQ(read_adapter(adapter_).modules[0].scale, static_cast<float>(4.0 / std::sqrt(2.0)));
}

TEST_F(AdapterErrorTest, Patterns) {
  adapter_.remove("base_model.model.model.layers.1.mlp.up_proj.lora_A.weight");
  adapter_.remove("base_model.model.model.layers.1.mlp.up_proj.lora_B.weight");
  adapter_.add("base_model.model.model.layers.1.mlp.up_proj.lora_A.weight", {3, 8});
  adapter_.add("base_model.model.model.layers.1.mlp.up_proj.lora_B.weight", {12, 3});
  for (const char* pattern : {"up_proj", "mlp.up_proj", "^model.layers.1.mlp.up_proj",
                              ".*\\.up_proj", ".*layers\\.[0-3]\\.mlp.*"}) {
    base::Json ranks;
    ranks[pattern] = 3;
    ranks["p_proj"] = 7;  // a part of a name is no name
    base::Json alphas;
    alphas[pattern] = 6;
    adapter_.mutable_config()["rank_pattern"] = ranks;
    adapter_.mutable_config()["alpha_pattern"] = alphas;
    const AdapterSource source = read_adapter(adapter_);
    ASSERT_EQ(source.modules.size(), 2U);
    EXPECT_EQ(source.modules[0].module, "model.layers.1.mlp.up_proj");
    EXPECT_EQ(source.modules[0].scale, 2.0F) << pattern;
    EXPECT_EQ(source.modules[1].scale, 2.0F) << pattern;
  }
  adapter_.mutable_config()["rank_pattern"] = base::Json::parse(R"({"k_proj": 3})", "test");
  expect_error(ErrorCode::kCorruptData, "wrong shape (expected rank");
}

TEST_F(AdapterErrorTest, TensorsThatAreNotImplemented) {
  for (const char* name : {"base_model.model.model.layers.1.mlp.up_proj.lora_C.weights",
                           "model.layers.0.mlp.up_proj.lora_A.weight", "base_model.model.lora_A",
                           "base_model.model..weight", "base_model.model.weight"}) {
    adapter_.add(name, {2, 8});
    expect_error(ErrorCode::kUnsupported, base::cat("memory: tensor ", name, ": "));
  }
}

TEST_F(AdapterErrorTest, TensorsThatContradictTheAdapter) {
  const std::string up = "base_model.model.model.layers.1.mlp.up_proj";
  adapter_.remove(up + ".lora_A.weight");
  expect_error(ErrorCode::kCorruptData, "tensor " + up + ".lora_B.weight: alone");
  adapter_.remove(up + ".lora_B.weight");
  expect_error(ErrorCode::kCorruptData, "tensor " + up + ".lora_A.weight: alone");
  adapter_.add(up + ".lora_magnitude_vector", {12});
  expect_error(ErrorCode::kCorruptData, "adapter_config.json: use_dora: contradicts");
  adapter_.add("base_model.model.model.layers.0.mlp.up_proj.lora_B.bias", {12});
  expect_error(ErrorCode::kCorruptData, "of a module without lora_A and lora_B");
  adapter_.mutable_config()["r"] = 3;
  expect_error(ErrorCode::kCorruptData,
               "lora_A.weight: wrong shape (expected rank 3 as dimension 0 of 2, got [2, 8])");
  adapter_.remove(up + ".lora_A.weight");
  adapter_.add(up + ".lora_A.weight", {16});
  expect_error(ErrorCode::kCorruptData, "lora_A.weight: wrong shape");
  adapter_.add("base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta", {2, 8});
  expect_error(ErrorCode::kCorruptData, "trainable_token_indices: missing");
  MemoryCheckpoint empty(format::Checkpoint::Kind::kHuggingFace, adapter_.mutable_config());
  EXPECT_EQ(error_of([&] { read_adapter(empty); }).code(), ErrorCode::kCorruptData);
}

TEST_F(AdapterErrorTest, TensorsThatDoNotFitTheModel) {
  const std::string up = "base_model.model.model.layers.1.mlp.up_proj";
  adapter_.remove(up + ".lora_A.weight");
  adapter_.add(up + ".lora_A.weight", {2, 9});
  expect_error(ErrorCode::kInvalidArgument, "memory: tensor " + up +
                                                ".lora_A.weight: does not fit the model (expected "
                                                "shape [2, 8], got [2, 9])");
  adapter_.remove(up + ".lora_B.weight");
  adapter_.add(up + ".lora_B.weight", {8, 2});
  expect_error(ErrorCode::kInvalidArgument,
               up + ".lora_B.weight: does not fit the model (expected shape [12, 2], got [8, 2])");
  for (const char* module :
       {"model.layers.2.mlp.up_proj", "model.layers.01.mlp.up_proj", "model.layers.0.mlp.c_fc",
        "model.layers.0.mlp", "model.layers.99999999999999999999.mlp.up_proj", "x"}) {
    adapter_.add(base::cat("base_model.model.", module, ".lora_A.weight"), {2, 8});
    adapter_.add(base::cat("base_model.model.", module, ".lora_B.weight"), {12, 2});
    expect_error(ErrorCode::kInvalidArgument, base::cat("the model has no module ", module));
  }
  const std::string norm = "base_model.model.model.layers.0.input_layernorm";
  adapter_.add(norm + ".lora_A.weight", {2, 8});
  adapter_.add(norm + ".lora_B.weight", {8, 2});
  expect_error(ErrorCode::kInvalidArgument,
               ".lora_A.weight: does not fit the model (expected a norm's weight or bias)");
  adapter_.add(norm + ".bias", {8});
  expect_error(ErrorCode::kInvalidArgument,
               norm + ".bias: does not fit the model, whose norm has no bias");
  adapter_.add(norm + ".weight", {9});
  expect_error(ErrorCode::kInvalidArgument, "(expected shape [8], got [9])");
  const std::string table = "base_model.model.model.embed_tokens.";
  adapter_.add(table + "lora_A.weight", {2, 8});
  adapter_.add(table + "lora_B.weight", {8, 2});
  expect_error(ErrorCode::kInvalidArgument, "does not fit the model (expected an embedding's)");
  adapter_.add(table + "weight", {3, 8});
  expect_error(ErrorCode::kInvalidArgument, "embed_tokens.weight: does not fit the model");
  adapter_.add(table + "token_adapter.trainable_tokens_delta", {2, 8});
  adapter_.mutable_config()["trainable_token_indices"] = base::Json::parse("[1, 1]", "test");
  expect_error(ErrorCode::kInvalidArgument, "bad token (expected different ones below");
}

TEST_F(AdapterErrorTest, OneModuleUnderTwoNames) {
  adapter_.add("base_model.model.layers.1.mlp.up_proj.lora_A.weight", {2, 8});
  adapter_.add("base_model.model.layers.1.mlp.up_proj.lora_B.weight", {12, 2});
  expect_error(ErrorCode::kCorruptData, "a second one for this module");
}

TEST_F(AdapterErrorTest, NumbersThatAreNotFinite) {
  adapter_.set("base_model.model.model.layers.1.mlp.up_proj.lora_B.weight", 3, NAN);
  expect_error(ErrorCode::kCorruptData, "lora_B.weight: element 3: not finite");
}

TEST_F(AdapterErrorTest, Ids) {
  const AdapterSource source = read_adapter(adapter_);
  mount_adapter(model_.model(), 1, source);
  for (const int id : {1, 0, -1}) {
    EXPECT_EQ(error_of([&] { mount_adapter(model_.model(), id, source); }).code(),
              ErrorCode::kInvalidArgument)
        << id;
  }
  model_.model().unmount_adapter(1);
  mount_adapter(model_.model(), 1, source);
}

}  // namespace
}  // namespace openllm::model::test
