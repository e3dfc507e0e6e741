#include "format/flax.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/error.h"
#include "format/msgpack.h"
#include "format/recognise.h"
#include "format/renamed.h"

// Sources: flax/serialization.py, and for the names transformers 4's
// modeling_flax_pytorch_utils.py: Flax calls the matrix of a linear `kernel`, [in, out], a norm's
// factors `scale` and a table `embedding`; all levels above are called as PyTorch's modules.
namespace openllm::format {
namespace {

using base::fail_at;
using tensor::DType;
using Kind = MsgpackReader::Kind;
using Value = MsgpackReader::Value;

constexpr int kMaxDepth = 32;
constexpr std::string_view kChunked = "__msgpack_chunked_array__";

struct TypeName {
  std::string_view name;
  DType dtype;
};
constexpr TypeName kTypes[] = {{"float32", DType::kF32},
                               {"float16", DType::kF16},
                               {"bfloat16", DType::kBF16},
                               {"float64", DType::kF64},
                               {"int8", DType::kI8},
                               {"int16", DType::kI16},
                               {"int32", DType::kI32},
                               {"int64", DType::kI64},
                               {"uint8", DType::kU8},
                               {"bool", DType::kBool},
                               {"float8_e4m3fn", DType::kF8_E4M3},
                               {"float8_e5m2", DType::kF8_E5M2}};

struct Array {
  std::optional<DType> dtype{};  ///< None: its type is not known.
  std::string_view type_name{};
  std::vector<std::uint64_t> dims{};
  std::span<const std::byte> bytes{};
};

bool is_kernel(std::string_view levels) {
  return levels == "kernel" || levels.ends_with("/kernel");
}

class TreeReader {
 public:
  TreeReader(const std::string& path, std::span<const std::byte> file, TensorList& tensors,
             std::vector<std::vector<std::byte>>& made)
      : path_(path), reader_(path, file), tensors_(tensors), made_(made) {}

  void read() {
    const Value root = reader_.next();
    if (root.kind != Kind::kMap) {
      fail_at(ErrorCode::kCorruptData, path_, "not parameters of Flax (expected a map at byte 0)");
    }
    read_map(root.n, 0);
    if (!reader_.at_end()) {
      fail_at(ErrorCode::kCorruptData, path_, "bytes behind the parameters (at byte ",
              reader_.place(), ")");
    }
  }

 private:
  template <typename... Parts>
  [[noreturn]] void corrupt(const Parts&... parts) const {
    fail_at(ErrorCode::kCorruptData, path_, "tensor ", printable(levels_), ": ",
            base::cat(parts...), " (before byte ", reader_.place(), ")");
  }

  std::string_view read_key() {
    const Value key = reader_.next();
    if (key.kind != Kind::kText) corrupt("a name that is no text");
    return key.text();
  }

  void read_map(std::uint64_t n_pairs, int depth) {
    if (depth > kMaxDepth) corrupt("nested too deeply (expected at most ", kMaxDepth, " levels)");
    for (std::uint64_t i = 0; i < n_pairs; ++i) {
      const std::string_view key = read_key();
      if (i == 0 && key == kChunked) {
        read_chunked(n_pairs, depth);
        return;
      }
      const std::size_t before = levels_.size();
      if (before + key.size() >= kMaxPathBytes) corrupt("a name that is too long");
      if (before > 0) levels_ += '/';
      levels_ += key;
      read_value(reader_.next(), depth);
      levels_.resize(before);
    }
  }

  void read_value(const Value& value, int depth) {
    if (value.kind == Kind::kMap) {
      read_map(value.n, depth + 1);
    } else if (is_array(value)) {
      add(array_of(value));
    } else {
      skip_items(value, depth);
      tensors_.unreadable.push_back({name_from_flax(levels_), "it is no array"});
    }
  }

  static bool is_array(const Value& value) {
    constexpr int kArrayType = 1;
    constexpr int kScalarType = 3;
    return value.kind == Kind::kExtension &&
           (value.type == kArrayType || value.type == kScalarType);
  }

  void skip_items(const Value& value, int depth) {
    if (value.kind != Kind::kArray && value.kind != Kind::kMap) return;
    if (depth > kMaxDepth) corrupt("nested too deeply (expected at most ", kMaxDepth, " levels)");
    const std::uint64_t n = value.kind == Kind::kMap ? 2 * value.n : value.n;
    for (std::uint64_t i = 0; i < n; ++i) skip_items(reader_.next(), depth + 1);
  }

