#include "format/gguf_file.h"

#include <array>
#include <optional>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "format/gguf_types.h"
#include "format/recognise.h"

namespace openllm::format::gguf {
namespace {

constexpr std::uint64_t kMinAlignment = 8;  // as the format demands
constexpr std::uint64_t kMaxAlignment = std::uint64_t{1} << 30U;
constexpr std::uint32_t kMaxFileDims = 8;  // more is no tensor of anybody's
constexpr int kMaxArrayDepth = 4;
constexpr std::size_t kMinKeyValueBytes = 8 + 4 + 1;
constexpr std::size_t kMinTensorBytes = 8 + 4 + 4 + 8;

struct TypeRow {
  std::string_view name;
  std::size_t min_size;
};
constexpr std::array<TypeRow, 13> kValueTypes = {{{"u8", 1},
                                                  {"i8", 1},
                                                  {"u16", 2},
                                                  {"i16", 2},
                                                  {"u32", 4},
                                                  {"i32", 4},
                                                  {"f32", 4},
                                                  {"bool", 1},
                                                  {"string", 8},
                                                  {"array", 12},
                                                  {"u64", 8},
                                                  {"i64", 8},
                                                  {"f64", 8}}};

/// Walks over the file's bytes. Every read says what it reads, for the error message.
class Reader {
 public:
  Reader(const std::string& path, std::span<const std::byte> file) : path_(path), file_(file) {}

  Reader(const std::string& path, std::span<const std::byte> file, std::size_t pos)
      : path_(path), file_(file), pos_(pos) {}

  std::size_t pos() const noexcept { return pos_; }
  std::size_t left() const noexcept { return file_.size() - pos_; }
  std::span<const std::byte> since(std::size_t begin) const noexcept {
    return file_.subspan(begin, pos_ - begin);
  }
  /// What is read next belongs to this, for example "key a.b" or "tensor 7".
  void set_subject(std::string subject) { subject_ = std::move(subject); }

  template <typename... Parts>
  [[noreturn]] void corrupt(const Parts&... parts) const {
    base::fail_at(ErrorCode::kCorruptData, path_, "", subject_, ": ", base::cat(parts...),
                  " (at byte ", pos_, ")");
  }
  template <typename... Parts>
  [[noreturn]] void unsupported(const Parts&... parts) const {
    base::fail_at(ErrorCode::kUnsupported, path_, "", subject_, ": ", base::cat(parts...),
                  " (at byte ", pos_, ")");
  }

  /// What the file is, if it is something known.
  std::string note() const { return note_what_it_is(file_); }

  std::uint32_t u32(const char* what) { return static_cast<std::uint32_t>(integer(4, what)); }
  std::uint64_t u64(const char* what) { return integer(8, what); }
  void skip(std::uint64_t n, const char* what) {
    if (n > left())
      corrupt(what, " runs past the end of the file (expected ", n, " bytes, got ", left(), ")");
    pos_ += static_cast<std::size_t>(n);
  }
  std::string_view string(const char* what) {
    const std::uint64_t length = u64(what);
    const std::size_t begin = pos_;
    skip(length, what);
    return {reinterpret_cast<const char*>(file_.data()) + begin, static_cast<std::size_t>(length)};
  }
  /// A count of things that take at least `min_bytes` each.
  std::uint64_t count(std::size_t min_bytes, const char* what) {
    const std::uint64_t n = u64(what);
    if (n > left() / min_bytes) {
      corrupt(what, " is more than the file can hold (expected at most ", left() / min_bytes,
              ", got ", n, ")");
    }
    return n;
  }

 private:
  std::uint64_t integer(std::size_t n, const char* what) {
    if (n > left()) corrupt("the file ends inside ", what);
    const std::uint64_t value = load_le(file_, pos_, n);
    pos_ += n;
    return value;
  }

