#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "base/utf8.h"

namespace openllm::tokenizer {

/// Random texts for tests, the same for a seed everywhere.
class RandomText {
 public:
  explicit RandomText(std::uint64_t seed) : seed_(seed) {}

  std::size_t below(std::size_t n) {
    return static_cast<std::size_t>(base::random_bits(seed_, 0, position_++) % n);
  }

  /// Any code point but surrogates; those that patterns tell apart more often than others.
  char32_t code_point() {
    constexpr std::u32string_view kTelling =
        U"abcDEFst'lLvVmMdDrReE  \t\n\r\v\f0123456789.,:;-_/\\()<>!?\u0085\u00A0\u00AA\u00B2\u00BD"
        U"\u00C9\u00DF\u00E9\u0130\u0131\u017F\u0301\u0345\u03A3\u05D0\u0660\u093F\u0E01\u1680"
        U"\u180E\u1E9E\u200B\u200D\u2009\u2028\u2029\u2126\u212A\u2160\u2581\u3000\u3042\u4E2D"
        U"\uAC00\uFEFF\uFF11\uFFFD\U0001D400\U0001D7CE\U0001F468\U0001F3FD\U00010D4A\U0010FFFF";
    const std::size_t kind = below(16);
    if (kind < 12) return kTelling[below(kTelling.size())];
    if (kind < 14) return static_cast<char32_t>(below(0x3000));
    const auto code = static_cast<char32_t>(below(0x110000));
    return code >= 0xD800 && code < 0xE000 ? U'x' : code;
  }

  /// Up to about `n_pieces` characters and `extras`, some of them many times over.
  std::string text(std::size_t n_pieces, const std::vector<std::string>& extras = {}) {
    std::string out;
    for (std::size_t i = below(n_pieces + 1); i > 0; --i) {
      std::string piece;
      if (!extras.empty() && below(8) == 0) {
        piece = extras[below(extras.size())];
      } else {
        base::append_utf8(piece, code_point());
      }
      const std::size_t n = below(8) == 0 ? 1 + below(40) : 1;
      for (std::size_t k = 0; k < n; ++k) out += piece;
    }
    return out;
  }

  /// Some bytes become others, so that the text may not be UTF-8 any more.
  std::string damaged(std::string text) {
    for (std::size_t i = below(4); i > 0 && !text.empty(); --i)
      text[below(text.size())] = static_cast<char>(below(256));
    return text;
  }

 private:
  std::uint64_t seed_;
  std::uint64_t position_ = 0;
};

}  // namespace openllm::tokenizer
