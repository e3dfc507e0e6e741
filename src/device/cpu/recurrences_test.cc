// Recurrences over states in the cache: every instruction set against the reference device, in one
// step and cut into several, with states of other blocks between.

#include <gtest/gtest.h>

#include "device/cpu/test_support.h"
#include "device/reference/reference_device.h"

namespace openllm::device {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)

constexpr int kBlock = 4;
constexpr int kBlocks = 12;

/// Rows [past, past + n) of sequence 0 and of sequence 1, which is one row shorter.
step::Step two_sequences(int past, int n) {
  step::Step step;
  step.block_tables.resize(1);
  step.block_tables[0].begin.push_back(0);
  for (int s = 0; s < 2; ++s) {
    const int rows = s == 0 || past > 0 ? n : n - 1;
    const int from = s == 0 || past == 0 ? past : past - 1;
    step.sequences.push_back({.first_row = static_cast<std::int32_t>(step.positions.size()),
                              .n_rows = rows,
                              .past_len = from});
    for (int i = 0; i < rows; ++i) {
      step.positions.push_back(from + i);
      step.token_ids.push_back(0);
    }
    for (int b = 0; b * kBlock < from + rows; ++b) {
      const bool needed = b == (from - 1) / kBlock || (b + 1) * kBlock >= from + rows || b % 2 == 0;
      step.block_tables[0].ids.push_back(needed ? 2 * b + s : -1);
    }
    step.block_tables[0].begin.push_back(
        static_cast<std::int32_t>(step.block_tables[0].ids.size()));
  }
  return step;
}

/// Runs op(device, cache, rows as [first, n) of the inputs, out) for 17 rows of two sequences cut
/// at `cut`; what comes out, sequence by sequence.
template <typename Op>
std::vector<float> run(Device& device, std::int64_t state_floats, std::int64_t width, int cut,
                       Op op) {
  KvCacheSpec spec;
  spec.block_size = kBlock;
  spec.layers = {{0, 0, 0, 0, state_floats}};
  spec.blocks_per_group = {kBlocks};
  const auto cache = device.allocate_kv(spec);
  std::vector<float> out[2];
  for (const auto& [past, n] : {std::pair{0, cut}, std::pair{cut, 17 - cut}}) {
    if (n == 0) continue;
    const step::Step step = two_sequences(past, n);
    device.begin_step(step);
    const TestTensor result(device, step.n_rows(), width);
    op(device, StateRef{*cache, 0, 0}, step, result.get());
    device.finish_step();
    const std::vector<float> values = result.values();
    for (std::size_t s = 0; s < 2; ++s) {
      const auto first = values.begin() + step.sequences[s].first_row * width;
      out[s].insert(out[s].end(), first, first + step.sequences[s].n_rows * width);
    }
  }
  out[0].insert(out[0].end(), out[1].begin(), out[1].end());
  return out[0];
}

/// Inputs by position and sequence, so that they do not depend on how rows are cut.
std::vector<float> inputs(const step::Step& step, std::int64_t cols, std::uint64_t seed) {
  std::vector<float> values;
  for (std::size_t s = 0; s < step.sequences.size(); ++s) {
    for (int i = 0; i < step.sequences[s].n_rows; ++i) {
      Random random(seed * 1000 + s * 100 +
                    static_cast<std::uint64_t>(step.sequences[s].past_len + i));
      for (std::int64_t c = 0; c < cols; ++c) values.push_back(random.normal() * 0.5F);
    }
  }
  return values;
}

template <typename Op>
void compare(std::int64_t state_floats, std::int64_t width, Op op) {
  const auto reference = make_reference_device({});
  const std::vector<float> want = run(*reference, state_floats, width, 17, op);
  for (const int cut : {1, 5, 8, 16}) {
    EXPECT_EQ(run(*reference, state_floats, width, cut, op), want) << "cut " << cut;
  }
  for (const std::string& isa : cpu_isas()) {
    const auto device = make_cpu_device({2, isa});
    const std::vector<float> whole = run(*device, state_floats, width, 17, op);
    ASSERT_EQ(whole.size(), want.size());
    for (std::size_t i = 0; i < want.size(); ++i)
      ASSERT_NEAR(whole[i], want[i], 2e-5 * (1.0 + std::fabs(double{want[i]}))) << isa << " " << i;
    for (const int cut : {1, 5, 8, 16})
      EXPECT_EQ(run(*device, state_floats, width, cut, op), whole) << isa << " cut " << cut;
  }
}

