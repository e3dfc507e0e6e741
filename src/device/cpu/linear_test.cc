#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "device/cpu/test_support.h"

namespace openllm::device {
namespace {

using tensor::DType;
using namespace testing;  // NOLINT(google-build-using-namespace)

std::unique_ptr<Device> device_of(const std::string& isa, int n_threads = 2, bool fast = false) {
  return make_cpu_device({n_threads, isa, fast});
}

bool is_plain(DType type) { return tensor::info(type).block_elems == 1; }

/// out[t, o] in double, from the activations that the device uses, and the sum of magnitudes for
/// the tolerance.
struct Expected {
  double value = 0.0;
  double magnitude = 0.0;
};

/// Codes with a zero point in F32: factor * code - factor * zero on the cpu.
bool has_zero_value(DType type) {
  return type == DType::kAffine4By32 || type == DType::kAffine8By32;
}

/// Of a product's magnitude. An activation is off by half a step at most, 2^-16 of its group's
/// largest, which is about three times as large as most.
double error_of(DType type, bool fast) { return takes_floats(type) || fast ? 2e-6 : 5e-5; }

Expected expect(const TestWeight& w, const std::vector<float>& x, std::int64_t t, std::int64_t o,
                bool fast, const std::string& isa) {
  Expected e;
  const float* row = x.data() + t * w.n_columns;
  std::vector<float> a(row, row + w.n_columns);
  if (fast && !takes_floats(w.type)) a = through_int8(row, w.n_columns);
  if (fast && w.type == DType::kBF16 && (isa == "avx512_bf16" || isa == "avx512_amx")) {
    for (float& v : a) v = tensor::bf16_to_f32(tensor::f32_to_bf16(v));
  }
  for (std::int64_t k = 0; k < w.n_columns; ++k) {
    const double p = double{a[static_cast<std::size_t>(k)]} *
                     double{w.values[static_cast<std::size_t>(o * w.n_columns + k)]};
    e.value += p;
    e.magnitude += std::fabs(p);
  }
  return e;
}

class CpuLinearPrecision : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Fast, CpuLinearPrecision, ::testing::Values(false, true));

// Against rounded activations where fast ones are asked for, else against the activations
// themselves: two planes leave at most 1 / (127 * 256) of a group's largest.
TEST_P(CpuLinearPrecision, AgreesWithPlainLoops) {
  const bool fast = GetParam();
  for (const std::string& isa : cpu_isas()) {
    const auto device = device_of(isa, 2, fast);
    for (const DType type : weight_types()) {
      const int block = tensor::info(type).block_elems;
      for (const std::int64_t k : {std::int64_t{block == 1 ? 37 : block}, std::int64_t{768}}) {
        Random random(7);
        const TestWeight w = make_weight(type, 83, k, random);
        const auto weight = upload(*device, w);
        const std::vector<float> bias_values = random.normals(83);
        const auto bias = upload_vector(*device, bias_values);
        for (const std::int64_t rows : {1, 2, 3, 4, 7, 13, 40}) {
          const auto x = random.normals(static_cast<std::size_t>(rows * k));
          const TestTensor in(*device, rows, k, x);
          const TestTensor out(*device, rows, 83, std::int64_t{5});
          device->linear(*weight, bias.get(), {}, in, out);
          device->finish_step();
          const auto got = out.values();
          for (std::int64_t t = 0; t < rows; ++t) {
            for (const std::int64_t o : {0, 1, 15, 16, 31, 40, 79, 80, 82}) {
              const Expected e = expect(w, x, t, o, fast, isa);
              ASSERT_NEAR(got[static_cast<std::size_t>(t * 83 + o)],
                          e.value + double{bias_values[static_cast<std::size_t>(o)]},
                          error_of(type, fast) * (e.magnitude + 1.0))
                  << isa << " " << tensor::info(type).name << " k " << k << " rows " << rows
                  << " t " << t << " o " << o;
            }
          }
        }
      }
    }
  }
}

// The contract: a row's bits do not depend on the other rows, on threads, or on how the work is
// cut.
TEST_P(CpuLinearPrecision, RowsGiveTheSameBitsAloneAndTogether) {
  constexpr std::int64_t kRows = 512;
  constexpr std::int64_t kOut = 150;
  for (const std::string& isa : cpu_isas()) {
    for (const DType type : weight_types()) {
      const std::int64_t k = is_plain(type) ? 301 : 768;
      Random random(11);
      const TestWeight w = make_weight(type, kOut, k, random);
      const auto x = random.normals(static_cast<std::size_t>(kRows * k));
      const auto one = device_of(isa, 1, GetParam());
      const auto two = device_of(isa, 2, GetParam());
      const auto weight_one = upload(*one, w);
      const auto weight_two = upload(*two, w);
      const TestTensor in(*two, kRows, k, x);
      const TestTensor all(*two, kRows, kOut);
      two->linear(*weight_two, nullptr, {}, in, all);
      const auto expected = all.values();
      for (const std::int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 33}) {
        for (const std::int64_t first : {std::int64_t{0}, std::int64_t{17}, kRows - rows}) {
          for (const auto* pair : {"one", "two"}) {
            Device& device = pair[0] == 'o' ? *one : *two;
            const Weight& weight = pair[0] == 'o' ? *weight_one : *weight_two;
            const TestTensor part(device, rows, kOut);
            const Tensor from{in.data() + first * k, rows, k, k};
            device.linear(weight, nullptr, {}, from, part);
            const auto got = part.values();
            ASSERT_EQ(
                std::memcmp(got.data(), expected.data() + first * kOut, got.size() * sizeof(float)),
                0)
                << isa << " " << tensor::info(type).name << " rows " << rows << " at " << first;
          }
        }
      }
    }
  }
}

