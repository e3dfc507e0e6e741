#include "tokenizer/split/pre_tokenizer.h"

#include <algorithm>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/split/splitter.h"
#include "tokenizer/unicode/byte_level.h"
#include "tokenizer/unicode/unicode.h"

namespace openllm::tokenizer {
namespace {

using Word = Words::Word;
constexpr std::string_view kWhere = "tokenizer.json: pre_tokenizer";
// Whitespace's `\w+|[^\w\s]+` as another engine reads it, with the two joiners as word characters.
constexpr std::string_view kWords = R"([[:word:]\x{200c}\x{200d}]+|[^[:word:]\x{200c}\x{200d}\s]+)";

class SequencePreTokenizer final : public PreTokenizer {
 public:
  void add(std::unique_ptr<PreTokenizer> part) { parts_.push_back(std::move(part)); }
  void split(Words& words) const override {
    for (const auto& part : parts_) part->split(words);
  }
  bool add_scanners(std::vector<WordScanner>& out) const override {
    return std::all_of(parts_.begin(), parts_.end(),
                       [&](const auto& part) { return part->add_scanners(out); });
  }
  bool keeps_text() const noexcept override {
    return std::all_of(parts_.begin(), parts_.end(),
                       [](const auto& part) { return part->keeps_text(); });
  }

 private:
  std::vector<std::unique_ptr<PreTokenizer>> parts_;
};

/// Rewrites each word; `rewrite_word` may set the new start.
template <typename Rewrite>
void rewrite(Words& words, Rewrite rewrite_word) {
  std::string text;
  std::vector<Word> out;
  std::size_t start = 0;
  text.reserve(words.text().size() + words.words().size());
  out.reserve(words.words().size());
  for (const Word& word : words.words()) {
    const std::size_t begin = text.size();
    rewrite_word(word, text, start);
    if (text.size() > begin) out.push_back({begin, text.size()});
  }
  words.replace(std::move(text), std::move(out), start);
}

/// Puts a space before words that have none.
class PrefixSpace final : public PreTokenizer {
 public:
  void split(Words& words) const override {
    rewrite(words, [&](const Word& word, std::string& text, std::size_t&) {
      const std::string_view view = words.view(word);
      if (!view.starts_with(' ')) text.push_back(' ');
      text.append(view);
    });
  }
};

/// Bytes to GPT-2's alphabet, for the pre-tokenizers behind a ByteLevel one, ...
class MapBytes final : public PreTokenizer {
 public:
  void split(Words& words) const override {
    rewrite(words, [&](const Word& word, std::string& text, std::size_t&) {
      text += map_bytes(words.view(word));
    });
  }
};

/// ... and back for the model, which works on bytes.
class UnmapBytes final : public PreTokenizer {
 public:
  void split(Words& words) const override {
    rewrite(words, [&](const Word& word, std::string& text, std::size_t&) {
      const std::string_view view = words.view(word);
      for (std::size_t pos = 0; pos < view.size();) {
        const char32_t code = base::decode_utf8(view, pos);
        if (const auto byte = char_to_byte(code)) {
          text.push_back(static_cast<char>(*byte));
        } else {
          base::append_utf8(text, code);
        }
      }
    });
  }
};

/// Words of so many characters, and the rest.
class FixedLength final : public PreTokenizer {
 public:
  explicit FixedLength(std::size_t length) : length_(length) {}
  void split(Words& words) const override {
    std::vector<Word> out;
    for (const Word& word : words.words()) {
      const std::string_view view = words.view(word);
      for (std::size_t begin = 0, pos = 0; begin < view.size(); begin = pos) {
        for (std::size_t i = 0; i < length_ && pos < view.size(); ++i) base::decode_utf8(view, pos);
        out.push_back({word.begin + begin, word.begin + pos});
      }
    }
    words.replace(std::move(out));
  }

