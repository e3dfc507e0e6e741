#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kv/kv_spec.h"
#include "model/blocks/norm.h"

namespace openllm::model {

/// What a mixer keeps in the KV cache: per token, or for kState per sequence.
struct KvNeed {
  kv::KvKind kind = kv::KvKind::kFull;
  int window = 0;  ///< For kWindow.
  int n_heads = 0;
  int key_dim = 0;  ///< Of each head.
  int value_dim = 0;
  /// Nothing is kept from step to step: each sequence sees its rows of the step alone.
  bool own_rows = false;
  int of_layer =
      -1;  ///< Reads what the mixer of that earlier layer keeps and keeps nothing itself.
  std::int64_t state_floats = 0;  ///< For kState, which has none of the above.
};

/// The need of a mixer whose state has that many numbers.
inline KvNeed state_need(std::int64_t n_floats) {
  KvNeed need;
  need.kind = kv::KvKind::kState;
  need.state_floats = std::max<std::int64_t>(1, n_floats);  // 0 would mean keys and values
  return need;
}

/// Half of a layer: mixes a sequence's rows with each other (attention and its kin). Works in two
/// parts, so that the last layer can leave rows without results out of the second.
class Mixer {
 public:
  virtual ~Mixer() = default;
  /// Columns of what `mix` gives.
  virtual std::int64_t width() const noexcept = 0;
  /// Floats of scratch that `mix` and `project` take for that many rows.
  virtual std::int64_t scratch(std::int64_t n_rows) const noexcept = 0;
  virtual KvNeed kv_need() const noexcept = 0;
  /// Of mixers that are made of several; their entries in the cache follow each other.
  virtual std::vector<KvNeed> kv_needs() const { return {kv_need()}; }

  /// Mixes all rows of the step into `mixed` [T, width()]; their keys and values, or states, go
  /// into layer `kv_layer` of the cache.
  virtual void mix(Run& run, const Input& input, int kv_layer, device::Tensor mixed) = 0;
  /// out = the mixed rows as a contribution to the residual stream; [rows, D]
  virtual void project(Run& run, device::Tensor mixed, device::Tensor out) = 0;
};

}  // namespace openllm::model