  const std::string& path_;
  std::span<const std::byte> file_;
  std::size_t pos_ = 0;
  std::string subject_ = "header";
};

ValueType read_value_type(Reader& in) {
  const std::uint32_t type = in.u32("value type");
  if (type >= kValueTypes.size()) {
    in.corrupt("unknown value type (expected 0 to ", kValueTypes.size() - 1, ", got ", type, ")");
  }
  return static_cast<ValueType>(type);
}

void skip_elements(Reader& in, ValueType type, std::uint64_t n, int depth);

/// The head of an array: element type and count, which fits the file.
Value read_array_head(Reader& in) {
  Value value;
  value.is_array = true;
  value.type = read_value_type(in);
  value.n_elems = in.count(min_size(value.type), "array length");
  return value;
}

void skip_elements(Reader& in, ValueType type, std::uint64_t n, int depth) {
  if (type != ValueType::kString && type != ValueType::kArray) {
    in.skip(n * min_size(type), "value");  // cannot overflow: n was checked against the file
    return;
  }
  if (type == ValueType::kArray && depth >= kMaxArrayDepth) {
    in.corrupt("arrays are nested too deep (expected at most ", kMaxArrayDepth, " levels)");
  }
  for (std::uint64_t i = 0; i < n; ++i) {
    if (type == ValueType::kString) {
      in.string("string");
    } else {
      const Value inner = read_array_head(in);
      skip_elements(in, inner.type, inner.n_elems, depth + 1);
    }
  }
}

Value read_value(Reader& in) {
  Value value;
  value.type = read_value_type(in);
  const bool is_array = value.type == ValueType::kArray;
  if (is_array) value = read_array_head(in);
  const std::size_t begin = in.pos();
  skip_elements(in, value.type, value.n_elems, 1);
  value.data = in.since(begin);
  if (value.type == ValueType::kBool) {
    for (const std::byte flag : value.data) {
      if (flag > std::byte{1}) {
        in.corrupt("not a bool (expected 0 or 1, got ", static_cast<int>(flag), ")");
      }
    }
  }
  return value;
}

void read_start(Reader& in) {
  constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
  if (in.left() < 24)
    in.corrupt("too short for a GGUF file (expected at least 24 bytes, got ", in.left(), ")",
               in.note());
  const std::uint32_t magic = in.u32("magic");
  if (magic != kMagic) in.corrupt("not a GGUF file (expected the magic \"GGUF\")", in.note());
  const std::uint32_t version = in.u32("version");
  if ((version & 0xFFFFU) == 0 && version != 0)
    in.unsupported("big-endian GGUF files are not supported");
  if (version != 2 && version != 3) {
    in.unsupported("GGUF version is not supported (expected 2 or 3, got ", version, ")");
  }
}

std::vector<KeyValue> read_metadata(Reader& in, std::uint64_t n) {
  std::vector<KeyValue> metadata;
  std::unordered_set<std::string_view> seen;
  metadata.reserve(static_cast<std::size_t>(n));
  for (std::uint64_t i = 0; i < n; ++i) {
    in.set_subject(base::cat("metadata ", i));
    const std::string_view key = in.string("key");
    in.set_subject(base::cat("key ", printable(key)));
    if (key.empty()) in.corrupt("empty key");
    if (!seen.insert(key).second) in.corrupt("occurs twice");
    metadata.push_back({key, read_value(in)});
  }
  return metadata;
}

/// 0 when absent.
std::uint64_t read_alignment(Reader& in, const std::vector<KeyValue>& metadata) {
  for (const KeyValue& entry : metadata) {
    if (entry.key != "general.alignment") continue;
    in.set_subject("key general.alignment");
    if (entry.value.type != ValueType::kU32 || entry.value.is_array)
      in.corrupt("wrong type (expected u32)");
    const std::uint64_t alignment = load_le(entry.value.data, 0, 4);
    if (alignment < kMinAlignment || alignment > kMaxAlignment ||
        (alignment & (alignment - 1)) != 0) {
      in.corrupt("bad alignment (expected a power of two from ", kMinAlignment, " on, got ",
                 alignment, ")");
    }
    return alignment;
  }
  return 0;
}

/// A tensor as the file describes it, dimensions outermost first.
struct TensorInfo {
  std::string_view name;
  std::vector<std::uint64_t> dims;
  std::uint32_t type = 0;
  std::uint64_t offset = 0;
  std::uint64_t n_elems = 1;
  std::size_t pos = 0;  // where the description lies, for messages
};

TensorInfo read_tensor_info(Reader& in) {
  TensorInfo tensor;
  tensor.pos = in.pos();
  tensor.name = in.string("name");
  in.set_subject(base::cat("tensor ", printable(tensor.name)));
  if (tensor.name.empty()) in.corrupt("empty name");
  const std::uint32_t n_dims = in.u32("number of dimensions");
  if (n_dims > kMaxFileDims) {
    in.corrupt("too many dimensions (expected at most ", kMaxFileDims, ", got ", n_dims, ")");
  }
  tensor.dims.resize(n_dims);
  for (std::size_t i = n_dims; i-- > 0;) tensor.dims[i] = in.u64("dimension");  // innermost first
  const std::optional<std::uint64_t> n_elems = count_elems(tensor.dims);
  if (!n_elems) in.corrupt("number of elements overflows");
  tensor.n_elems = *n_elems;
  tensor.type = in.u32("type");
  tensor.offset = in.u64("offset");
  return tensor;
}

/// Where the tensors' bytes begin and how many there are.
struct DataSection {
  std::span<const std::byte> file;
  std::uint64_t begin = 0;
  std::uint64_t size = 0;
  std::uint64_t alignment = kDefaultAlignment;
};

std::uint64_t pad(std::uint64_t size, std::uint64_t alignment) {
  return (size + alignment - 1) / alignment * alignment;
}

/// Whether the tensors, one after the other and each padded to `alignment`, end with the file.
bool ends_with_file(const std::vector<TensorInfo>& infos, std::uint64_t header_size,
                    std::uint64_t file_size, std::uint64_t alignment) {
  std::uint64_t end = pad(header_size, alignment);
  for (const TensorInfo& info : infos) {
    const std::optional<tensor::DType> dtype = find_type(info.type);
    if (!dtype) return false;
    const tensor::DTypeInfo& type = tensor::info(*dtype);
    std::uint64_t size = 0;
    const bool fits = multiply(info.n_elems / static_cast<std::uint64_t>(type.block_elems),
                               static_cast<std::uint64_t>(type.block_bytes), size) &&
                      size <= file_size;
    if (!fits) return false;
    end += pad(size, alignment);
    if (end > file_size) return false;
  }
  return end == file_size;
}

class TensorPlacer {
 public:
  TensorPlacer(const std::string& path, const DataSection& data, TensorList& out)
      : path_(path), data_(data), out_(out) {}

