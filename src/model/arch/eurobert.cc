// EuroBERT: Llama whose rows see the whole sequence. Source: transformers models/eurobert.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

PooledHeadSpec read_head(const Config& config) {
  const std::string pooling =
      config.string_or(config.first_of({"classifier_pooling", "clf_pooling"}), "late");
  if (pooling != "bos" && pooling != "mean") {
    config.unsupported("classifier_pooling", "expected bos or mean, got ", pooling);
  }
  PooledHeadSpec head = hf::read_classifier(
      config, {.pooling = pooling == "bos" ? RowPooling::kFirst : RowPooling::kMean,
               .activation = device::Activation::kGelu});
  return head;
}

ModelSpec from_hf(const Config& config) {
  hf::Defaults defaults;
  defaults.vocab_size = 128256;
  defaults.hidden_size = 768;
  defaults.n_layers = 12;
  defaults.n_heads = 12;
  defaults.ffn_dim = 3072;
  defaults.max_positions = 8192;
  defaults.norm_eps = 1e-5;
  ModelSpec spec = hf::read_llama_like(config, defaults);
  spec.head.reset();
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.sees_all = true; });
  hf::read_attention_bias(config, spec);
  const bool ffn_bias = config.bool_or("mlp_bias", false);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.bias = ffn_bias; });
  hf::read_single_rope(config, spec);
  if (hf::is_classifier(config)) spec.pooled_head = read_head(config);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  layout.modules.push_back({role::kPooler, "dense", true});
  layout.modules.push_back({role::kClassifier, "classifier", true});
  layout.ignored.insert(layout.ignored.end(), {"lm_head.*", "dense.*", "classifier.*"});
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.leave({"attention.causal"});
  return members.read(from_hf);
}

}  // namespace

Family eurobert_family() {
  return {"eurobert", {"eurobert"}, {"eurobert"}, from_hf, from_gguf, hf_layout(), gguf::layout()};
}

}  // namespace openllm::model
