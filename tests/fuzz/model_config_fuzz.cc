// Any JSON as the configuration of a model or of an adapter: an openllm::Error, or a spec whose
// sizes are those of a model. The file's tensors are few and small, so that those that belong to
// the configuration can be found, and those of quantised modules read.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "device/device.h"
#include "format/checkpoint.h"
#include "model/adapters/adapter_source.h"
#include "model/model.h"
#include "openllm/error.h"

namespace {

using openllm::format::Checkpoint;
using openllm::format::NamedTensor;
using openllm::tensor::DType;

/// The configuration, and a few tensors of a small quantised llama, or of an adapter of one.
class SmallCheckpoint final : public Checkpoint {
 public:
  SmallCheckpoint(Kind kind, openllm::base::Json config, bool is_adapter = false)
      : kind_(kind), config_(std::move(config)), bytes_(4096) {
    add("model.embed_tokens.weight", DType::kF32, {8, 8});
    add("model.layers.0.input_layernorm.weight", DType::kF32, {8});
    add("model.layers.0.self_attn.q_proj.g_idx", DType::kI32, {8});
    add("model.layers.0.self_attn.q_proj.qweight", DType::kI32, {1, 8});
    add("model.layers.0.self_attn.q_proj.qzeros", DType::kI32, {1, 1});
    add("model.layers.0.self_attn.q_proj.scales", DType::kF16, {1, 8});
    add("token_embd.weight", DType::kF32, {8, 8});
    if (!is_adapter) return;
    tensors_.clear();
    const std::string layer = "base_model.model.model.layers.0.";
    for (const char* module : {"self_attn.q_proj", "mlp.experts", "mlp.experts.base_layer"}) {
      add(layer + module + ".lora_A.weight", DType::kF32, {4, 8});
      add(layer + module + ".lora_B.weight", DType::kF32, {8, 4});
    }
    add(layer + "self_attn.q_proj.lora_magnitude_vector", DType::kF32, {8});
    add("base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta", DType::kF32,
        {2, 8});
    for (const char* end : {"a", "b"}) {
      add(std::string("blk.0.attn_q.weight.lora_") + end, DType::kF32, {8, 8});
      add(std::string("blk.0.ffn_up_exps.weight.lora_") + end, DType::kF32, {2, 8, 8});
    }
    if (kind == Kind::kGguf)
      tensors_.erase(tensors_.begin(), tensors_.end() - 4);
    else
      tensors_.resize(tensors_.size() - 4);
  }
  Kind kind() const noexcept override { return kind_; }
  const std::string& path() const noexcept override { return path_; }
  const openllm::base::Json& config() const noexcept override { return config_; }
  const std::vector<NamedTensor>& tensors() const noexcept override { return tensors_; }
  void drop_pages(const openllm::tensor::TensorView& /*view*/) const noexcept override {}

 private:
  void add(const std::string& name, DType type, const openllm::tensor::Shape& shape) {
    const std::size_t size =
        openllm::tensor::byte_size(type, static_cast<std::size_t>(shape.n_elems()));
    tensors_.push_back({name, {type, shape, std::span(bytes_).first(size)}});
  }

  Kind kind_;
  std::string path_ = "fuzz";
  openllm::base::Json config_;
  std::vector<std::byte> bytes_;
  std::vector<NamedTensor> tensors_{};
};

template <typename Body>
void expect_error_or_nothing(Body body) {
  try {
    body();
  } catch (const openllm::Error&) {
    return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using openllm::base::Json;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Json config;
  try {
    config = Json::parse(text, "fuzz");
  } catch (const openllm::Error&) {
    return 0;
  }
  for (const auto kind : {Checkpoint::Kind::kHuggingFace, Checkpoint::Kind::kGguf}) {
    const SmallCheckpoint checkpoint(kind, config);
    expect_error_or_nothing([&] {
      const openllm::model::ModelSpec spec = openllm::model::read_spec(checkpoint);
      if (spec.layers.empty() || spec.dim < 1 || spec.vocab_size < 1) std::abort();
      // A whole model of these tensors does not exist: loading ends with an error.
      if (spec.dim > 4096 || spec.layers.size() > 64) return;
      const auto device = openllm::device::make_device("reference");
      (void)openllm::model::Model::load(checkpoint, *device, {.max_rows = 4, .max_output_rows = 1});
    });
    const SmallCheckpoint adapter(kind, config, true);
    expect_error_or_nothing([&] { (void)openllm::model::read_adapter(adapter); });
  }
  return 0;
}
