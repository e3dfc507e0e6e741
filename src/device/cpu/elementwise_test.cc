#include <gtest/gtest.h>

#include "device/cpu/test_support.h"
#include "device/reference/reference_device.h"

namespace openllm::device {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)

/// Runs `op(device, x)` in place on both devices and compares.
template <typename Op>
void compare(std::int64_t rows, std::int64_t cols, float scale, double tolerance, Op op) {
  Random random(23);
  const auto values = random.normals(static_cast<std::size_t>(rows * cols), scale);
  const auto reference = make_reference_device({});
  const TestTensor want(*reference, rows, cols, values);
  op(*reference, want.get());
  for (const std::string& isa : cpu_isas()) {
    const auto device = make_cpu_device({2, isa});
    const TestTensor got(*device, rows, cols, values);
    op(*device, got.get());
    device->finish_step();
    const auto a = got.values();
    const auto b = want.values();
    for (std::size_t i = 0; i < a.size(); ++i) {
      ASSERT_NEAR(a[i], b[i], tolerance * (1.0 + std::fabs(double{b[i]})))
          << isa << " rows " << rows << " cols " << cols << " element " << i;
    }
  }
}

TEST(CpuElementwise, NormsAgreeWithTheReference) {
  for (const std::int64_t cols : {1, 7, 16, 36, 576, 640}) {
    for (const std::int64_t rows : {1, 5, 600}) {
      for (const NormKind kind : {NormKind::kRms, NormKind::kLayer}) {
        if (kind == NormKind::kLayer && cols == 1) continue;
        compare(rows, cols, 3.0F, 4e-6, [&](Device& device, Tensor x) {
          Random random(29);
          const auto weight = upload_vector(device, random.normals(static_cast<std::size_t>(cols)));
          const auto bias = upload_vector(device, random.normals(static_cast<std::size_t>(cols)));
          device.norm({kind, 1e-6F, 1.0F}, *weight, rows == 1 ? nullptr : bias.get(), x, x);
        });
      }
    }
  }
}

TEST(CpuElementwise, RowFactorsAndSizesAgreeWithTheReference) {
  for (const std::int64_t cols : {1, 7, 36, 640}) {
    const auto others = [&](Device& device) {
      Random random(37);
      return TestTensor(device, 9, cols, random.normals(static_cast<std::size_t>(9 * cols)));
    };
    compare(9, cols, 2.0F, 1e-6, [&](Device& device, Tensor x) {
      const TestTensor factors(device, 9, 1, {0, 1, -2, 3, 0.5F, 4, -0.25F, 7, 1});
      device.add_scaled_rows(factors, others(device), x);
    });
    compare(9, cols, 2.0F, 2e-6,
            [&](Device& device, Tensor x) { device.match_sizes(others(device), 0.01F, x); });
    compare(9, cols, 2.0F, 1e-6, [&](Device& device, Tensor x) {
      Random random(38);
      device.scale_columns(*upload_vector(device, random.normals(static_cast<std::size_t>(cols))),
                           x);
    });
    compare(9, cols, 2.0F, 4e-6, [&](Device& device, Tensor x) { device.cut_below(0.5F, x); });
  }
}

TEST(CpuElementwise, CutsAndSizesAreTheirFormulas) {
  const auto device = make_reference_device({});
  const TestTensor x(*device, 1, 4, {1, 2, 3, 6});  // mean 3, deviation sqrt(3.5)
  device->cut_below(0.5F, x);
  const float cutoff = 3.0F + 0.5F * std::sqrt(3.5F);
  EXPECT_EQ(x.values()[2], 0.0F);
  EXPECT_FLOAT_EQ(x.values()[3], 6.0F - cutoff);
  const TestTensor like(*device, 1, 2, {3, 3});
  const TestTensor y(*device, 1, 2, {1, -1});
  device->match_sizes(like, 0.01F, y);
  EXPECT_FLOAT_EQ(y.values()[1], -3.0F);
  const TestTensor tiny(*device, 1, 2, {0.001F, 0.001F});
  device->match_sizes(like, 0.01F, tiny);
  EXPECT_FLOAT_EQ(tiny.values()[0], 0.3F);
}

TEST(CpuElementwise, HeadNormsAgreeWithTheReference) {
  compare(9, 5 * 24, 1.0F, 4e-6, [&](Device& device, Tensor x) {
    Random random(31);
    const auto weight = upload_vector(device, random.normals(24));
    device.norm({NormKind::kRms, 1e-6F, 0.0F}, *weight, nullptr, x, x);
  });
}

TEST(CpuElementwise, NormsOfHeadsWithOwnWeightsAgreeWithTheReference) {
  for (const NormKind kind : {NormKind::kRms, NormKind::kLayer}) {
    compare(9, 5 * 24, 1.0F, 4e-6, [&](Device& device, Tensor x) {
      Random random(31);
      const auto weight = upload_vector(device, random.normals(5 * 24));
      const auto bias = upload_vector(device, random.normals(5 * 24));
      device.norm({kind, 1e-6F, 0.0F, 24}, *weight, bias.get(), x, x);
    });
  }
}

