// Any bytes as the head of a packed copy: an openllm::Error, or parts that lie in the file and a
// head that is written as it was read.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "openllm/error.h"
#include "packed/contents.h"

namespace packed = openllm::packed;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < sizeof(std::uint64_t)) return 0;
  std::uint64_t file_bytes = 0;
  std::memcpy(&file_bytes, data, sizeof(file_bytes));
  const auto bytes = std::as_bytes(std::span(data, size)).subspan(sizeof(file_bytes));
  std::vector<std::byte> head(bytes.begin(), bytes.end());
  // Without the right checksum nothing behind it would be reached.
  if (head.size() % 8 == 0 && head.size() >= 16) {
    const std::size_t n = head.size() - 8;
    const std::uint64_t sum = packed::checksum(std::span(head).first(n));
    std::memcpy(head.data() + n, &sum, sizeof(sum));
  }
  try {
    const packed::Contents contents = packed::read_head("fuzz", head, file_bytes);
    for (const packed::Part& part : contents.parts) {
      if (part.offset + part.bytes > file_bytes || part.offset < contents.head_bytes) std::abort();
    }
    const std::vector<std::byte> again = packed::write_head(contents);
    if (again.size() > head.size() || packed::head_bytes_of(contents) != contents.head_bytes)
      std::abort();
  } catch (const openllm::Error&) {
  }
  return 0;
}