TEST(CpuLinear, FusedEntryPointsGiveTheBitsOfTheirParts) {
  for (const std::string& isa : cpu_isas()) {
    const auto device = device_of(isa);
    for (const DType type : {DType::kQ4_1, DType::kF32}) {
      for (const std::int64_t rows : {1, 9, 70}) {
        Random random(3);
        const std::int64_t k = 576;
        const TestWeight w = make_weight(type, 64, k, random);
        const auto weight = upload(*device, w);
        const auto norm_weight = upload_vector(*device, random.normals(576));
        const TestTensor x(*device, rows, k, random.normals(static_cast<std::size_t>(rows * k)));
        const TestTensor scratch(*device, rows, k);
        const TestTensor fused(*device, rows, 64);
        const TestTensor parts(*device, rows, 64);
        const NormSpec spec{NormKind::kRms, 1e-5F, 1.0F};
        device->norm_linear(spec, *norm_weight, nullptr, *weight, nullptr, {}, x, scratch, fused);
        device->norm(spec, *norm_weight, nullptr, x, scratch);
        device->linear(*weight, nullptr, {}, scratch, parts);
        EXPECT_EQ(fused.values(), parts.values()) << isa;
        const TestTensor gates(*device, rows, 2 * k,
                               random.normals(static_cast<std::size_t>(2 * rows * k)));
        device->gated_linear(Activation::kSilu, *weight, nullptr, {}, gates, scratch, fused);
        device->gated_activation(Activation::kSilu, gates, scratch);
        device->linear(*weight, nullptr, {}, scratch, parts);
        EXPECT_EQ(fused.values(), parts.values()) << isa;
      }
    }
  }
}

TEST(CpuLinear, PartsOfDifferentTypesAreStacked) {
  for (const std::string& isa : cpu_isas()) {
    const auto device = device_of(isa, 2, true);
    Random random(5);
    const std::int64_t k = 256;
    const TestWeight a = make_weight(DType::kQ4_K, 20, k, random);
    const TestWeight b = make_weight(DType::kQ6_K, 7, k, random);
    const TestWeight c = make_weight(DType::kF16, 5, k, random);
    const TestWeight c2 = make_weight(DType::kF16, 30, k, random);
    const WeightSource source{{{a.view()}, {b.view()}, {c.view()}, {c2.view()}}};
    const auto weight = device->upload(source, WeightRole::kLinear);
    EXPECT_EQ(weight->out_features(), 62);
    EXPECT_EQ(weight->in_features(), k);
    const auto x = random.normals(static_cast<std::size_t>(3 * k));
    const TestTensor in(*device, 3, k, x);
    const TestTensor out(*device, 3, 62);
    device->linear(*weight, nullptr, {}, in, out);
    const auto got = out.values();
    for (std::int64_t t = 0; t < 3; ++t) {
      for (std::int64_t o = 0; o < 62; ++o) {
        const Expected e = o < 20   ? expect(a, x, t, o, true, isa)
                           : o < 27 ? expect(b, x, t, o - 20, true, isa)
                           : o < 32 ? expect(c, x, t, o - 27, true, isa)
                                    : expect(c2, x, t, o - 32, true, isa);
        ASSERT_NEAR(got[static_cast<std::size_t>(t * 62 + o)], e.value, 2e-6 * (e.magnitude + 1))
            << isa << " " << o;
      }
    }
  }
}

