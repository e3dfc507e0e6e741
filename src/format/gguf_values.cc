#include "format/gguf_values.h"

#include <bit>
#include <utility>

#include "base/error.h"

namespace openllm::format::gguf {
namespace {

constexpr std::uint64_t kMaxConfigArray = 256;  // more than layers

base::Json number_to_json(const Value& value, std::uint64_t i) {
  if (!is_integer(value.type)) return base::Json(real(value, i));
  const std::uint64_t bits = integer_bits(value, i);
  if (value.type == ValueType::kBool) return base::Json(bits != 0);
  if (value.type == ValueType::kU64 && bits > static_cast<std::uint64_t>(INT64_MAX)) {
    return base::Json(static_cast<double>(bits));
  }
  return base::Json(static_cast<std::int64_t>(bits));
}

/// Elements of checked bytes, moving `data` past them; null when an array inside is too long for
/// the configuration.
base::Json elements_to_json(ValueType type, std::uint64_t n, std::span<const std::byte>& data) {
  base::JsonArray items;
  bool too_long = n > kMaxConfigArray;
  for (std::uint64_t i = 0; i < n; ++i) {
    if (type == ValueType::kString) {
      const auto length = static_cast<std::size_t>(load_le(data, 0, 8));
      if (!too_long) {
        items.emplace_back(
            std::string_view(reinterpret_cast<const char*>(data.data()) + 8, length));
      }
      data = data.subspan(8 + length);
    } else if (type == ValueType::kArray) {
      const auto inner_type = static_cast<ValueType>(load_le(data, 0, 4));
      const std::uint64_t inner_n = load_le(data, 4, 8);
      data = data.subspan(12);
      base::Json inner = elements_to_json(inner_type, inner_n, data);
      if (inner.is_null()) too_long = true;
      if (!too_long) items.push_back(std::move(inner));
    } else {
      const Value scalar{type, false, 1, data.first(min_size(type))};
      if (!too_long) items.push_back(number_to_json(scalar, 0));
      data = data.subspan(min_size(type));
    }
  }
  return too_long ? base::Json() : base::Json(std::move(items));
}

base::Json to_json(const Value& value) {
  std::span<const std::byte> data = value.data;
  if (value.is_array) {
    if (value.n_elems > kMaxConfigArray) return {};
    return elements_to_json(value.type, value.n_elems, data);
  }
  if (value.type == ValueType::kString) {
    base::Json one = elements_to_json(value.type, 1, data);
    return (*one.if_array())[0];
  }
  return number_to_json(value, 0);
}

}  // namespace

bool is_integer(ValueType type) noexcept {
  return type != ValueType::kF32 && type != ValueType::kF64 && type != ValueType::kString &&
         type != ValueType::kArray;
}

std::uint64_t integer_bits(const Value& value, std::uint64_t i) noexcept {
  const std::size_t n = min_size(value.type);
  const std::uint64_t raw = load_le(value.data, static_cast<std::size_t>(i) * n, n);
  switch (value.type) {
    case ValueType::kI8:
      return static_cast<std::uint64_t>(std::int64_t{static_cast<std::int8_t>(raw)});
    case ValueType::kI16:
      return static_cast<std::uint64_t>(std::int64_t{static_cast<std::int16_t>(raw)});
    case ValueType::kI32:
      return static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(raw)});
    default:
      return raw;
  }
}

double real(const Value& value, std::uint64_t i) noexcept {
  const std::size_t n = min_size(value.type);
  const std::uint64_t raw = load_le(value.data, static_cast<std::size_t>(i) * n, n);
  if (value.type == ValueType::kF64) return std::bit_cast<double>(raw);
  return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(raw)));
}

std::optional<std::int64_t> find_count(const Header& header, const std::string& path,
                                       std::string_view key, std::int64_t max) {
  for (const KeyValue& entry : header.metadata) {
    if (entry.key != key) continue;
    if (entry.value.is_array || !is_integer(entry.value.type)) {
      base::fail_at(ErrorCode::kCorruptData, path, "key ", key,
                    ": wrong type (expected an integer)");
    }
    const std::uint64_t value = integer_bits(entry.value, 0);
    if (value > static_cast<std::uint64_t>(max)) {
      base::fail_at(ErrorCode::kCorruptData, path, "key ", key, ": bad value (expected 0 to ", max,
                    ")");
    }
    return static_cast<std::int64_t>(value);
  }
  return std::nullopt;
}

base::Json to_config(const Header& header) {
  base::Json config = base::Json::object();
  for (const KeyValue& entry : header.metadata) {
    base::Json value = to_json(entry.value);
    if (!value.is_null()) config[entry.key] = std::move(value);
  }
  return config;
}

}  // namespace openllm::format::gguf
