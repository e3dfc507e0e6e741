#include "model/config/rope.h"

#include <cmath>

#include "model/test_support.h"

namespace openllm::model::test {
namespace {

RopeParameters read(const std::string& json, int head_dim = 8, int max_positions = 64) {
  const base::Json values = base::Json::parse(json, "test");
  const Config config(values, "config.json: rope_parameters");
  RopeContext context;
  context.head_dim = head_dim;
  context.max_positions = max_positions;
  return read_rope(&config, 10000.0, context);
}

TEST(RopeTest, PlainFrequencies) {
  const device::RopeSpec rope =
      make_rope(read_rope(nullptr, 10000.0, {.head_dim = 8, .max_positions = 64}));
  ASSERT_EQ(rope.inv_freq.size(), 4U);
  EXPECT_FLOAT_EQ(rope.inv_freq[0], 1.0F);
  EXPECT_FLOAT_EQ(rope.inv_freq[1], 0.1F);
  EXPECT_FLOAT_EQ(rope.inv_freq[3], 0.001F);
  EXPECT_EQ(rope.growth.kind, device::RopeGrowth::Kind::kNone);
}

TEST(RopeTest, PartialFactorHasNoEffectOnDefaultAsInTransformers) {
  EXPECT_EQ(make_rope(read(R"({"rope_type": "default", "partial_rotary_factor": 0.5})")).inv_freq,
            make_rope(read("{}")).inv_freq);
}

// Expected values: transformers 5, ROPE_INIT_FUNCTIONS["dynamic"] with seq_len 100.
TEST(RopeTest, DynamicGrowsOnlyBeyondTheOriginalLength) {
  const device::RopeSpec rope =
      make_rope(read(R"({"rope_type": "dynamic", "factor": 2.0, "rope_theta": 100.0})", 8, 50));
  EXPECT_EQ(device::grown_frequencies(rope, 50), rope.inv_freq);
  const std::vector<float> grown = device::grown_frequencies(rope, 100);
  // ratio = 2 * 100 / 50 - 1 = 3; base = 100 * 3^(8/6)
  const double base = 100.0 * std::pow(3.0, 8.0 / 6.0);
  for (int i = 0; i < 4; ++i) {
    EXPECT_NEAR(grown[static_cast<std::size_t>(i)], std::pow(base, -i / 4.0), 1e-6);
  }
}

TEST(RopeTest, LongRopeChoosesFactorsByLength) {
  const device::RopeSpec rope = make_rope(
      read(R"({"rope_type": "longrope", "short_factor": [1, 1, 1, 1], "long_factor": [2, 4, 8, 16],
               "original_max_position_embeddings": 16})"));
  EXPECT_FLOAT_EQ(device::grown_frequencies(rope, 16)[0], 1.0F);
  EXPECT_FLOAT_EQ(device::grown_frequencies(rope, 17)[0], 0.5F);
  // factor = 64 / 16: sqrt(1 + ln 4 / ln 16)
  EXPECT_FLOAT_EQ(rope.attention_factor, std::sqrt(1.5F));
}

TEST(RopeTest, LongRopeThatIsNotLongerLeavesAttentionAsItIs) {
  const auto factor = [](const char* members) {
    return make_rope(read(base::cat(R"({"rope_type": "longrope", "short_factor": [1, 1, 1, 1],
                                        "long_factor": [1, 1, 1, 1])",
                                    members, "}")))
        .attention_factor;
  };
  EXPECT_EQ(factor(R"(, "original_max_position_embeddings": 64)"), 1.0F);
  EXPECT_EQ(factor(R"(, "factor": 0.5)"), 1.0F);
  EXPECT_EQ(factor(R"(, "factor": 4.0, "attention_factor": 1.5)"), 1.5F);
}

/// As in Python, what is left of a pair does not turn.
TEST(RopeTest, ProportionsAreOfWholePairs) {
  for (const auto& [proportion, n_turning] : {std::pair{0.6, 2}, {0.75, 3}, {0.99, 3}, {1.0, 4}}) {
    const std::vector<float> inv_freq =
        make_rope(read(base::cat(R"({"rope_type": "proportional", "partial_rotary_factor": )",
                                 proportion, "}")))
            .inv_freq;
    ASSERT_EQ(inv_freq.size(), 4U);
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(inv_freq[i] > 0.0F, static_cast<int>(i) < n_turning) << proportion << " " << i;
    }
  }
}

