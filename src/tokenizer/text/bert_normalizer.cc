#include "tokenizer/text/bert_normalizer.h"

#include <array>

#include "base/utf8.h"
#include "tokenizer/text/aligned_forms.h"
#include "tokenizer/unicode/fast_utf8.h"
#include "tokenizer/unicode/unicode.h"

namespace openllm::tokenizer {
namespace {

bool is_ideograph(char32_t code) noexcept {
  return (code >= 0x4E00 && code <= 0x9FFF) || (code >= 0x3400 && code <= 0x4DBF) ||
         (code >= 0x20000 && code <= 0x2A6DF) || (code >= 0x2A700 && code <= 0x2B81F) ||
         (code >= 0x2B920 && code <= 0x2CEAF) || (code >= 0xF900 && code <= 0xFAFF) ||
         (code >= 0x2F800 && code <= 0x2FA1F);
}

/// ASCII is done character by character; what lies in between goes through the steps one after the
/// other, as no step looks at ASCII beside it.
class BertNormalizer final : public Normalizer {
 public:
  explicit BertNormalizer(const BertNormalizerOptions& options) : options_(options) {
    for (unsigned c = 0; c < 128; ++c) {
      const bool blank = c == '\t' || c == '\n' || c == '\r';
      auto out = static_cast<char>(c);
      if (options_.clean_text && blank) out = ' ';
      if (options_.clean_text && !blank && (c < 0x20 || c == 0x7F)) out = kDropped;
      if (options_.lowercase && c >= 'A' && c <= 'Z') out = static_cast<char>(c - 'A' + 'a');
      ascii_[c] = out;
    }
  }

  std::string apply(std::string text) const override {
    std::string out;
    out.reserve(text.size() + text.size() / 8);
    std::string run;
    for (std::size_t pos = 0; pos < text.size();) {
      const auto byte = static_cast<unsigned char>(text[pos]);
      if (byte < 0x80) {
        if (ascii_[byte] != kDropped) out.push_back(ascii_[byte]);
        ++pos;
        continue;
      }
      const std::size_t begin = pos;
      while (pos < text.size() && static_cast<unsigned char>(text[pos]) >= 0x80) ++pos;
      append_rare(std::string_view(text).substr(begin, pos - begin), run, out);
    }
    return out;
  }
  void apply_aligned(AlignedText& text) const override {
    if (options_.clean_text) {
      text.filter([](char32_t code) { return !is_dropped(code); });
      text.map([](char32_t code) { return is_whitespace(code) ? U' ' : code; });
    }
    if (options_.handle_chinese_chars) space_ideographs(text);
    if (options_.strip_accents) {
      text.rewrite(normalize_chars(NormalForm::kNfd, text.text()));
      text.filter([](char32_t code) { return !is_old_nonspacing_mark(code); });
    }
    if (options_.lowercase) rewrite_lower(text);
  }
  std::size_t max_shrink(bool) const noexcept override { return 0; }

 private:
  static constexpr char kDropped = '\xFF';

  static bool is_dropped(char32_t code) noexcept {
    const bool blank = code == U'\t' || code == U'\n' || code == U'\r';
    return !blank && (code == 0 || code == base::kReplacement || is_old_other(code));
  }

  static void space_ideographs(AlignedText& text) {
    std::vector<Rewritten> chars;
    for (std::size_t pos = 0; pos < text.text().size();) {
      const char32_t code = decode_valid(text.text(), pos);
      const bool spaced = is_ideograph(code);
      if (spaced) chars.push_back({U' ', 0});
      chars.push_back({code, spaced ? 1 : 0});
      if (spaced) chars.push_back({U' ', 1});
    }
    text.rewrite(chars);
  }

  void append_rare(std::string_view text, std::string& run, std::string& out) const {
    run.clear();
    for (std::size_t pos = 0; pos < text.size();) {
      char32_t code = decode_long_char(text, pos);
      if (options_.clean_text) {
        if (is_dropped(code)) continue;
        if (is_whitespace(code)) code = U' ';
      }
      const bool spaced = options_.handle_chinese_chars && is_ideograph(code);
      if (spaced) run.push_back(' ');
      base::append_utf8(run, code);
      if (spaced) run.push_back(' ');
    }
    if (options_.strip_accents) run = strip_accents(normalize(NormalForm::kNfd, run));
    out += options_.lowercase ? to_lower(run) : run;
  }

  static std::string strip_accents(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t pos = 0; pos < text.size();) {
      const std::size_t begin = pos;
      const char32_t code = decode_valid(text, pos);
      if (code < 0x80 || !is_old_nonspacing_mark(code)) out.append(text, begin, pos - begin);
    }
    return out;
  }

  BertNormalizerOptions options_;
  std::array<char, 128> ascii_{};
};

}  // namespace

std::unique_ptr<Normalizer> make_bert_normalizer(const BertNormalizerOptions& options) {
  return std::make_unique<BertNormalizer>(options);
}

}  // namespace openllm::tokenizer
