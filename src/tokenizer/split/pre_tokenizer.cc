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

/// Text that is made out of another one.
class Rewriter {
 public:
  explicit Rewriter(const Words& words) : words_(words), aligned_(!words.origins().empty()) {
    text_.reserve(words.text().size() + words.words().size());
  }
  std::size_t size() const noexcept { return text_.size(); }
  /// Bytes of the text before.
  void copy(std::size_t begin, std::size_t end) {
    text_.append(words_.text(), begin, end - begin);
    if (!aligned_) return;
    const auto from = words_.origins().begin();
    origins_.insert(origins_.end(), from + static_cast<std::ptrdiff_t>(begin),
                    from + static_cast<std::ptrdiff_t>(end));
  }
  /// Other bytes, which stand for what the one at `at` stood for.
  void put(std::string_view bytes, std::size_t at) {
    text_ += bytes;
    if (aligned_) origins_.insert(origins_.end(), bytes.size(), words_.origins()[at]);
  }
  std::string take_text() { return std::move(text_); }
  std::vector<Origin> take_origins() { return std::move(origins_); }

 private:
  const Words& words_;
  const bool aligned_;
  std::string text_;
  std::vector<Origin> origins_;
};

/// Rewrites each word; `rewrite_word` may set the new start.
template <typename Rewrite>
void rewrite(Words& words, Rewrite rewrite_word) {
  Rewriter out(words);
  std::vector<Word> new_words;
  std::size_t start = 0;
  new_words.reserve(words.words().size());
  for (const Word& word : words.words()) {
    const std::size_t begin = out.size();
    rewrite_word(word, out, start);
    if (out.size() > begin) new_words.push_back({begin, out.size()});
  }
  words.replace(out.take_text(), std::move(new_words), start, out.take_origins());
}

/// Puts a space before words that have none.
class PrefixSpace final : public PreTokenizer {
 public:
  void split(Words& words) const override {
    rewrite(words, [&](const Word& word, Rewriter& out, std::size_t&) {
      if (!words.view(word).starts_with(' ')) out.put(" ", word.begin);
      out.copy(word.begin, word.end);
    });
  }
};

/// Bytes to GPT-2's alphabet, for the pre-tokenizers behind a ByteLevel one, ...
class MapBytes final : public PreTokenizer {
 public:
  void split(Words& words) const override {
    rewrite(words, [&](const Word& word, Rewriter& out, std::size_t&) {
      for (std::size_t i = word.begin; i < word.end; ++i)
        out.put(map_bytes(std::string_view(words.text()).substr(i, 1)), i);
    });
  }
};

/// ... and back for the model, which works on bytes.
class UnmapBytes final : public PreTokenizer {
 public:
  void split(Words& words) const override {
    rewrite(words, [&](const Word& word, Rewriter& out, std::size_t&) {
      for (std::size_t pos = word.begin; pos < word.end;) {
        const std::size_t begin = pos;
        const auto byte = char_to_byte(base::decode_utf8(words.text(), pos));
        const char raw = byte ? static_cast<char>(*byte) : '\0';
        byte ? out.put(std::string_view(&raw, 1), begin) : out.copy(begin, pos);
      }
    });
  }
};

/// Cuts where the script changes, as SentencePiece does when it looks for tokens. Spaces and what
/// has no script join what is before them; before everything they are left out.
class UnicodeScripts final : public PreTokenizer {
 public:
  void split(Words& words) const override {
    std::vector<Word> out;
    for (const Word& word : words.words()) {
      const std::string_view text = words.view(word);
      int last = kNone;
      std::size_t begin = text.size();
      for (std::size_t pos = 0; pos < text.size();) {
        const std::size_t at = pos;
        const int script = script_of(base::decode_utf8(text, pos));
        if (script == kNone || script == last) continue;
        if (last != kNone) out.push_back({word.begin + begin, word.begin + at});
        begin = at;
        last = script;
      }
      if (last != kNone) out.push_back({word.begin + begin, word.end});
    }
    words.replace(std::move(out));
  }
  bool keeps_text() const noexcept override { return false; }

 private:
  static constexpr int kNone = 0;
  static int script_of(char32_t code) noexcept {
    if (code == U' ') return kNone;
    const int script = old_script(code);
    const bool kana =
        code == 0x30FC || script == old_script(0x3042) || script == old_script(0x30A2);
    return kana ? old_script(0x4E00) : script;
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
    rewrite(words, [&](const Word& word, Rewriter& out, std::size_t& start) {
      const std::string_view view = words.view(word);
      const bool first = words.is_first(word);
      const bool wants = prepend_ == Prepend::kAlways || (prepend_ == Prepend::kFirst && first);
      if (wants && !view.starts_with(' ') && !view.starts_with(replacement_))
        out.put(replacement_, word.begin);
      std::size_t done = word.begin;
      if (first) {
        done = std::min(words.start(), word.end);
        append(words, word.begin, done, out);
        start = out.size();
      }
      append(words, done, word.end, out);
    });
    if (splitter_ != nullptr) splitter_->split(words);
  }

 private:
  void append(const Words& words, std::size_t begin, std::size_t end, Rewriter& out) const {
    const std::string_view text = words.text();
    while (begin < end) {
      const std::size_t space = std::min(text.find(' ', begin), end);
      if (begin < space) out.copy(begin, space);
      if (space < end) out.put(replacement_, space);
      begin = space + 1;
    }
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
    } else if (type == "UnicodeScripts") {
      sequence_->add(std::make_unique<UnicodeScripts>());
    } else if (type == "WhitespaceSplit") {
      add_whitespace_split();
    } else if (type == "Whitespace") {
      sequence_->add(make_pattern_splitter({Regex(kWords, kWhere)}, SplitBehavior::kRemoved, true));
    } else if (type == "BertPreTokenizer") {
      sequence_->add(make_bert_pre_tokenizer());
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

Words::Words(std::string text, std::size_t start, std::vector<Origin> origins)
    : text_(std::move(text)), start_(start), origins_(std::move(origins)) {
  if (!text_.empty()) words_.push_back({0, text_.size()});
}

void Words::replace(std::string text, std::vector<Word> words, std::size_t start,
                    std::vector<Origin> origins) {
  text_ = std::move(text);
  origins_ = std::move(origins);
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
