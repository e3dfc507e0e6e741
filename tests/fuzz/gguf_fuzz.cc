// Any bytes as a GGUF file: an openllm::Error or a consistent model, whose every byte can be read.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/gguf_file.h"
#include "format/gguf_values.h"
#include "openllm/error.h"

namespace {

using openllm::format::NamedTensor;
using openllm::format::TensorList;
namespace gguf = openllm::format::gguf;
namespace tensor = openllm::tensor;

constexpr std::size_t kMaxExpand = 1 << 16;

void use(const NamedTensor& named) {
  const tensor::TensorView& view = named.view;
  const auto n_elems = static_cast<std::size_t>(view.shape.n_elems());
  if (view.bytes.size() != tensor::byte_size(view.dtype, n_elems)) std::abort();
  const tensor::DTypeInfo& type = tensor::info(view.dtype);
  if (type.to_f32 == nullptr || n_elems > kMaxExpand) return;
  std::vector<float> values(n_elems);
  type.to_f32(view.bytes.data(), values.data(), n_elems);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    TensorList tensors;
    const auto file = std::as_bytes(std::span(data, size));
    const gguf::Header header = gguf::parse("fuzz", file, tensors);
    tensors.sort_and_check("fuzz");
    (void)gguf::to_config(header).dump();
    for (const NamedTensor& named : tensors.readable) use(named);
    std::size_t total = 0;
    for (const gguf::KeyValue& entry : header.metadata) {
      if (!entry.value.is_array || entry.value.type != gguf::ValueType::kString) continue;
      gguf::for_each_string(entry.value, [&total](std::string_view text) { total += text.size(); });
    }
    if (total > size) std::abort();
  } catch (const openllm::Error&) {
    return 0;
  }
  return 0;
}
