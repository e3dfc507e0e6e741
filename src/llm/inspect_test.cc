#include "openllm/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "format/test_files.h"
#include "openllm/llm.h"

namespace openllm {
namespace {

using testing::HasSubstr;

const std::string kData = OPENLLM_TEST_DATA;

const TensorGroup* find_group(const Inspection& result, const std::string& name) {
  for (const TensorGroup& group : result.tensors) {
    if (group.name == name) return &group;
  }
  return nullptr;
}

TEST(Inspect, GroupsTensorsAndCountsAllBytes) {
  const Inspection result = inspect(kData + "/models/llama");
  const TensorGroup* group = find_group(result, "model.layers.*.mlp.down_proj.weight");
  ASSERT_NE(group, nullptr);
  EXPECT_EQ(group->n_tensors, result.model.info.n_layers);
  EXPECT_EQ(group->n_elements, group->n_tensors * group->shape.at(0) * group->shape.at(1));
  std::int64_t bytes = 0;
  for (const TensorGroup& each : result.tensors) bytes += each.n_bytes;
  EXPECT_EQ(bytes, result.model.info.weight_bytes);
  EXPECT_EQ(result.backends.chosen, "native");
  EXPECT_EQ(result.quantisation, "");
  EXPECT_GT(result.model.memory_bytes, 0);
  for (const Finding& finding : result.findings)
    EXPECT_EQ(finding.about, "tokenizer") << finding.what;
}

TEST(Inspect, NamesHowMatricesAreQuantised) {
  EXPECT_EQ(inspect(kData + "/models/llama-awq").quantisation, "awq");
  EXPECT_EQ(inspect(kData + "/models/qwen3/q8_0/model.gguf").quantisation, "Q8_0");
}

TEST(Inspect, PartsThatDoNotRunAreNamed) {
  EXPECT_THAT(LLM(kData + "/models/gemma3-vision").info().left_out,
              testing::UnorderedElementsAre("vision_tower", "multi_modal_projector"));
  EXPECT_TRUE(LLM(kData + "/models/llama").info().left_out.empty());
  EXPECT_TRUE(LLM(kData + "/encoders/roberta").info().left_out.empty()) << "a pooler is no part";
}

TEST(Inspect, TheCardNamesTheLicense) {
  const auto license_with = [](const std::string& card) {
    const format::testing::TempFolder folder;
    const std::filesystem::path to(folder.path());
    std::filesystem::copy(kData + "/models/llama", to, std::filesystem::copy_options::recursive);
    std::ofstream(to / "README.md") << card;
    return inspect(to.string()).license;
  };
  EXPECT_EQ(license_with("---\nlanguage: en\nlicense: apache-2.0\n---\nlicense: mit\n"),
            "apache-2.0");
  EXPECT_EQ(license_with("---\r\nlicense: \"other\"\r\nlicense_name: qwen\r\n---\r\n"), "qwen");
  EXPECT_EQ(license_with("# A model\nlicense: mit\n"), "");
  EXPECT_EQ(license_with("---\n" + std::string(1000, 'x') + "\nlicense: mit\n---\n"), "");
  EXPECT_EQ(license_with("---\nlicense:\n---\n"), "");
}

TEST(Inspect, AModelThatNothingRunsIsDescribed) {
  const format::testing::TempFolder folder;
  const std::filesystem::path to(folder.path());
  std::filesystem::copy(kData + "/models/llama", to, std::filesystem::copy_options::recursive);
  std::ofstream(to / "config.json") << R"({"model_type": "none_such", "vocab_size": 96})";
  const Inspection result = inspect(to.string());
  EXPECT_NE(result.backends.chosen, "native");
  EXPECT_GT(result.model.info.weight_bytes, 0);
  for (const Availability& backend : result.backends.backends) {
    if (backend.name != "native") continue;
    EXPECT_FALSE(backend.available);
    EXPECT_THAT(backend.reason, HasSubstr("none_such"));
  }
}

TEST(Inspect, ThereMustBeAModel) { EXPECT_THROW(inspect("/nonexistent/model"), Error); }

}  // namespace
}  // namespace openllm
