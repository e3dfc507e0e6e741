#include "format/model_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "format/test_files.h"

namespace openllm::format {
namespace {

using testing::error_of;
using testing::gguf_string;
using testing::GgufBuilder;
using ::testing::HasSubstr;
using testing::le;
using testing::TempFolder;

constexpr std::uint32_t kU32 = 4;
constexpr std::uint32_t kI32 = 5;
constexpr std::uint32_t kF32 = 6;
constexpr std::uint32_t kString = 8;

TEST(ModelSource, AFolderNeedsNoWeights) {
  const TempFolder folder;
  folder.write("config.json", R"({"architectures": ["FooForCausalLM"], "model_type": "foo",
    "num_hidden_layers": 3, "vocab_size": 7, "max_position_embeddings": 99,
    "quantization_config": {"quant_method": "gptq"}})");
  folder.write("tokenizer.json", "{}");
  folder.write("chat_template.jinja", "{{ messages }}");
  folder.write("generation_config.json", R"({"top_k": 5})");
  const ModelSource source = open_model(folder.path());
  EXPECT_EQ(source.path, folder.path());
  EXPECT_TRUE(folder.path().ends_with("/" + source.id));
  EXPECT_EQ(source.version, "local");
  EXPECT_EQ(source.layout, Layout::kHuggingFace);
  EXPECT_FALSE(source.has_weights());
  EXPECT_EQ(source.architecture, "foo");
  EXPECT_EQ(source.quantisation, "gptq");
  EXPECT_EQ(source.tokenizer_path, folder.path() + "/tokenizer.json");
  EXPECT_EQ(source.tokenizer_config_path, "");
  ASSERT_EQ(source.chat_templates.size(), 1U);
  EXPECT_EQ(source.chat_templates[0].name, "default");
  EXPECT_EQ(source.chat_templates[0].source, "{{ messages }}");
  EXPECT_EQ(source.chat_templates[0].place, folder.path() + "/chat_template.jinja");
  EXPECT_EQ(source.generation_defaults.dump(), R"({"top_k":5})");
  EXPECT_EQ(source.outline().n_layers, 3);
  EXPECT_EQ(source.outline().vocab_size, 7);
  EXPECT_EQ(source.outline().max_positions, 99);
  EXPECT_EQ(source.without_tensors()->config().find("vocab_size")->as_int("test"), 7);
  const Error error = error_of([&] { (void)source.open_weights(); });
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  EXPECT_THAT(error.what(), HasSubstr("there is a config.json but no file of these names"));
}

TEST(ModelSource, SizesOfTheTextModelComeFirst) {
  const TempFolder folder;
  folder.write("config.json", R"({"architectures": ["FooForImages"], "vocab_size": 1,
    "text_config": {"n_layer": 2, "vocab_size": 8, "n_positions": -1}})");
  const ModelSource source = open_model(folder.path());
  EXPECT_EQ(source.architecture, "FooForImages");
  EXPECT_EQ(source.outline().n_layers, 2);
  EXPECT_EQ(source.outline().vocab_size, 8);
  EXPECT_EQ(source.outline().max_positions, 0) << "not a size";
}

TEST(ModelSource, SaysWhichWeightsThereAre) {
  const TempFolder folder;
  folder.write("config.json", "{}");
  EXPECT_EQ(open_model(folder.path()).weights, WeightFormat::kNone);
  folder.write("tf_model.h5", "x");
  EXPECT_EQ(open_model(folder.path()).weights, WeightFormat::kTensorflow);
  folder.write("flax_model-00001-of-00002.msgpack", "x");
  EXPECT_EQ(open_model(folder.path()).weights, WeightFormat::kFlax);
  EXPECT_EQ(open_model(folder.path(), Serialisation::kTensorflow).weights,
            WeightFormat::kTensorflow);
  folder.write("pytorch_model-00001-of-00002.bin", "x");
  EXPECT_EQ(open_model(folder.path()).weights, WeightFormat::kPytorch);
  folder.write("model.safetensors", "damaged");
  EXPECT_EQ(open_model(folder.path()).weights, WeightFormat::kSafetensors) << "not opened";
  EXPECT_EQ(open_model(std::string(OPENLLM_TEST_DATA) + "/stories260K/hf").open_weights()->kind(),
            Layout::kHuggingFace);
}