  void place(const TensorInfo& tensor) {
    if (tensor.offset % data_.alignment != 0) {
      corrupt(tensor, "offset is not aligned (expected a multiple of ", data_.alignment, ", got ",
              tensor.offset, ")");
    }
    if (tensor.offset > data_.size) {
      corrupt(tensor, "data begins past the end of the file (expected at most ", data_.size,
              ", got ", tensor.offset, "); is the file cut short?");
    }
    const std::optional<tensor::DType> dtype = find_type(tensor.type);
    if (!dtype || tensor.dims.size() > tensor::Shape::kMaxDims) {
      std::string reason = dtype ? base::cat("rank ", tensor.dims.size(), " is not supported")
                                 : base::cat("type ", type_name(tensor.type), " is not supported");
      out_.unreadable.push_back({std::string(tensor.name), std::move(reason)});
      return;
    }
    const std::uint64_t size = size_of(tensor, tensor::info(*dtype));
    if (size > data_.size - tensor.offset) {
      corrupt(tensor, "data runs past the end of the file (expected ", size, " bytes at byte ",
              data_.begin + tensor.offset, ", got ", data_.size - tensor.offset,
              "); is the file cut short?");
    }
    extents_.push_back({tensor.offset, tensor.offset + size, tensor.name});
    const auto bytes =
        size == 0 ? std::span<const std::byte>{}
                  : data_.file.subspan(static_cast<std::size_t>(data_.begin + tensor.offset),
                                       static_cast<std::size_t>(size));
    const std::vector<std::int64_t> dims(tensor.dims.begin(), tensor.dims.end());
    out_.readable.push_back(
        {std::string(tensor.name), {*dtype, tensor::Shape(std::span(dims)), bytes}});
  }
  /// Writers put the tensors one after the other, each padded to the alignment: anything else is a
  /// wrong type, shape or alignment, whose tensors would be read from the wrong bytes.
  void finish() {
    check_no_overlap(path_, data_.begin, extents_);
    if (!out_.unreadable.empty()) return;  // their sizes are not known
    std::uint64_t expected = 0;
    for (const Extent& extent : extents_) {
      if (extent.begin != expected && extent.begin != extent.end) {
        base::fail_at(ErrorCode::kCorruptData, path_, "tensor ", printable(extent.name),
                      ": gap before its data (expected it at byte ", data_.begin + expected,
                      ", got ", data_.begin + extent.begin,
                      "); is the type or shape of the tensor before it wrong?");
      }
      if (extent.begin == extent.end) continue;
      expected = pad(extent.end, data_.alignment);
    }
  }

