#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/arch/family.h"
#include "model/config/rope.h"

namespace openllm::model::hf {

/// A family's own names for members that have a general name too; the general one wins (as
/// transformers' attribute_map). Empty: only the general name.
struct OwnNames {
  std::string_view hidden_size;
  std::string_view n_layers;
  std::string_view n_heads;
  std::string_view n_kv_heads;
  std::string_view ffn_dim;
  std::string_view max_positions;
};

/// What a family's configuration class in transformers fills in when config.json leaves it out.
/// Those of llama unless the family says otherwise.
struct Defaults {
  int vocab_size = 32000;
  int hidden_size = 4096;
  int n_layers = 32;
  int n_heads = 32;
  int n_kv_heads = 0;             ///< 0: n_heads.
  int head_dim = 0;               ///< 0: hidden_size / n_heads.
  bool ignores_head_dim = false;  ///< The member `head_dim` is not looked at.
  int ffn_dim = 11008;            ///< 0: four times hidden_size.
  int max_positions = 2048;
  double norm_eps = 1e-6;
  double rope_theta = 10000.0;
  bool tied = false;
  std::string_view activation_key = "hidden_act";
  std::string_view activation = "silu";
  OwnNames names{};
  bool reads_layer_config = false;  ///< The family reads `per_layer_config` itself.
  bool reads_ffn_dim = false;       ///< And `intermediate_size`; here it is the default.
};

/// A size from 1 to `max`; `otherwise` when absent. Null is as wrong as any other type.
int read_size(const Config& config, std::string_view key, int otherwise, std::int64_t max);

/// The members all decoders written in llama's style share: sizes, RMS norms, gated FFN,
/// activation, tying. Layers are full attention; ropes are left to the family.
ModelSpec read_llama_like(const Config& config, const Defaults& defaults);

/// How the rope of a family differs from llama's.
struct RopeReading {
  double theta = 10000.0;
  std::string_view theta_key = "rope_theta";
  device::RopeStyle style = device::RopeStyle::kHalves;
  /// Part of each head that turns when nothing says so; unset: all of it, whatever the file says.
  std::optional<double> partial{};
  std::string_view partial_key = "partial_rotary_factor";
};
/// One rope for all layers, from `rope_parameters`, or the older `rope_scaling` and `rope_theta`.
void read_single_rope(const Config& config, ModelSpec& spec, const RopeReading& reading = {});
/// A rope for full layers and one for windowed ones: `rope_parameters` by layer type, or the older
/// `rope_scaling` and `rope_theta`, which are for full layers alone.
void read_ropes_by_type(const Config& config, ModelSpec& spec, const RopeReading& reading);
/// As read_single_rope, but a rope of type dynamic with a fixed `alpha` has its base stretched once
/// (Hunyuan).
void read_alpha_rope(const Config& config, ModelSpec& spec);
/// Adds a rope and returns its index.
int add_rope(ModelSpec& spec, const RopeParameters& parameters);

/// True when the file says anything of its rope: `rope_parameters` or `rope_scaling`.
bool names_rope(const Config& config);
/// One rope for all layers of a file that says nothing: all of each head turns.
void use_rope(const Config& config, ModelSpec& spec, RopeParameters parameters);

/// From `layer_types` if given, else `is_windowed(layer)`. Windowed layers take `window`, which
/// must then be given.
void read_layer_types(const Config& config, ModelSpec& spec, std::optional<int> window,
                      const std::vector<bool>& is_windowed);

/// `sliding_window`; nullopt when it is null. Families that know it have one when it is absent.
std::optional<int> read_window(const Config& config, int when_absent = 4096);

/// Layers with a window by `sliding_window_pattern`: a period, whose last layer is full, or letters
/// ("LLLG").
std::vector<bool> read_window_pattern(const Config& config, int n_layers, int otherwise);

/// Throws kUnsupported: RoPE turns pairs of dimensions.
void require_even_head_dim(const Config& config, int head_dim);

/// `attention_bias`: biases on Q, K, V and the output.
void read_attention_bias(const Config& config, ModelSpec& spec);

/// Norms behind attention and FFN instead of before them.
void use_norms_after(ModelSpec& spec);
/// Granite's embedding_multiplier, residual_multiplier, attention_multiplier, logits_scaling.
void read_granite_multipliers(const Config& config, ModelSpec& spec);
/// LayerNorm for every norm, with the epsilon of that key.
void use_layer_norm(const Config& config, ModelSpec& spec, std::string_view eps_key, double eps);
/// FFNs of two linears, down(act(up(x))).
void use_plain_ffn(ModelSpec& spec, bool bias);
/// Biases of Q, K, V, and of the attention's output.
void set_attention_biases(ModelSpec& spec, bool qkv, bool output);

/// Throws kUnsupported for a name no device implements.
device::Activation read_activation(const Config& config, std::string_view key,
                                   std::string_view otherwise);
/// The same for a name that was read from `key`.
device::Activation activation_named(const Config& config, std::string_view key,
                                    std::string_view name);

/// `decoder_start_token_id` of an encoder-decoder model, else `bos_token_id`; -1: neither.
int read_decoder_start(const Config& config, int otherwise = -1);

/// Refuses settings that change the numbers and have no block here: bidirectional attention, layers
/// that differ one by one.
void refuse_unsupported(const Config& config);

/// Whether the file is of a sequence classifier, by `architectures`.
bool is_classifier(const Config& config);
/// Its classes: `id2label`, else `num_labels`, else 2.
int read_n_labels(const Config& config);
/// The head of a classifier: linears with an activation each, and the last one to the classes.
struct ClassifierReading {
  RowPooling pooling = RowPooling::kFirst;
  std::optional<device::Activation> activation = device::Activation::kTanh;
  bool has_pooler = true;
  bool bias = true;
};
PooledHeadSpec read_classifier(const Config& config, const ClassifierReading& reading);
/// Makes a decoder that is a classifier of one: it scores its last row (transformers'
/// GenericForSequenceClassification).
void make_classifier(const Config& config, ModelSpec& spec, ModuleLayout& layout);
/// What encoders after BERT's pattern share: rows that see all others, biases everywhere, a plain
/// FFN, LayerNorm behind every sum and behind the embedding, no head. As a decoder (`is_decoder`):
/// rows that see earlier ones, and a head, whose linear and norm come with `use_bert_head`.
void use_bert_layers(const Config& config, ModelSpec& spec, double eps);
/// The same with norms before attention and FFN and behind the last layer, instead of behind sums
/// and the embedding.
void use_norms_before(ModelSpec& spec);
/// Of a decoder after BERT's pattern; nothing else has a head.
void use_bert_head(ModelSpec& spec, device::Activation activation);
/// Names of BERT's head, or of RoBERTa's.
void add_bert_head(ModuleLayout& layout);
void add_roberta_head(ModuleLayout& layout);

/// Positions count from the row behind the padding's, as RoBERTa's; so many fewer there are.
void begin_positions_behind_padding(const Config& config, ModelSpec& spec, int padding);
/// Names that BERT and its likes share: tokens, norms, attention, FFN.
std::vector<ModuleName> bert_modules();

/// Module names of llama's style, without q/k norms and sandwich norms.
ModuleLayout llama_layout();
/// The same for networks with norms behind attention and FFN only.
ModuleLayout norms_after_layout();
/// How the families' mixtures differ in names and defaults.
struct MoeReading {
  std::string_view n_experts_key = "num_experts";
  int n_experts = 64;
  std::string_view top_k_key = "num_experts_per_tok";
  int top_k = 8;
  std::string_view ffn_dim_key = "moe_intermediate_size";
  int ffn_dim = 0;  ///< 0: that of the dense FFN.
};
/// Router and expert of a mixture; FFNs otherwise as the dense ones that `spec` has.
MoeFfnSpec read_moe(const Config& config, const ModelSpec& spec, const MoeReading& reading);
/// Scores by sigmoid with a correction for the choice, groups ranked by their two best
/// (DeepSeek-V3): n_group, topk_group, norm_topk_prob, routed_scaling_factor.
void read_sigmoid_router(const Config& config, MoeFfnSpec& moe, double scale, int n_groups,
                         int top_groups, bool normalise);
/// The mixture on every decoder_sparse_step-th layer but those of mlp_only_layers.
void place_moe(const Config& config, ModelSpec& spec, const MoeFfnSpec& moe);
/// The mixture on all layers from first_k_dense_replace on, with n_shared_experts in one FFN.
void place_deepseek_moe(const Config& config, ModelSpec& spec, MoeFfnSpec moe, int n_shared,
                        int n_dense);
/// The mixture on the layers that `mlp_layer_types` calls sparse; without it, on all from n_dense
/// on. With n_shared experts' worth of shared FFN.
void place_moe_by_type(const Config& config, ModelSpec& spec, MoeFfnSpec moe, int n_shared,
                       int n_dense);
/// Names of experts below `layers.#.mlp`, one by one or stacked, and of the router, `gate`.
void add_experts(ModuleLayout& layout);
/// Names of what every row goes through, `layers.#.mlp.shared_experts`.
void add_shared_experts(ModuleLayout& layout);
/// Prefixes of a text part beside other parts, as transformers 4 and 5 have them, and the names of
/// the usual other parts, which are ignored.
void add_text_prefixes(ModuleLayout& layout);
/// Takes the names of dense FFNs out.
void remove_ffn(ModuleLayout& layout);
/// Adds the names of the norms on Q and K.
void add_qk_norms(ModuleLayout& layout);

}  // namespace openllm::model::hf
