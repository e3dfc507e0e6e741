// FP8: linears as F8_E4M3 or F8_E5M2 beside their factors, as DeepSeek, Qwen and transformers
// publish them (blocks of 128 x 128, `weight_scale_inv`), and as AutoFP8 and FBGEMM do (one factor,
// or one for each output, `weight_scale`). docs/formats.md describes the tensors.

#include "base/error.h"
#include "model/weights/schemes/coded_rows.h"
#include "model/weights/schemes/scheme.h"

namespace openllm::model {
namespace {

using tensor::DType;

bool is_float8(const tensor::TensorView* view) noexcept {
  return view != nullptr && (view->dtype == DType::kF8_E4M3 || view->dtype == DType::kF8_E5M2);
}

class Fp8Scheme final : public WeightScheme {
 public:
  explicit Fp8Scheme(std::vector<std::int64_t> block) : block_(std::move(block)) {}

  bool has(const TensorIndex& index, const std::string& module) const override {
    return is_float8(index.find(module + ".weight")) ||
           index.find(module + ".weight_scale_inv") != nullptr ||
           index.find(module + ".weight_scale") != nullptr;
  }

  device::WeightPart take(TensorIndex& index, const std::string& module, std::int64_t n_out,
                          std::int64_t n_in, bool /*transposed*/) const override {
    // Factors of activations round nothing here: products take them as they are.
    for (const char* suffix : {".input_scale", ".activation_scale", ".input_scale_ub"}) {
      const std::string name = module + suffix;
      if (const tensor::TensorView* view = index.find(name)) index.take(name, view->shape);
    }
    const bool is_inverse = index.find(module + ".weight_scale") == nullptr;
    return take_float8(index, module + ".weight",
                       module + (is_inverse ? ".weight_scale_inv" : ".weight_scale"), n_out, n_in,
                       block_);
  }

  std::optional<device::WeightPart> take_expert(TensorIndex& index, const std::string& module,
                                                std::int64_t n_out, std::int64_t n_in,
                                                At at) const override {
    return take_float8_expert(index, module, n_out, n_in, block_, at);
  }

  std::optional<WeightContent> content_of(const format::Checkpoint& checkpoint,
                                          const format::NamedTensor& tensor) const override {
    if (is_beside(checkpoint, tensor.name,
                  {".weight_scale_inv", ".weight_scale", ".input_scale", ".activation_scale",
                   ".input_scale_ub"},
                  ".weight")) {
      return WeightContent{};
    }
    // Stacked experts are parameters without a module's suffix.
    return is_beside(checkpoint, tensor.name, {"_scale_inv", "_activation_scale"}, "")
               ? std::optional(WeightContent{})
               : std::nullopt;
  }

 private:
  std::vector<std::int64_t> block_;
};

}  // namespace

std::unique_ptr<WeightScheme> make_fp8_scheme(const Config& config) {
  std::vector<std::int64_t> block;
  if (const auto sizes = config.numbers("weight_block_size")) {
    for (const double size : *sizes) {
      if (!(size >= 1 && size <= static_cast<double>(kMaxFfnDim))) {
        config.corrupt("weight_block_size", "bad value (expected two positive numbers)");
      }
      block.push_back(static_cast<std::int64_t>(size));
    }
    if (block.size() != 2) {
      config.corrupt("weight_block_size", "bad value (expected two numbers, got ", block.size(),
                     ")");
    }
  }
  return std::make_unique<Fp8Scheme>(std::move(block));
}

}  // namespace openllm::model
