// The reference device against values worked out by hand: it is what every other device is tested
// against.

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "device/device.h"
#include "openllm/error.h"

namespace openllm::device {
namespace {

tensor::TensorView view(const std::vector<float>& values, const tensor::Shape& shape) {
  return {tensor::DType::kF32, shape, std::as_bytes(std::span<const float>(values))};
}

Tensor matrix(std::vector<float>& values, std::int64_t cols) {
  return {values.data(), static_cast<std::int64_t>(values.size()) / cols, cols, cols};
}

class ReferenceTest : public testing::Test {
 protected:
  std::unique_ptr<Weight> upload(const std::vector<float>& values, const tensor::Shape& shape,
                                 WeightRole role = WeightRole::kLinear) {
    WeightSource source;
    source.parts = {{view(values, shape), "test"}};
    return device_->upload(source, role);
  }
  std::unique_ptr<Weight> vector(const std::vector<float>& values) {
    return upload(values, {static_cast<std::int64_t>(values.size())}, WeightRole::kVector);
  }

  std::unique_ptr<Device> device_ = make_device("reference");
};

TEST_F(ReferenceTest, Name) {
  EXPECT_EQ(device_->name(), "reference");
  EXPECT_EQ(device_->isa(), "portable");
}

TEST_F(ReferenceTest, EmbedScalesAndAddsPositions) {
  const auto table = upload({1, 2, 3, 4, 5, 6}, {3, 2}, WeightRole::kEmbedding);
  std::vector<float> out(4);
  step::Step step;
  step.token_ids = {2, 0};
  step.positions = {0, 1};
  device_->begin_step(step);
  device_->embed(*table, {.scale = 10.0F}, matrix(out, 2));
  EXPECT_EQ(out, (std::vector<float>{50, 60, 10, 20}));
  device_->embed(*table, {.by = Lookup::By::kPosition, .offset = 1, .add = true}, matrix(out, 2));
  EXPECT_EQ(out, (std::vector<float>{53, 64, 15, 26}));
  device_->embed(*table, {.by = Lookup::By::kConstant, .offset = 1}, matrix(out, 2));
  EXPECT_EQ(out, (std::vector<float>{3, 4, 3, 4}));
  step.token_ids = {2, -1};
  step.embeddings = {7, 8};
  device_->embed(*table, {}, matrix(out, 2));
  EXPECT_EQ(out, (std::vector<float>{5, 6, 7, 8}));
}

TEST_F(ReferenceTest, LinearStacksPartsAndAddsBias) {
  const std::vector<float> first = {1, 2};
  const std::vector<float> second = {3, 4, 5, 6};
  WeightSource source;
  source.parts = {{view(first, {1, 2})}, {view(second, {2, 2})}};
  const auto weight = device_->upload(source, WeightRole::kLinear);
  EXPECT_EQ(weight->out_features(), 3);
  EXPECT_EQ(weight->in_features(), 2);
  const auto bias = vector({0.5F, 0, 0});
  std::vector<float> x = {1, 10};
  std::vector<float> out(3);
  device_->linear(*weight, bias.get(), {}, matrix(x, 2), matrix(out, 3));
  EXPECT_EQ(out, (std::vector<float>{21.5F, 43, 65}));
}

TEST_F(ReferenceTest, TransposedPart) {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};  // [in 2, out 3]
  WeightSource source;
  source.parts = {{view(values, {2, 3}), "test", true}};
  const auto weight = device_->upload(source, WeightRole::kLinear);
  EXPECT_EQ(weight->out_features(), 3);
  std::vector<float> x = {1, 10};
  std::vector<float> out(3);
  device_->linear(*weight, nullptr, {}, matrix(x, 2), matrix(out, 3));
  EXPECT_EQ(out, (std::vector<float>{41, 52, 63}));
}

TEST_F(ReferenceTest, UploadRefusesWhatDoesNotFit) {
  const std::vector<float> values(6);
  WeightSource source;
  source.parts = {{view(values, {3, 2})}, {view(values, {2, 3})}};
  EXPECT_THROW(device_->upload(source, WeightRole::kLinear), Error);
  source.parts = {{view(values, {7})}};
  EXPECT_THROW(device_->upload(source, WeightRole::kVector), Error);
  source.parts = {{view(values, {6})}};
  EXPECT_THROW(device_->upload(source, WeightRole::kLinear), Error);
}

TEST_F(ReferenceTest, RmsNormOfHeadsWithOffset) {
  const auto weight = vector({0, 1});
  std::vector<float> x = {3, 4, 0, 5};  // two heads
  device_->norm({NormKind::kRms, 0.0F, 1.0F}, *weight, nullptr, matrix(x, 4), matrix(x, 4));
  const float first = std::sqrt(12.5F);
  EXPECT_FLOAT_EQ(x[0], 3 / first);
  EXPECT_FLOAT_EQ(x[1], 8 / first);
  EXPECT_FLOAT_EQ(x[2], 0);
  EXPECT_FLOAT_EQ(x[3], 10 / first);
}

TEST_F(ReferenceTest, LayerNorm) {
  const auto weight = vector({1, 2});
  const auto bias = vector({10, 20});
  std::vector<float> x = {1, 3};
  device_->norm({NormKind::kLayer, 0.0F, 0.0F}, *weight, bias.get(), matrix(x, 2), matrix(x, 2));
  EXPECT_FLOAT_EQ(x[0], 9);
  EXPECT_FLOAT_EQ(x[1], 22);
}

TEST_F(ReferenceTest, RopeStyles) {
  RopeSpec spec;
  spec.n_rotary = 4;
  spec.inv_freq = {std::numbers::pi_v<float> / 2, 0.0F};  // a quarter turn, and none
  spec.attention_factor = 2.0F;
  step::Step step;
  step.positions = {1};
  step.sequences = {{.n_rows = 1}};
  device_->begin_step(step);
  spec.style = RopeStyle::kHalves;
  std::vector<float> x = {1, 2, 3, 4, 9};
  device_->rope(*device_->make_rope(spec), 5, matrix(x, 5));
  const std::vector<float> halves = {-6, 4, 2, 8, 9};
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], halves[i], 1e-5) << i;
  spec.style = RopeStyle::kInterleaved;
  x = {1, 2, 3, 4, 9};
  device_->rope(*device_->make_rope(spec), 5, matrix(x, 5));
  const std::vector<float> pairs = {-4, 2, 6, 8, 9};
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], pairs[i], 1e-5) << i;
}

