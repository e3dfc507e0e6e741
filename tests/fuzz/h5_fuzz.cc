// Any bytes as a file of TensorFlow: an openllm::Error or tensors whose every byte can be read.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "format/keras.h"
#include "openllm/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using openllm::format::NamedTensor;
  namespace tensor = openllm::tensor;
  try {
    openllm::format::TensorList list;
    std::vector<std::vector<std::byte>> made;
    openllm::format::parse_keras("fuzz", std::as_bytes(std::span(data, size)), false, list, made);
    list.sort_and_check("fuzz");
    volatile std::uint64_t sum = 0;
    for (const NamedTensor& named : list.readable) {
      const auto n_elems = static_cast<std::size_t>(named.view.shape.n_elems());
      if (named.view.bytes.size() != tensor::byte_size(named.view.dtype, n_elems)) std::abort();
      for (const std::byte value : named.view.bytes) {
        sum = sum + std::to_integer<std::uint64_t>(value);
      }
    }
  } catch (const openllm::Error&) {
    return 0;
  }
  return 0;
}
