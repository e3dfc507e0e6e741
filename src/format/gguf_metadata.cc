#include "format/gguf_metadata.h"

#include <unordered_map>

#include "base/error.h"
#include "format/gguf_file.h"
#include "format/gguf_values.h"
#include "format/split_name.h"
#include "format/tensor_list.h"

namespace openllm::format {
namespace {

using gguf::integer_bits;
using gguf::is_integer;
using gguf::Value;
using gguf::ValueType;

constexpr int kMaxShards = 10000;  // what five digits and a reasonable number of open files allow

/// Names of all files of the model, by the name of one of them and its metadata.
std::vector<std::string> list_files(const std::string& given, const gguf::Header& header) {
  const std::int64_t count = gguf::find_count(header, given, "split.count", 65535).value_or(0);
  if (count <= 1) return {given};
  const std::optional<SplitName> name = parse_split_name(given);
  if (!name || name->count != count || name->index < 1 || name->index > count) {
    base::fail(
        ErrorCode::kInvalidArgument, given, ": one of ", count,
        " files of a split model, whose name does not say which (expected the ending -00001-of-",
        SplitName{"", 1, static_cast<int>(count)}.at(1).substr(10), ")");
  }
  if (count > kMaxShards) {
    base::fail_at(ErrorCode::kUnsupported, given, "split into too many files (expected at most ",
                  kMaxShards, ", got ", count, ")");
  }
  std::vector<std::string> files;
  for (int i = 1; i <= name->count; ++i) files.push_back(name->at(i));
  return files;
}

}  // namespace

struct GgufMetadata::Impl {
  std::string path;
  base::MappedFile file;
  gguf::Header header;
  std::vector<std::string> files;
  base::Json config = base::Json::object();
  std::unordered_map<std::string_view, const Value*> values{};

  explicit Impl(const std::string& given)
      : path(given),
        file(given),
        header(gguf::parse_metadata(given, file.bytes())),
        files(list_files(given, header)) {
    if (files.front() != given) {
      file = base::MappedFile(files.front());
      header = gguf::parse_metadata(files.front(), file.bytes());
    }
    for (const gguf::KeyValue& entry : header.metadata) values.emplace(entry.key, &entry.value);
    config = gguf::to_config(header);
  }

  /// The array of that key, or null when absent.
  const Value* find_array(std::string_view key) const {
    const auto it = values.find(key);
    if (it == values.end()) return nullptr;
    if (!it->second->is_array) wrong_type(key, *it->second, "an array");
    return it->second;
  }

  [[noreturn]] void wrong_type(std::string_view key, const Value& value,
                               const char* expected) const {
    base::fail_at(ErrorCode::kCorruptData, path, "key ", printable(key), ": wrong type (expected ",
                  expected, ", got ", value.is_array ? "array of " : "", gguf::name_of(value.type),
                  ")");
  }
};

GgufMetadata::GgufMetadata(const std::string& path) : impl_(std::make_unique<Impl>(path)) {}
GgufMetadata::~GgufMetadata() = default;

const std::string& GgufMetadata::path() const noexcept { return impl_->path; }
const std::vector<std::string>& GgufMetadata::files() const noexcept { return impl_->files; }
const base::MappedFile& GgufMetadata::file() const noexcept { return impl_->file; }
const gguf::Header& GgufMetadata::header() const noexcept { return impl_->header; }
const base::Json& GgufMetadata::config() const noexcept { return impl_->config; }

std::optional<std::vector<std::string_view>> GgufMetadata::string_array(
    std::string_view key) const {
  const Value* value = impl_->find_array(key);
  if (value == nullptr) return std::nullopt;
  if (value->type != ValueType::kString) impl_->wrong_type(key, *value, "array of string");
  std::vector<std::string_view> strings;
  strings.reserve(static_cast<std::size_t>(value->n_elems));
  gguf::for_each_string(*value, [&strings](std::string_view text) { strings.push_back(text); });
  return strings;
}

std::optional<std::vector<std::int64_t>> GgufMetadata::int_array(std::string_view key) const {
  const Value* value = impl_->find_array(key);
  if (value == nullptr) return std::nullopt;
  if (!is_integer(value->type)) impl_->wrong_type(key, *value, "array of integers");
  std::vector<std::int64_t> integers;
  integers.reserve(static_cast<std::size_t>(value->n_elems));
  for (std::uint64_t i = 0; i < value->n_elems; ++i) {
    const std::uint64_t bits = integer_bits(*value, i);
    if (value->type == ValueType::kU64 && bits > static_cast<std::uint64_t>(INT64_MAX)) {
      base::fail_at(ErrorCode::kCorruptData, impl_->path, "key ", printable(key), ": element ", i,
                    " is too large (got ", bits, ")");
    }
    integers.push_back(static_cast<std::int64_t>(bits));
  }
  return integers;
}

std::optional<std::vector<float>> GgufMetadata::float_array(std::string_view key) const {
  const Value* value = impl_->find_array(key);
  if (value == nullptr) return std::nullopt;
  if (value->type != ValueType::kF32 && value->type != ValueType::kF64) {
    impl_->wrong_type(key, *value, "array of f32");
  }
  std::vector<float> floats;
  floats.reserve(static_cast<std::size_t>(value->n_elems));
  for (std::uint64_t i = 0; i < value->n_elems; ++i) {
    floats.push_back(static_cast<float>(gguf::real(*value, i)));
  }
  return floats;
}

std::optional<std::uint64_t> GgufMetadata::array_length(std::string_view key) const noexcept {
  const auto it = impl_->values.find(key);
  if (it == impl_->values.end() || !it->second->is_array) return std::nullopt;
  return it->second->n_elems;
}

}  // namespace openllm::format
