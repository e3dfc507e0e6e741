#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace openllm::tokenizer {

/// Bytes of the whole input.
struct Origin {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// A character of a rewritten text, and how it came about, as the Hugging Face library counts:
/// 0: it stands for the next character of the text before; n > 0: it was put in and stands for what
/// the one before it stands for; -n: it stands for the next character, and n more are gone.
struct Rewritten {
  char32_t code;
  std::ptrdiff_t change;
};

/// A text that was cut out of a larger one and rewritten, and what each of its bytes stands for.
class AlignedText {
 public:
  /// `offset`: of `text` (valid UTF-8) in the whole input. Each character stands for itself.
  AlignedText(std::string_view text, std::size_t offset);

  const std::string& text() const noexcept { return text_; }
  const std::vector<Origin>& origins() const noexcept { return origins_; }
  std::string take_text() { return std::move(text_); }
  std::vector<Origin> take_origins() { return std::move(origins_); }

  /// Another text; an origin for each byte.
  void set(std::string text, std::vector<Origin> origins) {
    text_ = std::move(text);
    origins_ = std::move(origins);
  }
  /// Replaces the text; the first `n_dropped` characters are gone.
  void rewrite(const std::vector<Rewritten>& chars, std::size_t n_dropped = 0);
  /// Takes the characters away that `keep` is false for.
  template <typename Keep>
  void filter(Keep keep);
  /// Replaces each character by another.
  template <typename Map>
  void map(Map map);

  /// Bytes that are replaced by a text, which stands for the last one of them, or, where there are
  /// none, for the byte in front.
  struct Match {
    std::size_t begin, end;
  };
  /// `matches`: in order.
  void replace(const std::vector<Match>& matches, std::string_view by);
  /// Puts a text in front, which stands for the first character; not in front of nothing.
  void prepend(std::string_view prefix);
  /// Keeps the bytes from `begin` to `end`.
  void keep(std::size_t begin, std::size_t end);

 private:
  std::vector<char32_t> chars() const;

  std::size_t offset_;
  std::string text_;
  std::vector<Origin> origins_;  // one for each byte
};

template <typename Keep>
void AlignedText::filter(Keep keep) {
  std::vector<Rewritten> kept;
  std::size_t n_dropped = 0;
  std::ptrdiff_t n_gone = 0;
  for (const char32_t code : chars()) {
    if (!keep(code)) {
      ++n_gone;
      continue;
    }
    if (kept.empty()) {
      n_dropped = static_cast<std::size_t>(n_gone);
    } else {
      kept.back().change = -n_gone;
    }
    kept.push_back({code, 0});
    n_gone = 0;
  }
  rewrite(kept, n_dropped);
}

template <typename Map>
void AlignedText::map(Map map) {
  std::vector<Rewritten> mapped;
  for (const char32_t code : chars()) mapped.push_back({map(code), 0});
  rewrite(mapped);
}

}  // namespace openllm::tokenizer
