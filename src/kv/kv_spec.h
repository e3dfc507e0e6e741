#pragma once

#include <cstddef>
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
  std::size_t bytes_per_token = 0;  ///< Over all layers of the group, keys and values.
};

}  // namespace openllm::kv
