#include "tokenizer/text/normalizer.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/text/aligned_forms.h"
#include "tokenizer/text/bert_normalizer.h"
#include "tokenizer/text/precompiled_normalizer.h"
#include "tokenizer/unicode/byte_level.h"
#include "tokenizer/unicode/unicode.h"

namespace openllm::tokenizer {
namespace {

constexpr std::string_view kWhere = "tokenizer.json: normalizer";
// Of the normal forms and of lower case: U+1FBF9 (4 bytes) has the compatible form "9". Checked
// over all code points and over the longest spellings of all that compose.
constexpr std::size_t kUnicodeShrink = 4;
constexpr std::size_t kMaxKnownShrink = 1 << 16;

class SequenceNormalizer final : public Normalizer {
 public:
  void add(std::unique_ptr<Normalizer> part) {
    if (part != nullptr) parts_.push_back(std::move(part));
  }
  std::string apply(std::string text) const override {
    for (const auto& part : parts_) text = part->apply(std::move(text));
    return text;
  }
  void apply_aligned(AlignedText& text) const override {
    for (const auto& part : parts_) part->apply_aligned(text);
  }
  std::string apply_at_start(std::string text, std::size_t& start) const override {
    for (const auto& part : parts_) text = part->apply_at_start(std::move(text), start);
    return text;
  }
  std::size_t max_shrink(bool is_ascii) const noexcept override {
    std::size_t product = 1;
    for (const auto& part : parts_) {
      const std::size_t shrink = part->max_shrink(is_ascii);
      if (shrink == 0 || shrink > kMaxKnownShrink / product) return 0;
      product *= shrink;
      is_ascii = false;  // what the part made of it may be anything
    }
    return product;
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> parts_;
};

class UnicodeNormalizer final : public Normalizer {
 public:
  explicit UnicodeNormalizer(NormalForm form) : form_(form) {}
  std::string apply(std::string text) const override { return normalize(form_, text); }
  void apply_aligned(AlignedText& text) const override {
    text.rewrite(normalize_chars(form_, text.text()));
  }
  std::size_t max_shrink(bool is_ascii) const noexcept override {
    return is_ascii ? 1 : kUnicodeShrink;
  }

 private:
  NormalForm form_;
};

class ReplaceNormalizer final : public Normalizer {
 public:
  ReplaceNormalizer(Pattern pattern, std::string to)
      : pattern_(std::move(pattern)), to_(std::move(to)) {}
  std::string apply(std::string text) const override {
    if (const auto* from = std::get_if<std::string>(&pattern_.value))
      return replace_all(text, *from, to_);
    std::string out;
    std::size_t done = 0;
    for_each_match(text, [&](std::size_t begin, std::size_t end) {
      out.append(text, done, begin - done).append(to_);
      done = end;
      return true;
    });
    return out.append(text, done);
  }
  void apply_aligned(AlignedText& text) const override {
    std::vector<AlignedText::Match> matches;
    for_each_match(text.text(), [&](std::size_t begin, std::size_t end) {
      matches.push_back({begin, end});
      return true;
    });
    text.replace(matches, to_);
  }
  /// A replacement stands for the last character of the match; text that is inserted at an empty
  /// match stands for the character in front of it.
  std::string apply_at_start(std::string text, std::size_t& start) const override {
    std::size_t new_start = 0;
    std::size_t done = 0;
    std::size_t stop = start;
    for_each_match(text, [&](std::size_t begin, std::size_t end) {
      if (end > std::max(start, std::size_t{1})) {
        stop = std::min(stop, begin);
        return false;
      }
      new_start += begin - done + to_.size();
      done = end;
      return true;
    });
    if (done < stop) new_start += stop - done;
    start = new_start;
    return apply(std::move(text));
  }
  std::size_t max_shrink(bool) const noexcept override {
    const auto* from = std::get_if<std::string>(&pattern_.value);
    return from != nullptr && count_non_blank(to_) >= from->size() ? 1 : 0;
  }

 private:
  /// `visit` says whether to go on.
  template <typename Visit>
  void for_each_match(const std::string& text, Visit visit) const {
    if (const auto* from = std::get_if<std::string>(&pattern_.value)) {
      for (std::size_t at = 0; (at = text.find(*from, at)) != std::string::npos;) {
        if (!visit(at, at + from->size())) return;
        at += from->size();
      }
      return;
    }
    Regex::Scanner scanner(std::get<Regex>(pattern_.value), text);
    while (const auto match = scanner.next()) {
      if (!visit(match->begin, match->end)) return;
    }
  }