 private:
  std::size_t length_;
};

enum class Prepend { kNever, kFirst, kAlways };

class Metaspace final : public PreTokenizer {
 public:
  Metaspace(std::string replacement, Prepend prepend, bool split)
      : replacement_(std::move(replacement)), prepend_(prepend) {
    if (split)
      splitter_ = make_pattern_splitter({replacement_}, SplitBehavior::kMergedWithNext, false);
  }
  void split(Words& words) const override {
    rewrite(words, [&](const Word& word, std::string& text, std::size_t& start) {
      std::string_view view = words.view(word);
      const bool first = words.is_first(word);
      const bool wants = prepend_ == Prepend::kAlways || (prepend_ == Prepend::kFirst && first);
      if (wants && !view.starts_with(' ') && !view.starts_with(replacement_)) text += replacement_;
      if (first) {
        const std::size_t n_first = std::min(words.start() - word.begin, view.size());
        append(view.substr(0, n_first), text);
        start = text.size();
        view.remove_prefix(n_first);
      }
      append(view, text);
    });
    if (splitter_ != nullptr) splitter_->split(words);
  }

 private:
  void append(std::string_view view, std::string& text) const {
    for (const char c : view) c == ' ' ? text.append(replacement_) : text.append(1, c);
  }

  std::string replacement_;
  Prepend prepend_;
  std::unique_ptr<PreTokenizer> splitter_;
};

/// Collects the parts; a ByteLevel part that is not the last one has to show its alphabet to those
/// behind it.
class Builder {
 public:
  void add(const base::Json& json, int depth) {
    check_depth(depth, kWhere);
    const std::string& type = require_type(json, kWhere);
    if (type == "Sequence") {
      for (const base::Json& part : require_array(json, "pretokenizers", kWhere))
        add(part, depth + 1);
      return;
    }
    if (byte_level_ && !mapped_) {
      sequence_->add(std::make_unique<MapBytes>());
      mapped_ = true;
    }
    if (byte_level_ && type == "Metaspace")
      base::fail_at(ErrorCode::kUnsupported, kWhere, "Metaspace behind ByteLevel");
    if (type == "ByteLevel") {
      add_byte_level(json);
    } else {
      add_splitter(type, json);
    }
  }

  PreTokenizerChoice finish() {
    if (mapped_) sequence_->add(std::make_unique<UnmapBytes>());
    return {std::move(sequence_), byte_level_};
  }

 private:
  void add_byte_level(const base::Json& json) {
    if (byte_level_) base::fail_at(ErrorCode::kUnsupported, kWhere, "two of type ByteLevel");
    if (bool_or(json, "add_prefix_space", true, kWhere))
      sequence_->add(std::make_unique<PrefixSpace>());
    if (bool_or(json, "use_regex", true, kWhere)) {
      sequence_->add(make_scanning_splitter(find_word_scanner(kGpt2Pattern)));
    }
    byte_level_ = true;
  }

  void add_splitter(const std::string& type, const base::Json& json) {
    if (type == "Split") {
      const SplitBehavior behavior =
          parse_split_behavior(require_string(json, "behavior", kWhere), kWhere);
      sequence_->add(make_pattern_splitter(require_pattern(json, kWhere), behavior,
                                           bool_or(json, "invert", false, kWhere)));
    } else if (type == "Metaspace") {
      add_metaspace(json);
    } else if (type == "Digits") {
      const bool individual = bool_or(json, "individual_digits", false, kWhere);
      sequence_->add(make_scanning_splitter(individual ? scan_digit : scan_digits));
    } else if (type == "Punctuation") {
      const std::string behavior = string_or(json, "behavior", "Isolated", kWhere);
      sequence_->add(make_char_splitter([](char32_t code) { return is_punctuation(code); },
                                        parse_split_behavior(behavior, kWhere)));
    } else if (type == "CharDelimiterSplit") {
      add_delimiter(require_string(json, "delimiter", kWhere));
    } else if (type == "FixedLength") {
      add_fixed_length(json);
    } else if (type == "WhitespaceSplit") {
      add_whitespace_split();
    } else if (type == "Whitespace") {
      sequence_->add(make_pattern_splitter({Regex(kWords, kWhere)}, SplitBehavior::kRemoved, true));
    } else if (type == "BertPreTokenizer") {
      add_whitespace_split();
      sequence_->add(make_char_splitter([](char32_t code) { return is_punctuation(code); },
                                        SplitBehavior::kIsolated));
    } else {
      fail_unknown("pre_tokenizer", type);
    }
  }

