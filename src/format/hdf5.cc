#include "format/hdf5.h"

#include <array>
#include <set>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "format/hdf5_bytes.h"
#include "format/renamed.h"
#include "format/tensor_list.h"

// Source: the HDF Group's "HDF5 File Format Specification", version 3.0.
namespace openllm::format {
namespace {

using base::fail_at;
using tensor::DType;

constexpr int kMaxDepth = 32;
constexpr std::uint64_t kNowhere = ~std::uint64_t{0};
constexpr unsigned kIsShared = 2;  ///< Flag of a message that only says where it is.

/// Types of messages.
enum Message : unsigned {
  kDataspace = 0x01,
  kLinkInfo = 0x02,
  kDatatype = 0x03,
  kLink = 0x06,
  kExternal = 0x07,
  kDataLayout = 0x08,
  kFilters = 0x0B,
  kSymbolTable = 0x11,
};

const Hdf5Message* find(const std::vector<Hdf5Message>& messages, unsigned type) {
  for (const Hdf5Message& message : messages) {
    if (message.type == type) return &message;
  }
  return nullptr;
}

/// None: a null dataspace, or a form that is not known.
std::optional<std::vector<std::uint64_t>> read_dims(Hdf5Bytes space) {
  const std::uint64_t version = space.number(1);
  const std::uint64_t rank = space.number(1);
  space.skip(1);
  if (version == 1) {
    space.skip(5);
  } else if (version != 2 || space.number(1) > 1) {
    return std::nullopt;
  }
  std::vector<std::uint64_t> dims;
  for (std::uint64_t i = 0; i < rank; ++i) dims.push_back(space.number(8));
  return dims;
}

/// Of numbers whose bytes lie as this machine's; none for others.
std::optional<DType> read_type(Hdf5Bytes type) {
  constexpr unsigned kIntegers = 0;
  constexpr unsigned kFloats = 1;
  const auto kind = static_cast<unsigned>(type.number(1)) & 0x0FU;
  const auto bits = static_cast<unsigned>(type.number(3));
  const std::uint64_t size = type.number(4);
  if (kind > kFloats || (bits & 1U) != 0) return std::nullopt;
  const std::uint64_t offset = type.number(2);
  const std::uint64_t precision = type.number(2);
  if (offset != 0 || precision != 8 * size) return std::nullopt;
  if (kind == kIntegers) {
    const bool is_signed = (bits & 8U) != 0;
    if (size == 1) return is_signed ? DType::kI8 : DType::kU8;
    if (!is_signed) return std::nullopt;
    if (size == 2) return DType::kI16;
    if (size == 4) return DType::kI32;
    return size == 8 ? std::optional(DType::kI64) : std::nullopt;
  }
  struct Float {
    DType dtype;
    std::uint64_t size;
    std::array<std::uint64_t, 5> fields;  // exponent's place and size, mantissa's, bias
  };
  constexpr Float kKnown[] = {{DType::kF32, 4, {23, 8, 0, 23, 127}},
                              {DType::kF16, 2, {10, 5, 0, 10, 15}},
                              {DType::kBF16, 2, {7, 8, 0, 7, 127}},
                              {DType::kF64, 8, {52, 11, 0, 52, 1023}}};
  std::array<std::uint64_t, 5> fields{};
  for (std::size_t i = 0; i < 4; ++i) fields[i] = type.number(1);
  fields[4] = type.number(4);
  for (const Float& known : kKnown) {
    if (known.size == size && known.fields == fields) return known.dtype;
  }
  return std::nullopt;
}

class FileReader {
 public:
  FileReader(const std::string& path, std::span<const std::byte> file) : file_(path, file) {}

  std::vector<Hdf5Dataset> read() {
    read_object(root(), 0);
    return std::move(datasets_);
  }

 private:
  template <typename... Parts>
  [[noreturn]] void corrupt(std::uint64_t at, const Parts&... parts) const {
    fail_at(ErrorCode::kCorruptData, file_.path(), base::cat(parts...), " (at byte ", at, ")");
  }
  template <typename... Parts>
  [[noreturn]] void unsupported(const Parts&... parts) const {
    fail_at(ErrorCode::kUnsupported, file_.path(), levels_.empty() ? "" : "group ",
            printable(levels_), levels_.empty() ? "" : ": ", base::cat(parts...),
            " is not supported");
  }

