#include "hub/selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "openllm/error.h"

namespace openllm::hub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;
using Paths = std::vector<std::string>;

Reference of(const std::string& text) { return parse_reference(text).value(); }

std::string error_of(const Paths& paths, const Reference& reference,
                     const std::string& serialisation = "auto") {
  try {
    (void)select_files(paths, reference, serialisation);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    return error.what();
  }
  return {};
}

const Paths kBoth = {"README.md",         "config.json",    "model.safetensors",
                     "onnx/model.onnx",   "model.gguf",     "tokenizer.json",
                     "pytorch_model.bin", "tf_model.h5",    "merges.txt",
                     "tokenizer.model",   ".gitattributes", "adapter_model.safetensors"};

TEST(Selection, SafetensorsComeFirstAndBringWhatIsReadWithThem) {
  const Selection selection = select_files(kBoth, of("a/b"));
  EXPECT_THAT(selection.files, ElementsAre("config.json", "merges.txt", "model.safetensors",
                                           "tokenizer.json", "tokenizer.model"));
  EXPECT_EQ(selection.load, "");
  EXPECT_EQ(selection.format, "safetensors");
}

TEST(Selection, OtherFormsComeWhenTheyAreAskedFor) {
  EXPECT_THAT(select_files(kBoth, of("a/b"), "gguf").files, ElementsAre("model.gguf"));
  EXPECT_THAT(select_files(kBoth, of("a/b"), "legacy").files,
              ElementsAre("config.json", "merges.txt", "pytorch_model.bin", "tokenizer.json",
                          "tokenizer.model"));
  EXPECT_THAT(
      select_files(kBoth, of("a/b"), "tensorflow").files,
      ElementsAre("config.json", "merges.txt", "tf_model.h5", "tokenizer.json", "tokenizer.model"));
  const Paths flax = {"config.json", "flax_model.msgpack", "tf_model.h5"};
  EXPECT_THAT(select_files(flax, of("a/b")).files,
              ElementsAre("config.json", "flax_model.msgpack"));
  EXPECT_EQ(select_files(flax, of("a/b")).format, "flax");
  EXPECT_THAT(error_of({"model.gguf"}, of("a/b"), "safetensors"),
              HasSubstr("expected safetensors"));
  EXPECT_THAT(error_of({"README.md"}, of("a/b")), HasSubstr("a/b has no weights"));
}

TEST(Selection, PartsComeWithTheirIndex) {
  const Paths paths = {"config.json",
                       "model-00001-of-00002.safetensors",
                       "model-00002-of-00002.safetensors",
                       "model.safetensors.index.json",
                       "consolidated.safetensors",
                       "model.fp16.safetensors",
                       "pytorch_model.bin.index.json"};
  EXPECT_THAT(select_files(paths, of("a/b")).files,
              ElementsAre("config.json", "model-00001-of-00002.safetensors",
                          "model-00002-of-00002.safetensors", "model.safetensors.index.json"));
}

TEST(Selection, OfAllSplitFilesAllPartsHaveToBeThere) {
  // As others' downloads that are under way leave them, also before the index has come.
  for (const char* stem : {"model", "weights"}) {
    const std::string name(stem);
    EXPECT_THAT(error_of({"config.json", name + "-00001-of-00002.safetensors"}, of("a/b")),
                HasSubstr("lacks " + name + "-00002-of-00002.safetensors"));
    EXPECT_THAT(error_of({"config.json", name + "-00002-of-00002.safetensors"}, of("a/b")),
                HasSubstr("lacks " + name + "-00001-of-00002.safetensors"));
  }
  EXPECT_THAT(error_of({"config.json", "pytorch_model-00001-of-00003.bin",
                        "pytorch_model-00002-of-00003.bin"},
                       of("a/b")),
              HasSubstr("lacks pytorch_model-00003-of-00003.bin"));
}

