#include "format/safetensors.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "format/little_endian.h"
#include "format/recognise.h"

namespace openllm::format {
namespace {

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's limit
constexpr int kMaxHeaderDepth = 8;
constexpr std::size_t kMaxFileDims = 64;

/// Types of the format; a row without a dtype is recognised (its size is checked) but cannot be
/// used.
struct FileType {
  std::string_view name;
  std::uint64_t bits;
  std::optional<tensor::DType> dtype;
};
const std::array<FileType, 22> kTypes = {{{"F32", 32, tensor::DType::kF32},
                                          {"F16", 16, tensor::DType::kF16},
                                          {"BF16", 16, tensor::DType::kBF16},
                                          {"F64", 64, tensor::DType::kF64},
                                          {"I8", 8, tensor::DType::kI8},
                                          {"I16", 16, tensor::DType::kI16},
                                          {"I32", 32, tensor::DType::kI32},
                                          {"I64", 64, tensor::DType::kI64},
                                          {"U8", 8, tensor::DType::kU8},
                                          {"BOOL", 8, tensor::DType::kBool},
                                          {"U16", 16, std::nullopt},
                                          {"U32", 32, std::nullopt},
                                          {"U64", 64, std::nullopt},
                                          {"F8_E4M3", 8, tensor::DType::kF8_E4M3},
                                          {"F8_E5M2", 8, tensor::DType::kF8_E5M2},
                                          {"F8_E8M0", 8, tensor::DType::kF8_E8M0},
                                          {"F8_E4M3FNUZ", 8, std::nullopt},
                                          {"F8_E5M2FNUZ", 8, std::nullopt},
                                          {"F6_E2M3", 6, std::nullopt},
                                          {"F6_E3M2", 6, std::nullopt},
                                          {"F4", 4, std::nullopt},
                                          {"C64", 64, std::nullopt}}};

const FileType* find_type(std::string_view name) noexcept {
  for (const FileType& type : kTypes) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

class HeaderReader {
 public:
  HeaderReader(const std::string& path, std::span<const std::byte> data, std::uint64_t data_begin,
               TensorList& out)
      : path_(path), data_(data), data_begin_(data_begin), out_(out) {}

  void read(const std::string& name, const base::Json& entry) {
    const base::Json* dtype = entry.find("dtype");
    const base::Json* shape = entry.find("shape");
    const base::Json* offsets = entry.find("data_offsets");
    if (dtype == nullptr || dtype->if_string() == nullptr)
      corrupt(name, "dtype is missing or no string");
    const std::vector<std::uint64_t> dims = integers(name, shape, "shape");
    const std::vector<std::uint64_t> range = integers(name, offsets, "data_offsets");
    if (dims.size() > kMaxFileDims) {
      corrupt(name, "too many dimensions (expected at most ", kMaxFileDims, ", got ", dims.size(),
              ")");
    }
    if (range.size() != 2 || range[0] > range[1]) corrupt(name, "data_offsets is no range");
    if (range[1] > data_.size()) {
      corrupt(name, "data runs past the end of the file (expected at most ", data_.size(), ", got ",
              range[1], "; tensor at byte ", data_begin_ + range[0], "); is the file cut short?");
    }
    extents_.push_back({range[0], range[1], name});
    const FileType* type = find_type(*dtype->if_string());
    if (type == nullptr) {
      add_unreadable(name, base::cat("dtype ", printable(*dtype->if_string())));
      return;
    }
    check_size(name, *type, dims, range[1] - range[0], data_begin_ + range[0]);
    if (!type->dtype) {
      add_unreadable(name, base::cat("dtype ", type->name));
    } else if (dims.size() > tensor::Shape::kMaxDims) {
      add_unreadable(name, base::cat("rank ", dims.size()));
    } else {
      const std::vector<std::int64_t> signed_dims(dims.begin(), dims.end());
      out_.readable.push_back({name,
                               {*type->dtype, tensor::Shape(std::span(signed_dims)),
                                data_.subspan(range[0], range[1] - range[0])}});
    }
  }

  /// The format allows neither overlap nor gaps: every byte belongs to one tensor.
  void finish() {
    check_no_overlap(path_, data_begin_, extents_);
    std::uint64_t end = 0;
    for (const Extent& extent : extents_) {
      if (extent.begin > end) {
        base::fail_at(ErrorCode::kCorruptData, path_, "tensor ", printable(extent.name),
                      ": gap before its data (", extent.begin - end, " bytes at byte ",
                      data_begin_ + end, " belong to no tensor)");
      }
      end = extent.end > end ? extent.end : end;
    }
    if (end != data_.size()) {
      base::fail_at(ErrorCode::kCorruptData, path_, "", data_.size() - end, " bytes at byte ",
                    data_begin_ + end, " belong to no tensor");
    }
  }

  template <typename... Parts>
  [[noreturn]] void corrupt(const std::string& name, const Parts&... parts) const {
    base::fail_at(ErrorCode::kCorruptData, path_, "tensor ", printable(name), ": ",
                  base::cat(parts...));
  }

 private:
  std::vector<std::uint64_t> integers(const std::string& name, const base::Json* list,
                                      const char* what) const {
    const base::JsonArray* items = list == nullptr ? nullptr : list->if_array();
    if (items == nullptr) corrupt(name, what, " is missing or no list");
    std::vector<std::uint64_t> values;
    values.reserve(items->size());
    for (const base::Json& item : *items) {
      const std::int64_t* value = item.if_int();
      if (value == nullptr || *value < 0) corrupt(name, what, " has an element that is no size");
      values.push_back(static_cast<std::uint64_t>(*value));
    }
    return values;
  }

  void check_size(const std::string& name, const FileType& type,
                  const std::vector<std::uint64_t>& dims, std::uint64_t got,
                  std::uint64_t at) const {
    const std::optional<std::uint64_t> n_elems = count_elems(dims);
    std::uint64_t bits = 0;
    if (!n_elems || !multiply(*n_elems, type.bits, bits))
      corrupt(name, "number of elements overflows");
    if (bits % 8 != 0 || bits / 8 != got) {
      corrupt(name, "size does not match dtype and shape (expected ", bits / 8, " bytes, got ", got,
              "; at byte ", at, ")");
    }
  }

  void add_unreadable(const std::string& name, const std::string& what) {
    out_.unreadable.push_back({name, what + " is not supported"});
  }

  const std::string& path_;
  std::span<const std::byte> data_;
  std::uint64_t data_begin_;
  TensorList& out_;
  std::vector<Extent> extents_;
};

base::Json parse_header(const std::string& path, std::string_view text,
                        std::span<const std::byte> file) {
  try {
    return base::Json::parse(text, base::cat(path, ": header"), kMaxHeaderDepth);
  } catch (const Error& error) {
    throw Error(ErrorCode::kCorruptData, base::cat(error.what(), note_what_it_is(file)));
  }
}

/// Names of the top-level members as they are written, quotes and escapes included. `text` is valid
/// JSON.
std::vector<std::string_view> member_names(std::string_view text) {
  std::vector<std::string_view> names;
  std::string_view last_string;
  int depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (c == ':' && depth == 1) names.push_back(last_string);
    if (c != '"') continue;
    const std::size_t begin = i++;
    while (i + 1 < text.size() && text[i] != '"') i += text[i] == '\\' ? 2 : 1;
    last_string = text.substr(begin, i + 1 - begin);
  }
  return names;
}

/// The JSON reader keeps the last of equal members; here that would hide a tensor.
void check_unique(const std::string& path, std::string_view text, std::size_t n_different) {
  std::vector<std::string_view> names = member_names(text);
  if (names.size() == n_different) return;
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  base::fail_at(ErrorCode::kCorruptData, path, "tensor ",
                twice == names.end() ? std::string("(unknown)") : printable(*twice),
                ": occurs twice in the header");
}

}  // namespace

void parse_safetensors(const std::string& path, std::span<const std::byte> file,
                       TensorList& tensors) {
  if (file.size() < 8) {
    base::fail_at(ErrorCode::kCorruptData, path,
                  "too short for a safetensors file (expected at least 8 bytes, got ", file.size(),
                  ")", note_what_it_is(file));
  }
  const std::uint64_t length = load_le(file, 0, 8);
  if (length > kMaxHeaderBytes || length > file.size() - 8) {
    base::fail_at(ErrorCode::kCorruptData, path, "bad header length at byte 0 (expected at most ",
                  file.size() - 8 < kMaxHeaderBytes ? file.size() - 8 : kMaxHeaderBytes, ", got ",
                  length, ")", note_what_it_is(file));
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + 8, length);
  const base::Json header = parse_header(path, text, file);
  const base::JsonObject* entries = header.if_object();
  if (entries == nullptr || text[0] != '{') {
    base::fail_at(ErrorCode::kCorruptData, path, "header: not a JSON object (at byte 8)");
  }
  check_unique(path, text, entries->size());
  HeaderReader reader(path, file.subspan(8 + length), 8 + length, tensors);
  for (const auto& [name, entry] : *entries) {
    if (name == "__metadata__") continue;
    if (!entry.is_object()) reader.corrupt(name, "not described by a JSON object");
    reader.read(name, entry);
  }
  reader.finish();
}

}  // namespace openllm::format
