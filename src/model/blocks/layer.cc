#include "model/blocks/layer.h"

#include <algorithm>
#include <utility>

namespace openllm::model {
namespace {

using device::Tensor;

std::unique_ptr<Mixer> make(const SelfAttentionSpec& spec, BlockBuilder& builder, At at) {
  return make_self_attention(spec, builder, at);
}
std::unique_ptr<Mixer> make(const LatentAttentionSpec& spec, BlockBuilder& builder, At at) {
  return make_latent_attention(spec, builder, at);
}
std::unique_ptr<Mixer> make(const GatedConvSpec& spec, BlockBuilder& builder, At at) {
  return make_gated_conv(spec, builder, at);
}
std::unique_ptr<Mixer> make(const GatedDeltaSpec& spec, BlockBuilder& builder, At at) {
  return make_gated_delta(spec, builder, at);
}
std::unique_ptr<Mixer> make(const LightningAttentionSpec& spec, BlockBuilder& builder, At at) {
  return make_lightning_attention(spec, builder, at);
}
std::unique_ptr<Mixer> make(const MambaSpec& spec, BlockBuilder& builder, At at) {
  return make_mamba(spec, builder, at);
}
std::unique_ptr<Mixer> make(const Mamba2Spec& spec, BlockBuilder& builder, At at) {
  return make_mamba2(spec, builder, at);
}
std::unique_ptr<Mixer> make(const AttentionBesideMamba2Spec& spec, BlockBuilder& builder, At at) {
  return make_attention_beside_mamba2(spec, builder, at);
}
std::unique_ptr<Mixer> make(const AttentionBeforeMamba2Spec& spec, BlockBuilder& builder, At at) {
  return make_attention_before_mamba2(spec, builder, at);
}
std::unique_ptr<Mixer> make(const RgLruSpec& spec, BlockBuilder& builder, At at) {
  return make_rg_lru(spec, builder, at);
}
std::unique_ptr<Mixer> make(const TimeMixSpec& spec, BlockBuilder& builder, At at) {
  return make_time_mix(spec, builder, at);
}
std::unique_ptr<Mixer> make(const DisentangledAttentionSpec& spec, BlockBuilder& builder, At at) {
  return make_disentangled_attention(spec, builder, at);
}
std::unique_ptr<Mixer> make(const DifferentialAttentionSpec& spec, BlockBuilder& builder, At at) {
  return make_differential_attention(spec, builder, at);
}
std::unique_ptr<Mixer> make(const NoMixerSpec& /*spec*/, BlockBuilder& /*builder*/, At /*at*/) {
  return nullptr;
}
std::unique_ptr<Ffn> make(const NoFfnSpec& /*spec*/, BlockBuilder& /*builder*/, At /*at*/) {
  return nullptr;
}
std::unique_ptr<Ffn> make(const MoeFfnSpec& spec, BlockBuilder& builder, At at) {
  return make_moe_ffn(spec, builder, at);
}
std::unique_ptr<Ffn> make(const DenseFfnSpec& spec, BlockBuilder& builder, At at) {
  return make_dense_ffn(spec, builder, at);
}

const Norm* norm_or_null(const std::optional<Norm>& norm) { return norm ? &*norm : nullptr; }

}  // namespace

Layer::Layer(const LayerSpec& spec, BlockBuilder& builder, At at)
    : residual_(spec.residual), dim_(builder.dim), number_(at.layer), n_times_(spec.n_times) {
  const auto load = [&](std::optional<Norm>& norm, Role role) {
    norm.emplace(builder, role, at, builder.dim);
  };
  const bool has_post_norms = residual_.norm_after || residual_.norm_sum;
  const bool has_mixer = !std::holds_alternative<NoMixerSpec>(spec.mixer);
  const bool has_ffn = !std::holds_alternative<NoFfnSpec>(spec.ffn);
  if (residual_.norm_before && !residual_.bare_mixer && has_mixer) {
    load(mixer_norm_, role::kMixerNorm);
  }
  mixer_ = std::visit([&](const auto& mixer) { return make(mixer, builder, at); }, spec.mixer);
  mixer_kv_.mixer = mixer_.get();
  if (spec.cross) {
    if (residual_.norm_before) load(cross_norm_, role::kCrossNorm);
    std::unique_ptr<CrossAttention> cross = make_cross_attention(*spec.cross, builder, at);
    cross_ = cross.get();
    second_ = std::move(cross);
    if (has_post_norms) load(cross_post_norm_, role::kCrossPostNorm);
  }
  if (spec.channel_mix) {
    load(cross_norm_, role::kCrossNorm);
    second_ = make_channel_mix(*spec.channel_mix, builder, at);
  }
  second_kv_.mixer = second_.get();
  if (residual_.norm_before && !residual_.shared_norm && has_ffn) load(ffn_norm_, role::kFfnNorm);
  ffn_ = std::visit([&](const auto& ffn) { return make(ffn, builder, at); }, spec.ffn);
  if (has_post_norms && has_mixer) load(mixer_post_norm_, role::kMixerPostNorm);
  if (residual_.mixer_sum_twice) load(mixer_sum_norm_, role::kMixerSumNorm);
  if (has_post_norms && has_ffn) load(ffn_post_norm_, role::kFfnPostNorm);
  if (spec.own_input) own_input_ = std::make_unique<LayerInput>(*spec.own_input, builder, at);
  if (spec.streams) streams_ = std::make_unique<LayerStreams>(*spec.streams, builder, at);
  if (spec.row_conv) row_conv_ = std::make_unique<RowConv>(*spec.row_conv, builder, at);
  output_scale_ = spec.output_factor;
  if (spec.output_scale) output_scale_ = builder.loader.number(role::kLayerScale, at);
}

std::int64_t Layer::scratch(std::int64_t n_rows) const noexcept {
  std::int64_t halves =
      std::max(mixer_ ? mixer_->scratch(n_rows) : 0, ffn_ ? ffn_->scratch(n_rows) : 0);
  if (second_) {
    halves =
        std::max(halves, Scratch::size_of(n_rows, second_->width()) + second_->scratch(n_rows));
  }
  if (streams_) halves = std::max(halves, streams_->scratch(n_rows));
  if (own_input_) {
    halves = std::max(halves, Scratch::size_of(n_rows, dim_) + own_input_->scratch(n_rows));
    halves += Scratch::size_of(n_rows, own_input_->width());
  }
  if (row_conv_) halves = std::max(halves, row_conv_->scratch(n_rows));
  if (row_conv_) halves += Scratch::size_of(n_rows, dim_);
  // h, the FFN's output of parallel layers, and mixed of all rows, then of the rows with results.
  return (residual_.parallel ? 2 : 1) * Scratch::size_of(n_rows, dim_) +
         2 * Scratch::size_of(n_rows, mixed_width()) + halves;
}

std::vector<Layer::KvUser*> Layer::kv_users() {
  std::vector<KvUser*> users;
  if (mixer_) users.push_back(&mixer_kv_);
  if (second_) users.push_back(&second_kv_);
  return users;
}

void Layer::run(Run& run, Tensor x) {
  const Scratch::Frame frame(run.scratch);
  if (streams_) streams_->predict(run, x);
  const Tensor h = run.scratch.take(x.rows, dim_);
  const Tensor mixed = run.scratch.take(x.rows, mixed_width());
  Tensor beside;
  if (row_conv_) {
    beside = run.scratch.take(x.rows, dim_);
    row_conv_->run(run, x, beside);
  }
  mix(run, x, h, mixed);
  finish(run, x, h, mixed);
  if (row_conv_) row_conv_->join(run, beside, x);
  finish_output(run, own_input(run), x);
}

Tensor Layer::own_input(Run& run) const {
  if (!own_input_) return {};
  const std::int64_t width = own_input_->width();
  return run.layer_inputs.columns(number_ * width, width);
}

void Layer::finish_output(Run& run, Tensor own, Tensor x) {
  if (streams_) streams_->correct(run, x);
  if (own_input_ && streams_) {
    const Scratch::Frame frame(run.scratch);
    const Tensor h = run.scratch.take(x.rows, dim_);
    own_input_->run(run, own, x, h);
    streams_->add(run, h);
  } else if (own_input_) {
    own_input_->add(run, own, x);
  }
  if (output_scale_ != 1.0F) run.device.scale(output_scale_, x);
}

void Layer::run_last(Run& run, Tensor x, Tensor outputs) {
  if (outputs.rows == x.rows || second_ || row_conv_) {
    // Nothing to leave out; or a second mixer or a convolution, whose rows are those of the step.
    this->run(run, x);
    run.device.gather_outputs(x, outputs);
    return;
  }
  const Scratch::Frame frame(run.scratch);
  const Tensor h = run.scratch.take(x.rows, dim_);
  const Tensor mixed = run.scratch.take(x.rows, mixed_width());
  mix(run, x, h, mixed);
  if (outputs.rows == 0) return;
  const Tensor wanted = run.scratch.take(outputs.rows, mixed_width());
  run.device.gather_outputs(x, outputs);
  if (mixer_) run.device.gather_outputs(mixed, wanted);
  Run rest = run;
  rest.adapters = run.output_adapters;
  finish(rest, outputs, h.first_rows(outputs.rows), wanted);
  Tensor own;
  if (own_input_) {
    own = run.scratch.take(outputs.rows, own_input_->width());
    run.device.gather_outputs(own_input(run), own);
  }
  finish_output(rest, own, outputs);
}

void Layer::mix(Run& run, Tensor x, Tensor h, Tensor mixed) {
  const Norm* norm = norm_or_null(mixer_norm_);
  if (residual_.norm_stream) {
    norm->run(run, x, x);
    norm = nullptr;
  }
  if (streams_) {
    norm->run(run, x, h);
    streams_->run_beside(run, h);
    mixer_->mix(run, {nullptr, h, {}}, mixer_kv_.index, mixed);
    return;
  }
  if (mixer_) mixer_->mix(run, {norm, x, h}, mixer_kv_.index, mixed);
}

void Layer::join_stream(Run& run, const ResidualSpec::Factors& factors, Tensor h, Tensor x) {
  if (factors.stream != 1.0F) run.device.scale(factors.stream, x);
  run.device.add(x, h, factors.half, x);
}

void Layer::finish(Run& run, Tensor x, Tensor h, Tensor mixed) {
  const Norm* ffn_norm = norm_or_null(residual_.shared_norm ? mixer_norm_ : ffn_norm_);
  if (residual_.parallel) {
    const Scratch::Frame frame(run.scratch);
    const Tensor from_ffn = run.scratch.take(x.rows, dim_);
    ffn_->run(run, {ffn_norm, x, from_ffn}, from_ffn);
    mixer_->project(run, mixed, h);
    join(run, mixer_post_norm_, h, x);
    join(run, ffn_post_norm_, from_ffn, x);
    return;
  }
  if (residual_.norm_stream) {
    mixer_->project(run, mixed, h);
    join_stream(run, residual_.mixer_factors, h, x);
    ffn_norm->run(run, x, x);
    ffn_->run(run, {nullptr, x, h}, h);
    join_stream(run, residual_.ffn_factors, h, x);
    return;
  }
  if (mixer_) {
    mixer_->project(run, mixed, h);
    join_mixer(run, h, x);
    if (streams_) streams_->join_beside(run, x);
  }
  if (second_) run_second(run, x, h);
  if (!ffn_) return;
  ffn_->run(run, {ffn_norm, x, h}, h);
  join(run, ffn_post_norm_, h, x);
}

void Layer::run_second(Run& run, Tensor x, Tensor h) {
  const Scratch::Frame frame(run.scratch);
  const Tensor mixed = run.scratch.take(x.rows, second_->width());
  second_->mix(run, {norm_or_null(cross_norm_), x, h}, second_kv_.index, mixed);
  second_->project(run, mixed, h);
  join(run, cross_post_norm_, h, x);
}

void Layer::remember_source(Run& run, Tensor source) {
  if (cross_) cross_->remember(run, source, second_kv_.index);
}

void Layer::join_mixer(Run& run, Tensor h, Tensor x) {
  if (!mixer_sum_norm_) {
    join(run, mixer_post_norm_, h, x);
    return;
  }
  run.device.add(x, h, 1.0F, h);
  mixer_post_norm_->run(run, h, h);
  run.device.add(x, h, 1.0F, x);
  mixer_sum_norm_->run(run, x, x);
}

void Layer::join(Run& run, const std::optional<Norm>& post_norm, Tensor h, Tensor x) {
  if (residual_.norm_after) post_norm->run(run, h, h);
  run.device.add(x, h, residual_.scale, x);
  if (residual_.norm_sum) post_norm->run(run, x, x);
}

}  // namespace openllm::model