TEST(RopeTest, TypeIsTheOlderNameOfRopeType) {
  EXPECT_EQ(read(R"({"type": "linear", "factor": 4})").type, RopeParameters::Type::kLinear);
  EXPECT_EQ(read(R"({"rope_type": "default", "type": "linear", "factor": 4})").type,
            RopeParameters::Type::kDefault);
}

struct Frequencies {
  const char* json;
  int max_positions;
  std::vector<float> inv_freq;
  double attention_factor;
  double theta = 100.0;
};

// Expected values: transformers 5.24, ROPE_INIT_FUNCTIONS. Heads have 8 dimensions.
TEST(RopeTest, FrequenciesOfTransformers) {
  const std::vector<Frequencies> cases = {
      {R"("rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 1024)",
       4096,
       {1.0F, 0.316227764F, 0.0812500045F, 0.0197642371F},
       1.138629436},
      // So short that both ends of the ramp are dimension 0: its width is zero but for 0.001.
      {R"("rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 4)",
       64,
       {1.0F, 0.079056941F, 0.0250000004F, 0.00790569466F},
       1.138629436},
      {R"("rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 16)",
       64,
       {1.0F, 0.079056941F, 0.0250000004F, 0.00790569466F},
       1.138629436},
      {R"("rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 1024,
          "beta_fast": 4, "beta_slow": 4, "truncate": false)",
       4096,
       {1.0F, 0.316227764F, 0.100000001F, 0.0316227786F},
       1.138629436},
      {R"("rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 1024,
          "truncate": false)",
       4096,
       {1.0F, 0.316227764F, 0.0853986368F, 0.0191267766F},
       1.138629436},
      {R"("rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 1024,
          "beta_fast": 10, "beta_slow": 2)",
       4096,
       {1.0F, 0.316227764F, 0.100000001F, 0.0197642371F},
       1.138629436},
      {R"("rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 1024,
          "mscale": 0.5, "mscale_all_dim": 2.0)",
       4096,
       {1.0F, 0.316227764F, 0.0812500045F, 0.0197642371F},
       0.8371949816},
      {R"("rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 1024,
          "mscale": 0.5)",
       4096,
       {1.0F, 0.316227764F, 0.0812500045F, 0.0197642371F},
       1.138629436},
      {R"("rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 1024,
          "attention_factor": 0.25)",
       4096,
       {1.0F, 0.316227764F, 0.0812500045F, 0.0197642371F},
       0.25},
      // The ramp would end behind the last dimension.
      {R"("rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 1024)",
       4096,
       {1.0F, 0.562341332F, 0.316227764F, 0.151153743F},
       1.138629436,
       10.0},
      {R"("rope_type": "yarn", "factor": 1, "original_max_position_embeddings": 4096)",
       4096,
       {1.0F, 0.316227764F, 0.100000001F, 0.0316227786F},
       1.0},
      {R"("rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4,
          "original_max_position_embeddings": 64)",
       4096,
       {1.0F, 0.244384587F, 0.0130422562F, 0.00395284733F},
       1.0},
      {R"("rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4,
          "original_max_position_embeddings": 512)",
       4096,
       {1.0F, 0.316227764F, 0.100000001F, 0.0184966773F},
       1.0},
  };
  for (const Frequencies& c : cases) {
    SCOPED_TRACE(c.json);
    const device::RopeSpec rope = make_rope(
        read(base::cat(R"({"rope_theta": )", c.theta, ", ", c.json, "}"), 8, c.max_positions));
    ASSERT_EQ(rope.inv_freq.size(), c.inv_freq.size());
    for (std::size_t i = 0; i < c.inv_freq.size(); ++i) {
      EXPECT_NEAR(rope.inv_freq[i], c.inv_freq[i], 1e-6F * c.inv_freq[i]) << i;
    }
    EXPECT_NEAR(rope.attention_factor, c.attention_factor, 1e-6);
    EXPECT_EQ(rope.n_rotary, 8);
  }
}

