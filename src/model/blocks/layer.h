#pragma once

#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "model/blocks/attention_before_mamba2.h"
#include "model/blocks/attention_beside_mamba2.h"
#include "model/blocks/cross_attention.h"
#include "model/blocks/dense_ffn.h"
#include "model/blocks/differential_attention.h"
#include "model/blocks/disentangled_attention.h"
#include "model/blocks/gated_conv.h"
#include "model/blocks/gated_delta.h"
#include "model/blocks/latent_attention.h"
#include "model/blocks/layer_input.h"
#include "model/blocks/lightning_attention.h"
#include "model/blocks/mamba.h"
#include "model/blocks/mamba2.h"
#include "model/blocks/moe_ffn.h"
#include "model/blocks/rg_lru.h"
#include "model/blocks/row_conv.h"
#include "model/blocks/rwkv.h"
#include "model/blocks/self_attention.h"
#include "model/blocks/streams.h"

namespace openllm::model {

namespace role {
inline constexpr Role kMixerNorm{"layer.mixer_norm"};           ///< Before the mixer.
inline constexpr Role kMixerPostNorm{"layer.mixer_post_norm"};  ///< Behind it.
inline constexpr Role kMixerSumNorm{"layer.mixer_sum_norm"};
inline constexpr Role kCrossNorm{"layer.cross_norm"};
inline constexpr Role kCrossPostNorm{"layer.cross_post_norm"};
inline constexpr Role kFfnNorm{"layer.ffn_norm"};
inline constexpr Role kFfnPostNorm{"layer.ffn_post_norm"};
inline constexpr Role kLayerScale{"layer.scale"};  ///< A tensor of one number.
}  // namespace role

/// A layer without that half, and without the norm before it.
struct NoMixerSpec {};
struct NoFfnSpec {};

/// Kinds of mixers and FFNs: an entry here and in layer.cc, and a file pair beside it.
using MixerSpec =
    std::variant<SelfAttentionSpec, LatentAttentionSpec, GatedConvSpec, MambaSpec, Mamba2Spec,
                 GatedDeltaSpec, LightningAttentionSpec, AttentionBesideMamba2Spec,
                 AttentionBeforeMamba2Spec, RgLruSpec, TimeMixSpec, DisentangledAttentionSpec,
                 DifferentialAttentionSpec, NoMixerSpec>;
using FfnSpec = std::variant<DenseFfnSpec, MoeFfnSpec, NoFfnSpec>;

/// How the halves f of a layer join the residual stream x.
struct ResidualSpec {
  bool norm_before = true;  ///< f(norm(x)) instead of f(x).
  bool bare_mixer = false;  ///< But the mixer reads x all the same.
  bool norm_after = false;  ///< x + norm(f(..)): "sandwich" together with norm_before.
  bool norm_sum = false;    ///< x = norm(x + f(x)): "post-norm".
  /// With norm_sum, of the mixer: x = norm'(x + norm(x + f(x))).
  bool mixer_sum_twice = false;
  /// Mixer and FFN both read the layer's input: x + mixer(norm(x)) + ffn(norm(x)).
  bool parallel = false;
  bool shared_norm = false;  ///< The FFN of a parallel layer reads the mixer's norm.
  float scale = 1.0F;        ///< Of what is added.
  /// The stream itself is normalised: x = norm(x), then x = a x + b f(x).
  bool norm_stream = false;
  struct Factors {
    float stream = 1.0F;  ///< a
    float half = 1.0F;    ///< b
  };
  Factors mixer_factors{};  ///< With norm_stream; so the next.
  Factors ffn_factors{};
};

struct LayerSpec {
  MixerSpec mixer{};
  std::optional<CrossAttentionSpec> cross{};  ///< Between mixer and FFN, of decoders with a source.
  FfnSpec ffn{};
  ResidualSpec residual{};
  std::optional<LayerInputSpec> own_input{};    ///< Behind the FFN.
  bool output_scale = false;                    ///< What comes out is multiplied by a number.
  float output_factor = 1.0F;                   ///< Or by this one.
  std::optional<ChannelMixSpec> channel_mix{};  ///< Where `cross` would be; there is no FFN then.
  std::optional<StreamsSpec> streams{};         ///< The same for all layers.
  std::optional<RowConvSpec> row_conv{};        ///< Of rows that see their whole sequence.
  /// How often it runs in a row; of layers that keep nothing from step to step.
  int n_times = 1;
};

/// A mixer, perhaps cross attention, and an FFN around the residual stream. Knows no kind of mixer
/// or FFN.
class Layer {
 public:
  Layer(const LayerSpec& spec, BlockBuilder& builder, At at);

  /// Floats of scratch that `run` takes for that many rows.
  std::int64_t scratch(std::int64_t n_rows) const noexcept;
  /// What keeps something in the KV cache, with the index of its entry there.
  struct KvUser {
    Mixer* mixer = nullptr;
    int index = 0;
  };
  std::vector<KvUser*> kv_users();
  int n_times() const noexcept { return n_times_; }

  /// Runs the layer over the rows x in place.
  void run(Run& run, device::Tensor x);
  /// The last layer: every row goes through the mixer, then only those with results go on, gathered
  /// in `outputs` [outputs of the step, D].
  void run_last(Run& run, device::Tensor x, device::Tensor outputs);
  /// Keeps the encoded source rows [rows, D] for the layer's cross attention; the device's step is
  /// the encoder's.
  void remember_source(Run& run, device::Tensor source);

 private:
  void mix(Run& run, device::Tensor x, device::Tensor h, device::Tensor mixed);
  /// x = a x + b h
  static void join_stream(Run& run, const ResidualSpec::Factors& factors, device::Tensor h,
                          device::Tensor x);
  void finish(Run& run, device::Tensor x, device::Tensor h, device::Tensor mixed);
  void finish_output(Run& run, device::Tensor own, device::Tensor x);
  /// This layer's columns of what the rows bring for each layer.
  device::Tensor own_input(Run& run) const;
  std::int64_t mixed_width() const noexcept { return mixer_ ? mixer_->width() : 0; }
  void run_second(Run& run, device::Tensor x, device::Tensor h);
  /// x += norm(h) and so on, as the residual has it.
  void join(Run& run, const std::optional<Norm>& post_norm, device::Tensor h, device::Tensor x);
  void join_mixer(Run& run, device::Tensor h, device::Tensor x);

  const ResidualSpec residual_;
  const std::int64_t dim_;
  const int number_;
  const int n_times_;
  std::optional<Norm> mixer_norm_{};
  std::unique_ptr<Mixer> mixer_;  ///< Null: none.
  KvUser mixer_kv_{};
  std::optional<Norm> mixer_post_norm_{};
  std::optional<Norm> mixer_sum_norm_{};
  std::optional<Norm> cross_norm_{};
  std::unique_ptr<Mixer> second_{};  ///< Cross attention, or another one before the FFN.
  CrossAttention* cross_ = nullptr;  ///< The same, if it is that.
  KvUser second_kv_{};
  std::optional<Norm> cross_post_norm_{};
  std::optional<Norm> ffn_norm_{};
  std::unique_ptr<Ffn> ffn_;  ///< Null: none.
  std::optional<Norm> ffn_post_norm_{};
  std::unique_ptr<LayerInput> own_input_{};
  std::unique_ptr<LayerStreams> streams_{};
  std::unique_ptr<RowConv> row_conv_{};
  float output_scale_ = 1.0F;
};

}  // namespace openllm::model
