#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "device/device.h"

namespace openllm::model {

/// The lengths of a matrix's rows with and without an adapter, for DoRA (arXiv 2402.09353): each
/// row of weight + scale * d, d = b a, gets the length that was trained.
struct RowLengths {
  std::vector<float> trained{};
  std::vector<double> of_weight{};  ///< |w|^2
  std::vector<double> product{};    ///< w d
  std::vector<double> of_delta{};   ///< |d|^2

  /// Factors that the rows of weight + scale * d get.
  std::vector<float> gains(float scale) const;
};

/// An adapter's weights on the device, by the piece of the network that they change.
class MountedAdapter {
 public:
  using Shared = std::shared_ptr<const device::Weight>;

  /// What device::LinearDelta or device::EmbeddingDelta say, but for the rows. Of a norm: `a` is
  /// its weight and `shift` its bias, null where they are the model's.
  struct Delta {
    int piece = 0;               ///< AdaptableModule::piece
    std::int64_t out_begin = 0;  ///< First column in the piece.
    Shared a{};                  ///< Of an embedding: its table.
    Shared b{};
    Shared shift{};
    Shared gains{};
    float scale = 1.0F;
    /// It adds to the module, so that a request's factor acts on it; else it replaces something.
    bool scales = false;
    std::vector<std::int32_t> columns{};  ///< Of an embedding: tokens.
    std::unique_ptr<const RowLengths> lengths{};
  };

  explicit MountedAdapter(std::vector<Delta> deltas);

  const std::vector<Delta>& deltas() const noexcept { return deltas_; }  ///< By piece.
  /// Deltas of a piece; empty when the adapter leaves it alone.
  std::span<const Delta> of(int piece) const noexcept;

 private:
  std::vector<Delta> deltas_;
};

/// An adapter and the factor of what it adds.
struct AdapterPart {
  std::shared_ptr<const MountedAdapter> adapter{};
  float factor = 1.0F;
};

/// The sum of some adapters, as a request wants it.
class AdapterMix {
 public:
  /// Throws kUnsupported where two of them replace one module.
  AdapterMix(std::vector<AdapterPart> parts, device::Device& device);

  /// visit(delta, scale, gains) of all that act on a piece, in order.
  template <typename Visit>
  void visit(int piece, Visit visit) const {
    for (const Part& part : parts_) {
      const MountedAdapter::Delta* const first = part.adapter->deltas().data();
      for (const MountedAdapter::Delta& delta : part.adapter->of(piece)) {
        const auto& own = part.gains.empty() ? delta.gains : part.gains[&delta - first];
        visit(delta, delta.scales ? delta.scale * part.factor : delta.scale, own.get());
      }
    }
  }

 private:
  struct Part {
    std::shared_ptr<const MountedAdapter> adapter{};
    float factor = 1.0F;
    std::vector<MountedAdapter::Shared> gains{};  ///< By delta; empty: the adapter's own.
  };
  std::vector<Part> parts_{};
};

}  // namespace openllm::model
