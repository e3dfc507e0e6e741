#include "sampling/select.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>

#include "sampling/vector_ops.h"

namespace openllm::sampling {
namespace {

constexpr std::size_t kHeapLimit = 512;  // beyond it selecting by partition is faster

std::size_t at(std::int32_t id) { return static_cast<std::size_t>(id); }

/// Bits [shift, shift + 10 or more) of a non-negative float: digits that order such floats. Weights
/// are at most 1, so the leading digit is below 1024 too.
std::size_t digit(float p, unsigned shift) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(p) >> shift;
  return shift == 20 ? std::min<std::uint32_t>(bits, 1023U) : bits & 1023U;
}

/// Calls visit(i) for i from `begin` on, but for most elements below `least`, which visit may
/// raise.
template <typename Visit>
void visit_from(std::span<const float> values, std::size_t begin, const float& least, Visit visit) {
  for (std::size_t i = begin; i < values.size();) {
    const std::size_t next = i / kBlock + 1;
    for (const std::size_t end = std::min(next * kBlock, values.size()); i < end; ++i) visit(i);
    i = next_block(values, next, least) * kBlock;
  }
}

}  // namespace

void Selector::start(std::span<const float> x, std::span<const float> p, double total) {
  x_ = x;
  p_ = p;
  total_ = total;
  all_ = true;
}

template <typename Keep>
void Selector::filter(std::span<const float> values, float least, Keep keep) {
  if (!all_) {
    ids_.erase(
        std::remove_if(ids_.begin(), ids_.end(), [&](std::int32_t id) { return !keep(at(id)); }),
        ids_.end());
    return;
  }
  ids_.clear();
  visit_from(values, next_block(values, 0, least) * kBlock, least, [&](std::size_t i) {
    if (keep(i)) ids_.push_back(static_cast<std::int32_t>(i));
  });
  all_ = false;
}

void Selector::keep_top_p(double top_p) {
  // Tokens below `tail` weigh less than (1 - top_p) * total together, so none of them is in the
  // set.
  const double tail = (1.0 - top_p) * total_ / static_cast<double>(x_.size());
  const float least =
      std::max(static_cast<float>(tail * 0.999), std::numeric_limits<float>::denorm_min());
  filter(p_, least, [&](std::size_t i) { return p_[i] >= least; });

  // The weight of the least likely token kept, digit by digit from the top.
  const double limit = top_p * total_;
  double above = 0.0;
  work_ = ids_;
  for (const unsigned shift : {20U, 10U, 0U}) {
    std::array<double, 1024> weight{};
    for (const std::int32_t id : work_)
      weight[digit(p_[at(id)], shift)] += static_cast<double>(p_[at(id)]);
    std::size_t last = 0;
    std::size_t d = weight.size();
    while (d-- > 0) {
      if (weight[d] <= 0.0) continue;
      last = d;
      if (above + weight[d] >= limit) break;
      above += weight[d];
    }
    if (d > last)
      above -=
          weight[last];  // rounding left the limit out of reach (d wrapped): the lowest digit it is
    work_.erase(std::remove_if(work_.begin(), work_.end(),
                               [&](std::int32_t id) { return digit(p_[at(id)], shift) != last; }),
                work_.end());
  }
  const float threshold = p_[at(work_.front())];
  std::size_t n_ties = 0;
  do {
    ++n_ties;
    above += static_cast<double>(threshold);
  } while (above < limit && n_ties < work_.size());
  filter(p_, threshold, [&](std::size_t i) {
    return p_[i] > threshold || (p_[i] == threshold && n_ties > 0 && n_ties-- > 0);
  });
}

float Selector::kth_value(std::size_t k) {
  heap_.clear();
  if (k > kHeapLimit) {
    if (all_) {
      heap_.assign(x_.begin(), x_.end());
    } else {
      for (const std::int32_t id : ids_) heap_.push_back(x_[at(id)]);
    }
    const auto kth = heap_.begin() + static_cast<std::ptrdiff_t>(k - 1);
    std::nth_element(heap_.begin(), kth, heap_.end(), std::greater<>());
    return *kth;
  }
  const auto value = [&](std::size_t i) { return all_ ? x_[i] : x_[at(ids_[i])]; };
  for (std::size_t i = 0; i < k; ++i) heap_.push_back(value(i));
  std::make_heap(heap_.begin(), heap_.end(), std::greater<>());
  float least = heap_.front();
  const auto visit = [&](std::size_t i) {
    if (!(value(i) > least)) return;
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.back() = value(i);
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
    least = heap_.front();
  };
  if (all_) {
    visit_from(x_, k, least, visit);
  } else {
    for (std::size_t i = k; i < ids_.size(); ++i) visit(i);
  }
  return least;
}

