#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace openllm::tokenizer {

/// Reads one message of protocol buffers, field by field, out of hostile bytes.
class ProtobufReader {
 public:
  /// `where` begins the messages of errors.
  ProtobufReader(std::string_view bytes, std::string_view where) : bytes_(bytes), where_(where) {}

  enum class Kind { kNumber, kBytes, kFixed32, kFixed64 };
  struct Field {
    std::uint32_t number = 0;
    Kind kind = Kind::kNumber;
    std::uint64_t value = 0;   ///< Of all kinds but kBytes.
    std::string_view bytes{};  ///< Of kBytes.
  };
  /// The next field; nothing at the end. Throws kCorruptData.
  std::optional<Field> next();

 private:
  std::uint64_t read_varint();
  std::uint64_t read_fixed(std::size_t n_bytes);
  [[noreturn]] void fail(const char* what) const;

  std::string_view bytes_;
  std::string_view where_;
  std::size_t at_ = 0;
};

}  // namespace openllm::tokenizer
