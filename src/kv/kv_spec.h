#pragma once

#include <cstdint>
#include <vector>

namespace openllm::kv {

/// How long what a group of layers keeps per token is needed, and so when its blocks may be freed.
enum class KvKind : std::uint8_t {
  kFull,    ///< Every position stays visible.
  kWindow,  ///< Only the last `window` positions are; older blocks are freed.
  kCross,   ///< The source text's, written once by the encoder.
  /// Recurrent state of fixed size: a block has the state behind the last of its positions that is
  /// computed; the block before the next position alone is needed. Full blocks are snapshots.
  kState,
};

/// Layers that share one block table per sequence.
struct KvGroupSpec {
  KvKind kind = KvKind::kFull;
  int window = 0;             ///< For kWindow: a query at position p sees keys p-window+1 .. p.
  std::vector<int> layers{};  ///< Layer indices of the model.
  /// Memory of a block over all layers of the group, keys and values, as the device lays it out.
  std::int64_t bytes_per_block = 0;
  /// For kState: of the blocks that a step passes through, it keeps the last full one and every
  /// n-th as snapshots that prefixes can end with; 0: none.
  int snapshot_blocks = 0;
};

}  // namespace openllm::kv