TEST(CpuRecurrences, ShortConvolutionsAgreeWithTheReference) {
  for (const std::int64_t n : {5, 16, 150}) {
    for (const std::int64_t n_taps : {1, 2, 4}) {
      compare((n_taps - 1) * n + 1, n,
              [&](Device& device, StateRef state, const step::Step& step, Tensor out) {
                Random random(3);
                const auto taps =
                    upload_vector(device, random.normals(static_cast<std::size_t>(n * n_taps)));
                const auto bias =
                    upload_vector(device, random.normals(static_cast<std::size_t>(n)));
                const TestTensor x(device, step.n_rows(), n, inputs(step, n, 1));
                const Activation act = Activation::kSilu;
                device.short_conv(state, *taps, n == 5 ? nullptr : bias.get(),
                                  n == 16 ? nullptr : &act, x, out);
              });
    }
  }
}

TEST(CpuRecurrences, ChannelScansAgreeWithTheReference) {
  for (const std::int64_t n : {7, 16, 100}) {
    compare(6 * n, n, [&](Device& device, StateRef state, const step::Step& step, Tensor out) {
      Random random(5);
      std::vector<float> rates = random.normals(static_cast<std::size_t>(6 * n));
      for (float& rate : rates) rate = -std::fabs(rate);
      const auto decays = upload_vector(device, rates);
      const auto skip = upload_vector(device, random.normals(static_cast<std::size_t>(n)));
      const TestTensor dt(device, step.n_rows(), n, inputs(step, n, 2));
      const TestTensor b(device, step.n_rows(), 6, inputs(step, 6, 3));
      const TestTensor c(device, step.n_rows(), 6, inputs(step, 6, 4));
      const TestTensor x(device, step.n_rows(), n, inputs(step, n, 5));
      device.time_steps({0.1F, 1.5F}, skip.get(), nullptr, dt, {});
      device.channel_scan(state, *decays, *skip, dt, b, c, x, out);
    });
  }
}

TEST(CpuRecurrences, GatedScansAgreeWithTheReference) {
  for (const std::int64_t n : {7, 16, 100}) {
    compare(n, n, [&](Device& device, StateRef state, const step::Step& step, Tensor out) {
      Random random(11);
      std::vector<float> rates = random.normals(static_cast<std::size_t>(n));
      for (float& rate : rates) rate = -8.0F * std::fabs(rate);
      const auto decays = upload_vector(device, rates);
      const auto input_bias = upload_vector(device, random.normals(static_cast<std::size_t>(n)));
      const auto decay_bias = upload_vector(device, random.normals(static_cast<std::size_t>(n)));
      const TestTensor x(device, step.n_rows(), n, inputs(step, n, 11));
      const TestTensor input_gate(device, step.n_rows(), n, inputs(step, n, 12));
      const TestTensor decay_gate(device, step.n_rows(), n, inputs(step, n, 13));
      GatedScanRows rows;
      rows.x = x;
      rows.input_gate = input_gate;
      rows.decay_gate = decay_gate;
      rows.input_bias = input_bias.get();
      rows.decay_bias = decay_bias.get();
      rows.rates = decays.get();
      device.gated_scan(state, rows, out);
    });
  }
}

TEST(CpuRecurrences, DecayingMeansAgreeWithTheReference) {
  for (const float size : {1.0F, 40.0F}) {  // of keys: e^40 times another is out of f32's range
    compare(3 * 70, 70, [&](Device& device, StateRef state, const step::Step& step, Tensor out) {
      Random random(12);
      std::vector<float> rates = random.normals(70);
      for (float& rate : rates) rate = -std::fabs(rate);
      const auto decays = upload_vector(device, rates);
      const auto first = upload_vector(device, random.normals(70));
      std::vector<float> keys = inputs(step, 70, 14);
      for (float& key : keys) key *= size;
      const TestTensor k(device, step.n_rows(), 70, keys);
      const TestTensor v(device, step.n_rows(), 70, inputs(step, 70, 15));
      device.decaying_mean(state, *decays, *first, k, v, out);
    });
  }
}

