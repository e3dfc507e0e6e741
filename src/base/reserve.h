#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace openllm::base {

/// Room for `n` more elements, so that adding them cannot fail. Grows by doubling.
template <typename T>
void reserve_more(std::vector<T>& list, std::size_t n) {
  const std::size_t wanted = list.size() + n;
  if (wanted > list.capacity()) list.reserve(std::max(wanted, 2 * list.capacity()));
}

}  // namespace openllm::base
