// Any bytes as a safetensors file: an openllm::Error or a consistent list of tensors, whose every
// byte can be read.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "format/safetensors.h"
#include "openllm/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using openllm::format::NamedTensor;
  namespace tensor = openllm::tensor;
  try {
    openllm::format::TensorList list;
    openllm::format::parse_safetensors("fuzz", std::as_bytes(std::span(data, size)), list);
    list.sort_and_check("fuzz");
    std::uint64_t sum = 0;
    for (const NamedTensor& named : list.readable) {
      const auto n_elems = static_cast<std::size_t>(named.view.shape.n_elems());
      if (named.view.bytes.size() != tensor::byte_size(named.view.dtype, n_elems)) std::abort();
      for (const std::byte value : named.view.bytes) sum += std::to_integer<std::uint64_t>(value);
    }
    if (sum > 255 * static_cast<std::uint64_t>(size))
      std::abort();  // no byte belongs to two tensors
  } catch (const openllm::Error&) {
    return 0;
  }
  return 0;
}
