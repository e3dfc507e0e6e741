#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "device/weight.h"

namespace openllm::device {

class Device;

/// Matrices as an earlier load of the same model packed them. A device asks before it packs, and
/// tells what it packed. Thread safety: one thread at a time.
class PackedWeights {
 public:
  virtual ~PackedWeights() = default;
  /// The packed matrix of these parts, stacked; empty: none. `layout` names the layout: two that
  /// pack anything differently have different ones. The bytes stay where they are as long as this
  /// object.
  virtual std::span<const std::byte> find(std::span<const WeightPart* const> parts,
                                          std::uint64_t layout, std::size_t n_bytes) = 0;
  /// What was packed because there was none. The bytes stay where they are as long as the weight.
  virtual void note(std::span<const WeightPart* const> parts, std::uint64_t layout,
                    std::span<const std::byte> packed) = 0;
};

/// Has the device ask `packed`, which must outlive its weights, before it packs a weight from now
/// on. Only the cpu device packs; others do without.
void use_packed_weights(Device& device, PackedWeights& packed);

}  // namespace openllm::device
