#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>

// Which of several places gets a request: counts in, an index out.
namespace openllm::backend {

/// What is known of a place.
struct PlaceLoad {
  bool is_well = true;
  int n_open = 0;        ///< What it has to do: choices, or calls.
  int n_slots = 0;       ///< So many it does at once, more wait; 0: not known.
  double token_s = 0.0;  ///< Time for a token of one of them, lately; 0: not known.
};

/// Which place got a prompt with the same beginning last; the least recent are forgotten. Not
/// thread-safe.
class PrefixMemory {
 public:
  PrefixMemory() = default;
  explicit PrefixMemory(std::size_t max_size) : max_size_(max_size) {}

  /// What prompts have in common with others, at least; shorter ones all of it. What is cached of a
  /// prompt is its adapter's.
  static std::uint64_t key_of(std::span<const std::int32_t> prompt, std::string_view adapter = {});

  std::optional<std::size_t> find(std::uint64_t key) const;
  void note(std::uint64_t key, std::size_t place);

 private:
  using Entry = std::pair<std::uint64_t, std::size_t>;

  std::size_t max_size_ = std::size_t{1} << 16U;
  std::list<Entry> entries_;  // the latest first
  std::unordered_map<std::uint64_t, std::list<Entry>::iterator> by_key_;
};

/// The place for `n_choices` more with a prompt of this key, of those that are not in `excluded`.
/// One that is well comes before others, then one that has room for them now; of these the one
/// where they would be done first, if what it has were done at the speed of lately (one whose speed
/// is not known counts as fast as the fastest, so that it gets known). The place that has the
/// prompt's beginning, as it may have it cached, wins unless it has much more to do than that one.
/// nullopt: none is left. Notes the prompt for the one it gives.
std::optional<std::size_t> choose_place(std::span<const PlaceLoad> places, PrefixMemory& memory,
                                        std::uint64_t key, int n_choices,
                                        const std::set<std::size_t>& excluded);

}  // namespace openllm::backend
