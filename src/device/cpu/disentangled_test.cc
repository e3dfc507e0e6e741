// Attention with scores for distances: the reference device against plain sums, every instruction
// set against the reference device.

#include <gtest/gtest.h>

#include <cmath>

#include "device/cpu/test_support.h"
#include "device/reference/reference_device.h"

namespace openllm::device {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)

constexpr int kHeads = 2;
constexpr int kDim = 21;
constexpr int kLongest = 9;
constexpr int kBuckets = 6;

DisentangledSpec spec_of_test() {
  DisentangledSpec spec;
  spec.n_heads = kHeads;
  spec.head_dim = kDim;
  spec.scale = 0.3F;
  for (int d = 1 - kLongest; d < kLongest; ++d)
    spec.buckets.push_back(std::min(std::max(d + kBuckets / 2, 0), kBuckets - 1));
  return spec;
}

/// Sequences of 9, 1 and 4 rows.
step::Step step_of_test() {
  step::Step step;
  for (const int n : {9, 1, 4}) {
    step.sequences.push_back(
        {.first_row = static_cast<std::int32_t>(step.positions.size()), .n_rows = n});
    for (int i = 0; i < n; ++i) {
      step.positions.push_back(i);
      step.token_ids.push_back(0);
    }
  }
  return step;
}

struct Inputs {
  std::vector<float> q, k, v, keys, queries;
};
Inputs inputs_of_test() {
  Random random(5);
  const std::size_t n = 14 * kHeads * kDim;
  const std::size_t m = kBuckets * kHeads * kDim;
  return {random.normals(n), random.normals(n), random.normals(n), random.normals(m),
          random.normals(m)};
}

std::vector<float> run(Device& device, const Inputs& inputs, bool has_keys, bool has_queries) {
  const step::Step step = step_of_test();
  constexpr std::int64_t kCols = std::int64_t{kHeads} * kDim;
  device.begin_step(step);
  const TestTensor q(device, 14, kCols, inputs.q);
  const TestTensor k(device, 14, kCols, inputs.k);
  const TestTensor v(device, 14, kCols, inputs.v);
  const TestTensor keys(device, kBuckets, kCols, inputs.keys);
  const TestTensor queries(device, kBuckets, kCols, inputs.queries);
  const TestTensor out(device, 14, kCols);
  device.disentangled_attention(spec_of_test(), q, k, v, has_keys ? keys.get() : Tensor{},
                                has_queries ? queries.get() : Tensor{}, out);
  device.finish_step();
  return out.values();
}

double dot(const float* a, const float* b) {
  double sum = 0.0;
  for (int i = 0; i < kDim; ++i) sum += double{a[i]} * double{b[i]};
  return sum;
}

TEST(DisentangledAttention, IsItsFormula) {
  const Inputs in = inputs_of_test();
  const auto device = make_reference_device({});
  const std::vector<float> got = run(*device, in, true, true);
  const DisentangledSpec spec = spec_of_test();
  const step::Step step = step_of_test();
  const auto at = [](const std::vector<float>& rows, int row, int head) {
    return rows.data() + (row * kHeads + head) * kDim;
  };
  for (const step::SequenceRows& sequence : step.sequences) {
    for (int i = 0; i < sequence.n_rows; ++i) {
      for (int h = 0; h < kHeads; ++h) {
        const float* q = at(in.q, sequence.first_row + i, h);
        std::vector<double> weights;
        double total = 0.0;
        for (int j = 0; j < sequence.n_rows; ++j) {
          const float* k = at(in.k, sequence.first_row + j, h);
          const int b = spec.buckets[static_cast<std::size_t>(kLongest - 1 + i - j)];
          const double score = dot(q, k) + dot(q, at(in.keys, b, h)) + dot(k, at(in.queries, b, h));
          weights.push_back(std::exp(score * double{spec.scale}));
          total += weights.back();
        }
        for (int d = 0; d < kDim; ++d) {
          double want = 0.0;
          for (int j = 0; j < sequence.n_rows; ++j) {
            want += weights[static_cast<std::size_t>(j)] / total *
                    double{at(in.v, sequence.first_row + j, h)[d]};
          }
          EXPECT_NEAR(at(got, sequence.first_row + i, h)[d], want, 1e-5);
        }
      }
    }
  }
}

TEST(DisentangledAttention, EveryInstructionSetAgreesWithTheReference) {
  const Inputs in = inputs_of_test();
  const auto reference = make_reference_device({});
  for (const bool has_keys : {false, true}) {
    for (const bool has_queries : {false, true}) {
      const std::vector<float> want = run(*reference, in, has_keys, has_queries);
      for (const std::string& isa : cpu_isas()) {
        const auto device = make_cpu_device({2, isa});
        const std::vector<float> got = run(*device, in, has_keys, has_queries);
        for (std::size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 2e-5) << isa;
      }
    }
  }
}

}  // namespace
}  // namespace openllm::device
