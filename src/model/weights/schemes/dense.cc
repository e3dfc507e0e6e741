#include "model/weights/schemes/scheme.h"

namespace openllm::model {
namespace {

class DenseScheme final : public WeightScheme {
 public:
  bool has(const TensorIndex& /*index*/, const std::string& /*module*/) const override {
    return true;  // the last one tried: an absent tensor is told by `take`
  }
  device::WeightPart take(TensorIndex& index, const std::string& module, std::int64_t n_out,
                          std::int64_t n_in, bool transposed) const override {
    const std::string name = module + ".weight";
    const tensor::Shape shape =
        transposed ? tensor::Shape{n_in, n_out} : tensor::Shape{n_out, n_in};
    return {index.take(name, shape), name, transposed};
  }
  std::optional<WeightContent> content_of(const format::Checkpoint& /*checkpoint*/,
                                          const format::NamedTensor& tensor) const override {
    return WeightContent{std::string(tensor::info(tensor.view.dtype).name), tensor.view.shape};
  }
};

}  // namespace

std::unique_ptr<WeightScheme> make_dense_scheme() { return std::make_unique<DenseScheme>(); }

}  // namespace openllm::model
