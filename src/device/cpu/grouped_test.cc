// Weights of codes, scales and zero points in tensors of their own, against loops in double over
// values worked out here, on both devices and every instruction set.

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <optional>

#include "base/error.h"
#include "device/cpu/grouped_part.h"
#include "device/cpu/memory.h"
#include "device/cpu/test_support.h"

namespace openllm::device {
namespace {

using kernels::PackFormat;
using tensor::DType;
using namespace testing;  // NOLINT(google-build-using-namespace)

struct Kind {
  int bits = 4;
  std::int64_t group_size = 32;
  bool symmetric = false;
  bool shuffled = false;  // inputs belong to groups in no order
  DType scale_type = DType::kF16;
  PackFormat packed = PackFormat::kU4;

  friend void PrintTo(const Kind& kind, std::ostream* out) {
    *out << kind.bits << " bits, groups of " << kind.group_size
         << (kind.symmetric ? ", symmetric" : "") << (kind.shuffled ? ", shuffled" : "") << ", "
         << tensor::info(kind.scale_type).name;
  }
};

/// Tensors as GPTQ has them, and the values they stand for.
struct Grouped {
  std::int64_t n_out = 0;
  std::int64_t n_in = 0;
  Kind kind{};
  std::vector<std::uint32_t> codes{};
  std::vector<std::uint32_t> zeros{};
  std::vector<std::byte> scales{};
  std::vector<std::int32_t> group_of{};
  std::int64_t n_groups = 0;
  std::vector<float> values{};  // [n_out, n_in]