  Pattern pattern_;
  std::string to_;
};

class PrependNormalizer final : public Normalizer {
 public:
  explicit PrependNormalizer(std::string prefix) : prefix_(std::move(prefix)) {}
  std::string apply(std::string text) const override {
    if (!text.empty()) text.insert(0, prefix_);
    return text;
  }
  void apply_aligned(AlignedText& text) const override { text.prepend(prefix_); }
  std::string apply_at_start(std::string text, std::size_t& start) const override {
    if (start > 0) start += prefix_.size();
    return apply(std::move(text));
  }
  std::size_t max_shrink(bool) const noexcept override { return 1; }

 private:
  std::string prefix_;
};

class StripNormalizer final : public Normalizer {
 public:
  StripNormalizer(bool left, bool right) : left_(left), right_(right) {}
  std::string apply(std::string text) const override {
    if (right_) text.resize(text.size() - trailing_whitespace(text));
    if (left_) text.erase(0, leading_whitespace(text));
    return text;
  }
  void apply_aligned(AlignedText& text) const override {
    const std::size_t end = text.text().size() - (right_ ? trailing_whitespace(text.text()) : 0);
    text.keep(left_ ? std::min(end, leading_whitespace(text.text())) : 0, end);
  }
  std::string apply_at_start(std::string text, std::size_t& start) const override {
    if (left_) start -= std::min(start, leading_whitespace(text));
    text = apply(std::move(text));
    start = std::min(start, text.size());
    return text;
  }
  std::size_t max_shrink(bool) const noexcept override { return 0; }

 private:
  bool left_, right_;
};

class LowercaseNormalizer final : public Normalizer {
 public:
  std::string apply(std::string text) const override { return to_lower(text); }
  void apply_aligned(AlignedText& text) const override { rewrite_lower(text); }
  std::size_t max_shrink(bool is_ascii) const noexcept override {
    return is_ascii ? 1 : kUnicodeShrink;
  }
};

/// Spells bytes in GPT-2's alphabet; the words then are characters to the model.
class ByteLevelNormalizer final : public Normalizer {
 public:
  std::string apply(std::string text) const override { return map_bytes(text); }
  void apply_aligned(AlignedText& text) const override {
    std::vector<Rewritten> chars;
    for (const char c : text.text()) {
      const auto byte = static_cast<unsigned char>(c);
      chars.push_back({byte_to_char(byte), (byte & 0xC0U) == 0x80U ? 1 : 0});
    }
    text.rewrite(chars);
  }
  std::size_t max_shrink(bool) const noexcept override { return 1; }
};

/// The text without the characters that `is_dropped` names, and with `rewrite` of the others.
template <typename IsDropped, typename Rewrite>
std::string rewrite_chars(std::string_view text, IsDropped is_dropped, Rewrite rewrite) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t pos = 0; pos < text.size();) {
    const char32_t code = base::decode_utf8(text, pos);
    if (!is_dropped(code)) base::append_utf8(out, rewrite(code));
  }
  return out;
}

class StripAccentsNormalizer final : public Normalizer {
 public:
  std::string apply(std::string text) const override {
    return rewrite_chars(text, is_mark, [](char32_t code) { return code; });
  }
  void apply_aligned(AlignedText& text) const override {
    text.filter([](char32_t code) { return !is_mark(code); });
  }
  std::size_t max_shrink(bool) const noexcept override { return 0; }
};

/// SentencePiece's rules for machine translation: control characters go, kinds of white space
/// become spaces.
class NmtNormalizer final : public Normalizer {
 public:
  std::string apply(std::string text) const override {
    return rewrite_chars(text, is_dropped,
                         [](char32_t code) { return is_blank(code) ? U' ' : code; });
  }
  void apply_aligned(AlignedText& text) const override {
    text.filter([](char32_t code) { return !is_dropped(code); });
    text.map([](char32_t code) { return is_blank(code) ? U' ' : code; });
  }
  std::size_t max_shrink(bool) const noexcept override { return 0; }

 private:
  static bool is_dropped(char32_t code) noexcept {
    return (code >= 0x01 && code <= 0x08) || code == 0x0B || (code >= 0x0E && code <= 0x1F) ||
           code == 0x7F || code == 0x8F || code == 0x9F;
  }
  static bool is_blank(char32_t code) noexcept {
    return code == 0x09 || code == 0x0A || code == 0x0C || code == 0x0D || code == 0x1680 ||
           (code >= 0x200B && code <= 0x200F) || code == 0x2028 || code == 0x2029 ||
           code == 0x2581 || code == 0xFEFF || code == 0xFFFD;
  }
};

std::unique_ptr<Normalizer> make_bert(const base::Json& json) {
  BertNormalizerOptions options;
  options.clean_text = bool_or(json, "clean_text", true, kWhere);
  options.handle_chinese_chars = bool_or(json, "handle_chinese_chars", true, kWhere);
  options.lowercase = bool_or(json, "lowercase", true, kWhere);
  options.strip_accents = bool_or(json, "strip_accents", options.lowercase, kWhere);
  return make_bert_normalizer(options);
}

std::unique_ptr<Normalizer> make_precompiled(const base::Json& json) {
  constexpr std::string_view kPrecompiled = "tokenizer.json: normalizer Precompiled";
  const std::string& charsmap = require_string(json, "precompiled_charsmap", kWhere);
  return make_precompiled_normalizer(Charsmap(decode_base64(charsmap, kPrecompiled), kPrecompiled));
}

std::unique_ptr<Normalizer> make_sequence(const base::Json& json, int depth) {
  auto sequence = std::make_unique<SequenceNormalizer>();
  for (const base::Json& part : require_array(json, "normalizers", kWhere)) {
    sequence->add(make_normalizer(part, depth + 1));
  }
  return sequence;
}

}  // namespace