/// RG-LRU and RWKV's mean by their formulas in double, for one sequence in one step.
TEST(CpuRecurrences, GatedScansAndDecayingMeansAreTheirFormulas) {
  const auto device = make_reference_device({});
  KvCacheSpec spec;
  spec.block_size = 8;
  spec.layers = {{0, 0, 0, 0, 3}};
  spec.blocks_per_group = {1};
  const auto cache = device->allocate_kv(spec);
  step::Step step;
  step.block_tables.resize(1);
  step.block_tables[0] = {{0}, {0, 1}};
  step.sequences.push_back({.first_row = 0, .n_rows = 3, .past_len = 0});
  step.positions = {0, 1, 2};
  step.token_ids = {0, 0, 0};
  device->begin_step(step);
  const std::vector<float> x = {0.5F, -1.0F, 2.0F};
  const std::vector<float> g = {0.3F, -0.7F, 1.1F};
  const auto zero = upload_vector(*device, {0.0F});
  const auto rate = upload_vector(*device, {-0.6F});
  const TestTensor in(*device, 3, 1, x);
  const TestTensor gate(*device, 3, 1, g);
  const TestTensor out(*device, 3, 1);
  GatedScanRows rows;
  rows.x = in;
  rows.input_gate = gate;
  rows.decay_gate = gate;
  rows.input_bias = zero.get();
  rows.decay_bias = zero.get();
  rows.rates = rate.get();
  device->gated_scan({*cache, 0, 0}, rows, out);
  double h = 0.0;
  for (std::size_t t = 0; t < 3; ++t) {
    const double open = 1.0 / (1.0 + std::exp(-double{g[t]}));
    const double a = t == 0 ? 0.0 : std::exp(-0.6F * open);
    h = a * h + std::sqrt(1.0 - a * a) * open * double{x[t]};
    EXPECT_NEAR(out.values()[t], h, 1e-6) << t;
  }
  const auto first = upload_vector(*device, {0.4F});
  device->decaying_mean({*cache, 0, 0}, *rate, *first, gate, in, out);
  for (std::size_t t = 0; t < 3; ++t) {
    double sum = 0.0;
    double weights = 0.0;
    for (std::size_t s = 0; s <= t; ++s) {
      const double exponent =
          double{g[s]} + (s == t ? double{0.4F} : double{-0.6F} * static_cast<double>(t - 1 - s));
      sum += std::exp(exponent) * double{x[s]};
      weights += std::exp(exponent);
    }
    EXPECT_NEAR(out.values()[t], sum / weights, 1e-6) << t;
  }
  device->finish_step();
}

enum class Decay { kByHead, kByKey, kFixed };

void compare_linear_attention(bool delta, Decay decay) {
  const bool by_key = decay == Decay::kByKey;
  LinearAttentionSpec spec;
  spec.n_heads = 6;
  spec.n_key_heads = 3;
  spec.key_dim = 5;
  spec.value_dim = by_key ? 19 : 16;
  spec.delta = delta;
  spec.beta_scale = by_key ? 2.0F : 1.0F;
  const std::int64_t width = std::int64_t{6} * spec.value_dim;
  compare(spec.state_floats(), width,
          [&](Device& device, StateRef state, const step::Step& step, Tensor out) {
            const std::int64_t n = step.n_rows();
            Random random(7);
            std::vector<float> rates = random.normals(6);
            for (float& rate : rates) rate = -std::fabs(rate);
            const auto decays = upload_vector(device, rates);
            const auto skip = upload_vector(device, random.normals(6));
            const std::int64_t n_steps = by_key ? 30 : 6;
            const TestTensor q(device, n, 15, inputs(step, 15, 6));
            const TestTensor k(device, n, 15, inputs(step, 15, 7));
            const TestTensor v(device, n, width, inputs(step, width, 8));
            const TestTensor steps(device, n, n_steps, inputs(step, n_steps, 9));
            const TestTensor log_decay(device, n, n_steps);
            const TestTensor beta(device, n, 6, inputs(step, 6, 10));
            device.time_steps({}, nullptr, decays.get(), steps, log_decay);
            LinearAttentionRows rows;
            rows.q = q;
            rows.k = k;
            rows.v = v;
            if (decay == Decay::kFixed) {
              rows.fixed_log_decay = decays.get();
            } else {
              rows.log_decay = log_decay;
            }
            rows.beta = beta;
            if (!by_key) rows.v_scale = steps;
            if (!delta) rows.skip = skip.get();
            device.linear_attention(spec, state, rows, out);
          });
}

TEST(CpuRecurrences, LinearAttentionAgreesWithTheReference) {
  for (const bool delta : {false, true}) {
    for (const Decay decay : {Decay::kByHead, Decay::kByKey, Decay::kFixed})
      compare_linear_attention(delta, decay);
  }
}

}  // namespace
}  // namespace openllm::device
