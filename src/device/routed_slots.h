#pragma once

#include <cstdint>
#include <vector>

#include "device/ops.h"

namespace openllm::device {

/// The choice of experts in host memory: for devices that compute there.
class RoutedSlots {
 public:
  struct Slot {
    std::int64_t index = 0;
    float weight = 0.0F;
  };

  explicit RoutedSlots(const RouterSpec& spec) : spec_(spec) {}

  int top_k() const noexcept { return spec_.top_k; }
  void resize(std::int64_t n_rows);
  /// Chooses for row t; rows may be chosen for by several threads at once. Equal scores: the
  /// expert with the lower number comes first.
  void choose(std::int64_t t, const float* scores, const float* bias) noexcept;
  /// Puts the slots in order, once every row has its choice.
  void sort();

  /// First slot of an expert; begin(n_experts) is the number of slots.
  std::int64_t begin(int expert) const { return begin_[static_cast<std::size_t>(expert)]; }
  std::int64_t row_of(std::int64_t slot) const { return row_of_[static_cast<std::size_t>(slot)]; }
  /// The delta with the expert's slots of its rows in place of those.
  LinearDelta of_slots(const ExpertDelta& delta) const;
  /// Factor of what the slot's expert gets.
  float input_weight(std::int64_t slot) const {
    return input_weights_.empty() ? 1.0F : input_weights_[static_cast<std::size_t>(slot)];
  }
  /// Slot of the row's i-th expert, experts in ascending order.
  Slot slot(std::int64_t t, int i) const {
    return slots_[static_cast<std::size_t>(t * spec_.top_k + i)];
  }

 private:
  struct Choice {
    int expert = 0;
    float weight = 0.0F;
  };
  /// Space of one row, taken before threads choose.
  struct Space {
    float* scores;
    float* ranks;
    float* group_ranks;
    int* order;
  };
  Space space(std::int64_t t);
  void exclude_groups(const Space& space) const;
  void choose_near(std::int64_t t, const float* scores) noexcept;

  const RouterSpec spec_;
  std::vector<float> floats_{};    ///< [T, 3, experts]
  std::vector<int> orders_{};      ///< [T, experts]
  std::vector<Choice> choices_{};  ///< [T, top_k], experts of a row ascending.
  std::vector<std::int64_t> begin_{};
  std::vector<std::int64_t> row_of_{};
  std::vector<Slot> slots_{};
  std::vector<float> input_weights_{};  ///< [T * top_k], when inputs are weighed.
};

}  // namespace openllm::device
