#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/little_endian.h"
#include "format/tensor_list.h"

// One GGUF file, checked and listed; class Gguf joins the files of a split model. Source: ggml's
// docs/gguf.md.
namespace openllm::format::gguf {

enum class ValueType : std::uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64,
};

/// Bytes of a value, or of the shortest one of that type. `type` is one of the enum's values.
std::size_t min_size(ValueType type) noexcept;
std::string_view name_of(ValueType type) noexcept;

/// A metadata value where it lies in the file. For an array, `type` is that of its elements and
/// `data` is all of them; every length in it has been checked.
struct Value {
  ValueType type = ValueType::kU8;
  bool is_array = false;
  std::uint64_t n_elems = 1;
  std::span<const std::byte> data{};
};

struct KeyValue {
  std::string_view key;
  Value value;
};

/// Points into the file's bytes, which must outlive it.
struct Header {
  std::vector<KeyValue> metadata;  ///< In the file's order; keys are unique.
};

/// Reads and checks a whole file; appends its tensors to `tensors`. Throws kCorruptData or
/// kUnsupported naming path, key or tensor, and byte.
Header parse(const std::string& path, std::span<const std::byte> file, TensorList& tensors);

/// Calls `visit(element)` with each string of a checked array of strings.
template <typename Visit>
void for_each_string(const Value& array, Visit visit) {
  std::size_t pos = 0;
  for (std::uint64_t i = 0; i < array.n_elems; ++i) {
    const auto length = static_cast<std::size_t>(load_le(array.data, pos, 8));
    visit(std::string_view(reinterpret_cast<const char*>(array.data.data()) + pos + 8, length));
    pos += 8 + length;
  }
}

}  // namespace openllm::format::gguf