  /// Address of the root group's header.
  std::uint64_t root() {
    Hdf5Bytes block = file_;
    block.expect("\x89HDF\r\n\x1A\n", "an HDF5 file");
    const std::uint64_t version = block.number(1);
    if (version > 3) unsupported("version ", version, " of HDF5's superblock");
    if (version < 2) block.skip(4);
    const std::uint64_t offset_bytes = block.number(1);
    const std::uint64_t length_bytes = block.number(1);
    if (offset_bytes != 8 || length_bytes != 8) {
      unsupported("HDF5 with addresses of ", offset_bytes, " and lengths of ", length_bytes,
                  " bytes (expected 8 and 8)");
    }
    // Version 0 and 1: numbers about trees; then base, free space, end, drivers, and the root's
    // entry. Later: base, extension, end, root.
    block.skip(version == 0 ? 9 : version == 1 ? 13 : 1);
    if (block.number(8) != 0) unsupported("HDF5 behind other bytes");
    block.skip(version < 2 ? 24 + 8 : 16);
    return block.number(8);
  }

  void read_object(std::uint64_t address, int depth) {
    if (depth > kMaxDepth) {
      corrupt(address, "groups are nested too deeply (expected at most ", kMaxDepth, " levels)");
    }
    if (!seen_.insert(address).second) corrupt(address, "an object that is in two groups");
    const std::vector<Hdf5Message> messages = read_hdf5_header(file_, address);
    if (find(messages, kDataLayout) != nullptr) {
      datasets_.push_back(read_dataset(messages));
    } else {
      read_group(messages, depth);
    }
  }

  void read_group(const std::vector<Hdf5Message>& messages, int depth) {
    for (const Hdf5Message& message : messages) {
      if (message.type == kSymbolTable) {
        Hdf5Bytes body = message.body;
        const std::uint64_t tree = body.number(8);
        read_tree(tree, heap_of(body.number(8)), depth, kMaxDepth);
      } else if (message.type == kLinkInfo) {
        check_link_info(message.body);
      } else if (message.type == kLink) {
        read_link(message.body, depth);
      }
    }
  }

  void check_link_info(Hdf5Bytes body) const {
    body.skip(1);
    const std::uint64_t flags = body.number(1);
    body.skip((flags & 1U) != 0 ? 8 : 0);
    if (body.number(8) != kNowhere) unsupported("a group that keeps its links in a heap");
  }

  void read_link(Hdf5Bytes body, int depth) {
    constexpr unsigned kHasType = 0x08;
    constexpr unsigned kHasOrder = 0x04;
    constexpr unsigned kHasCharacters = 0x10;
    body.skip(1);
    const auto flags = static_cast<unsigned>(body.number(1));
    const std::uint64_t type = (flags & kHasType) != 0 ? body.number(1) : 0;
    body.skip((flags & kHasOrder) != 0 ? 8 : 0);
    body.skip((flags & kHasCharacters) != 0 ? 1 : 0);
    const auto name = body.take(body.number(std::size_t{1} << (flags & 3U)));
    if (type != 0) return;  // a name for what has another one
    read_child({reinterpret_cast<const char*>(name.data()), name.size()}, body.number(8), depth);
  }

  void read_child(std::string_view name, std::uint64_t address, int depth) {
    const std::size_t before = levels_.size();
    if (before + name.size() >= kMaxPathBytes) corrupt(address, "a name that is too long");
    if (before > 0) levels_ += '/';
    levels_ += name;
    read_object(address, depth + 1);
    levels_.resize(before);
  }

  /// The bytes that the names of a group lie in.
  Hdf5Bytes heap_of(std::uint64_t address) const {
    Hdf5Bytes heap = file_.from(address);
    heap.expect("HEAP", "a heap of names");
    heap.skip(4);
    const std::uint64_t n_bytes = heap.number(8);
    heap.skip(8);
    return file_.part(heap.number(8), n_bytes);
  }

  void read_tree(std::uint64_t address, const Hdf5Bytes& heap, int depth, int levels_left) {
    if (levels_left == 0 || !seen_.insert(address).second) corrupt(address, "a tree that is none");
    Hdf5Bytes node = file_.from(address);
    node.expect("TREE", "a group's tree");
    if (node.number(1) != 0) corrupt(address, "a tree that is of no group");
    const std::uint64_t level = node.number(1);
    const std::uint64_t n = node.number(2);
    node.skip(16);
    for (std::uint64_t i = 0; i < n; ++i) {
      node.skip(8);  // the last name of the child before
      const std::uint64_t child = node.number(8);
      if (level > 0) {
        read_tree(child, heap, depth, levels_left - 1);
      } else {
        read_symbols(child, heap, depth);
      }
    }
  }