 private:
  template <typename... Parts>
  [[noreturn]] void corrupt(const TensorInfo& tensor, const Parts&... parts) const {
    base::fail_at(ErrorCode::kCorruptData, path_, "tensor ", printable(tensor.name), ": ",
                  base::cat(parts...), " (described at byte ", tensor.pos, ")");
  }

  std::uint64_t size_of(const TensorInfo& tensor, const tensor::DTypeInfo& type) const {
    const auto block = static_cast<std::uint64_t>(type.block_elems);
    const std::uint64_t row = tensor.dims.empty() ? 1 : tensor.dims.back();
    if (row % block != 0) {
      corrupt(tensor, "row length does not fit type ", type.name, " (expected a multiple of ",
              block, ", got ", row, ")");
    }
    std::uint64_t size = 0;
    if (!multiply(tensor.n_elems / block, static_cast<std::uint64_t>(type.block_bytes), size)) {
      corrupt(tensor, "size overflows");
    }
    return size;
  }

  const std::string& path_;
  const DataSection& data_;
  TensorList& out_;
  std::vector<Extent> extents_;
};

}  // namespace

std::size_t min_size(ValueType type) noexcept {
  return kValueTypes[static_cast<std::size_t>(type)].min_size;
}

std::string_view name_of(ValueType type) noexcept {
  return kValueTypes[static_cast<std::size_t>(type)].name;
}

Header parse_metadata(const std::string& path, std::span<const std::byte> file) {
  Reader in(path, file);
  read_start(in);
  Header header;
  header.n_tensors = in.count(kMinTensorBytes, "number of tensors");
  const std::uint64_t n_metadata = in.count(kMinKeyValueBytes, "number of metadata entries");
  header.metadata = read_metadata(in, n_metadata);
  header.alignment = read_alignment(in, header.metadata);
  header.end = in.pos();
  return header;
}

std::uint64_t parse_tensors(const std::string& path, std::span<const std::byte> file,
                            const Header& header, TensorList& tensors,
                            std::uint64_t first_alignment) {
  Reader in(path, file, header.end);
  std::vector<TensorInfo> infos;
  infos.reserve(static_cast<std::size_t>(header.n_tensors));
  for (std::uint64_t i = 0; i < header.n_tensors; ++i) {
    in.set_subject(base::cat("tensor ", i));
    infos.push_back(read_tensor_info(in));
  }
  DataSection data;
  data.file = file;
  data.alignment = header.alignment;
  if (data.alignment == 0) {
    const bool as_first = ends_with_file(infos, in.pos(), file.size(), first_alignment);
    data.alignment = as_first ? first_alignment : kDefaultAlignment;
  }
  data.begin = pad(in.pos(), data.alignment);
  data.size = data.begin < file.size() ? file.size() - data.begin : 0;
  TensorPlacer placer(path, data, tensors);
  for (const TensorInfo& info : infos) placer.place(info);
  placer.finish();
  return data.alignment;
}

Header parse(const std::string& path, std::span<const std::byte> file, TensorList& tensors,
             std::uint64_t first_alignment) {
  Header header = parse_metadata(path, file);
  header.alignment = parse_tensors(path, file, header, tensors, first_alignment);
  return header;
}

}  // namespace openllm::format::gguf