void rewrite_lower(AlignedText& text) {
  std::vector<Rewritten> chars;
  for (std::size_t pos = 0; pos < text.text().size();) {
    const std::u32string lower = to_lower(base::decode_utf8(text.text(), pos));
    for (std::size_t i = 0; i < lower.size(); ++i) chars.push_back({lower[i], i == 0 ? 0 : 1});
  }
  text.rewrite(chars);
}

/// Right where characters are rewritten one by one, and nearly always where they combine: then a
/// character that the first one became may have taken in some behind it.
std::string Normalizer::apply_at_start(std::string text, std::size_t& start) const {
  const std::string head = apply(text.substr(0, start));
  text = apply(std::move(text));
  const std::size_t n = std::min(head.size(), text.size());
  for (start = 0; start < n;) {
    std::size_t end = start;
    base::decode_utf8(text, end);
    const bool same = head.compare(start, end - start, text, start, end - start) == 0;
    start = end;
    if (!same) break;
  }
  return text;
}

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size());
  std::size_t done = 0;
  if (!from.empty()) {
    for (std::size_t at; (at = text.find(from, done)) != std::string_view::npos;
         done = at + from.size()) {
      out.append(text.substr(done, at - done)).append(to);
    }
  }
  out.append(text.substr(done));
  return out;
}

std::unique_ptr<Normalizer> make_replace_normalizer(std::string from, std::string to) {
  return std::make_unique<ReplaceNormalizer>(Pattern{std::move(from)}, std::move(to));
}

std::unique_ptr<Normalizer> make_nfc_normalizer() {
  return std::make_unique<UnicodeNormalizer>(NormalForm::kNfc);
}

std::unique_ptr<Normalizer> make_prepend_normalizer(std::string prefix) {
  return std::make_unique<PrependNormalizer>(std::move(prefix));
}

std::unique_ptr<Normalizer> make_normalizer_sequence(std::unique_ptr<Normalizer> first,
                                                     std::unique_ptr<Normalizer> second) {
  auto sequence = std::make_unique<SequenceNormalizer>();
  sequence->add(std::move(first));
  sequence->add(std::move(second));
  return sequence;
}

std::unique_ptr<Normalizer> make_normalizer(const base::Json& json, int depth) {
  if (json.is_null()) return nullptr;
  check_depth(depth, kWhere);
  const std::string& type = require_type(json, kWhere);
  if (type == "Sequence") return make_sequence(json, depth);
  if (type == "NFC") return std::make_unique<UnicodeNormalizer>(NormalForm::kNfc);
  if (type == "NFD") return std::make_unique<UnicodeNormalizer>(NormalForm::kNfd);
  if (type == "NFKC") return std::make_unique<UnicodeNormalizer>(NormalForm::kNfkc);
  if (type == "NFKD") return std::make_unique<UnicodeNormalizer>(NormalForm::kNfkd);
  if (type == "Replace") {
    return std::make_unique<ReplaceNormalizer>(require_pattern(json, kWhere),
                                               require_string(json, "content", kWhere));
  }
  if (type == "Prepend") return make_prepend_normalizer(require_string(json, "prepend", kWhere));
  if (type == "Strip") {
    return std::make_unique<StripNormalizer>(bool_or(json, "strip_left", true, kWhere),
                                             bool_or(json, "strip_right", true, kWhere));
  }
  if (type == "Lowercase") return std::make_unique<LowercaseNormalizer>();
  if (type == "StripAccents") return std::make_unique<StripAccentsNormalizer>();
  if (type == "ByteLevel") return std::make_unique<ByteLevelNormalizer>();
  if (type == "BertNormalizer") return make_bert(json);
  if (type == "Precompiled") return make_precompiled(json);
  if (type == "Nmt") return std::make_unique<NmtNormalizer>();
  fail_unknown("normalizer", type);
}

}  // namespace openllm::tokenizer
