#include "backend/forecast.h"

#include <gtest/gtest.h>

namespace openllm::backend {
namespace {

Footprint small_model() {
  Footprint footprint;
  footprint.step_bytes = 100'000'000;
  footprint.n_parameters = 150'000'000;
  footprint.n_table_parameters = 50'000'000;
  footprint.n_layers = 30;
  footprint.vocab_size = 50'000;
  footprint.is_quantised = true;
  return footprint;
}

constexpr base::MachineSpeed kSpeed{20.0, 200.0, 800.0};

TEST(Forecast, DecodingNeverBeatsReadingTheWeights) {
  const double bound = 20e9 / 100e6;
  const double rate = forecast(small_model(), kSpeed).decode_tokens_per_s;
  EXPECT_LT(rate, bound);
  EXPECT_GT(rate, bound / 2);
  Footprint larger = small_model();
  larger.step_bytes *= 100;  // then nothing else counts
  EXPECT_NEAR(forecast(larger, kSpeed).decode_tokens_per_s, bound / 100, bound / 1000);
}

TEST(Forecast, LayersAndMemorySpeedCount) {
  Footprint deep = small_model();
  deep.n_layers = 60;
  EXPECT_LT(forecast(deep, kSpeed).decode_tokens_per_s,
            forecast(small_model(), kSpeed).decode_tokens_per_s);
  EXPECT_GT(forecast(small_model(), {40.0, 200.0, 800.0}).decode_tokens_per_s,
            forecast(small_model(), kSpeed).decode_tokens_per_s);
}

TEST(Forecast, ExpertsThatATokenDoesNotGoToTakeNoTime) {
  Footprint mixture = small_model();
  mixture.n_parameters += 900'000'000;
  mixture.n_idle_parameters = 900'000'000;
  EXPECT_EQ(forecast(mixture, kSpeed).prefill_tokens_per_s,
            forecast(small_model(), kSpeed).prefill_tokens_per_s);
}

TEST(Forecast, PromptsAreBoundByTheArithmeticOfTheWeightsType) {
  Footprint plain = small_model();
  plain.is_quantised = false;
  EXPECT_NE(forecast(plain, kSpeed).prefill_tokens_per_s,
            forecast(small_model(), kSpeed).prefill_tokens_per_s);
  EXPECT_LT(forecast(small_model(), kSpeed).prefill_tokens_per_s, 800e9 / (2.0 * 100e6));
  EXPECT_GT(forecast(small_model(), {20.0, 200.0, 0.0}).prefill_tokens_per_s, 0.0);
  EXPECT_EQ(forecast(small_model(), {20.0, 0.0, 0.0}).prefill_tokens_per_s, 0.0);
}

}  // namespace
}  // namespace openllm::backend
