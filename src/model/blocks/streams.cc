#include "model/blocks/streams.h"

#include <cmath>

namespace openllm::model {
namespace {

using device::Tensor;

/// Of the root mean square of what is made as long as the first stream.
constexpr float kLeastSize = 3.1622777e-3F;

Tensor stream_of(Tensor streams, std::int64_t dim, int i) { return streams.columns(i * dim, dim); }

}  // namespace

Streams::Streams(const StreamsSpec& spec, BlockBuilder& builder) : spec_(spec), dim_(builder.dim) {
  // GGUF has them in one tensor, as experts are.
  for (At at{.n_experts = spec.n - 1}; at.expert < spec.n - 1; ++at.expert) {
    in_.emplace_back(builder, std::vector<LinearPart>{{role::kStreamIn, dim_}}, dim_, at);
    out_.emplace_back(builder, std::vector<LinearPart>{{role::kStreamOut, dim_}}, dim_, at);
  }
}

std::int64_t Streams::scratch(std::int64_t n_rows) const noexcept {
  return 2 * Scratch::size_of(n_rows, spec_.n * dim_) + Scratch::size_of(n_rows, dim_);
}

void Streams::begin(Run& run, Tensor x) const {
  run.streams = run.scratch.take(x.rows, spec_.n * dim_);
  run.predictions = run.scratch.take(x.rows, spec_.n * dim_);
  run.beside_mixer = run.scratch.take(x.rows, dim_);
  run.device.copy(x, stream_of(run.streams, dim_, 0));
  for (int i = 1; i < spec_.n; ++i) {
    const Tensor stream = stream_of(run.streams, dim_, i);
    in_[static_cast<std::size_t>(i) - 1].run(run, x, stream);
    run.device.match_sizes(x, kLeastSize, stream);
  }
}

void Streams::end(Run& run, Tensor x) const {
  const Tensor first = stream_of(run.streams, dim_, 0);
  run.device.copy(first, x);
  for (int i = 1; i < spec_.n; ++i) {
    const Tensor out = run.beside_mixer;
    out_[static_cast<std::size_t>(i) - 1].run(run, stream_of(run.streams, dim_, i), out);
    run.device.match_sizes(first, kLeastSize, out);
    run.device.add(x, out, 1.0F, x);
  }
  run.device.scale(1.0F / static_cast<float>(spec_.n), x);
}

LayerStreams::LayerStreams(const StreamsSpec& spec, BlockBuilder& builder, At at)
    : spec_(spec),
      dim_(builder.dim),
      router_norm_(builder, role::kStreamRouterNorm, at, dim_),
      router_(builder, {{role::kStreamRouter, spec.n}}, dim_, at),
      prediction_(builder, {{role::kStreamPrediction, std::int64_t{spec.n} * spec.n}}, spec.n, at),
      correction_(builder, {{role::kStreamCorrection, spec.n}}, spec.n, at),
      laurel_left_(builder, {{role::kLaurelLeft, spec.laurel_rank}}, dim_, at),
      laurel_right_(builder, {{role::kLaurelRight, dim_}}, spec.laurel_rank, at),
      laurel_norm_(builder, role::kLaurelNorm, at, dim_) {
  output_scale_ = builder.loader.values(role::kStreamOutputScale, at, dim_);
}

std::int64_t LayerStreams::scratch(std::int64_t n_rows) const noexcept {
  return 2 * Scratch::size_of(n_rows, dim_) + Scratch::size_of(n_rows, spec_.n) +
         Scratch::size_of(n_rows, std::int64_t{spec_.n} * spec_.n) +
         Scratch::size_of(n_rows, spec_.laurel_rank);
}

void LayerStreams::route(Run& run, Tensor x, Tensor out) const {
  const Scratch::Frame frame(run.scratch);
  const Tensor h = run.scratch.take(x.rows, dim_);
  router_norm_.run(run, x, h);
  router_.run(run, h, out);
  run.device.scale(1.0F / static_cast<float>(dim_), out);
  run.device.activation(device::Activation::kTanh, out);
}

void LayerStreams::predict(Run& run, Tensor x) const {
  const Scratch::Frame frame(run.scratch);
  const Tensor numbers = run.scratch.take(x.rows, spec_.n);
  const Tensor factors = run.scratch.take(x.rows, std::int64_t{spec_.n} * spec_.n);
  route(run, stream_of(run.streams, dim_, spec_.active), numbers);
  prediction_.run(run, numbers, factors);
  run.device.copy(run.streams, run.predictions);
  for (int i = 0; i < spec_.n; ++i) {
    for (int j = 0; j < spec_.n; ++j) {
      run.device.add_scaled_rows(factors.columns(i * spec_.n + j, 1),
                                 stream_of(run.streams, dim_, j),
                                 stream_of(run.predictions, dim_, i));
    }
  }
  run.device.copy(stream_of(run.predictions, dim_, spec_.active), x);
}

void LayerStreams::run_beside(Run& run, Tensor h) const {
  const Scratch::Frame frame(run.scratch);
  const Tensor low = run.scratch.take(h.rows, spec_.laurel_rank);
  laurel_left_.run(run, h, low);
  laurel_right_.run(run, low, run.beside_mixer);
  laurel_norm_.run(run, run.beside_mixer, run.beside_mixer);
  run.device.add(run.beside_mixer, h, 1.0F, run.beside_mixer);
}

void LayerStreams::join_beside(Run& run, Tensor x) const {
  run.device.add(x, run.beside_mixer, 1.0F, x);
  run.device.scale(1.0F / std::sqrt(2.0F), x);
}

void LayerStreams::correct(Run& run, Tensor x) const {
  const Scratch::Frame frame(run.scratch);
  const Tensor numbers = run.scratch.take(x.rows, spec_.n);
  const Tensor factors = run.scratch.take(x.rows, spec_.n);
  const Tensor change = run.scratch.take(x.rows, dim_);
  route(run, x, numbers);
  correction_.run(run, numbers, factors);
  run.device.add(x, stream_of(run.predictions, dim_, spec_.active), -1.0F, change);
  for (int i = 0; i < spec_.n; ++i) {
    const Tensor stream = stream_of(run.streams, dim_, i);
    run.device.add(stream_of(run.predictions, dim_, i), change, 1.0F, stream);
    run.device.add_scaled_rows(factors.columns(i, 1), change, stream);
  }
  run.device.copy(stream_of(run.streams, dim_, spec_.active), x);
  if (spec_.scales_output) run.device.scale_columns(*output_scale_, x);
}

void LayerStreams::add(Run& run, Tensor h) const {
  for (int i = 1; i < spec_.n; ++i) {
    const Tensor stream = stream_of(run.streams, dim_, i);
    run.device.add(stream, h, 1.0F, stream);
  }
}

}  // namespace openllm::model