TEST(ModelSource, OfGgufIsItsMetadata) {
  const TempFolder folder;
  GgufBuilder b;
  b.text("general.architecture", "foo").text("tokenizer.chat_template", "{{ x }}");
  b.key("foo.block_count", kU32, le(std::uint32_t{4}));
  b.key("foo.context_length", kU32, le(std::uint32_t{77}));
  b.array("tokenizer.ggml.tokens", kString, 2, gguf_string("a") + gguf_string("b"));
  b.tensor("t", {1}, 0, le(1.0F));
  const ModelSource source = open_model(folder.write("tiny.gguf", b.build()));
  EXPECT_EQ(source.id, "tiny");
  EXPECT_EQ(source.weights, WeightFormat::kGguf);
  EXPECT_EQ(source.architecture, "foo");
  ASSERT_EQ(source.chat_templates.size(), 1U);
  EXPECT_EQ(source.chat_templates[0].source, "{{ x }}");
  EXPECT_EQ(source.outline().n_layers, 4);
  EXPECT_EQ(source.outline().vocab_size, 2);
  EXPECT_EQ(source.outline().max_positions, 77);
  EXPECT_TRUE(source.generation_defaults.is_null());
  EXPECT_EQ(source.open_weights()->tensors().size(), 1U);
  EXPECT_TRUE(source.without_tensors()->tensors().empty());
  // A folder with one such file is that model.
  const ModelSource same = open_model(folder.path());
  EXPECT_EQ(same.path, folder.path());
  EXPECT_EQ(same.gguf->path(), source.path);
}

TEST(ModelSource, WhereTensorsAreDamagedTheRestCanBeRead) {
  const TempFolder folder;
  GgufBuilder b;
  b.text("general.architecture", "foo").info("t", {100}, 0, 0);  // without its data
  const ModelSource source = open_model(folder.write("cut.gguf", b.build()));
  EXPECT_EQ(source.architecture, "foo");
  EXPECT_EQ(error_of([&] { (void)source.open_weights(); }).code(), ErrorCode::kCorruptData);
}

base::Json defaults_of(const GgufBuilder& builder) {
  const TempFolder folder;
  return open_model(folder.write("m.gguf", builder.build())).generation_defaults;
}

TEST(GenerationDefaults, OfGgufAreItsSamplingMetadata) {
  GgufBuilder b;
  b.text("general.architecture", "llama").key("general.sampling.temp", kF32, le(0.5F));
  b.key("general.sampling.top_k", kI32, le(std::int32_t{20}));
  b.key("general.sampling.top_p", kF32, le(0.75F)).key("general.sampling.min_p", kF32, le(0.0F));
  b.key("general.sampling.penalty_repeat", kF32, le(1.25F));
  EXPECT_EQ(defaults_of(b).dump(),
            R"({"temperature":0.5,"top_k":20,"top_p":0.75,"min_p":0.0,"repetition_penalty":1.25})");
}

TEST(GenerationDefaults, MeanWhatLlamaCppMeans) {
  GgufBuilder b;
  b.key("general.sampling.temp", kF32, le(-1.0F));  // greedy
  b.key("general.sampling.penalty_repeat", kF32, le(1.25F));
  b.key("general.sampling.penalty_last_n", kI32, le(std::int32_t{0}));  // off
  EXPECT_EQ(defaults_of(b).dump(), R"({"temperature":0,"repetition_penalty":1})");
  GgufBuilder other;
  other.key("general.sampling.temp", kF32, le(-0.5F));
  other.key("general.sampling.penalty_repeat", kF32, le(1.25F));
  other.key("general.sampling.penalty_last_n", kI32, le(std::int32_t{-1}));  // over all tokens
  EXPECT_EQ(defaults_of(other).dump(), R"({"temperature":0,"repetition_penalty":1.25})");
}

TEST(ModelSource, DamagedFilesAreNamed) {
  for (const char* name : {"config.json", "generation_config.json", "chat_template.json"}) {
    const TempFolder folder;
    folder.write("config.json", "{}");
    folder.write(name, "{");
    const Error error = error_of([&] { (void)open_model(folder.path()); });
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
    EXPECT_THAT(error.what(), HasSubstr(folder.path() + "/" + name + ": "));
  }
}

TEST(IsModelFolder, NeedsAConfigurationOrAGgufModel) {
  const TempFolder folder;
  EXPECT_FALSE(is_model_folder(folder.path()));
  EXPECT_FALSE(is_model_folder(folder.path() + "/none"));
  folder.write("model.safetensors", "x");
  folder.write("mmproj-x.gguf", "x");
  EXPECT_FALSE(is_model_folder(folder.path()));
  folder.write("x.gguf", "x");
  EXPECT_TRUE(is_model_folder(folder.path()));
  EXPECT_FALSE(is_model_folder(folder.path() + "/x.gguf"));
}

}  // namespace
}  // namespace openllm::format
