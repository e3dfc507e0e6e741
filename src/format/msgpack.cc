#include "format/msgpack.h"

#include "base/error.h"

// Source: the specification of msgpack. Numbers are big endian.
namespace openllm::format {

using Value = MsgpackReader::Value;

std::span<const std::byte> MsgpackReader::take(std::uint64_t n) {
  if (n > bytes_.size() - at_) {
    base::fail_at(ErrorCode::kCorruptData, path_, "a value runs past the end (", n,
                  " bytes at byte ", place(), "); is the file cut short?");
  }
  const auto part = bytes_.subspan(at_, static_cast<std::size_t>(n));
  at_ += static_cast<std::size_t>(n);
  return part;
}

std::uint64_t MsgpackReader::number(std::size_t n_bytes) {
  std::uint64_t value = 0;
  for (const std::byte part : take(n_bytes)) value = value << 8U | std::to_integer<unsigned>(part);
  return value;
}

Value MsgpackReader::data(Kind kind, std::uint64_t n) {
  Value value{kind};
  value.bytes = take(n);
  return value;
}

Value MsgpackReader::extension(std::uint64_t n) {
  constexpr int kNegative = 128;
  const auto type = static_cast<int>(number(1));
  Value value = data(Kind::kExtension, n);
  value.type = type < kNegative ? type : type - 2 * kNegative;
  return value;
}

Value MsgpackReader::items(Kind kind, std::uint64_t n) {
  const std::uint64_t least = kind == Kind::kMap ? 2 * n : n;  // n < 2^32
  if (least > bytes_.size() - at_) {
    base::fail_at(ErrorCode::kCorruptData, path_, "more elements than the file can hold (", n,
                  " at byte ", place(), "); is the file cut short?");
  }
  return {kind, n};
}

Value MsgpackReader::integer(std::uint8_t tag) {
  const bool is_signed = tag >= 0xD0;
  const std::size_t n_bytes = std::size_t{1} << (tag & 3U);
  Value value{Kind::kInt, number(n_bytes)};
  if (is_signed && (value.n >> (8 * n_bytes - 1) & 1U) != 0) value = {Kind::kInt, 0, true};
  return value;
}

/// Values whose tag says how long the number of their bytes or elements is.
Value MsgpackReader::sized(std::uint8_t tag) {
  switch (tag) {
    case 0xC4:
    case 0xC5:
    case 0xC6:
      return data(Kind::kBytes, number(std::size_t{1} << (tag - 0xC4U)));
    case 0xC7:
    case 0xC8:
    case 0xC9:
      return extension(number(std::size_t{1} << (tag - 0xC7U)));
    case 0xD9:
    case 0xDA:
    case 0xDB:
      return data(Kind::kText, number(std::size_t{1} << (tag - 0xD9U)));
    case 0xDC:
    case 0xDD:
      return items(Kind::kArray, number(std::size_t{2} << (tag - 0xDCU)));
    case 0xDE:
    case 0xDF:
      return items(Kind::kMap, number(std::size_t{2} << (tag - 0xDEU)));
    default:
      base::fail_at(ErrorCode::kCorruptData, path_, "no msgpack value (at byte ", place() - 1, ")");
  }
}

Value MsgpackReader::next() {
  const auto tag = static_cast<std::uint8_t>(number(1));
  if (tag <= 0x7F) return {Kind::kInt, tag};
  if (tag <= 0x8F) return items(Kind::kMap, tag & 0x0FU);
  if (tag <= 0x9F) return items(Kind::kArray, tag & 0x0FU);
  if (tag <= 0xBF) return data(Kind::kText, tag & 0x1FU);
  if (tag == 0xC0) return {Kind::kNil};
  if (tag == 0xC2 || tag == 0xC3) return {Kind::kBool, tag & 1U};
  if (tag == 0xCA || tag == 0xCB) {
    take(tag == 0xCA ? 4 : 8);
    return {Kind::kFloat};
  }
  if (tag >= 0xCC && tag <= 0xD3) return integer(tag);
  if (tag >= 0xD4 && tag <= 0xD8) return extension(std::uint64_t{1} << (tag - 0xD4U));
  if (tag >= 0xE0) return {Kind::kInt, 0, true};
  return sized(tag);
}

}  // namespace openllm::format