TEST(RopeTest, FactorsOfTheFileDivideTheFrequencies) {
  device::RopeSpec rope = make_rope(read("{}"));
  divide_frequencies(rope, std::vector<float>{1.0F, 2.0F, 4.0F, 8.0F, 16.0F});
  EXPECT_FLOAT_EQ(rope.inv_freq[1], 0.05F);
  EXPECT_FLOAT_EQ(rope.inv_freq[3], 0.001F / 8.0F);
  divide_frequencies(rope, std::vector<float>{2.0F});
  EXPECT_FLOAT_EQ(rope.inv_freq[0], 0.5F);
  EXPECT_FLOAT_EQ(rope.inv_freq[1], 0.05F);
}

struct Refusal {
  const char* json;
  ErrorCode code;
  const char* word;

  friend void PrintTo(const Refusal& test, std::ostream* out) { *out << test.json; }
};

class RopeRefusalTest : public testing::TestWithParam<Refusal> {};

TEST_P(RopeRefusalTest, NamesThePlace) {
  const Error error = error_of([] { read(GetParam().json); });
  EXPECT_EQ(error.code(), GetParam().code) << error.what();
  EXPECT_THAT(error.what(), testing::StartsWith("config.json: rope_parameters: "));
  EXPECT_THAT(error.what(), testing::HasSubstr(GetParam().word));
}

INSTANTIATE_TEST_SUITE_P(
    All, RopeRefusalTest,
    testing::Values(
        Refusal{R"({"rope_type": "helical"})", ErrorCode::kUnsupported, "helical"},
        Refusal{R"({"rope_type": 3})", ErrorCode::kCorruptData, "rope_type"},
        Refusal{R"({"rope_type": "linear"})", ErrorCode::kCorruptData, "factor"},
        Refusal{R"({"rope_type": "linear", "factor": 0})", ErrorCode::kCorruptData, "factor"},
        Refusal{R"({"rope_type": "linear", "factor": -2})", ErrorCode::kCorruptData, "factor"},
        Refusal{R"({"rope_type": "linear", "factor": "2"})", ErrorCode::kCorruptData, "factor"},
        Refusal{R"({"rope_theta": 0})", ErrorCode::kCorruptData, "rope_theta"},
        Refusal{R"({"rope_type": "linear", "factor": 2, "partial_rotary_factor": 0.5})",
                ErrorCode::kUnsupported, "partial_rotary_factor"},
        Refusal{R"({"rope_type": "llama3", "factor": 2})", ErrorCode::kCorruptData,
                "low_freq_factor"},
        Refusal{
            R"({"rope_type": "llama3", "factor": 2, "low_freq_factor": 4, "high_freq_factor": 4})",
            ErrorCode::kCorruptData, "high_freq_factor"},
        Refusal{R"({"rope_type": "yarn", "factor": 2, "original_max_position_embeddings": 0})",
                ErrorCode::kCorruptData, "original_max_position_embeddings"},
        Refusal{R"({"rope_type": "yarn", "factor": 2, "rope_theta": 1.0})", ErrorCode::kCorruptData,
                "rope_theta"},
        Refusal{R"({"rope_type": "longrope", "long_factor": [1, 1, 1, 1]})",
                ErrorCode::kCorruptData, "short_factor"},
        Refusal{R"({"rope_type": "longrope", "short_factor": [1, 1], "long_factor": [1, 1]})",
                ErrorCode::kCorruptData, "expected 4, got 2"},
        Refusal{
            R"({"rope_type": "longrope", "short_factor": [1, 1, 1, 0], "long_factor": [1, 1, 1, 1]})",
            ErrorCode::kCorruptData, "short_factor"}));

}  // namespace
}  // namespace openllm::model::test
