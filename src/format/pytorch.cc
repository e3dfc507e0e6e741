#include "format/pytorch.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "format/little_endian.h"
#include "format/pickle.h"
#include "format/recognise.h"
#include "format/zip_archive.h"

namespace openllm::format {
namespace {

using base::fail_at;
using tensor::DType;
using Kind = Pickle::Kind;
using Node = Pickle::Node;

constexpr std::string_view kUtils = "torch._utils";
constexpr std::array<std::string_view, 40> kAllowed = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_tensor_v3",
    "torch._utils _rebuild_parameter",
    "torch Size",
    "torch FloatStorage",
    "torch HalfStorage",
    "torch BFloat16Storage",
    "torch DoubleStorage",
    "torch LongStorage",
    "torch IntStorage",
    "torch ShortStorage",
    "torch CharStorage",
    "torch ByteStorage",
    "torch BoolStorage",
    "torch.storage UntypedStorage",
    "torch UntypedStorage",
    "torch float32",
    "torch float16",
    "torch bfloat16",
    "torch float64",
    "torch int64",
    "torch int32",
    "torch int8",
    "torch uint8",
    "torch bool",
    "torch float8_e4m3fn",
    "torch float8_e5m2",
    "torch._tensor _rebuild_from_type_v2",
    "torch._utils _rebuild_wrapper_subclass",
    "torch.serialization _get_layout",
    "torch device",
    "torch int4",
    "torchao.quantization Int4Tensor",
    "torchao.quantization Int4TilePackedTo4dTensor",
    "torchao.quantization IntxUnpackedToInt8Tensor",
    "torchao.quantization Int8Tensor",
    "torchao.quantization Float8Tensor",
    "torchao.quantization.quantize_.common.kernel_preference KernelPreference"};

struct TypeName {
  std::string_view name;
  DType dtype;
};
constexpr TypeName kTypes[] = {{"FloatStorage", DType::kF32},
                               {"HalfStorage", DType::kF16},
                               {"BFloat16Storage", DType::kBF16},
                               {"DoubleStorage", DType::kF64},
                               {"LongStorage", DType::kI64},
                               {"IntStorage", DType::kI32},
                               {"ShortStorage", DType::kI16},
                               {"CharStorage", DType::kI8},
                               {"ByteStorage", DType::kU8},
                               {"BoolStorage", DType::kBool},
                               {"UntypedStorage", DType::kU8},
                               {"float32", DType::kF32},
                               {"float16", DType::kF16},
                               {"bfloat16", DType::kBF16},
                               {"float64", DType::kF64},
                               {"int64", DType::kI64},
                               {"int32", DType::kI32},
                               {"int8", DType::kI8},
                               {"uint8", DType::kU8},
                               {"bool", DType::kBool},
                               {"float8_e4m3fn", DType::kF8_E4M3},
                               {"float8_e5m2", DType::kF8_E5M2}};

struct Storage {
  DType dtype = DType::kF32;
  std::span<const std::byte> bytes{};
};

/// Finds the bytes that a key stands for.
using Storages = std::map<std::string, std::span<const std::byte>, std::less<>>;

class StateReader {
 public:
  StateReader(const std::string& path, const Pickle& pickle, const Storages& storages,
              TensorList& tensors, std::vector<std::vector<std::byte>>& made)
      : path_(path), pickle_(pickle), storages_(storages), tensors_(tensors), made_(made) {}

  void read() {
    const Node* dict = &pickle_.root();
    // Training scripts keep the weights beside other things.
    for (const std::string_view key : {"state_dict", "model_state_dict", "model"}) {
      const Node* inner = is_dict(*dict) ? pickle_.find(*dict, key) : nullptr;
      if (inner != nullptr && is_dict(*inner)) {
        dict = inner;
        break;
      }
    }
    if (!is_dict(*dict)) {
      fail_at(ErrorCode::kUnsupported, path_,
              "not a state dictionary (expected a dictionary of tensors)");
    }
    for (std::size_t i = dict->kind == Kind::kCall ? 2 : 0; i + 1 < dict->items.size(); i += 2) {
      const Node& key = pickle_.item(*dict, i);
      if (key.kind != Kind::kText) {
        fail_at(ErrorCode::kCorruptData, path_, "a name that is no text in the state dictionary");
      }
      read_value(std::string(key.text), pickle_.item(*dict, i + 1));
    }
  }

 private:
  template <typename... Parts>
  [[noreturn]] void corrupt(const Parts&... parts) const {
    fail_at(ErrorCode::kCorruptData, path_, "tensor ", printable(name_), ": ", base::cat(parts...));
  }