  void add_delimiter(const std::string& delimiter) {
    std::size_t end = 0;
    if (!delimiter.empty()) base::decode_utf8(delimiter, end);
    if (end == 0 || end != delimiter.size())
      base::fail_at(ErrorCode::kCorruptData, kWhere, "CharDelimiterSplit: not one character");
    sequence_->add(make_pattern_splitter({delimiter}, SplitBehavior::kRemoved, false));
  }

  void add_fixed_length(const base::Json& json) {
    const base::Json* length = json.find("length");
    const std::int32_t n = length == nullptr ? 5 : to_token_id(*length, kWhere);
    if (n == 0) base::fail_at(ErrorCode::kCorruptData, kWhere, "FixedLength of length 0");
    sequence_->add(std::make_unique<FixedLength>(static_cast<std::size_t>(n)));
  }

  void add_whitespace_split() {
    sequence_->add(make_char_splitter([](char32_t code) { return is_whitespace(code); },
                                      SplitBehavior::kRemoved));
  }

  void add_metaspace(const base::Json& json) {
    const std::string replacement = string_or(json, "replacement", "\xE2\x96\x81", kWhere);
    if (replacement.empty())
      base::fail_at(ErrorCode::kCorruptData, kWhere, "Metaspace with an empty replacement");
    const bool legacy = bool_or(json, "add_prefix_space", true, kWhere);
    const std::string scheme =
        string_or(json, "prepend_scheme", legacy ? "always" : "never", kWhere);
    Prepend prepend = Prepend::kNever;
    if (scheme == "always") {
      prepend = Prepend::kAlways;
    } else if (scheme == "first") {
      prepend = Prepend::kFirst;
    } else if (scheme != "never") {
      base::fail_at(ErrorCode::kUnsupported, kWhere, "prepend_scheme \"", scheme, "\"");
    }
    sequence_->add(
        std::make_unique<Metaspace>(replacement, prepend, bool_or(json, "split", true, kWhere)));
  }

  std::unique_ptr<SequencePreTokenizer> sequence_ = std::make_unique<SequencePreTokenizer>();
  bool byte_level_ = false;
  bool mapped_ = false;
};

}  // namespace

Words::Words(std::string text, std::size_t start) : text_(std::move(text)), start_(start) {
  if (!text_.empty()) words_.push_back({0, text_.size()});
}

void Words::replace(std::string text, std::vector<Word> words, std::size_t start) {
  text_ = std::move(text);
  start_ = start;
  words_ = std::move(words);
}

PreTokenizerChoice make_pre_tokenizer(const base::Json& json) {
  if (json.is_null()) return {};
  Builder builder;
  builder.add(json, 0);
  return builder.finish();
}

std::unique_ptr<PreTokenizer> make_regex_pre_tokenizer(
    const std::vector<std::string_view>& patterns, std::string_view where) {
  auto sequence = std::make_unique<SequencePreTokenizer>();
  for (const std::string_view pattern : patterns) {
    const WordScanner scanner = find_word_scanner(pattern);
    sequence->add(scanner != nullptr ? make_scanning_splitter(scanner)
                                     : make_regex_splitter({Regex(pattern, where)},
                                                           SplitBehavior::kIsolated, false));
  }
  return sequence;
}

}  // namespace openllm::tokenizer
