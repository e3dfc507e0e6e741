#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace openllm::tokenizer {

/// GPT-2's printable alphabet: every byte has a character of its own; 188 bytes stand for
/// themselves, the others are U+0100 and up.

/// The character of a byte.
char32_t byte_to_char(unsigned char byte) noexcept;
/// The byte of a character, if it has one.
std::optional<unsigned char> char_to_byte(char32_t code) noexcept;

/// Bytes to characters.
std::string map_bytes(std::string_view bytes);
/// Appends the bytes of characters; false if one of them stands for no byte, then `out` stays as it
/// is.
bool append_unmapped(std::string& out, std::string_view text);
/// Characters to bytes; nothing if one of them stands for no byte.
std::optional<std::string> unmap_bytes(std::string_view text);

}  // namespace openllm::tokenizer