void Selector::keep_top_k(int k) {
  const auto count = static_cast<std::size_t>(k);
  if (count >= (all_ ? x_.size() : ids_.size())) return;
  // -inf: fewer than k may be chosen at all.
  const float kth = std::max(kth_value(count), std::numeric_limits<float>::lowest());
  filter(x_, kth, [&](std::size_t i) { return x_[i] >= kth; });
}

void Selector::keep_min_p(float least) {
  filter(p_, least, [&](std::size_t i) { return p_[i] >= least; });
}

/// Calls use(i) for the tokens that are left and weigh anything.
template <typename Use>
void Selector::for_each_left(Use use) const {
  const std::size_t n = all_ ? p_.size() : ids_.size();
  for (std::size_t k = 0; k < n; ++k) {
    const std::size_t i = all_ ? k : at(ids_[k]);
    if (p_[i] > 0.0F) use(i);
  }
}

double Selector::weight() const noexcept {
  double sum = 0.0;
  for_each_left([&](std::size_t i) { sum += static_cast<double>(p_[i]); });
  return sum;
}

double Selector::entropy(float max, double weight) const noexcept {
  const double log_sum = static_cast<double>(max) + std::log(weight);
  double sum = 0.0;
  for_each_left([&](std::size_t i) {
    sum -= static_cast<double>(p_[i]) * (static_cast<double>(x_[i]) - log_sum);
  });
  return sum / weight;
}

void Selector::keep_typical(double mass, float max, double weight) {
  const double expected = entropy(max, weight);
  const double log_sum = static_cast<double>(max) + std::log(weight);
  distances_.clear();
  for_each_left([&](std::size_t i) {
    const double surprise = log_sum - static_cast<double>(x_[i]);
    distances_.emplace_back(std::abs(surprise - expected), static_cast<std::int32_t>(i));
  });
  std::sort(distances_.begin(), distances_.end());
  const double limit = mass * weight;
  double sum = 0.0;
  std::size_t last = 0;
  for (; last + 1 < distances_.size(); ++last) {
    sum += static_cast<double>(p_[at(distances_[last].second)]);
    if (sum >= limit) break;
  }
  const double farthest = distances_[last].first;
  ids_.clear();
  for (const auto& [distance, id] : distances_) {
    if (distance <= farthest) ids_.push_back(id);
  }
  std::sort(ids_.begin(), ids_.end());
  all_ = false;
}

void Selector::keep_above(double least) {
  float max = -std::numeric_limits<float>::infinity();
  for_each_left([&](std::size_t i) { max = std::max(max, x_[i]); });
  const auto bound = static_cast<float>(std::min(least * 0.999, 1.0));
  filter(p_, bound,
         [&](std::size_t i) { return static_cast<double>(p_[i]) >= least || x_[i] == max; });
}

std::span<const std::int32_t> Selector::largest(std::span<const float> x, std::size_t n) {
  const auto before = [&](std::int32_t a, std::int32_t b) {
    return x[at(a)] > x[at(b)] || (x[at(a)] == x[at(b)] && a < b);
  };
  n = std::min(n, x.size());
  work_.clear();
  if (n == 0) return work_;
  if (n > kHeapLimit) {
    for (std::size_t i = 0; i < x.size(); ++i) work_.push_back(static_cast<std::int32_t>(i));
    std::partial_sort(work_.begin(), work_.begin() + static_cast<std::ptrdiff_t>(n), work_.end(),
                      before);
    work_.resize(n);
    return work_;
  }
  for (std::size_t i = 0; i < n; ++i) work_.push_back(static_cast<std::int32_t>(i));
  std::make_heap(work_.begin(), work_.end(), before);  // the last in order is on top
  float least = x[at(work_.front())];
  visit_from(x, n, least, [&](std::size_t i) {
    if (!(x[i] > least)) return;  // an equal one has a higher id
    std::pop_heap(work_.begin(), work_.end(), before);
    work_.back() = static_cast<std::int32_t>(i);
    std::push_heap(work_.begin(), work_.end(), before);
    least = x[at(work_.front())];
  });
  std::sort_heap(work_.begin(), work_.end(), before);
  return work_;
}

}  // namespace openllm::sampling
