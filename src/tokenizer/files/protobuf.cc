#include "tokenizer/files/protobuf.h"

#include "base/error.h"

namespace openllm::tokenizer {

void ProtobufReader::fail(const char* what) const {
  base::fail_at(ErrorCode::kCorruptData, where_, "not protocol buffers: ", what, " at byte ", at_);
}

std::uint64_t ProtobufReader::read_varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (at_ == bytes_.size()) fail("cut off");
    const auto byte = static_cast<unsigned char>(bytes_[at_++]);
    value |= std::uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) return value;
  }
  fail("a number without end");
}

std::uint64_t ProtobufReader::read_fixed(std::size_t n_bytes) {
  if (bytes_.size() - at_ < n_bytes) fail("cut off");
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < n_bytes; ++i)
    value |= std::uint64_t{static_cast<unsigned char>(bytes_[at_++])} << (8 * i);
  return value;
}

std::optional<ProtobufReader::Field> ProtobufReader::next() {
  if (at_ == bytes_.size()) return std::nullopt;
  const std::uint64_t key = read_varint();
  if (key >> 3U == 0 || key >> 3U > 0x1FFFFFFFU) fail("a field without a number");
  Field field;
  field.number = static_cast<std::uint32_t>(key >> 3U);
  switch (key & 7U) {
    case 0:
      field.value = read_varint();
      return field;
    case 1:
      field.kind = Kind::kFixed64;
      field.value = read_fixed(8);
      return field;
    case 2: {
      field.kind = Kind::kBytes;
      const std::uint64_t length = read_varint();
      if (length > bytes_.size() - at_) fail("a field longer than its message");
      field.bytes = bytes_.substr(at_, length);
      at_ += length;
      return field;
    }
    case 5:
      field.kind = Kind::kFixed32;
      field.value = read_fixed(4);
      return field;
    default:
      fail("a field of unknown kind");
  }
}

}  // namespace openllm::tokenizer
