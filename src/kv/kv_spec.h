#pragma once

#include <cstdint>
#include <vector>

namespace openllm::kv {

/// How long what a group of layers keeps per token is needed, and so when its blocks may be freed.
enum class KvKind : std::uint8_t {
  kFull,    ///< Every position stays visible.
  kWindow,  ///< Only the last `window` positions are; older blocks are freed.
  kCross,   ///< The source text's, written once by the encoder.
  kState,   ///< Recurrent state of fixed size; rolls back by snapshot.
};

/// Layers that share one block table per sequence.
struct KvGroupSpec {
  KvKind kind = KvKind::kFull;
  int window = 0;             ///< For kWindow: a query at position p sees keys p-window+1 .. p.
  std::vector<int> layers{};  ///< Layer indices of the model.
  /// Memory of a block over all layers of the group, keys and values, as the device lays it out.
  std::int64_t bytes_per_block = 0;
};

}  // namespace openllm::kv