TEST_F(ReferenceTest, ActivationsAndProducts) {
  std::vector<float> gate_up = {1, -1, 10, 20};
  std::vector<float> out(2);
  device_->gated_activation(Activation::kRelu, matrix(gate_up, 4), matrix(out, 2));
  EXPECT_EQ(out, (std::vector<float>{10, 0}));
  std::vector<float> x = {1.0F};
  device_->activation(Activation::kSilu, matrix(x, 1));
  EXPECT_FLOAT_EQ(x[0], 0.7310585786F);
  x = {1.0F};
  device_->activation(Activation::kGelu, matrix(x, 1));
  EXPECT_FLOAT_EQ(x[0], 0.8413447461F);
  x = {1.0F};
  device_->activation(Activation::kGeluTanh, matrix(x, 1));
  EXPECT_FLOAT_EQ(x[0], 0.8411919906F);
  x = {1.0F};
  device_->activation(Activation::kQuickGelu, matrix(x, 1));
  EXPECT_FLOAT_EQ(x[0], 0.8457957659F);
  x = {-2.0F, 3.0F};
  device_->activation(Activation::kReluSquared, matrix(x, 2));
  EXPECT_EQ(x, (std::vector<float>{0.0F, 9.0F}));
  x = {1.0F};
  device_->activation(Activation::kTanh, matrix(x, 1));
  EXPECT_FLOAT_EQ(x[0], 0.7615941560F);
}

TEST_F(ReferenceTest, LogitsAreScaledThenCapped) {
  const auto head = upload({1, 0, 0, 1}, {2, 2});
  std::vector<float> x = {3, 1};
  std::vector<float> out(2);
  device_->logits(*head, nullptr, {}, 2.0F, 0.0F, matrix(x, 2), out.data());
  EXPECT_EQ(out, (std::vector<float>{6, 2}));
  device_->logits(*head, nullptr, {}, 2.0F, 4.0F, matrix(x, 2), out.data());
  EXPECT_FLOAT_EQ(out[0], 4.0F * std::tanh(1.5F));
}