  /// An extension holds three values: dimensions, the type's name, and the elements row by row.
  Array array_of(const Value& extension) const {
    MsgpackReader inner(path_, extension.bytes, reader_.place_of(extension.bytes));
    const Value whole = inner.next();
    if (whole.kind != Kind::kArray || whole.n != 3) corrupt("an array of three parts was expected");
    const Value dims = inner.next();
    if (dims.kind != Kind::kArray) corrupt("dimensions were expected");
    Array array;
    for (std::uint64_t i = 0; i < dims.n; ++i) array.dims.push_back(size_of(inner.next()));
    const Value name = inner.next();
    if (name.kind != Kind::kText && name.kind != Kind::kBytes) corrupt("a type was expected");
    array.type_name = name.text();
    const Value elements = inner.next();
    if (elements.kind != Kind::kBytes && elements.kind != Kind::kText)
      corrupt("elements were expected");
    if (!inner.at_end()) corrupt("bytes behind the elements");
    array.bytes = elements.bytes;
    for (const TypeName& type : kTypes) {
      if (type.name == array.type_name) array.dtype = type.dtype;
    }
    if (array.dtype) check_size(array);
    return array;
  }

  std::uint64_t size_of(const Value& value) const {
    if (value.kind != Kind::kInt || value.is_negative) corrupt("a size was expected");
    return value.n;
  }

  void check_size(const Array& array) const {
    const std::optional<std::uint64_t> n_elems = count_elems(array.dims);
    const auto size = static_cast<std::uint64_t>(tensor::info(*array.dtype).block_bytes);
    std::uint64_t expected = 0;
    if (!n_elems || !multiply(*n_elems, size, expected)) corrupt("number of elements overflows");
    if (expected != array.bytes.size()) {
      corrupt("wrong size (expected ", expected, " bytes, got ", array.bytes.size(), ")");
    }
  }

  /// What is too long for msgpack is a map of the dimensions and of flat arrays, both counted from
  /// "0" on. The first key has been read.
  void read_chunked(std::uint64_t n_pairs, int depth) {
    if (n_pairs != 3 || depth == 0) corrupt("chunks, and what they are of, were expected");
    if (reader_.next().kind != Kind::kBool || read_key() != "shape") {
      corrupt("the dimensions of its chunks were expected");
    }
    Array array;
    for_each_numbered([&](const Value& value) { array.dims.push_back(size_of(value)); });
    if (read_key() != "chunks") corrupt("chunks were expected");
    std::vector<std::byte> all;
    for_each_numbered([&](const Value& value) {
      if (!is_array(value)) corrupt("a chunk that is no array");
      const Array chunk = array_of(value);
      if (!array.type_name.empty() && chunk.type_name != array.type_name) {
        corrupt("chunks of several types");
      }
      array.type_name = chunk.type_name;
      array.dtype = chunk.dtype;
      all.insert(all.end(), chunk.bytes.begin(), chunk.bytes.end());
    });
    array.bytes = all;
    if (array.dtype) check_size(array);
    array.bytes = made_.emplace_back(std::move(all));
    add(array);
  }

  template <typename Action>
  void for_each_numbered(Action action) {
    const Value map = reader_.next();
    if (map.kind != Kind::kMap) corrupt("a map was expected");
    for (std::uint64_t i = 0; i < map.n; ++i) {
      if (read_key() != std::to_string(i)) corrupt("parts that are not in order");
      action(reader_.next());
    }
  }

  void add(const Array& array) {
    std::string name = name_from_flax(levels_);
    if (!array.dtype) {
      tensors_.unreadable.push_back(
          {std::move(name), base::cat("type ", printable(array.type_name), " is not supported")});
      return;
    }
    add_renamed({std::move(name), *array.dtype, array.dims, array.bytes, is_kernel(levels_)},
                tensors_, made_);
  }

  const std::string& path_;
  MsgpackReader reader_;
  TensorList& tensors_;
  std::vector<std::vector<std::byte>>& made_;
  std::string levels_{};  ///< Where the reader is, parted by '/'.
};

}  // namespace

std::string name_from_flax(std::string_view levels) {
  // Models with other state than parameters have them one level down.
  constexpr std::string_view kParameters = "params/";
  if (levels.starts_with(kParameters)) levels.remove_prefix(kParameters.size());
  const std::size_t last = levels.rfind('/') + 1;  // npos + 1 is 0
  const std::string_view leaf = levels.substr(last);
  std::string name(levels);
  if (leaf == "kernel" || leaf == "scale" || leaf == "embedding") {
    name.replace(last, std::string::npos, "weight");
  }
  std::replace(name.begin(), name.end(), '/', '.');
  return name;
}

void parse_flax(const std::string& path, std::span<const std::byte> file, TensorList& tensors,
                std::vector<std::vector<std::byte>>& made) {
  const std::string what = recognise(file);
  if (!what.empty()) {
    fail_at(ErrorCode::kCorruptData, path, "not a file that Flax wrote (it is ", what, ")");
  }
  TreeReader(path, file, tensors, made).read();
}

}  // namespace openllm::format
