#include "format/gguf.h"

#include <unordered_map>
#include <utility>

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

/// An integer of the metadata; nullopt when absent. Throws kCorruptData unless it lies in [0, max].
std::optional<std::int64_t> find_count(const gguf::Header& header, const std::string& path,
                                       std::string_view key, std::int64_t max) {
  for (const gguf::KeyValue& entry : header.metadata) {
    if (entry.key != key) continue;
    if (entry.value.is_array || !is_integer(entry.value.type)) {
      base::fail(ErrorCode::kCorruptData, path, ": key ", key,
                 ": wrong type (expected an integer)");
    }
    const std::uint64_t value = integer_bits(entry.value, 0);
    if (value > static_cast<std::uint64_t>(max)) {
      base::fail(ErrorCode::kCorruptData, path, ": key ", key, ": bad value (expected 0 to ", max,
                 ")");
    }
    return static_cast<std::int64_t>(value);
  }
  return std::nullopt;
}

}  // namespace

struct Gguf::Impl {
  struct Shard {
    base::MappedFile file;
    gguf::Header header;
  };

  std::string path;
  std::vector<Shard> shards;
  TensorList tensors;
  base::Json config = base::Json::object();
  std::unordered_map<std::string_view, const Value*> values;

  explicit Impl(const std::string& given) : path(given) {
    base::MappedFile file(given);
    const gguf::Header header = gguf::parse_metadata(given, file.bytes());
    const std::int64_t count = find_count(header, given, "split.count", 65535).value_or(0);
    if (count > 1) {
      open_siblings(given, static_cast<int>(count));
    } else {
      add(given, std::move(file));
    }
    tensors.sort_and_check(path);
    index_metadata();
  }

  void add(const std::string& file_path, base::MappedFile file) {
    const std::uint64_t first_alignment =
        shards.empty() ? gguf::kDefaultAlignment : shards[0].header.alignment;
    gguf::Header header = gguf::parse(file_path, file.bytes(), tensors, first_alignment);
    shards.push_back({std::move(file), std::move(header)});
  }

  /// Opens all files of the split, in order: the first one has the metadata.
  void open_siblings(const std::string& given, int count) {
    const std::optional<SplitName> name = parse_split_name(given);
    if (!name || name->count != count || name->index < 1 || name->index > count) {
      base::fail(
          ErrorCode::kInvalidArgument, given, ": one of ", count,
          " files of a split model, whose name does not say which (expected the ending -00001-of-",
          SplitName{"", 1, count}.at(1).substr(10), ")");
    }
    if (count > kMaxShards) {
      base::fail(ErrorCode::kUnsupported, given, ": split into too many files (expected at most ",
                 kMaxShards, ", got ", count, ")");
    }
    for (int i = 1; i <= count; ++i) {
      const std::string sibling = name->at(i);
      add(sibling, base::MappedFile(sibling));
      const gguf::Header& header = shards.back().header;
      const std::int64_t their_count =
          find_count(header, sibling, "split.count", 65535).value_or(0);
      const std::int64_t their_no = find_count(header, sibling, "split.no", 65535).value_or(-1);
      if (their_count != count || their_no != i - 1) {
        base::fail(ErrorCode::kCorruptData, sibling,
                   ": is another part of the split than its name says (expected ", i - 1, " of ",
                   count, ", got ", their_no, " of ", their_count, ")");
      }
    }
    const auto total =
        static_cast<std::int64_t>(tensors.readable.size() + tensors.unreadable.size());
    const std::int64_t expected =
        find_count(shards[0].header, name->at(1), "split.tensors.count", INT64_MAX).value_or(total);
    if (expected != total) {
      base::fail(ErrorCode::kCorruptData, name->at(1),
                 ": key split.tensors.count: wrong (expected ", expected,
                 " tensors in all files, got ", total, ")");
    }
  }

  void index_metadata() {
    for (const gguf::KeyValue& entry : shards[0].header.metadata) {
      values.emplace(entry.key, &entry.value);
    }
    config = gguf::to_config(shards[0].header);
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

Gguf::Gguf(const std::string& path) : impl_(std::make_unique<Impl>(path)) {}
Gguf::~Gguf() = default;

const std::string& Gguf::path() const noexcept { return impl_->path; }
const base::Json& Gguf::config() const noexcept { return impl_->config; }
const std::vector<NamedTensor>& Gguf::tensors() const noexcept { return impl_->tensors.readable; }
const std::vector<UnreadableTensor>& Gguf::unreadable() const noexcept {
  return impl_->tensors.unreadable;
}

void Gguf::drop_pages(const tensor::TensorView& view) const noexcept {
  for (const Impl::Shard& shard : impl_->shards) {
    if (contains(shard.file.bytes(), view.bytes)) shard.file.drop_pages(view.bytes);
  }
}

std::optional<std::vector<std::string_view>> Gguf::string_array(std::string_view key) const {
  const Value* value = impl_->find_array(key);
  if (value == nullptr) return std::nullopt;
  if (value->type != ValueType::kString) impl_->wrong_type(key, *value, "array of string");
  std::vector<std::string_view> strings;
  strings.reserve(static_cast<std::size_t>(value->n_elems));
  gguf::for_each_string(*value, [&strings](std::string_view text) { strings.push_back(text); });
  return strings;
}

std::optional<std::vector<std::int64_t>> Gguf::int_array(std::string_view key) const {
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

std::optional<std::vector<float>> Gguf::float_array(std::string_view key) const {
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

}  // namespace openllm::format
