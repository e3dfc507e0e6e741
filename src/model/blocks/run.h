#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "device/device.h"
#include "model/adapters/adapters.h"

namespace openllm::model {

/// Memory for the activations of one step, given out as a stack: what a block takes is given back
/// when its `Scratch::Frame` ends.
class Scratch {
 public:
  Scratch(device::Device& device, std::int64_t n_floats);

  /// f32 [rows, cols], not initialised.
  device::Tensor take(std::int64_t rows, std::int64_t cols);
  /// Elements that `take` needs for such a tensor.
  static std::int64_t size_of(std::int64_t rows, std::int64_t cols) noexcept;

  class Frame {
   public:
    explicit Frame(Scratch& scratch) noexcept : scratch_(scratch), used_(scratch.used_) {}
    ~Frame() { scratch_.used_ = used_; }
    Frame(const Frame&) = delete;
    Frame& operator=(const Frame&) = delete;

   private:
    Scratch& scratch_;
    std::int64_t used_;
  };

 private:
  std::unique_ptr<device::Buffer> memory_;
  std::int64_t capacity_;
  std::int64_t used_ = 0;
};

/// One step as the blocks see it.
struct Run {
  device::Device& device;
  const step::Step& step;
  device::KvCache& kv;
  const std::vector<std::unique_ptr<device::Rope>>& ropes;
  Scratch& scratch;
  std::span<const std::unique_ptr<device::PositionBias>> position_biases{};  ///< Of the stack.
  device::Tensor layer_inputs{};  ///< Rows that tokens bring for each layer, [T, L * width].
  device::Tensor embedded{};      ///< The rows before the first layer, where a mixer reads them.
  device::Tensor streams{};       ///< Residual streams side by side, [T, n * D]; so the next.
  device::Tensor predictions{};
  device::Tensor beside_mixer{};  ///< What a layer adds to its mixer's result, [T, D].
  /// Adapters of the rows that blocks work on now: all rows, and after the last layer's mixer those
  /// with results.
  std::span<const AdapterRows> adapters{};
  std::span<const AdapterRows> output_adapters{};
  /// Added to the numbers of pieces, where layers that share weights have adapters of their own.
  int piece_shift = 0;
  /// Memory of the deltas; needed where rows have adapters.
  StepAdapters* delta_memory = nullptr;

  /// `of_step`: of this step's rows; must outlive the run.
  void use(StepAdapters& of_step) noexcept;
  /// What the adapters of the rows at work make of a piece (AdaptableModule::piece); valid until
  /// the next call. `n_rows`: of the rows, those that come first.
  device::LinearDeltas deltas(int piece) const;
  device::LinearDeltas deltas_of_first(int piece, std::int64_t n_rows) const;
  /// The same for the linears of experts, by their pieces.
  device::ExpertDeltas expert_deltas(std::span<const int> pieces) const;
  /// The same for a table of embeddings.
  device::EmbeddingDeltas embedding_deltas(int piece) const;
};

}  // namespace openllm::model