TEST(CpuLinear, TakesTransposedPlainWeights) {
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    const auto device = device_of("");
    Random random(9);
    const TestWeight w = make_weight(type, 24, 40, random);  // [in, out]
    WeightSource source{{{w.view()}}};
    source.parts[0].transposed = true;
    const auto weight = device->upload(source, WeightRole::kLinear);
    ASSERT_EQ(weight->out_features(), 40);
    ASSERT_EQ(weight->in_features(), 24);
    const auto x = random.normals(24);
    const TestTensor in(*device, 1, 24, x);
    const TestTensor out(*device, 1, 40);
    device->linear(*weight, nullptr, {}, in, out);
    const auto got = out.values();
    for (std::size_t o = 0; o < 40; ++o) {
      double sum = 0.0;
      for (std::size_t k = 0; k < 24; ++k) sum += double{x[k]} * double{w.values[k * 40 + o]};
      EXPECT_NEAR(got[o], sum, 1e-6);
    }
  }
}

TEST(CpuEmbedding, RowsAreTheFilesValues) {
  for (const DType type : weight_types()) {
    const auto device = device_of("");
    Random random(13);
    const std::int64_t k = is_plain(type) ? 50 : 512;
    const TestWeight w = make_weight(type, 37, k, random);
    const auto table = upload(*device, w, WeightRole::kEmbedding);
    const std::vector<std::int32_t> ids{0, 36, 15, 16, 17, 17};
    const TestTensor out(*device, 6, k);
    step::Step step = step_of(ids);
    step.token_ids = ids;
    device->begin_step(step);
    device->embed(*table, {}, out);
    const auto got = out.values();
    for (std::size_t t = 0; t < ids.size(); ++t) {
      for (std::int64_t i = 0; i < k; ++i) {
        const float value = w.values[static_cast<std::size_t>(ids[t] * k + i)];
        ASSERT_NEAR(got[t * static_cast<std::size_t>(k) + static_cast<std::size_t>(i)], value,
                    has_zero_value(type) ? 2e-6F : 0.0F)
            << tensor::info(type).name << " row " << ids[t] << " column " << i;
      }
    }
    device->embed(*table, {.by = Lookup::By::kPosition, .add = true}, out);
    EXPECT_NEAR(out.values()[3], 2.0F * w.values[3], has_zero_value(type) ? 4e-6F : 0.0F);
    device->embed(*table, {.scale = 3.0F}, out);
    EXPECT_NEAR(out.values()[3], 3.0F * w.values[3], has_zero_value(type) ? 6e-6F : 0.0F);
  }
}

/// The smallest factors of MXFP4 are 2^-127 and 2^-126; the first is subnormal.
TEST(CpuEmbedding, SmallestFactorsOfMxfp4) {
  Random random(13);
  TestWeight w = make_weight(DType::kMXFP4, 6, 32, random);
  for (std::size_t row = 0; row < 6; ++row) w.bytes[row * 17] = static_cast<std::byte>(row);
  tensor::info(w.type).to_f32(w.bytes.data(), w.values.data(), w.values.size());
  const auto device = device_of("");
  const auto table = upload(*device, w, WeightRole::kEmbedding);
  const TestTensor out(*device, 6, 32);
  step::Step step = step_of({0, 1, 2, 3, 4, 5});
  step.token_ids = step.positions;
  device->begin_step(step);
  device->embed(*table, {}, out);
  EXPECT_EQ(out.values(), w.values);
  EXPECT_NE(w.values, std::vector<float>(w.values.size()));
}