  bool calls(const Node& node, std::string_view module, std::string_view name) const {
    return node.kind == Kind::kCall && pickle_.is_global(pickle_.item(node, 0), module, name);
  }
  bool is_dict(const Node& node) const {
    return node.kind == Kind::kDict || calls(node, "collections", "OrderedDict");
  }

  void read_value(std::string name, const Node& value) {
    const bool is_typed = calls(value, "torch._tensor", "_rebuild_from_type_v2");
    if (is_typed) {
      read_parts(name, pickle_.item(value, 1));
    } else {
      read_tensor(std::move(name), value);
    }
  }

  /// A tensor of torchao is a type and a dictionary of tensors, sizes and settings. The tensors get
  /// the names that torchao gives them in safetensors: MODULE._weight_PART.
  void read_parts(const std::string& name, const Node& arguments) {
    name_ = name;
    if (arguments.items.size() < 4) corrupt("too few arguments");
    const Node& state = pickle_.item(arguments, 3);
    if (state.kind != Kind::kDict) corrupt("a dictionary of its parts was expected");
    const std::size_t last = name.rfind('.') + 1;  // npos + 1 is 0
    const std::string prefix = name.substr(0, last) + "_" + name.substr(last) + "_";
    for (std::size_t i = 0; i + 1 < state.items.size(); i += 2) {
      const Node& key = pickle_.item(state, i);
      const Node& part = pickle_.item(state, i + 1);
      const bool is_tensor =
          calls(part, kUtils, "_rebuild_tensor_v2") || calls(part, kUtils, "_rebuild_tensor_v3");
      if (key.kind == Kind::kText && is_tensor) read_tensor(prefix + std::string(key.text), part);
    }
  }

  void read_tensor(std::string name, const Node& value) {
    name_ = std::move(name);
    const Node* node = &value;
    if (calls(*node, kUtils, "_rebuild_parameter")) {
      const Node& arguments = pickle_.item(*node, 1);
      if (arguments.items.empty()) corrupt("a parameter without a value");
      node = &pickle_.item(arguments, 0);
    }
    const bool is_v3 = calls(*node, kUtils, "_rebuild_tensor_v3");
    if (!is_v3 && !calls(*node, kUtils, "_rebuild_tensor_v2") &&
        !calls(*node, kUtils, "_rebuild_tensor")) {
      tensors_.unreadable.push_back({name_, "it is no tensor"});
      return;
    }
    const Node& arguments = pickle_.item(*node, 1);
    if (arguments.items.size() < (is_v3 ? 7U : 4U)) corrupt("too few arguments");
    Storage storage = find_storage(pickle_.item(arguments, 0));
    if (is_v3) storage.dtype = type_of(pickle_.item(arguments, 6));
    const std::uint64_t offset = size_of(pickle_.item(arguments, 1));
    const std::vector<std::uint64_t> dims = sizes_of(pickle_.item(arguments, 2));
    const std::vector<std::uint64_t> strides = sizes_of(pickle_.item(arguments, 3));
    if (dims.size() != strides.size()) corrupt("as many strides as dimensions were expected");
    if (dims.size() > tensor::Shape::kMaxDims) {
      tensors_.unreadable.push_back({name_, base::cat("rank ", dims.size(), " is not supported")});
      return;
    }
    const std::vector<std::int64_t> shape(dims.begin(), dims.end());
    tensors_.readable.push_back({name_,
                                 {storage.dtype, tensor::Shape(std::span(shape)),
                                  bytes_of(storage, offset, dims, strides)}});
  }

  DType type_of(const Node& node) const {
    const std::string_view name =
        node.kind == Kind::kGlobal ? pickle_.item(node, 0).text : std::string_view();
    for (const TypeName& type : kTypes) {
      if (type.name == name) return type.dtype;
    }
    corrupt("unknown type of elements ", printable(name));
  }

  std::uint64_t size_of(const Node& node) const {
    if (node.kind != Kind::kInt || node.number < 0 || !node.text.empty()) {
      corrupt("a size was expected");
    }
    return static_cast<std::uint64_t>(node.number);
  }
  std::vector<std::uint64_t> sizes_of(const Node& node) const {
    const Node* tuple = &node;
    if (calls(node, "torch", "Size") && !pickle_.item(node, 1).items.empty()) {
      tuple = &pickle_.item(pickle_.item(node, 1), 0);
    }
    if (tuple->kind != Kind::kTuple && tuple->kind != Kind::kList) corrupt("sizes were expected");
    std::vector<std::uint64_t> sizes;
    for (std::size_t i = 0; i < tuple->items.size(); ++i) {
      sizes.push_back(size_of(pickle_.item(*tuple, i)));
    }
    return sizes;
  }