TEST(CpuElementwise, GatesAndClampsAgreeWithTheReference) {
  for (const std::int64_t gate_cols : {1, 37}) {
    compare(600, 37, 2.0F, 4e-6, [&](Device& device, Tensor x) {
      Random random(33);
      const TestTensor gate(device, 600, gate_cols,
                            random.normals(static_cast<std::size_t>(600 * gate_cols), 9.0F));
      device.apply_gate(gate.get(), x);
      device.clamp(1.25F, x);
    });
  }
}

TEST(CpuElementwise, ActivationsAgreeWithTheReference) {
  for (const Activation act :
       {Activation::kSilu, Activation::kGelu, Activation::kGeluTanh, Activation::kQuickGelu,
        Activation::kRelu, Activation::kReluSquared, Activation::kTanh}) {
    for (const float scale : {0.01F, 1.0F, 4.0F, 60.0F}) {
      for (const std::int64_t cols : {1, 16, 37, 1536}) {
        compare(3, cols, scale, 1e-6, [&](Device& device, Tensor x) { device.activation(act, x); });
      }
      compare(40, 74, scale, 1e-6,
              [&](Device& device, Tensor x) { device.gated_activation(act, x, x.columns(0, 37)); });
    }
  }
}

TEST(CpuElementwise, RopeAgreesWithTheReference) {
  for (const RopeStyle style : {RopeStyle::kHalves, RopeStyle::kInterleaved, RopeStyle::kNone}) {
    for (const int n_rotary : {8, 20, 64}) {
      RopeSpec spec{style, n_rotary, {}, 1.25F, {}};
      for (int i = 0; i < n_rotary / 2; ++i) {
        spec.inv_freq.push_back(
            std::pow(10000.0F, -2.0F * static_cast<float>(i) / static_cast<float>(n_rotary)));
      }
      for (const std::int64_t rows : {1, 130}) {
        std::vector<std::int32_t> positions;
        for (std::int32_t t = 0; t < rows; ++t) positions.push_back(t * 61);
        compare(rows, 3 * 64, 1.0F, 1e-6, [&](Device& device, Tensor x) {
          const step::Step step = step_of(positions);
          const auto rope = device.make_rope(spec);
          device.begin_step(step);
          device.rope(*rope, 64, x);
          device.rope(*rope, 64, x);  // from the kept table
        });
      }
    }
  }
}

TEST(CpuElementwise, RopesThatGrowTurnEachSequenceByItsOwnLength) {
  RopeSpec spec{RopeStyle::kHalves, 4, {1.0F, 0.1F}, 1.0F, {}};
  spec.growth = {RopeGrowth::Kind::kLong, 16, 0.0, 1.0, {0.5F, 0.01F}};
  step::Step step = step_of({3, 4, 3, 4, 3});
  step.sequences = {{.n_rows = 2, .rope_len = 16},
                    {.first_row = 2, .n_rows = 2, .rope_len = 17},
                    {.first_row = 4, .n_rows = 1}};
  compare(5, 8, 1.0F, 1e-6, [&](Device& device, Tensor x) {
    const auto rope = device.make_rope(spec);
    device.begin_step(step);
    device.rope(*rope, 4, x);
  });
}

TEST(CpuElementwise, LookupsAgreeWithTheReference) {
  step::Step step = step_of({2, 0, 1});
  step.token_ids = {4, -1, 0};
  step.embeddings.assign(24, 0.25F);
  compare(3, 24, 1.0F, 1e-6, [&](Device& device, Tensor x) {
    Random random(37);
    const TestWeight weight = make_weight(tensor::DType::kF16, 5, 24, random);
    const auto table = upload(device, weight, WeightRole::kEmbedding);
    device.begin_step(step);
    device.embed(*table, {.scale = 3.0F}, x);
    device.embed(*table, {.by = Lookup::By::kPosition, .offset = 2, .add = true}, x);
    device.embed(*table, {.by = Lookup::By::kConstant, .offset = 1, .add = true}, x);
  });
}

TEST(CpuElementwise, FactorsOfRowsAndSoftplusAgreeWithTheReference) {
  for (const std::int64_t cols : {1, 7, 36}) {
    compare(9, cols, 9.0F, 2e-6, [&](Device& device, Tensor x) {
      const TestTensor factors(device, 9, 1, {0, 1, -2, 3, 0.5F, 4, -0.25F, 7, 1});
      device.multiply(factors, x);
      device.softplus(x);
    });
  }
}

TEST(CpuElementwise, ShiftedRowsStayWithinTheirSequence) {
  step::Step step = step_of({0, 1, 2, 0, 1});
  step.sequences = {{.first_row = 0, .n_rows = 3}, {.first_row = 3, .n_rows = 2}};
  std::vector<std::unique_ptr<Device>> devices;
  devices.push_back(make_reference_device({}));
  for (const std::string& isa : cpu_isas()) devices.push_back(make_cpu_device({2, isa}));
  for (const auto& device : devices) {
    const TestTensor x(*device, 5, 1, {1, 2, 3, 4, 5});
    const TestTensor out(*device, 5, 1, {9, 9, 9, 9, 9});
    device->begin_step(step);
    device->shift_rows(1, x, out);
    EXPECT_EQ(out.values(), (std::vector<float>{2, 3, 0, 5, 0}));
    device->shift_rows(-2, x, out);
    device->finish_step();
    EXPECT_EQ(out.values(), (std::vector<float>{0, 0, 1, 0, 0}));
  }
}