  void read_symbols(std::uint64_t address, const Hdf5Bytes& heap, int depth) {
    constexpr std::uint64_t kIsSoftLink = 2;
    if (!seen_.insert(address).second) corrupt(address, "a tree that is none");
    Hdf5Bytes node = file_.from(address);
    node.expect("SNOD", "symbols of a group");
    node.skip(2);
    const std::uint64_t n = node.number(2);
    for (std::uint64_t i = 0; i < n; ++i) {
      const std::uint64_t name = node.number(8);
      const std::uint64_t object = node.number(8);
      const std::uint64_t kind = node.number(4);
      node.skip(4 + 16);
      if (kind == kIsSoftLink) continue;
      Hdf5Bytes names = heap;
      names.skip(name);
      read_child(names.text(kMaxPathBytes), object, depth);
    }
  }

  Hdf5Dataset read_dataset(const std::vector<Hdf5Message>& messages) {
    Hdf5Dataset dataset{.path = levels_};
    const Hdf5Message* space = find(messages, kDataspace);
    const Hdf5Message* type = find(messages, kDatatype);
    const Hdf5Message* layout = find(messages, kDataLayout);
    const auto cannot = [&](const char* what) {
      dataset.unreadable = base::cat(what, " not supported");
      return dataset;
    };
    if (space == nullptr || type == nullptr) return cannot("elements without type or shape are");
    if (((space->flags | type->flags | layout->flags) & kIsShared) != 0) {
      return cannot("a type or shape that several datasets share is");
    }
    if (find(messages, kFilters) != nullptr || find(messages, kExternal) != nullptr) {
      return cannot("elements that are compressed or in another file are");
    }
    auto dims = read_dims(space->body);
    if (!dims) return cannot("a shape of this kind is");
    dataset.dtype = read_type(type->body);
    if (!dataset.dtype) return cannot("elements of this type are");
    dataset.dims = std::move(*dims);
    if (!read_elements(layout->body, dataset)) {
      dataset.dtype.reset();
      return cannot("elements in chunks are");
    }
    return dataset;
  }

  /// False when they are in no single piece.
  bool read_elements(Hdf5Bytes layout, Hdf5Dataset& dataset) const {
    const std::uint64_t at = layout.place();
    const std::uint64_t version = layout.number(1);
    if (version < 3 || version > 4) unsupported("version ", version, " of a dataset's layout");
    const std::uint64_t kind = layout.number(1);
    if (kind > 1) return false;
    const std::optional<std::uint64_t> n_elems = count_elems(dataset.dims);
    const auto size = static_cast<std::uint64_t>(tensor::info(*dataset.dtype).block_bytes);
    std::uint64_t expected = 0;
    if (!n_elems || !multiply(*n_elems, size, expected)) {
      corrupt(at, "dataset ", printable(levels_), ": number of elements overflows");
    }
    std::uint64_t n_bytes = 0;
    if (kind == 0) {
      n_bytes = layout.number(2);
      dataset.bytes = layout.take(n_bytes);
    } else {
      const std::uint64_t address = layout.number(8);
      n_bytes = layout.number(8);
      if (n_bytes > 0 && expected > 0) dataset.bytes = file_.part(address, n_bytes).take(n_bytes);
    }
    if (n_bytes != expected && expected > 0) {
      corrupt(at, "dataset ", printable(levels_), ": wrong size (expected ", expected,
              " bytes, got ", n_bytes, ")");
    }
    dataset.bytes = dataset.bytes.first(static_cast<std::size_t>(expected));
    return true;
  }

  const Hdf5Bytes file_;
  std::string levels_{};            ///< Where the reader is, parted by '/'.
  std::set<std::uint64_t> seen_{};  ///< Addresses of objects and nodes.
  std::vector<Hdf5Dataset> datasets_{};
};

}  // namespace

std::vector<Hdf5Dataset> read_hdf5(const std::string& path, std::span<const std::byte> file) {
  return FileReader(path, file).read();
}

}  // namespace openllm::format