  /// ('storage', type, key, place, number of elements) and perhaps a view of it, which must be
  /// none.
  Storage find_storage(const Node& node) const {
    if (node.kind != Kind::kPersistent) corrupt("a storage was expected");
    const Node& id = pickle_.item(node, 0);
    if (id.kind != Kind::kTuple || id.items.size() < 5) corrupt("a storage was expected");
    if (id.items.size() > 5 && pickle_.item(id, 5).kind != Kind::kNone) {
      fail_at(ErrorCode::kUnsupported, path_, "tensor ", printable(name_),
              ": a storage that is part of another one is not supported");
    }
    Storage storage;
    storage.dtype = type_of(pickle_.item(id, 1));
    const Node& key = pickle_.item(id, 2);
    const auto found = storages_.find(key.text);
    if (key.kind != Kind::kText || found == storages_.end()) {
      corrupt("its storage ", printable(key.text), " is missing");
    }
    storage.bytes = found->second;
    std::uint64_t expected = 0;
    if (!multiply(size_of(pickle_.item(id, 4)), element_bytes(storage.dtype), expected) ||
        storage.bytes.size() < expected) {
      corrupt("its storage ", printable(key.text), " is too short (expected ", expected,
              " bytes, got ", storage.bytes.size(), ")");
    }
    return storage;
  }

  static std::uint64_t element_bytes(DType dtype) {
    return static_cast<std::uint64_t>(tensor::info(dtype).block_bytes);
  }

  std::span<const std::byte> bytes_of(const Storage& storage, std::uint64_t offset,
                                      const std::vector<std::uint64_t>& dims,
                                      const std::vector<std::uint64_t>& strides) {
    const std::uint64_t size = element_bytes(storage.dtype);
    const std::uint64_t available = storage.bytes.size() / size;
    const std::optional<std::uint64_t> n_elems = count_elems(dims);
    if (!n_elems) corrupt("number of elements overflows");
    if (*n_elems == 0) return {};
    std::uint64_t last = offset;
    std::uint64_t next = 1;
    bool in_order = true;
    for (std::size_t i = dims.size(); i-- > 0;) {
      std::uint64_t span = 0;
      if (!multiply(dims[i] - 1, strides[i], span) || span > available || last > available) {
        corrupt("elements outside of its storage");
      }
      last += span;
      in_order = in_order && (dims[i] == 1 || strides[i] == next);
      next *= dims[i];
    }
    if (last >= available || *n_elems > available) corrupt("elements outside of its storage");
    if (in_order) return storage.bytes.subspan(offset * size, *n_elems * size);
    return gather(storage.bytes, size, offset, dims, strides, *n_elems);
  }

  std::span<const std::byte> gather(std::span<const std::byte> from, std::uint64_t size,
                                    std::uint64_t offset, const std::vector<std::uint64_t>& dims,
                                    const std::vector<std::uint64_t>& strides,
                                    std::uint64_t n_elems) {
    std::vector<std::byte>& out = made_.emplace_back(n_elems * size);
    for (std::uint64_t i = 0; i < n_elems; ++i) {
      std::uint64_t at = offset;
      std::uint64_t rest = i;
      for (std::size_t d = dims.size(); d-- > 0; rest /= dims[d]) at += rest % dims[d] * strides[d];
      std::memcpy(out.data() + i * size, from.data() + at * size, size);
    }
    return out;
  }

  const std::string& path_;
  const Pickle& pickle_;
  const Storages& storages_;
  TensorList& tensors_;
  std::vector<std::vector<std::byte>>& made_;
  std::string name_{};
};

void parse_archive(const std::string& path, std::span<const std::byte> file, TensorList& tensors,
                   std::vector<std::vector<std::byte>>& made) {
  constexpr std::string_view kPickle = "data.pkl";
  const auto entries = read_zip(path, file);
  const auto found = std::find_if(entries.begin(), entries.end(), [&](const auto& entry) {
    return entry.first == kPickle || entry.first.ends_with("/data.pkl");
  });
  if (found == entries.end()) {
    fail_at(ErrorCode::kUnsupported, path, "a zip archive that torch.save did not write (expected ",
            kPickle, " in it)");
  }
  const std::string folder = found->first.substr(0, found->first.size() - kPickle.size());
  const auto order = entries.find(folder + "byteorder");
  if (order != entries.end() && (order->second.empty() || order->second[0] != std::byte{'l'})) {
    fail_at(ErrorCode::kUnsupported, path, "big-endian numbers (expected little-endian ones)");
  }
  Storages storages;
  const std::string data = folder + "data/";
  for (const auto& [name, bytes] : entries) {
    if (name.starts_with(data)) storages.emplace(name.substr(data.size()), bytes);
  }
  const Pickle pickle = Pickle::read(path, found->second, kAllowed);
  StateReader(path, pickle, storages, tensors, made).read();
}

/// The form before torch 1.6: a magic number, a version, what the machine was like, the state and
/// the keys of the storages, each a pickle; then the storages.
class LegacyReader {
 public:
  LegacyReader(const std::string& path, std::span<const std::byte> file)
      : path_(path), file_(file) {}