  WeightPart part() const {
    GroupedCodes grouped;
    grouped.bits = kind.bits;
    grouped.n_out = n_out;
    grouped.n_in = n_in;
    grouped.scales = {{kind.scale_type, {n_groups, n_out}, scales}, "w.scales"};
    grouped.zeros = {{DType::kI32,
                      {n_groups, n_out * kind.bits / 32},
                      std::as_bytes(std::span<const std::uint32_t>(zeros))},
                     "w.zeros"};
    grouped.group_size = kind.group_size;
    if (kind.shuffled) grouped.group_of = group_of;
    WeightPart part;
    part.view = {DType::kI32,
                 {n_in * kind.bits / 32, n_out},
                 std::as_bytes(std::span<const std::uint32_t>(codes))};
    part.name = "w.codes";
    part.grouped = std::move(grouped);
    return part;
  }
};

void put_field(std::vector<std::uint32_t>& words, std::int64_t word, std::int64_t field, int bits,
               std::uint32_t value) {
  words[static_cast<std::size_t>(word)] |= value << static_cast<unsigned>(field * bits);
}

float add_scale(Grouped& w, float value) {
  std::byte bytes[4] = {};
  const auto n = static_cast<std::size_t>(tensor::info(w.kind.scale_type).block_bytes);
  if (w.kind.scale_type == DType::kF32) {
    std::memcpy(bytes, &value, 4);
  } else {
    put_u16(bytes, w.kind.scale_type == DType::kF16 ? tensor::f32_to_f16(value)
                                                    : tensor::f32_to_bf16(value));
  }
  w.scales.insert(w.scales.end(), bytes, bytes + n);
  float kept = 0.0F;
  tensor::info(w.kind.scale_type).to_f32(bytes, &kept, 1);
  return kept;
}

Grouped make_grouped(const Kind& kind, std::int64_t n_out, std::int64_t n_in, Random& random) {
  Grouped w{n_out, n_in, kind};
  const std::int64_t per_word = 32 / kind.bits;
  const std::int64_t n_codes = std::int64_t{1} << kind.bits;
  w.n_groups = (n_in + kind.group_size - 1) / kind.group_size;
  w.codes.assign(static_cast<std::size_t>(n_in / per_word * n_out), 0);
  w.zeros.assign(static_cast<std::size_t>(w.n_groups * n_out / per_word), 0);
  for (std::int64_t i = 0; i < n_in; ++i) {
    w.group_of.push_back(static_cast<std::int32_t>(i / kind.group_size));
  }
  for (std::int64_t i = n_in - 1; kind.shuffled && i > 0; --i) {
    std::swap(w.group_of[static_cast<std::size_t>(i)],
              w.group_of[static_cast<std::size_t>(random.below(i + 1))]);
  }
  std::vector<float> scales;
  std::vector<std::int64_t> zeros;
  for (std::int64_t g = 0; g < w.n_groups; ++g) {
    for (std::int64_t o = 0; o < n_out; ++o) {
      scales.push_back(add_scale(w, random.normal() * 0.01F));
      zeros.push_back(kind.symmetric ? n_codes / 2 : random.below(n_codes));
      put_field(w.zeros, (g * n_out + o) / per_word, o % per_word, kind.bits,
                static_cast<std::uint32_t>(zeros.back()));
    }
  }
  for (std::int64_t o = 0; o < n_out; ++o) {
    for (std::int64_t i = 0; i < n_in; ++i) {
      const std::int64_t code = random.below(n_codes);
      put_field(w.codes, i / per_word * n_out + o, i % per_word, kind.bits,
                static_cast<std::uint32_t>(code));
      const auto at = static_cast<std::size_t>(w.group_of[static_cast<std::size_t>(i)] * n_out + o);
      w.values.push_back(scales[at] * static_cast<float>(code - zeros[at]));
    }
  }
  return w;
}

std::unique_ptr<Weight> upload(Device& device, const Grouped& w) {
  return device.upload({{w.part()}}, WeightRole::kLinear);
}

class GroupedLinear : public ::testing::TestWithParam<Kind> {};
INSTANTIATE_TEST_SUITE_P(
    Kinds, GroupedLinear,
    ::testing::Values(Kind{4, 32, true, false, DType::kF16, PackFormat::kQ4_0},
                      Kind{4, 64, true, true, DType::kF16, PackFormat::kQ4_0},
                      Kind{4, 128, false, false, DType::kF16, PackFormat::kU4},
                      Kind{4, 32, false, true, DType::kF16, PackFormat::kU4},
                      Kind{4, 320, true, false, DType::kBF16, PackFormat::kU4},
                      Kind{4, 96, false, true, DType::kF32, PackFormat::kU4},
                      Kind{8, 320, true, false, DType::kF16, PackFormat::kQ8_0},
                      Kind{8, 64, true, true, DType::kF16, PackFormat::kQ8_0},
                      Kind{8, 32, false, false, DType::kF16, PackFormat::kU8},
                      Kind{8, 128, false, true, DType::kBF16, PackFormat::kU8},
                      Kind{2, 64, true, false, DType::kF16, PackFormat::kU4},
                      Kind{2, 32, false, true, DType::kF16, PackFormat::kU4},
                      Kind{4, 16, false, false, DType::kF16, PackFormat::kF32},
                      Kind{8, 48, false, true, DType::kF16, PackFormat::kF32}));

constexpr std::int64_t kIn = 320;
constexpr std::int64_t kOut = 80;

TEST_P(GroupedLinear, AgreesWithPlainLoops) {
  Random random(7);
  const Grouped w = make_grouped(GetParam(), kOut, kIn, random);
  EXPECT_EQ(cpu::GroupedPart(w.part()).format(), GetParam().packed);
  std::vector<std::unique_ptr<Device>> devices;
  devices.push_back(make_device("reference"));
  for (const std::string& isa : cpu_isas()) devices.push_back(make_cpu_device({2, isa}));
  for (const auto& device : devices) {
    const auto weight = upload(*device, w);
    ASSERT_EQ(weight->out_features(), kOut);
    ASSERT_EQ(weight->in_features(), kIn);
    for (const std::int64_t rows : {1, 2, 3, 8, 40}) {
      const auto x = random.normals(static_cast<std::size_t>(rows * kIn));
      const TestTensor in(*device, rows, kIn, x);
      const TestTensor out(*device, rows, kOut, std::int64_t{5});
      device->linear(*weight, nullptr, {}, in, out);
      device->finish_step();
      const auto got = out.values();
      for (std::int64_t t = 0; t < rows; ++t) {
        for (std::int64_t o = 0; o < kOut; ++o) {
          double value = 0.0;
          double magnitude = 0.0;
          for (std::int64_t i = 0; i < kIn; ++i) {
            const double p = double{x[static_cast<std::size_t>(t * kIn + i)]} *
                             double{w.values[static_cast<std::size_t>(o * kIn + i)]};
            value += p;
            magnitude += std::fabs(p);
          }
          ASSERT_NEAR(got[static_cast<std::size_t>(t * kOut + o)], value, 2e-5 * (magnitude + 1.0))
              << device->isa() << " rows " << rows << " t " << t << " o " << o;
        }
      }
    }
  }
}

// What the packed layouts hold is what the file says, bit for bit: a one among zeros is multiplied
// exactly, so the sum is the weight itself, whatever the order of the inputs.
TEST_P(GroupedLinear, PackedValuesAreExact) {
  Random random(17);
  const Grouped w = make_grouped(GetParam(), 32, kIn, random);
  const cpu::GroupedPart part(w.part());
  kernels::PackedMatrix matrix = kernels::packed_shape(part.format(), 32, kIn);
  cpu::AlignedMemory memory(kernels::packed_bytes(matrix));
  matrix.data = memory.data();
  for (std::int64_t row = 0; row < 32; ++row) part.pack_row(row, matrix, memory.data(), row);
  std::vector<float> got(static_cast<std::size_t>(kIn));
  for (std::int64_t row = 0; row < 32; ++row) {
    kernels::unpack_row(matrix, row, got.data());
    for (std::int64_t k = 0; k < kIn; ++k) {
      const auto& order = part.column_order();
      const std::int64_t column = order.empty() ? k : order[static_cast<std::size_t>(k)];
      ASSERT_EQ(got[static_cast<std::size_t>(k)],
                w.values[static_cast<std::size_t>(row * kIn + column)])
          << "row " << row << " column " << column;
    }
  }
}

TEST_P(GroupedLinear, RowsGiveTheSameBitsAloneAndTogether) {
  constexpr std::int64_t kRows = 70;
  Random random(11);
  const Grouped w = make_grouped(GetParam(), kOut, kIn, random);
  const auto x = random.normals(static_cast<std::size_t>(kRows * kIn));
  for (const std::string& isa : cpu_isas()) {
    const auto device = make_cpu_device({2, isa});
    const auto weight = upload(*device, w);
    const TestTensor in(*device, kRows, kIn, x);
    const TestTensor all(*device, kRows, kOut);
    device->linear(*weight, nullptr, {}, in, all);
    const auto expected = all.values();
    for (const std::int64_t rows : {1, 2, 5, 8, 33}) {
      const std::int64_t first = kRows - rows;
      const TestTensor part(*device, rows, kOut);
      device->linear(*weight, nullptr, {}, in.get().row_range(first, rows), part);
      const auto got = part.values();
      ASSERT_EQ(std::memcmp(got.data(), expected.data() + first * kOut, got.size() * sizeof(float)),
                0)
          << isa << " rows " << rows;
    }
  }
}

TEST(GroupedUpload, PartsOfOneOrderAreStacked) {
  Random random(3);
  const Kind kind{4, 32, false, true, DType::kF16};
  const Grouped a = make_grouped(kind, 48, kIn, random);
  Grouped b = make_grouped(kind, 32, kIn, random);
  const auto device = make_device("cpu");
  const auto stack = [&] { return device->upload({{a.part(), b.part()}}, WeightRole::kLinear); };
  try {
    stack();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_STREQ(error.what(),
                 "tensor w.codes: the cpu device does not stack parts whose inputs are grouped "
                 "differently");
  }
  b.group_of = a.group_of;
  const auto both = stack();
  EXPECT_EQ(both->out_features(), 80);
  const TestTensor x(*device, 2, kIn, random.normals(2 * kIn));
  const TestTensor first(*device, 2, 48);
  const TestTensor stacked(*device, 2, 80);
  device->linear(*upload(*device, a), nullptr, {}, x, first);
  device->linear(*both, nullptr, {}, x, stacked);
  for (std::size_t o = 0; o < 48; ++o) EXPECT_EQ(stacked.values()[o], first.values()[o]);
}

// GPTQ's first file version stores every zero point less one, in sums of whole words: what a zero
// borrowed from its neighbour comes back.
TEST(GroupedUpload, ZeroOffsetCarriesWithinWords) {
  Random random(5);
  const Grouped w = make_grouped({4, 64, false, false, DType::kF16}, 16, 64, random);
  Grouped stored = w;
  for (std::uint32_t& word : stored.zeros) word -= 0x11111111U;
  WeightPart part = stored.part();
  part.grouped->zero_offset = 1;
  const GroupedRows rows(part);
  std::vector<float> values(64);
  for (std::int64_t row = 0; row < 16; ++row) {
    rows.read_row(row, values.data());
    EXPECT_TRUE(std::equal(values.begin(), values.end(), w.values.begin() + row * 64)) << row;
  }
}

TEST(GroupedUpload, WithoutZeroPointsTheyAreInTheMiddle) {
  Random random(5);
  const Grouped w = make_grouped({8, 64, true, false, DType::kF16}, 16, 64, random);
  WeightPart part = w.part();
  part.grouped->zeros = {};
  const GroupedRows rows(part);
  EXPECT_TRUE(rows.is_symmetric());
  EXPECT_EQ(rows.zero(0, 3), 128);
}

/// A run of 32 sorted inputs is of one group, or the packed forms cannot have it.
TEST(GroupedUpload, RunsOfTwoGroupsAreKeptAsValues) {
  Random random(5);
  for (const std::int32_t n_first : {31, 32, 33, 63, 64, 65}) {
    Grouped w = make_grouped({4, 64, true, true, DType::kF16}, 16, 128, random);
    for (std::int32_t i = 0; i < 128; ++i) {
      w.group_of[static_cast<std::size_t>(i)] = i < n_first ? 0 : 1;
    }
    const cpu::GroupedPart part(w.part());
    EXPECT_EQ(part.format(), n_first % 32 == 0 ? PackFormat::kQ4_0 : PackFormat::kF32) << n_first;
  }
}

/// Some experts of a layer may have their inputs in another order than others, or as they come.
TEST(GroupedUpload, ExpertsHaveTheirInputsInOrdersOfTheirOwn) {
  constexpr std::int64_t kRows = 9;
  const RouterSpec spec{.n_experts = 3, .top_k = 1};
  for (const std::size_t plain : {0U, 1U, 2U}) {
    const auto run = [&](Device& device) {
      Random random(7);
      std::vector<std::unique_ptr<Weight>> owned;
      std::vector<const Weight*> experts;
      for (std::size_t e = 0; e < 3; ++e) {
        const Kind kind{4, 32, false, e != plain, DType::kF16};
        owned.push_back(upload(device, make_grouped(kind, 48, kIn, random)));
        experts.push_back(owned.back().get());
      }
      const TestTensor scores(device, kRows, 3, random.normals(kRows * 3));
      const TestTensor x(device, kRows, kIn, random.normals(kRows * kIn));
      const TestTensor slots(device, kRows, kIn), out(device, kRows, 48);
      const auto routing = device.make_routing(spec);
      device.route(*routing, nullptr, scores);
      device.scatter_to_experts(*routing, x, slots);
      device.grouped_linear(*routing, experts, {}, {}, slots, out);
      device.finish_step();
      return out.values();
    };
    const auto want = run(*make_device("reference"));
    const auto got = run(*make_device("cpu"));
    for (std::size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 2e-3F) << plain;
  }
}

TEST(GroupedUpload, TheOrderOfInputsIsReadToo) {
  Random random(9);
  const auto device = make_device("cpu");
  const auto bytes = [&](bool shuffled) {
    return upload(*device, make_grouped({4, 32, false, shuffled, DType::kF16}, 48, kIn, random))
        ->bytes();
  };
  EXPECT_EQ(bytes(true), bytes(false) + kIn * sizeof(std::int32_t));
}

template <typename Spoil>
void expect_refused(const std::string& message, Spoil spoil) {
  Random random(5);
  const Grouped w = make_grouped({4, 64, false, false, DType::kF16}, 16, 128, random);
  WeightPart part = w.part();
  spoil(part, *part.grouped);
  for (const char* name : {"cpu", "reference"}) {
    try {
      make_device(name)->upload({{part}}, WeightRole::kLinear);
      ADD_FAILURE() << "no error: " << message;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
      EXPECT_EQ(error.what(), message) << name;
    }
  }
}

TEST(GroupedUpload, RefusesWrongTensors) {
  expect_refused("tensor w.codes: wrong type (expected I32, got F32)",
                 [](WeightPart& part, GroupedCodes&) { part.view.dtype = DType::kF32; });
  expect_refused("tensor w.codes: wrong shape (expected [16, 16], got [16, 15])",
                 [](WeightPart& part, GroupedCodes&) {
                   part.view.shape = {16, 15};
                 });
  expect_refused(
      "tensor w.codes: wrong size (expected 1024 bytes, got 1020)",
      [](WeightPart& part, GroupedCodes&) { part.view.bytes = part.view.bytes.first(1020); });
  expect_refused("tensor w.scales: wrong type (expected F16, BF16 or F32, got I16)",
                 [](WeightPart&, GroupedCodes& codes) { codes.scales.view.dtype = DType::kI16; });
  expect_refused("tensor w.scales: wrong shape (expected [2, 16], got [1, 16])",
                 [](WeightPart&, GroupedCodes& codes) {
                   codes.scales.view.shape = {1, 16};
                 });
  expect_refused("tensor w.zeros: wrong type (expected I32, got I64)",
                 [](WeightPart&, GroupedCodes& codes) { codes.zeros.view.dtype = DType::kI64; });
  expect_refused("tensor w.zeros: wrong shape (expected [2, 2], got [2, 3])",
                 [](WeightPart&, GroupedCodes& codes) {
                   codes.zeros.view.shape = {2, 3};
                 });
}

TEST(GroupedUpload, RefusesScalesThatAreNotFinite) {
  std::vector<std::uint16_t> scales(32, 0x2000);
  scales[19] = 0x7C00;
  expect_refused("tensor w.scales: element 19: not finite (expected a finite number, got inf)",
                 [&](WeightPart&, GroupedCodes& codes) {
                   codes.scales.view.bytes = std::as_bytes(std::span<const std::uint16_t>(scales));
                 });
  // Finite, but not what it multiplies codes to.
  scales[19] = 0x7F7F;
  expect_refused("tensor w.scales: element 19: not finite (expected a finite number, got inf)",
                 [&](WeightPart&, GroupedCodes& codes) {
                   codes.scales.view.dtype = DType::kBF16;
                   codes.scales.view.bytes = std::as_bytes(std::span<const std::uint16_t>(scales));
                 });
}

}  // namespace
}  // namespace openllm::device
