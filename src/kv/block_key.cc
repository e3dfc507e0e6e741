#include "kv/block_key.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace openllm::kv {

BlockKey root_key(std::span<const std::uint64_t> salt) noexcept {
  const XXH128_hash_t hash = XXH3_128bits(salt.data(), salt.size_bytes());
  return {hash.low64, hash.high64};
}

BlockKey next_key(const BlockKey& previous, std::span<const std::int32_t> tokens) noexcept {
  XXH3_state_t state;
  XXH3_INITSTATE(&state);
  XXH3_128bits_reset(&state);
  const std::uint64_t chain[2] = {previous.low, previous.high};
  XXH3_128bits_update(&state, chain, sizeof(chain));
  XXH3_128bits_update(&state, tokens.data(), tokens.size_bytes());
  const XXH128_hash_t hash = XXH3_128bits_digest(&state);
  return {hash.low64, hash.high64};
}

}  // namespace openllm::kv
