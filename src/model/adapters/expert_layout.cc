// Source: peft's tuners/lora/layer.py (ParamWrapper) at its tags v0.17.0, v0.18.0, v0.19.0 and
// v0.19.1. A has columns for dimension 1 of a parameter [experts, ., .] and B rows for dimension 2,
// or the other way round ("swap_in_out_features"): never up to 0.18, in 0.19.0 where the module
// says that it is transposed, since 0.19.1 where it does not. So what is meant by inputs depends on
// the version.

#include "model/adapters/expert_layout.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "format/tensor_list.h"

namespace openllm::model {
namespace {

/// The numbers of a released version; others, such as 0.19.1.dev0, are of no known code.
std::vector<int> numbers_of(const std::string& version) {
  std::vector<int> numbers;
  const char* at = version.data();
  const char* const end = at + version.size();
  while (true) {
    int number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc() || number < 0) return {};
    numbers.push_back(number);
    if (next == end) return numbers;
    if (*next != '.') return {};
    at = next + 1;
  }
}

/// [rows, cols] as [cols, rows].
format::NamedTensor turned(const format::NamedTensor& tensor, std::vector<std::byte>& memory) {
  const tensor::Shape& shape = tensor.view.shape;
  const auto size = tensor::info(tensor.view.dtype).block_bytes;
  const auto n_rows = static_cast<std::size_t>(shape[0]);
  const auto n_cols = static_cast<std::size_t>(shape[1]);
  memory.resize(tensor.view.bytes.size());
  for (std::size_t row = 0; row < n_rows; ++row) {
    for (std::size_t col = 0; col < n_cols; ++col) {
      std::memcpy(memory.data() + (col * n_rows + row) * size,
                  tensor.view.bytes.data() + (row * n_cols + col) * size, size);
    }
  }
  return {tensor.name, {tensor.view.dtype, tensor::Shape{shape[1], shape[0]}, memory}};
}

}  // namespace

ExpertLayout expert_layout_of(const std::string& peft_version) {
  const std::vector<int> numbers = numbers_of(peft_version);
  if (numbers.size() < 2 || numbers.size() > 3) return ExpertLayout::kSquareUnknown;
  if (numbers < std::vector<int>{0, 17}) return ExpertLayout::kSquareUnknown;  // had no such thing
  if (numbers < std::vector<int>{0, 19}) return ExpertLayout::kSquareDimensions;
  if (numbers < std::vector<int>{0, 19, 1}) return ExpertLayout::kSquareTurned;
  return ExpertLayout::kSquarePlain;
}

PlainExpert::PlainExpert(const AdapterModule& module, const std::string& path, std::int64_t n_out,
                         std::int64_t n_in, bool transposed)
    : module_(module) {
  if (!module.a || !module.b || module.layout == ExpertLayout::kPlain) return;
  const tensor::Shape& a = module.a->view.shape;
  const tensor::Shape& b = module.b->view.shape;
  const bool fits = a[1] == n_in && b[0] == n_out;
  const bool fits_turned = a[1] == n_out && b[0] == n_in;
  if (!fits_turned) return;
  if (fits) {
    if (module.layout == ExpertLayout::kSquarePlain) return;
    if (module.layout == ExpertLayout::kSquareUnknown) {
      base::fail_at(ErrorCode::kUnsupported, path + "/adapter_config.json",
                    "peft_version: without a released version from 0.17 on, nothing says which way "
                    "round tensor ",
                    format::printable(module.a->name), " of a square matrix is");
    }
    if (module.layout == ExpertLayout::kSquareDimensions && transposed) return;
  }
  if (tensor::info(module.a->view.dtype).block_elems != 1 ||
      tensor::info(module.b->view.dtype).block_elems != 1) {
    base::fail(ErrorCode::kUnsupported, path, ": tensor ", format::printable(module.a->name),
               ": of experts in a quantised type");
  }
  module_.a = turned(*module.b, b_);
  module_.b = turned(*module.a, a_);
}

}  // namespace openllm::model
