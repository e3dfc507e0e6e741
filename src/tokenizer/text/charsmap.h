#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace openllm::tokenizer {

/// SentencePiece's table of replacements ("precompiled_charsmap"): the size of a double array in
/// bytes (32 bits, little endian), the array, and the replacements, each with a zero behind it.
class Charsmap {
 public:
  /// Throws kCorruptData; `where` begins the message.
  Charsmap(std::string_view bytes, std::string_view where);

  struct Match {
    std::size_t length = 0;
    std::string_view text;  ///< Valid UTF-8.
  };
  /// What the shortest, or the longest, known beginning of `text` becomes.
  std::optional<Match> shortest(std::string_view text) const noexcept { return find(text, true); }
  std::optional<Match> longest(std::string_view text) const noexcept { return find(text, false); }

 private:
  std::optional<Match> find(std::string_view text, bool stop_early) const noexcept;

  std::vector<std::uint32_t> units_;
  std::string texts_;
};

/// Base64 as RFC 4648 has it, with padding. Throws kCorruptData; `where` begins the message.
std::string encode_base64(std::string_view bytes);
std::string decode_base64(std::string_view text, std::string_view where);

}  // namespace openllm::tokenizer
