#pragma once

#include <optional>
#include <vector>

#include "model/blocks/linear.h"

namespace openllm::model {

namespace role {
/// Of the stack, numbered by '@': from the embedding to the streams but the first, and back.
inline constexpr Role kStreamIn{"streams.in"};
inline constexpr Role kStreamOut{"streams.out"};
/// Of each layer.
inline constexpr Role kStreamRouterNorm{"streams.router_norm"};
inline constexpr Role kStreamRouter{"streams.router"};
inline constexpr Role kStreamPrediction{"streams.prediction"};
inline constexpr Role kStreamCorrection{"streams.correction"};
inline constexpr Role kStreamOutputScale{"streams.output_scale"};  ///< A tensor, no module.
inline constexpr Role kLaurelLeft{"laurel.left"};
inline constexpr Role kLaurelRight{"laurel.right"};
inline constexpr Role kLaurelNorm{"laurel.norm"};
}  // namespace role

/// Several residual streams side by side (AltUp, arXiv 2301.13310). A layer works on one of them:
/// it predicts all from all, runs on the predicted one, and corrects every prediction by what came
/// of that.
struct StreamsSpec {
  int n = 0;
  int active = 0;
  bool scales_output = false;  ///< What a layer's own input reads is scaled by column.
  int laurel_rank = 0;         ///< Of the linears beside the mixer (LAuReL).
};

/// Those of a stack.
class Streams {
 public:
  Streams(const StreamsSpec& spec, BlockBuilder& builder);

  std::int64_t scratch(std::int64_t n_rows) const noexcept;
  /// Takes memory for the streams of the embedded rows x, until the caller's frame ends.
  void begin(Run& run, device::Tensor x) const;
  /// x = the mean of all streams, each as long as the first one.
  void end(Run& run, device::Tensor x) const;

 private:
  const StreamsSpec spec_;
  const std::int64_t dim_;
  std::vector<Linear> in_{};
  std::vector<Linear> out_{};
};

/// Those of a layer.
class LayerStreams {
 public:
  LayerStreams(const StreamsSpec& spec, BlockBuilder& builder, At at);

  std::int64_t scratch(std::int64_t n_rows) const noexcept;
  /// x = the prediction of the active stream.
  void predict(Run& run, device::Tensor x) const;
  /// Remembers what goes beside the mixer, of its normalised input h.
  void run_beside(Run& run, device::Tensor h) const;
  /// x = (x + what was remembered) / sqrt(2)
  void join_beside(Run& run, device::Tensor x) const;
  /// Corrects all streams by the layer's result x. Then x is what the layer's own input reads.
  void correct(Run& run, device::Tensor x) const;
  /// Adds h to all streams but the first.
  void add(Run& run, device::Tensor h) const;

 private:
  /// [T, n] numbers of the rows x.
  void route(Run& run, device::Tensor x, device::Tensor out) const;

  const StreamsSpec spec_;
  const std::int64_t dim_;
  const Norm router_norm_;
  const Linear router_;
  const Linear prediction_;
  const Linear correction_;
  const Linear laurel_left_;
  const Linear laurel_right_;
  const Norm laurel_norm_;
  WeightPtr output_scale_{};
};

}  // namespace openllm::model