/// No row of the table is read for id -1: without given embeddings such rows stay as they are.
TEST(CpuElementwise, RowsWithoutATokenAreLeftAlone) {
  std::vector<std::unique_ptr<Device>> devices;
  for (const std::string& isa : cpu_isas()) devices.push_back(make_cpu_device({2, isa}));
  for (const auto& device : devices) {
    for (const bool add : {false, true}) {
      for (const float scale : {1.0F, 2.0F}) {
        Random random(37);
        const TestWeight weight = make_weight(tensor::DType::kF32, 5, 24, random);
        const auto table = upload(*device, weight, WeightRole::kEmbedding);
        const TestTensor x(*device, 3, 24, std::vector<float>(72, 0.5F));
        step::Step step = step_of({0, 1, 2});
        step.token_ids = {4, -1, 0};
        device->begin_step(step);
        device->embed(*table, {.scale = scale, .add = add}, x);
        device->finish_step();
        const auto got = x.values();
        for (std::size_t i = 0; i < 24; ++i) {
          const float before = add ? 0.5F : 0.0F;
          EXPECT_FLOAT_EQ(got[i], before + scale * weight.values[4 * 24 + i]);
          EXPECT_EQ(got[24 + i], 0.5F);
          EXPECT_FLOAT_EQ(got[48 + i], before + scale * weight.values[i]);
        }
      }
    }
  }
}

/// Two ropes of one step, and one rope in two steps: each turns by its own table.
TEST(CpuElementwise, RopesKeepATableForEachStep) {
  const RopeSpec first{RopeStyle::kHalves, 4, {1.0F, 0.1F}, 1.0F, {}};
  const RopeSpec second{RopeStyle::kHalves, 4, {1.0F, 0.1F}, 1.5F, {}};
  compare(2, 8, 1.0F, 1e-6, [&](Device& device, Tensor x) {
    const auto a = device.make_rope(first);
    const auto b = device.make_rope(second);
    for (const std::int32_t position : {3, 70}) {
      const step::Step step = step_of({position, position + 1});
      device.begin_step(step);
      device.rope(*a, 4, x);
      device.rope(*b, 4, x);
      device.finish_step();
    }
  });
}

TEST(CpuElementwise, ClampedGatesAgreeWithTheReference) {
  for (const bool paired : {false, true}) {
    compare(9, 34, 3.0F, 2e-6, [&](Device& device, Tensor x) {
      const TestTensor out(device, 9, 17);
      device.clamped_gate({.alpha = 1.5F, .limit = 2.0F, .paired = paired}, x, out);
      device.copy(out, x.columns(0, 17));
    });
  }
}

TEST(CpuElementwise, FactorsAgreeWithTheReference) {
  compare(5, 19, 2.0F, 4e-6, [](Device& device, Tensor x) {
    device.xielu(*upload_vector(device, {0.3F, -0.4F, 0.5F, -1e-6F}), x);
  });
  compare(3, 19, 2.0F, 0.0, [](Device& device, Tensor x) { device.scale(0.3F, x); });
  compare(3, 19, 2.0F, 1e-7, [](Device& device, Tensor x) {
    const step::Step step = step_of({0, 9, 70});
    device.begin_step(step);
    device.scale_by_position({.beta = 0.4F, .length = 10.0F, .offset = 1.0F}, x);
  });
}

TEST(CpuElementwise, FactorsByPositionGrowInSteps) {
  const auto device = make_reference_device({});
  const TestTensor x(*device, 3, 1, std::vector<float>(3, 1.0F));
  const step::Step step = step_of({8, 9, 29});
  device->begin_step(step);
  device->scale_by_position({.beta = 0.5F, .length = 10.0F, .offset = 1.0F}, x);
  const std::vector<float> got = x.values();
  EXPECT_FLOAT_EQ(got[0], 1.0F);
  EXPECT_FLOAT_EQ(got[1], 1.0F + 0.5F * std::log(2.0F));
  EXPECT_FLOAT_EQ(got[2], 1.0F + 0.5F * std::log(4.0F));
}

TEST(CpuElementwise, AddAndGatherAgreeWithTheReference) {
  compare(33, 50, 1.0F, 1e-6, [](Device& device, Tensor x) { device.add(x, x, 0.5F, x); });
  compare(4, 50, 1.0F, 0.0, [](Device& device, Tensor x) {
    step::Step step = step_of({0, 1, 2, 3});
    step.logit_rows = {3};
    step.hidden_rows = {1};
    const TestTensor out(device, 2, 50);
    device.begin_step(step);
    device.gather_outputs(x, out);
    device.add(x.first_rows(2), out, 1.0F, x.first_rows(2));
  });
}

}  // namespace
}  // namespace openllm::device
