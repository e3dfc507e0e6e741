// A trained model, from both file formats, on both devices: 200 greedy tokens and logits as
// transformers gives them.

#include <cmath>

#include "model/test_support.h"

namespace openllm::model::test {
namespace {

class StoriesTest : public testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(StoriesTest, GreedyIdsAndLogits) {
  const std::string folder = std::string(OPENLLM_TEST_DATA) + "/stories260K";
  const base::Json golden =
      base::Json::parse(base::read_file(folder + "/golden.json"), "golden.json");
  const auto checkpoint = format::open_checkpoint(folder + "/" + std::get<0>(GetParam()));
  const std::vector<std::int32_t> expected = to_ids(*golden.find("greedy_ids_200"));
  const base::JsonArray& positions = golden.find("positions")->as_array("positions");
  const base::JsonArray& logits_at = golden.find("logits")->as_array("logits");

  Runner model(*checkpoint, std::get<1>(GetParam()), device::KvType::kF32, 1, 256);
  std::vector<std::int32_t> ids;
  std::int32_t next = 1;  // beginning of sequence
  std::size_t checked = 0;
  while (ids.size() < expected.size()) {
    const std::vector<float> logits = model.step({{0, {next}}});
    if (checked < positions.size() &&
        positions[checked].as_int("position") == static_cast<std::int64_t>(ids.size())) {
      const std::vector<base::Json>& wanted = logits_at[checked++].as_array("logits");
      ASSERT_EQ(wanted.size(), logits.size());
      for (std::size_t v = 0; v < logits.size(); ++v) {
        ASSERT_NEAR(logits[v], wanted[v].as_double("logit"), 1e-4) << "position " << ids.size();
      }
    }
    next =
        static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    ids.push_back(next);
  }
  EXPECT_EQ(ids, expected);
  EXPECT_EQ(checked, positions.size());
}

INSTANTIATE_TEST_SUITE_P(Formats, StoriesTest,
                         testing::Combine(testing::Values("hf", "stories260K.gguf"),
                                          testing::Values("reference", "cpu")),
                         [](const auto& test) {
                           return (std::get<0>(test.param) == "hf" ? "HuggingFace_" : "Gguf_") +
                                  std::get<1>(test.param);
                         });

}  // namespace
}  // namespace openllm::model::test