/// One head of one dimension: with q = 0 attention is the mean of the visible values.
class ReferenceAttentionTest : public ReferenceTest {
 protected:
  std::vector<float> run(const AttentionSpec& spec, std::vector<float> q, std::int32_t past_len,
                         const std::vector<std::int32_t>& visible_end = {}) {
    KvCacheSpec cache_spec;
    cache_spec.block_size = 2;
    cache_spec.layers = {{0, 1, 1, 1}};
    cache_spec.blocks_per_group = {4};
    const auto cache = device_->allocate_kv(cache_spec);
    std::vector<float> out;
    // Positions 0 .. past_len - 1 first, then the rows asked for.
    const std::int32_t n_rows = 5 - past_len;
    for (const bool is_past : {true, false}) {
      if (is_past && past_len == 0) continue;
      const std::int32_t first = is_past ? 0 : past_len;
      const std::int32_t n = is_past ? past_len : n_rows;
      std::vector<float> keys;
      std::vector<float> values;
      for (std::int32_t i = 0; i < n; ++i) {
        keys.push_back(static_cast<float>(first + i));
        values.push_back(static_cast<float>(first + i));
      }
      step::Step step;
      step.token_ids.assign(static_cast<std::size_t>(n), 0);
      step.sequences = {{0, n, first}};
      step.block_tables = {{{3, 0, 2}, {0, 3}}};
      if (!is_past) step.visible_end = visible_end;
      device_->begin_step(step);
      device_->write_kv(*cache, 0, matrix(keys, 1), matrix(values, 1));
      if (is_past) continue;
      out.resize(static_cast<std::size_t>(n));
      device_->attention(spec, *cache, 0, matrix(q, 1), matrix(out, 1));
    }
    return out;
  }

  AttentionSpec spec_{1, 1, 1, 1, 1.0F};
};

TEST_F(ReferenceAttentionTest, CausalMean) {
  EXPECT_EQ(run(spec_, {0, 0, 0, 0, 0}, 0), (std::vector<float>{0, 0.5F, 1, 1.5F, 2}));
  EXPECT_EQ(run(spec_, {0, 0}, 3), (std::vector<float>{1.5F, 2}));
}

TEST_F(ReferenceAttentionTest, Window) {
  spec_.window = 2;
  EXPECT_EQ(run(spec_, {0, 0, 0, 0, 0}, 0), (std::vector<float>{0, 0.5F, 1.5F, 2.5F, 3.5F}));
  spec_.window = 1;
  EXPECT_EQ(run(spec_, {0, 0}, 3), (std::vector<float>{3, 4}));
}

TEST_F(ReferenceAttentionTest, NotCausalAndVisibleEnd) {
  spec_.visibility = Visibility::kWhole;
  EXPECT_EQ(run(spec_, {0, 0}, 3), (std::vector<float>{2, 2}));
  spec_.visibility = Visibility::kCausal;
  const std::vector<std::int32_t> ends = {4, 1};
  EXPECT_EQ(run(spec_, {0, 0}, 3, ends), (std::vector<float>{2, 0.5F}));
}

TEST_F(ReferenceAttentionTest, SoftmaxScaleAndCap) {
  // Two keys 0 and 1: weights e^0 and e^(q * scale).
  spec_.window = 2;
  spec_.scale = 0.5F;
  const float plain = run(spec_, {1, 1, 1, 1, 1}, 0)[1];
  EXPECT_FLOAT_EQ(plain, 1.0F / (1.0F + std::exp(-0.5F)));
  spec_.soft_cap = 0.25F;
  const float capped = run(spec_, {1, 1, 1, 1, 1}, 0)[1];
  EXPECT_FLOAT_EQ(capped, 1.0F / (1.0F + std::exp(-0.25F * std::tanh(2.0F))));
}

TEST(RegistryTest, ListsAndRefuses) {
  const std::vector<DeviceEntry> entries = devices();
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].name, "cpu");
  EXPECT_EQ(make_device("")->name(), "cpu");
  try {
    make_device("abacus");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_NE(std::string(error.what()).find("cpu, reference"), std::string::npos);
  }
}

}  // namespace
}  // namespace openllm::device