  void read(TensorList& tensors, std::vector<std::vector<std::byte>>& made) {
    constexpr std::string_view kMagic("\x6C\xFC\x9C\x46\xF9\x20\x6A\xA8\x50\x19", 10);
    const Pickle magic = next();
    if (magic.root().kind != Kind::kInt || magic.root().text != kMagic) {
      fail_at(ErrorCode::kUnsupported, path_, "a pickle that torch.save did not write");
    }
    constexpr std::int64_t kVersion = 1001;
    const Pickle version = next();
    if (version.root().number != kVersion) {
      fail_at(ErrorCode::kUnsupported, path_, "unknown version of torch.save's format (expected ",
              kVersion, ", got ", version.root().number, ")");
    }
    const Pickle system = next();
    const Node* little = system.find(system.root(), "little_endian");
    if (little != nullptr && little->number == 0) {
      fail_at(ErrorCode::kUnsupported, path_, "big-endian numbers (expected little-endian ones)");
    }
    const Pickle state = next();
    const Pickle keys = next();
    StateReader(path_, state, read_storages(state, keys), tensors, made).read();
  }

 private:
  Pickle next() {
    Pickle pickle = Pickle::read(path_, file_.subspan(at_), kAllowed);
    at_ += pickle.size();
    return pickle;
  }

  /// Bytes of an element of each storage that the state names.
  static std::map<std::string, std::uint64_t, std::less<>> element_sizes(const Pickle& state) {
    std::map<std::string, std::uint64_t, std::less<>> sizes;
    for (Pickle::Id id = 0; id < state.n_nodes(); ++id) {
      const Node& node = state.at(id);
      if (node.kind != Kind::kPersistent) continue;
      const Node& name = state.item(node, 0);
      if (name.kind != Kind::kTuple || name.items.size() < 3) continue;
      const Node& type = state.item(name, 1);
      if (type.kind != Kind::kGlobal) continue;
      for (const TypeName& known : kTypes) {
        if (known.name != state.item(type, 0).text) continue;
        sizes[std::string(state.item(name, 2).text)] =
            static_cast<std::uint64_t>(tensor::info(known.dtype).block_bytes);
      }
    }
    return sizes;
  }

  Storages read_storages(const Pickle& state, const Pickle& keys) {
    const auto sizes = element_sizes(state);
    Storages storages;
    const Node& list = keys.root();
    for (std::size_t i = 0; i < list.items.size(); ++i) {
      const std::string key(keys.item(list, i).text);
      const auto size = sizes.find(key);
      if (file_.size() - at_ < 8 || size == sizes.end()) {
        fail_at(ErrorCode::kCorruptData, path_, "storage ", printable(key), ": missing (at byte ",
                at_, "); is the file cut short?");
      }
      const std::uint64_t n = load_le(file_, at_, 8);
      at_ += 8;
      std::uint64_t n_bytes = 0;
      if (!multiply(n, size->second, n_bytes) || n_bytes > file_.size() - at_) {
        fail_at(ErrorCode::kCorruptData, path_, "storage ", printable(key),
                ": runs past the end of the file (", n, " elements at byte ", at_,
                "); is the file cut short?");
      }
      storages.emplace(key, file_.subspan(at_, n_bytes));
      at_ += n_bytes;
    }
    return storages;
  }

  const std::string& path_;
  std::span<const std::byte> file_;
  std::size_t at_ = 0;
};

}  // namespace

void parse_pytorch(const std::string& path, std::span<const std::byte> file, TensorList& tensors,
                   std::vector<std::vector<std::byte>>& made) {
  constexpr std::uint64_t kZipMagic = 0x04034B50;
  if (file.size() >= 4 && load_le(file, 0, 4) == kZipMagic) {
    parse_archive(path, file, tensors, made);
  } else if (!file.empty() && file[0] == std::byte{0x80}) {
    LegacyReader(path, file).read(tensors, made);
  } else {
    fail_at(ErrorCode::kCorruptData, path, "not a file that torch.save wrote",
            note_what_it_is(file));
  }
}

}  // namespace openllm::format
