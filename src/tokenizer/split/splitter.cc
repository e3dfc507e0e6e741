#include "tokenizer/split/splitter.h"

#include <algorithm>

#include "base/error.h"
#include "base/utf8.h"

namespace openllm::tokenizer {
namespace {

using Word = Words::Word;

class PatternSplitter final : public PreTokenizer {
 public:
  PatternSplitter(Pattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void split(Words& words) const override {
    std::vector<Word> out;
    std::vector<Stretch> stretches;
    if (const auto* regex = std::get_if<Regex>(&pattern_.value)) {
      out.reserve(words.text().size() / 4);
      Regex::Scanner scanner(*regex, {});
      for (const Word& word : words.words()) {
        scanner.reset(words.view(word));
        collect(
            word, [&] { return scanner.next(); }, stretches);
        append_words(stretches, behavior_, out);
      }
    } else {
      const auto& literal = std::get<std::string>(pattern_.value);
      for (const Word& word : words.words()) {
        const std::string_view text = words.view(word);
        std::size_t pos = 0;
        const auto next = [&]() -> std::optional<ByteRange> {
          const std::size_t at = literal.empty() ? std::string_view::npos : text.find(literal, pos);
          if (at == std::string_view::npos) return std::nullopt;
          pos = at + literal.size();
          return ByteRange{at, pos};
        };
        collect(word, next, stretches);
        append_words(stretches, behavior_, out);
      }
    }
    words.replace(std::move(out));
  }
  bool keeps_text() const noexcept override { return behavior_ != SplitBehavior::kRemoved; }

 private:
  /// The stretches of a word; `next` gives the matches relative to it.
  template <typename Next>
  void collect(const Word& word, Next next, std::vector<Stretch>& out) const {
    out.clear();
    std::size_t done = word.begin;
    while (const auto match = next()) {
      const std::size_t begin = word.begin + match->begin;
      if (begin > done) out.push_back({done, begin, invert_});
      done = word.begin + match->end;
      out.push_back({begin, done, !invert_});
    }
    if (done < word.end) out.push_back({done, word.end, invert_});
  }

  Pattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

class CharSplitter final : public PreTokenizer {
 public:
  CharSplitter(bool (*is_match)(char32_t), SplitBehavior behavior)
      : is_match_(is_match), behavior_(behavior) {}

  void split(Words& words) const override {
    std::vector<Word> out;
    std::vector<Stretch> stretches;
    for (const Word& word : words.words()) {
      stretches.clear();
      const std::string_view text = words.view(word);
      std::size_t done = 0;
      for (std::size_t pos = 0; pos < text.size();) {
        const std::size_t begin = pos;
        if (!is_match_(base::decode_utf8(text, pos))) continue;
        if (begin > done) stretches.push_back({word.begin + done, word.begin + begin, false});
        stretches.push_back({word.begin + begin, word.begin + pos, true});
        done = pos;
      }
      if (done < text.size()) stretches.push_back({word.begin + done, word.end, false});
      append_words(stretches, behavior_, out);
    }
    words.replace(std::move(out));
  }
  bool keeps_text() const noexcept override { return behavior_ != SplitBehavior::kRemoved; }

 private:
  bool (*is_match_)(char32_t);
  SplitBehavior behavior_;
};

class ScanningSplitter final : public PreTokenizer {
 public:
  explicit ScanningSplitter(WordScanner scanner) : scanner_(scanner) {}

  void split(Words& words) const override {
    std::vector<Word> out;
    out.reserve(words.text().size() / 4);
    for (const Word& word : words.words()) {
      const std::string_view text = words.view(word);
      for (std::size_t at = 0; at < text.size();) {
        const std::size_t begin = at;
        at = scanner_(text, begin);
        out.push_back({word.begin + begin, word.begin + at});
      }
    }
    words.replace(std::move(out));
  }
  bool add_scanners(std::vector<WordScanner>& out) const override {
    out.push_back(scanner_);
    return true;
  }

 private:
  WordScanner scanner_;
};

void push(std::vector<Word>& out, std::size_t begin, std::size_t end) {
  if (begin < end) out.push_back({begin, end});
}

/// A match joins what is before it, but two matches do not join.
void append_merged_with_previous(const std::vector<Stretch>& stretches, std::vector<Word>& out) {
  for (std::size_t i = 0; i < stretches.size(); ++i) {
    const bool joins =
        !stretches[i].is_match && i + 1 < stretches.size() && stretches[i + 1].is_match;
    push(out, stretches[i].begin, stretches[i + (joins ? 1 : 0)].end);
    if (joins) ++i;
  }
}

void append_merged_with_next(const std::vector<Stretch>& stretches, std::vector<Word>& out) {
  for (std::size_t i = 0; i < stretches.size(); ++i) {
    const bool joins =
        stretches[i].is_match && i + 1 < stretches.size() && !stretches[i + 1].is_match;
    push(out, stretches[i].begin, stretches[i + (joins ? 1 : 0)].end);
    if (joins) ++i;
  }
}

void append_contiguous(const std::vector<Stretch>& stretches, std::vector<Word>& out) {
  for (std::size_t i = 0; i < stretches.size();) {
    std::size_t last = i;
    while (last + 1 < stretches.size() && stretches[last + 1].is_match == stretches[i].is_match)
      ++last;
    push(out, stretches[i].begin, stretches[last].end);
    i = last + 1;
  }
}

}  // namespace

SplitBehavior parse_split_behavior(std::string_view name, std::string_view where) {
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  base::fail_at(ErrorCode::kUnsupported, where, "split behavior \"", name, "\"");
}

void append_words(const std::vector<Stretch>& stretches, SplitBehavior behavior,
                  std::vector<Word>& out) {
  switch (behavior) {
    case SplitBehavior::kIsolated:
      for (const Stretch& stretch : stretches) push(out, stretch.begin, stretch.end);
      break;
    case SplitBehavior::kRemoved:
      for (const Stretch& stretch : stretches) {
        if (!stretch.is_match) push(out, stretch.begin, stretch.end);
      }
      break;
    case SplitBehavior::kMergedWithPrevious:
      append_merged_with_previous(stretches, out);
      break;
    case SplitBehavior::kMergedWithNext:
      append_merged_with_next(stretches, out);
      break;
    case SplitBehavior::kContiguous:
      append_contiguous(stretches, out);
      break;
  }
}

std::unique_ptr<PreTokenizer> make_pattern_splitter(Pattern pattern, SplitBehavior behavior,
                                                    bool invert) {
  const auto* regex = std::get_if<Regex>(&pattern.value);
  if (regex != nullptr && behavior == SplitBehavior::kIsolated && !invert) {
    if (const WordScanner scanner = find_word_scanner(regex->pattern()))
      return make_scanning_splitter(scanner);
  }
  return make_regex_splitter(std::move(pattern), behavior, invert);
}

std::unique_ptr<PreTokenizer> make_scanning_splitter(WordScanner scanner) {
  return std::make_unique<ScanningSplitter>(scanner);
}

std::unique_ptr<PreTokenizer> make_regex_splitter(Pattern pattern, SplitBehavior behavior,
                                                  bool invert) {
  return std::make_unique<PatternSplitter>(std::move(pattern), behavior, invert);
}

std::unique_ptr<PreTokenizer> make_char_splitter(bool (*is_match)(char32_t),
                                                 SplitBehavior behavior) {
  return std::make_unique<CharSplitter>(is_match, behavior);
}

}  // namespace openllm::tokenizer