TEST(Selection, NamesThatPromiseManyPartsCostNothing) {
  Paths paths;
  for (int i = 0; i < 20'000; ++i)
    paths.push_back("m" + std::to_string(i) + "-00001-of-99999.gguf");
  EXPECT_THAT(error_of(paths, of("a/b")), HasSubstr("-00002-of-99999.gguf"));
}

TEST(Selection, SafetensorsOfOtherNamesAreTakenWhenNothingElseIsThere) {
  EXPECT_THAT(
      select_files({"weights.safetensors", "config.json", "consolidated.safetensors"}, of("a/b"))
          .files,
      ElementsAre("config.json", "weights.safetensors"));
}

TEST(Selection, OfSeveralGgufFilesTheVariantOrAGoodOneIsTaken) {
  const Paths paths = {"m-BF16.gguf", "m-Q2_K.gguf",       "m-Q4_K_M.gguf",
                       "m-Q8_0.gguf", "mmproj-m-f16.gguf", "m-UD-Q4_K_XL.gguf"};
  EXPECT_EQ(select_files(paths, of("a/b")).load, "m-Q4_K_M.gguf");
  EXPECT_EQ(select_files(paths, of("a/b:q8_0")).load, "m-Q8_0.gguf");
  EXPECT_EQ(select_files(paths, of("a/b:UD-Q4_K_XL")).load, "m-UD-Q4_K_XL.gguf");
  EXPECT_EQ(select_files(paths, of("hf://a/b/m-Q2_K.gguf")).load, "m-Q2_K.gguf");
  EXPECT_EQ(select_files({"m-Q2_K.gguf", "m-Q8_0.gguf"}, of("a/b")).load, "m-Q8_0.gguf");
  EXPECT_THAT(error_of(paths, of("a/b:Q5_0")),
              HasSubstr("a/b has no GGUF file Q5_0 (it has BF16, Q2_K, Q4_K_M, Q8_0, UD-Q4_K_XL)"));
  EXPECT_THAT(error_of(kBoth, of("a/b:Q5_0")), HasSubstr("(it has model.gguf)"));
}

TEST(Selection, SplitGgufFilesComeTogether) {
  const Paths paths = {"Q8_0/m-Q8_0-00001-of-00002.gguf", "Q8_0/m-Q8_0-00002-of-00002.gguf",
                       "Q4/m-Q4_0-00001-of-00002.gguf"};
  const Selection selection = select_files(paths, of("a/b:Q8_0"));
  EXPECT_THAT(selection.files, ElementsAre(paths[0], paths[1]));
  EXPECT_EQ(selection.load, paths[0]);
  EXPECT_EQ(select_files(paths, of("hf://a/b/Q8_0/m-Q8_0-00002-of-00002.gguf")).load, paths[0]);
  EXPECT_THAT(error_of(paths, of("a/b:Q4_0")), HasSubstr("lacks Q4/m-Q4_0-00002-of-00002.gguf"));
}

TEST(Selection, VariantsAreReadFromNames) {
  EXPECT_EQ(variant_of("x/SmolLM2-135M-Instruct.Q4_1.gguf"), "Q4_1");
  EXPECT_EQ(variant_of("qwen3-0.6b-q4_k_m.gguf"), "Q4_K_M");
  EXPECT_EQ(variant_of("m-UD-IQ2_XXS-00001-of-00003.gguf"), "UD-IQ2_XXS");
  EXPECT_EQ(variant_of("q8_0.gguf"), "Q8_0");
  EXPECT_EQ(variant_of("model.gguf"), "");
}

TEST(Selection, NumbersOfPartsThatMakeNoSenseAreNames) {
  for (const char* name :
       {"m-00003-of-00002.gguf", "m-00000-of-00002.gguf", "m-0001-of-0002.gguf", "m-1.gguf"})
    EXPECT_THAT(parts_of_split(name), ElementsAre(name));
  EXPECT_THAT(gguf_models_of({"m-00001-of-00002.gguf", "m-00002-of-00002.gguf", "n.gguf"}),
              UnorderedElementsAre("m-00001-of-00002.gguf", "n.gguf"));
}

}  // namespace
}  // namespace openllm::hub
