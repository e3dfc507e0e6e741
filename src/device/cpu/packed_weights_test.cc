// A weight that comes from PackedWeights is the one that was packed, and is asked for by all that
// it depends on.

#include "device/packed_weights.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <set>
#include <vector>

#include "device/device.h"

namespace openllm::device {
namespace {

/// Keeps what is packed, by layout and first part's name.
class Kept final : public PackedWeights {
 public:
  std::span<const std::byte> find(std::span<const WeightPart* const> parts, std::uint64_t layout,
                                  std::size_t n_bytes) override {
    layouts.insert(layout);
    const auto found = kept_.find(parts[0]->name);
    if (found == kept_.end()) return {};
    EXPECT_EQ(found->second.size(), n_bytes);
    ++n_found;
    return found->second;
  }
  void note(std::span<const WeightPart* const> parts, std::uint64_t /*layout*/,
            std::span<const std::byte> packed) override {
    kept_[parts[0]->name].assign(packed.begin(), packed.end());
  }
  int n_found = 0;
  std::set<std::uint64_t> layouts{};

 private:
  std::map<std::string, std::vector<std::byte>> kept_{};
};

std::vector<float> all_rows(const Device& device, const Weight& weight) {
  std::vector<float> values;
  std::vector<float> row(static_cast<std::size_t>(weight.in_features()));
  for (std::int64_t i = 0; i < weight.out_features(); ++i) {
    device.read_row(weight, i, row.data());
    values.insert(values.end(), row.begin(), row.end());
  }
  return values;
}

TEST(PackedWeights, GiveTheWeightThatWasPacked) {
  constexpr std::int64_t kRows = 37;
  constexpr std::int64_t kColumns = 64;
  std::vector<float> values(kRows * kColumns);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) * 0.25F;
  const WeightPart part{{tensor::DType::kF32, {kRows, kColumns}, std::as_bytes(std::span(values))},
                        "w"};
  Kept kept;
  const auto device = make_device("cpu", {.n_threads = 2});
  use_packed_weights(*device, kept);
  const auto packed = device->upload({.parts = {part}}, WeightRole::kLinear);
  EXPECT_EQ(kept.n_found, 0);
  const auto taken = device->upload({.parts = {part}}, WeightRole::kLinear);
  EXPECT_EQ(kept.n_found, 1);
  EXPECT_EQ(all_rows(*device, *packed), values);
  EXPECT_EQ(all_rows(*device, *taken), values);
  EXPECT_EQ(taken->bytes(), packed->bytes());
  // Vectors are not packed, and another type is another layout.
  (void)device->upload({.parts = {{{tensor::DType::kF32, {kColumns}, part.view.bytes.first(256)}}}},
                       WeightRole::kVector);
  EXPECT_EQ(kept.layouts.size(), 1U);
  const WeightPart half{
      {tensor::DType::kF16, {kRows, kColumns}, part.view.bytes.first(2 * kRows * kColumns)}, "h"};
  (void)device->upload({.parts = {half}}, WeightRole::kLinear);
  EXPECT_EQ(kept.layouts.size(), 2U);
}

TEST(PackedWeights, AreNoMatterOfTheReferenceDevice) {
  Kept kept;
  const auto device = make_device("reference");
  use_packed_weights(*device, kept);
  const std::vector<float> values(64, 1.0F);
  (void)device->upload(
      {.parts = {{{tensor::DType::kF32, {2, 32}, std::as_bytes(std::span(values))}, "w"}}},
      WeightRole::kLinear);
  EXPECT_TRUE(kept.layouts.empty());
}

}  // namespace
}  // namespace openllm::device
