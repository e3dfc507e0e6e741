#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace openllm::sampling {

/// Selections over a vocabulary without sorting it. Lists of ids are ascending. Keep their buffers
/// between calls. Thread safety: one thread at a time.
class Selector {
 public:
  /// Starts with every token. x [V] are scores, p [V] their weights, which rise with x. p and total
  /// may be filled later, before keep_top_p or keep_min_p is called.
  void start(std::span<const float> x, std::span<const float> p, double total);

  /// Keeps the smallest set of most likely tokens whose weight is at least `top_p` of the total; at
  /// least one. Among equals the lower ids.
  void keep_top_p(double top_p);
  /// Keeps tokens at least as likely as the k-th: more than k when several equal it.
  void keep_top_k(int k);
  /// Keeps tokens with a weight of at least `least`.
  void keep_min_p(float least);

  /// Weight of the tokens that are left.
  double weight() const noexcept;
  /// Entropy of those tokens' distribution, in nats. `max`: the score whose weight is 1.
  double entropy(float max, double weight) const noexcept;
  /// Keeps the tokens whose surprise is nearest to the entropy, until they have `mass` of `weight`:
  /// locally typical sampling (Meister 2022). Those as near as the last one stay too.
  void keep_typical(double mass, float max, double weight);
  /// Keeps tokens with a weight of at least `least`, and the most likely ones in any case.
  void keep_above(double least);

  bool has_all() const noexcept { return all_; }
  /// Ids that are left; only when not has_all().
  std::span<const std::int32_t> ids() const noexcept { return ids_; }

  /// Ids of the n largest values of x, falling, ties to the lower id.
  std::span<const std::int32_t> largest(std::span<const float> x, std::size_t n);

 private:
  float kth_value(std::size_t k);
  /// Keeps tokens for which `keep` is true. It must be false for those with a value below `least`.
  template <typename Keep>
  void filter(std::span<const float> values, float least, Keep keep);
  template <typename Use>
  void for_each_left(Use use) const;

  std::span<const float> x_;
  std::span<const float> p_;
  double total_ = 0.0;
  bool all_ = true;
  std::vector<std::int32_t> ids_;
  std::vector<std::int32_t> work_;
  std::vector<float> heap_;
  std::vector<std::pair<double, std::int32_t>> distances_;
};

}  // namespace openllm::sampling
