#include "packed/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace openllm::packed {

Key hash_key(std::span<const std::byte> bytes) noexcept {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.low64, hash.high64};
}

std::uint64_t checksum(std::span<const std::byte> bytes) noexcept {
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace openllm::packed
