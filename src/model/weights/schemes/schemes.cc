#include "model/weights/schemes/scheme.h"

namespace openllm::model {

std::vector<std::unique_ptr<WeightScheme>> make_schemes(const format::Checkpoint& /*checkpoint*/) {
  std::vector<std::unique_ptr<WeightScheme>> schemes;
  schemes.push_back(make_dense_scheme());
  return schemes;
}

}  // namespace openllm::model
