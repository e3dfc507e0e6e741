// Matrices quantised while they load.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/error.h"
#include "format/checkpoint.h"
#include "model/test_support.h"

namespace openllm::model::test {
namespace {

using tensor::DType;

double relative_error(const std::vector<float>& got, const std::vector<float>& expected) {
  double difference = 0.0;
  double size = 0.0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    difference += std::pow(double{got[i]} - double{expected[i]}, 2.0);
    size += std::pow(double{expected[i]}, 2.0);
  }
  return std::sqrt(difference / size);
}

class QuantiseTest : public testing::TestWithParam<std::string> {
 protected:
  std::vector<float> logits(DType type, const std::string& device) const {
    Runner runner(*checkpoint_, device, device::KvType::kF32, 4, 80, type);
    runner.set_rope_len(static_cast<std::int32_t>(golden_.prompt.size()));
    return runner.step({{0, golden_.prompt, golden_.source}});
  }

  const std::unique_ptr<format::Checkpoint> checkpoint_ =
      format::open_checkpoint(data_path(GetParam()));
  const Golden golden_ = read_golden(data_path(GetParam()));
};

// Transposed matrices, tied and untied heads, codes of other schemes, a network with an encoder,
// one with states: all become blocks, and devices agree on them.
TEST_P(QuantiseTest, LogitsStayNearAndDevicesAgree) {
  struct Case {
    DType type;
    double error;  ///< Much: random weights have nothing that evens errors out.
  };
  for (const auto& [type, error] :
       {Case{DType::kQ8_0, 0.06}, {DType::kE4M3By32, 0.25}, {DType::kQ4_1, 0.6}}) {
    const std::vector<float> reference = logits(type, "reference");
    ASSERT_EQ(reference.size(), golden_.logits.size());
    const double off = relative_error(reference, golden_.logits);
    EXPECT_LE(off, error) << tensor::info(type).name;
    EXPECT_GE(off, 1e-5) << tensor::info(type).name << ": nothing was quantised";
    EXPECT_LE(relative_error(logits(type, "cpu"), reference), 2e-3) << tensor::info(type).name;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, QuantiseTest,
                         testing::Values("qwen3", "gpt2-bare", "gemma3", "bart", "mamba2",
                                         "llama-gptq", "llama-awq"),
                         [](const auto& test) {
                           std::string name = test.param;
                           for (char& c : name) {
                             if (c == '-') c = '_';
                           }
                           return name;
                         });

// Rows of 40, 80 and 52 are no whole blocks: nothing would be done, silently.
TEST(QuantiseOtherTest, AModelWithoutAWholeBlockIsRefused) {
  const auto checkpoint = format::open_checkpoint(data_path("llama-odd"));
  try {
    const Runner runner(*checkpoint, "cpu", device::KvType::kF32, 4, 80, DType::kQ8_0);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_EQ(error.where(), "quantize");
    EXPECT_THAT(error.what(), testing::HasSubstr("multiples of 32"));
  }
}

}  // namespace
}  // namespace openllm::model::test
