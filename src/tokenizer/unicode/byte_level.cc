#include "tokenizer/unicode/byte_level.h"

#include <array>

#include "base/utf8.h"

namespace openllm::tokenizer {
namespace {

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr std::size_t kMapped = 256 + 68;  // 68 bytes do not stand for themselves

struct Tables {
  std::array<char16_t, 256> to_char{};
  std::array<std::int16_t, kMapped> to_byte{};
};

constexpr Tables make_tables() {
  Tables tables;
  for (auto& byte : tables.to_byte) byte = -1;
  unsigned next = 256;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const unsigned code = stands_for_itself(byte) ? byte : next++;
    tables.to_char[byte] = static_cast<char16_t>(code);
    tables.to_byte[code] = static_cast<std::int16_t>(byte);
  }
  return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

char32_t byte_to_char(unsigned char byte) noexcept { return kTables.to_char[byte]; }

std::optional<unsigned char> char_to_byte(char32_t code) noexcept {
  if (code >= kMapped || kTables.to_byte[code] < 0) return std::nullopt;
  return static_cast<unsigned char>(kTables.to_byte[code]);
}

std::string map_bytes(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char byte : bytes)
    base::append_utf8(out, byte_to_char(static_cast<unsigned char>(byte)));
  return out;
}

bool append_unmapped(std::string& out, std::string_view text) {
  const std::size_t before = out.size();
  for (std::size_t pos = 0; pos < text.size();) {
    const auto byte = char_to_byte(base::decode_utf8(text, pos));
    if (!byte) {
      out.resize(before);
      return false;
    }
    out.push_back(static_cast<char>(*byte));
  }
  return true;
}

std::optional<std::string> unmap_bytes(std::string_view text) {
  std::string out;
  return append_unmapped(out, text) ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace openllm::tokenizer
