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

inline constexpr std::uint64_t kDefaultAlignment = 32;

/// Points into the file's bytes, which must outlive it.
struct Header {
  std::vector<KeyValue> metadata;  ///< In the file's order; keys are unique.
  std::uint64_t alignment = 0;     ///< Of the tensors' data; parse_metadata: 0 when not given.
  std::uint64_t n_tensors = 0;
  std::size_t end = 0;  ///< Where the descriptions of the tensors begin.
};

/// Reads and checks a whole file; appends its tensors to `tensors`. Throws kCorruptData or
/// kUnsupported naming path, key or tensor, and byte.
/// `first_alignment` is for the later files of a split model, which repeat no metadata: some
/// writers align all files alike, others these by the default. Where only the first file's
/// alignment makes the tensors end where the file does, it counts.
Header parse(const std::string& path, std::span<const std::byte> file, TensorList& tensors,
             std::uint64_t first_alignment = kDefaultAlignment);

/// The metadata alone.
Header parse_metadata(const std::string& path, std::span<const std::byte> file);
/// The rest of a file whose metadata is `header`. Returns the alignment of its tensors.
std::uint64_t parse_tensors(const std::string& path, std::span<const std::byte> file,
                            const Header& header, TensorList& tensors,
                            std::uint64_t first_alignment = kDefaultAlignment);

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