// Adapters of different ranks and outputs for some of the rows, as with a fused QKV.
TEST(CpuLinear, LowRankDeltasAgreeWithTheReference) {
  const auto run = [](Device& device) {
    Random random(41);
    const TestWeight base = make_weight(DType::kQ4_0, 96, 64, random);
    const auto weight = upload(device, base);
    std::vector<std::unique_ptr<Weight>> parts;
    for (const auto& [out, in] : {std::pair{4, 64}, {32, 4}, {9, 64}, {64, 9}}) {
      parts.push_back(upload(device, make_weight(DType::kF32, out, in, random)));
    }
    const TestTensor x(device, 5, 64, random.normals(5 * 64));
    const TestTensor out(device, 5, 96);
    const std::vector<LinearDelta> deltas = {
        {0, 2, 64, parts[0].get(), parts[1].get(), nullptr, nullptr, 2.0F},
        {3, 2, 0, parts[2].get(), parts[3].get(), nullptr, nullptr, -0.5F}};
    device.linear(*weight, nullptr, {}, x, out);
    const auto plain = out.values();
    device.linear(*weight, nullptr, deltas, x, out);
    const auto with = out.values();
    for (std::size_t i = 2 * 96; i < 3 * 96; ++i) EXPECT_EQ(with[i], plain[i]) << "row 2 has none";
    EXPECT_EQ(with[0], plain[0]) << "outside the delta's outputs";
    std::vector<float> difference;
    for (std::size_t i = 0; i < with.size(); ++i) difference.push_back(with[i] - plain[i]);
    return difference;
  };
  const auto want = run(*make_device("reference"));
  for (const std::string& isa : cpu_isas()) {
    const auto got = run(*device_of(isa));
    for (std::size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-4F) << isa << i;
  }
}

// Experts of several types, with rows enough for some and none for others, and the contract that a
// row's bits do not depend on the others.
TEST(CpuExperts, AgreeWithTheReferenceAndRowsStandAlone) {
  constexpr std::int64_t kRows = 37;
  const RouterSpec spec{.n_experts = 6, .top_k = 2, .normalise = true};
  const auto run = [&](Device& device, std::int64_t first, std::int64_t rows) {
    Random random(43);
    std::vector<std::unique_ptr<Weight>> owned;
    std::vector<const Weight*> experts;
    std::vector<std::unique_ptr<Weight>> owned_biases;
    std::vector<const Weight*> biases;
    for (const DType type :
         {DType::kQ4_K, DType::kQ4_K, DType::kF32, DType::kQ8_0, DType::kBF16, DType::kQ4_1}) {
      owned.push_back(upload(device, make_weight(type, 40, 256, random)));
      experts.push_back(owned.back().get());
      owned_biases.push_back(upload_vector(device, random.normals(40)));
      biases.push_back(owned_biases.back().get());
    }
    std::vector<float> scores = random.normals(kRows * 6);
    for (std::size_t t = 0; t < kRows; ++t) scores[t * 6 + 5] = -9.0F;  // nobody's choice
    const auto x = random.normals(kRows * 256);
    const auto part = [&](const std::vector<float>& all, std::int64_t cols) {
      const auto begin = all.begin() + static_cast<std::ptrdiff_t>(first * cols);
      return TestTensor(device, rows, cols,
                        {begin, begin + static_cast<std::ptrdiff_t>(rows * cols)});
    };
    const auto routing = device.make_routing(spec);
    const TestTensor slots(device, rows * 2, 256), products(device, rows * 2, 40),
        out(device, rows, 40);
    device.route(*routing, nullptr, part(scores, 6));
    device.scatter_to_experts(*routing, part(x, 256), slots);
    device.grouped_linear(*routing, experts, biases, {}, slots, products);
    device.gather_from_experts(*routing, products, out);
    return out.values();
  };
  const auto want = run(*make_device("reference"), 0, kRows);
  for (const std::string& isa : cpu_isas()) {
    const auto device = device_of(isa);
    const auto all = run(*device, 0, kRows);
    for (std::size_t i = 0; i < want.size(); ++i)
      ASSERT_NEAR(all[i], want[i], 2e-3F + 3e-4F * std::fabs(want[i])) << isa << " " << i;
    for (const std::int64_t rows : {1, 2, 5}) {
      const auto some = run(*device, 7, rows);
      EXPECT_EQ(std::memcmp(some.data(), all.data() + 7 * 40, some.size() * sizeof(float)), 0)
          << isa << " rows " << rows;
    }
  }
}

