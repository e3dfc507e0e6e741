#include "tokenizer/text/decoder.h"

#include <algorithm>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer/text/normalizer.h"
#include "tokenizer/unicode/byte_level.h"

namespace openllm::tokenizer {
namespace {

constexpr std::string_view kWhere = "tokenizer.json: decoder";
constexpr std::string_view kMeta = "\xE2\x96\x81";

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

std::string replace_matches(const Regex& regex, const std::string& text, std::string_view to) {
  Regex::Scanner scanner(regex, text);
  std::string out;
  std::size_t done = 0;
  while (const auto match = scanner.next()) {
    out.append(text, done, match->begin - done).append(to);
    done = match->end;
  }
  return out.append(text, done);
}

/// Takes the spaces away that English is not written with.
std::string clean_up(std::string text) {
  constexpr std::pair<std::string_view, std::string_view> kRules[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  if (text.find(' ') == std::string::npos) return text;
  for (const auto& [from, to] : kRules) {
    if (text.find(from) != std::string::npos) text = replace_all(text, from, to);
  }
  return text;
}

std::size_t count_or(const base::Json& json, std::string_view key) {
  const base::Json* found = json.find(key);
  if (found == nullptr) return 0;
  return static_cast<std::size_t>(to_token_id(*found, kWhere));
}

}  // namespace

DecodeRules DecodeRules::byte_level() {
  DecodeRules rules;
  rules.steps_.emplace_back(ByteLevel{});
  return rules;
}

DecodeRules DecodeRules::sentencepiece(bool strip_leading_space) {
  DecodeRules rules;
  rules.steps_.emplace_back(Replace{{std::string(kMeta)}, " "});
  rules.byte_fallback_ = true;
  rules.strips_leading_space_ = strip_leading_space;
  return rules;
}

DecodeRules DecodeRules::bytes_and_spellings() {
  DecodeRules rules;
  rules.byte_fallback_ = true;
  return rules;
}

DecodeRules DecodeRules::from_json(const base::Json& json) {
  DecodeRules rules;
  if (json.is_null()) {
    rules.steps_.emplace_back(SpaceBetween{});
    rules.first_differs_ = true;
  } else {
    rules.add(json, 0);
    rules.check_neighbours();
  }
  return rules;
}

void DecodeRules::add(const base::Json& json, int depth) {
  check_depth(depth, kWhere);
  const std::string& type = require_type(json, kWhere);
  if (type == "Sequence") {
    for (const base::Json& part : require_array(json, "decoders", kWhere)) add(part, depth + 1);
  } else if (type == "ByteLevel") {
    require_whole_tokens(type);
    steps_.emplace_back(ByteLevel{});
    fused_ = true;
  } else if (type == "ByteFallback") {
    if (fused_) base::fail_at(ErrorCode::kUnsupported, kWhere, "ByteFallback behind Fuse");
    // Which spells a token of a byte otherwise, with a space, so that it is none any more.
    const bool adds_spaces = std::any_of(steps_.begin(), steps_.end(), [](const Step& step) {
      return std::holds_alternative<WordPiece>(step);
    });
    if (adds_spaces)
      base::fail_at(ErrorCode::kUnsupported, kWhere, "ByteFallback behind WordPiece");
    if (!byte_fallback_) n_before_bytes_ = steps_.size();
    byte_fallback_ = true;
    joins_bytes_ = true;
  } else if (type == "Fuse") {
    fused_ = true;
  } else if (type == "Strip") {
    add_strip(json);
  } else if (type == "Replace") {
    Replace replace{require_pattern(json, kWhere), require_string(json, "content", kWhere)};
    if (!is_one_char(replace.pattern)) require_whole_tokens(type);
    steps_.emplace_back(std::move(replace));
  } else if (type == "Metaspace") {
    require_whole_tokens(type);
    const std::string replacement = string_or(json, "replacement", kMeta, kWhere);
    const bool legacy = bool_or(json, "add_prefix_space", true, kWhere);
    const bool strips =
        string_or(json, "prepend_scheme", legacy ? "always" : "never", kWhere) != "never";
    steps_.emplace_back(Metaspace{replacement, strips});
    first_differs_ = first_differs_ || strips;
  } else if (type == "WordPiece") {
    require_whole_tokens(type);
    steps_.emplace_back(
        WordPiece{string_or(json, "prefix", "##", kWhere), bool_or(json, "cleanup", true, kWhere)});
    first_differs_ = true;
  } else if (type == "BPEDecoder") {
    require_whole_tokens(type);
    steps_.emplace_back(Suffix{string_or(json, "suffix", "</w>", kWhere)});
    last_differs_ = true;
  } else if (type == "CTC") {
    add_ctc(json);
  } else {
    fail_unknown("decoder", type);
  }
}

/// Whether each match of the pattern lies within one token, so that decoding token by token finds
/// it: the pattern is one character. Behind ByteLevel a token may begin or end within a character
/// that is not ASCII.
bool DecodeRules::is_one_char(const Pattern& pattern) const {
  const auto* text = std::get_if<std::string>(&pattern.value);
  if (text == nullptr || text->empty()) return false;
  std::size_t end = 0;
  const char32_t code = base::decode_utf8(*text, end);
  const bool by_bytes = std::any_of(steps_.begin(), steps_.end(), [](const Step& step) {
    return std::holds_alternative<ByteLevel>(step);
  });
  return end == text->size() && (code < 0x80 || !by_bytes);
}

/// No token is known by itself behind Fuse.
void DecodeRules::require_whole_tokens(const std::string& type) const {
  if (fused_) base::fail_at(ErrorCode::kUnsupported, kWhere, "", type, " behind Fuse");
}

void DecodeRules::add_ctc(const base::Json& json) {
  if (!steps_.empty() || byte_fallback_ || fused_)
    base::fail_at(ErrorCode::kUnsupported, kWhere, "CTC behind other decoders");
  steps_.emplace_back(Ctc{string_or(json, "pad_token", "<pad>", kWhere),
                          string_or(json, "word_delimiter_token", "|", kWhere),
                          bool_or(json, "cleanup", true, kWhere)});
  drops_repeats_ = true;
}

/// Runs of byte tokens do not know what is beside them, and CTC leaves tokens out, so that others
/// become the first.
void DecodeRules::check_neighbours() const {
  if (last_differs_ && byte_fallback_)
    base::fail_at(ErrorCode::kUnsupported, kWhere, "BPEDecoder beside ByteFallback");
  if (drops_repeats_ && (first_differs_ || last_differs_ || byte_fallback_))
    base::fail_at(ErrorCode::kUnsupported, kWhere, "CTC beside a decoder that knows neighbours");
}

void DecodeRules::add_strip(const base::Json& json) {
  Strip strip{require_string(json, "content", kWhere), count_or(json, "start"),
              count_or(json, "stop")};
  if (!fused_) {
    steps_.emplace_back(std::move(strip));
    return;
  }
  if (strip.content != " " || strip.start > 1 || strip.stop != 0 || strips_leading_space_) {
    base::fail_at(ErrorCode::kUnsupported, kWhere,
                  "Strip behind Fuse of anything but one leading space");
  }
  strips_leading_space_ = strip.start == 1;
}

std::optional<unsigned char> DecodeRules::byte_of(std::string_view piece) const noexcept {
  if (!byte_fallback_ || piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>')
    return std::nullopt;
  const int high = hex_value(piece[3]);
  const int low = hex_value(piece[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<unsigned char>(high * 16 + low);
}

std::string DecodeRules::run(const Step& step, std::string text, Place place) {
  const bool first = place.first;
  if (const auto* replace = std::get_if<Replace>(&step)) {
    if (const auto* from = std::get_if<std::string>(&replace->pattern.value)) {
      return replace_all(text, *from, replace->to);
    }
    return replace_matches(std::get<Regex>(replace->pattern.value), text, replace->to);
  }
  if (const auto* strip = std::get_if<Strip>(&step)) {
    if (strip->content.empty()) return text;
    for (std::size_t i = 0; i < strip->start && text.starts_with(strip->content); ++i) {
      text.erase(0, strip->content.size());
    }
    for (std::size_t i = 0; i < strip->stop && text.ends_with(strip->content); ++i) {
      text.resize(text.size() - strip->content.size());
    }
    return text;
  }
  if (const auto* meta = std::get_if<Metaspace>(&step)) {
    return replace_all(text, meta->replacement, first && meta->strips_first ? "" : " ");
  }
  if (const auto* word_piece = std::get_if<WordPiece>(&step)) {
    if (!first) {
      const bool continues = text.starts_with(word_piece->prefix);
      continues ? text.erase(0, word_piece->prefix.size()) : text.insert(0, 1, ' ');
    }
    return word_piece->cleanup ? clean_up(std::move(text)) : text;
  }
  if (const auto* suffix = std::get_if<Suffix>(&step))
    return replace_all(text, suffix->suffix, place.last ? "" : " ");
  if (const auto* ctc = std::get_if<Ctc>(&step)) {
    text = replace_all(text, ctc->pad, "");
    return ctc->cleanup ? replace_all(clean_up(std::move(text)), ctc->delimiter, " ") : text;
  }
  if (std::holds_alternative<SpaceBetween>(step)) return first ? text : " " + text;
  auto bytes = unmap_bytes(text);  // a token with other characters stands for itself
  return bytes ? std::move(*bytes) : text;
}

void DecodeRules::append(std::string& out, std::string_view piece, bool first) const {
  // Large vocabularies mostly have the one step; it needs no texts in between.
  if (steps_.size() == 1 && std::holds_alternative<ByteLevel>(steps_[0])) {
    if (!append_unmapped(out, piece)) out += piece;
    return;
  }
  if (piece.find(kMeta) == std::string_view::npos && replaces_only_meta()) {
    out += piece;
    return;
  }
  std::string text(piece);
  for (const Step& step : steps_) text = run(step, std::move(text), {first, false});
  out += text;
}

std::string DecodeRules::apply_last(std::string_view piece, bool first) const {
  std::string text(piece);
  for (const Step& step : steps_) text = run(step, std::move(text), {first, true});
  return text;
}

std::string DecodeRules::apply_to_bytes(std::string text, bool first) const {
  for (std::size_t i = n_before_bytes_; i < steps_.size(); ++i)
    text = run(steps_[i], std::move(text), {first, false});
  return text;
}

bool DecodeRules::replaces_only_meta() const noexcept {
  if (steps_.size() != 1) return false;
  const auto* replace = std::get_if<Replace>(&steps_[0]);
  const auto* from =
      replace == nullptr ? nullptr : std::get_if<std::string>(&replace->pattern.value);
  return from != nullptr && *from == kMeta;
}

}  // namespace openllm::tokenizer
