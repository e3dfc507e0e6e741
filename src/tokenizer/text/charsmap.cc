#include "tokenizer/text/charsmap.h"

#include <array>

#include "base/error.h"
#include "base/utf8.h"

namespace openllm::tokenizer {
namespace {

// A unit of a Darts-clone array: the byte that leads to it or a value, whether a value follows, and
// where its children are.
constexpr std::uint32_t kIsValue = 1U << 31U;
std::uint32_t label_of(std::uint32_t unit) noexcept { return unit & (kIsValue | 0xFFU); }
bool has_value(std::uint32_t unit) noexcept { return ((unit >> 8U) & 1U) != 0; }
std::uint32_t offset_of(std::uint32_t unit) noexcept {
  return (unit >> 10U) << ((unit & (1U << 9U)) >> 6U);
}

std::uint32_t read_u32(std::string_view bytes, std::size_t at) noexcept {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i)
    value |= std::uint32_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
  return value;
}

bool begins_char(const std::string& text, std::size_t at) noexcept {
  return (static_cast<unsigned char>(text[at]) & 0xC0U) != 0x80U;
}

}  // namespace

Charsmap::Charsmap(std::string_view bytes, std::string_view where) {
  const auto bad = [&](const char* what) {
    base::fail_at(ErrorCode::kCorruptData, where, "bad precompiled_charsmap: ", what, " (",
                  bytes.size(), " bytes)");
  };
  if (bytes.size() < 8) bad("too short");
  const std::size_t n_bytes = read_u32(bytes, 0);
  if (n_bytes % 4 != 0 || n_bytes < 4 || n_bytes > bytes.size() - 4) bad("wrong size of its array");
  units_.resize(n_bytes / 4);
  for (std::size_t i = 0; i < units_.size(); ++i) units_[i] = read_u32(bytes, 4 + i * 4);
  texts_ = bytes.substr(4 + n_bytes);
  if (!base::is_valid_utf8(texts_)) bad("its texts are not UTF-8");
}

std::optional<Charsmap::Match> Charsmap::find(std::string_view text,
                                              bool stop_early) const noexcept {
  std::optional<Match> best;
  std::size_t at = offset_of(units_[0]);
  for (std::size_t i = 0; i < text.size() && text[i] != '\0'; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    at ^= byte;
    if (at >= units_.size() || label_of(units_[at]) != byte) break;
    const std::uint32_t unit = units_[at];
    at ^= offset_of(unit);
    if (!has_value(unit)) continue;
    if (at >= units_.size()) break;
    const std::size_t begin = units_[at] & ~kIsValue;
    if (begin >= texts_.size() || !begins_char(texts_, begin)) break;
    const std::size_t end = std::min(texts_.find('\0', begin), texts_.size());
    best = Match{i + 1, std::string_view(texts_).substr(begin, end - begin)};
    if (stop_early) break;
  }
  return best;
}

std::string encode_base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k)
      bits = bits << 8U | (k < n ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k)
      out.push_back(k <= n ? kDigits[bits >> (18 - 6 * k) & 63U] : '=');
  }
  return out;
}

std::string decode_base64(std::string_view text, std::string_view where) {
  static constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<int, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i)
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<int>(i);
  const std::size_t n_padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  const std::string_view digits = text.substr(0, text.size() - n_padding);
  std::string out;
  out.reserve(digits.size() / 4 * 3 + 3);
  std::uint32_t bits = 0;
  int n_bits = 0;
  for (const char c : digits) {
    const int value = values[static_cast<unsigned char>(c)];
    if (value < 0) base::fail_at(ErrorCode::kCorruptData, where, "not base64");
    bits = ((bits << 6U) | static_cast<std::uint32_t>(value)) & 0xFFFFFU;
    n_bits += 6;
    if (n_bits < 8) continue;
    n_bits -= 8;
    out.push_back(static_cast<char>((bits >> static_cast<unsigned>(n_bits)) & 0xFFU));
  }
  if (text.size() % 4 != 0) base::fail_at(ErrorCode::kCorruptData, where, "not base64");
  return out;
}

}  // namespace openllm::tokenizer