/// Each expert gets its rows in the form that it takes, whatever the others take.
TEST(CpuExperts, RoundOnlyTheirOwnActivations) {
  constexpr std::int64_t kRows = 24;
  const std::vector<DType> types = {DType::kBF16, DType::kF32, DType::kF16, DType::kF32};
  const RouterSpec spec{.n_experts = 4, .top_k = 1};
  const auto run = [&](Device& device) {
    Random random(43);
    std::vector<std::unique_ptr<Weight>> owned;
    std::vector<const Weight*> experts;
    for (const DType type : types) {
      owned.push_back(upload(device, make_weight(type, 40, 64, random)));
      experts.push_back(owned.back().get());
    }
    const TestTensor scores(device, kRows, 4, random.normals(kRows * 4));
    const TestTensor x(device, kRows, 64, random.normals(kRows * 64));
    const TestTensor slots(device, kRows, 64), out(device, kRows, 40);
    const auto routing = device.make_routing(spec);
    device.route(*routing, nullptr, scores);
    device.scatter_to_experts(*routing, x, slots);
    device.grouped_linear(*routing, experts, {}, {}, slots, out);
    return out.values();
  };
  const auto want = run(*make_device("reference"));
  for (const std::string& isa : cpu_isas()) {
    for (const bool fast : {false, true}) {
      const auto got = run(*device_of(isa, 2, fast));
      for (std::size_t i = 0; i < want.size(); ++i)
        ASSERT_NEAR(got[i], want[i], fast ? 0.03F : 1e-4F) << isa << " " << fast << " " << i;
    }
  }
}

TEST(CpuLogits, ScalesCapsAndFillsHostRows) {
  for (const std::string& isa : cpu_isas()) {
    const auto device = device_of(isa);
    Random random(17);
    const TestWeight w = make_weight(DType::kQ8_0, 1000, 64, random);
    const auto table = upload(*device, w, WeightRole::kEmbedding);
    const auto x = random.normals(5 * 64, 8.0F);
    const TestTensor in(*device, 5, 64, x);
    std::vector<float> out(5 * 1000);
    device->logits(*table, nullptr, {}, 0.5F, 3.0F, in, out.data());
    device->finish_step();
    for (std::int64_t t = 0; t < 5; ++t) {
      for (std::int64_t o = 0; o < 1000; o += 37) {
        const double raw = expect(w, x, t, o, false, isa).value * 0.5;
        ASSERT_NEAR(out[static_cast<std::size_t>(t * 1000 + o)], 3.0 * std::tanh(raw / 3.0), 2e-3);
      }
    }
  }
}

TEST(CpuLogits, AddsTheBiasBeforeItScales) {
  for (const std::string& isa : cpu_isas()) {
    const auto device = device_of(isa);
    Random random(18);
    const TestWeight w = make_weight(DType::kF32, 100, 64, random);
    const auto table = upload(*device, w, WeightRole::kEmbedding);
    const auto shifts = random.normals(100, 2.0F);
    const auto bias = upload_vector(*device, shifts);
    const auto x = random.normals(3 * 64, 1.0F);
    const TestTensor in(*device, 3, 64, x);
    std::vector<float> out(3 * 100);
    device->logits(*table, bias.get(), {}, 0.5F, 0.0F, in, out.data());
    device->finish_step();
    for (std::int64_t t = 0; t < 3; ++t) {
      for (std::int64_t o = 0; o < 100; ++o) {
        const double shift = static_cast<double>(shifts[static_cast<std::size_t>(o)]);
        const double want = (expect(w, x, t, o, false, isa).value + shift) * 0.5;
        ASSERT_NEAR(out[static_cast<std::size_t>(t * 100 + o)], want, 2e-3);
      }
    }
  }
}

// Zeros, tiny and huge magnitudes, and one outlier in a group.
TEST(CpuLinear, SurvivesExtremeActivations) {
  for (const std::string& isa : cpu_isas()) {
    const auto device = device_of(isa);
    Random random(19);
    const TestWeight w = make_weight(DType::kQ4_1, 32, 128, random);
    const auto weight = upload(*device, w);
    std::vector<float> x(128, 0.0F);
    for (std::size_t i = 0; i < 32; ++i) x[i] = 1e-42F;
    x[40] = 3e37F;
    x[70] = 1e30F;
    x[71] = 1.0F;
    const TestTensor in(*device, 1, 128, x);
    const TestTensor out(*device, 1, 32);
    device->linear(*weight, nullptr, {}, in, out);
    for (const float v : out.values()) EXPECT_TRUE(std::isfinite(v)) << isa;
  }
}

template <typename Body>
void expect_error(ErrorCode code, Body body) {
  try {
    body();
    ADD_FAILURE() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), code) << e.what();
  }
}

TEST(CpuUpload, RefusesWhatItCannotTake) {
  const auto device = device_of("");
  Random random(1);
  const TestWeight w = make_weight(DType::kQ4_0, 4, 64, random);
  WeightSource source{{{w.view(), "w"}}};
  source.parts[0].transposed = true;
  expect_error(ErrorCode::kUnsupported, [&] { device->upload(source, WeightRole::kLinear); });
  source.parts[0].transposed = false;
  source.parts[0].view.bytes = source.parts[0].view.bytes.first(10);
  expect_error(ErrorCode::kCorruptData, [&] { device->upload(source, WeightRole::kLinear); });
  source.parts[0].view = {DType::kI32, {1, 1}, std::span(w.bytes).first(4)};
  expect_error(ErrorCode::kUnsupported, [&] { device->upload(source, WeightRole::kLinear); });
  source.parts[0].view = {DType::kQ4_0, {64, 4}, w.bytes};  // rows are not whole blocks
  expect_error(ErrorCode::kCorruptData, [&] { device->upload(source, WeightRole::kLinear); });
}

TEST(CpuUpload, PartsOfOneStackAreEquallyWide) {
  const auto device = device_of("");
  Random random(1);
  const TestWeight narrow = make_weight(DType::kF32, 4, 32, random);
  const TestWeight wide = make_weight(DType::kF32, 4, 64, random);
  for (const bool wider : {false, true}) {
    const TestWeight& first = wider ? narrow : wide;
    const TestWeight& second = wider ? wide : narrow;
    const WeightSource source{{{first.view(), "first"}, {second.view(), "second"}}};
    expect_error(ErrorCode::kCorruptData, [&] { device->upload(source, WeightRole::kLinear); });
  }
}

/// What both devices say of a weight; the cpu device looks at the parts from several threads.
std::string refusal(const WeightSource& source, WeightRole role) {
  std::string first;
  for (const char* name : {"cpu", "reference"}) {
    std::string message = "accepted";
    try {
      make_device(name, {.n_threads = 2})->upload(source, role);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kCorruptData);
      message = e.what();
    }
    if (first.empty()) first = message;
    EXPECT_EQ(message, first) << name;
  }
  return first;
}

TEST(CpuUpload, RefusesWhatIsNotFinite) {
  Random random(1);
  for (const DType type : weight_types()) {
    const tensor::DTypeInfo& info = tensor::info(type);
    const std::int64_t k = info.block_elems == 1 ? 10 : 2 * info.block_elems;
    const TestWeight sound = make_weight(type, 3, k, random);
    TestWeight bad = make_weight(type, 70, k, random);
    const auto size = static_cast<std::size_t>(info.block_bytes);
    const auto per_row = static_cast<std::size_t>(k / info.block_elems);
    for (const std::size_t row : {std::size_t{69}, std::size_t{40}}) {  // the first one is named
      std::byte* block = bad.bytes.data() + (row * per_row + per_row - 1) * size;
      if (info.f16_factors[0] >= 0) {
        put_u16(block + info.f16_factors[0], 0x7E00);
      } else {
        std::fill(block, block + size, std::byte{0xFF});
      }
    }
    WeightSource source;
    source.parts = {{sound.view(), "sound"}, {bad.view(), "bad"}};
    const auto block_elems = static_cast<std::size_t>(info.block_elems);
    const std::size_t element = (40 * per_row + per_row - 1) * block_elems;
    const std::string message = refusal(source, WeightRole::kLinear);
    EXPECT_TRUE(message.starts_with("tensor bad: element " + std::to_string(element) +
                                    ": not finite (expected a finite number, got "))
        << info.name << ": " << message;
    if (block_elems != 1) continue;
    for (WeightPart& part : source.parts) part.transposed = true;
    source.parts.erase(source.parts.begin());
    EXPECT_TRUE(refusal(source, WeightRole::kLinear)
                    .starts_with("tensor bad: element " + std::to_string(element)))
        << info.name;
  }
  const std::vector<float> values{1.0F, -INFINITY};
  WeightSource source;
  source.parts = {{{DType::kF32, {2}, std::as_bytes(std::span(values))}, "bias"}};
  EXPECT_EQ(refusal(source, WeightRole::kVector),
            "tensor bias: element 1: not finite (expected a finite number, got -inf)");
}

TEST(CpuDevice, NamesItsInstructionSet) {
  for (const std::string& isa : cpu_isas()) EXPECT_EQ(device_of(isa)->isa(), isa);
  expect_error(ErrorCode::kUnavailable, [] { make_cpu_device({1, "sse9"}); });
}

}  // namespace
}  // namespace openllm::device
