#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "tokenizer/json_fields.h"

namespace openllm::tokenizer {

/// Rules that turn the spelling of a token into text, one token at a time.
class DecodeRules {
 public:
  /// Rules for spellings in GPT-2's alphabet.
  static DecodeRules byte_level();
  /// Rules of SentencePiece: U+2581 is a space, <0x..> tokens are bytes. As in llama.cpp a
  /// byte that is not part of valid UTF-8 leaves those beside it alone.
  static DecodeRules sentencepiece(bool strip_leading_space);
  /// Tokens are what they spell, <0x..> tokens are bytes.
  static DecodeRules bytes_and_spellings();
  /// The component "decoder" of tokenizer.json. For null the text is the tokens with spaces between
  /// them, as in the Hugging Face library.
  static DecodeRules from_json(const base::Json& json);

  /// Appends the bytes of a token; `first`: the first one of a text.
  void append(std::string& out, std::string_view piece, bool first) const;
  std::string apply(std::string_view piece, bool first) const {
    std::string text;
    append(text, piece, first);
    return text;
  }
  /// Result of the steps behind ByteFallback for the text of a run of byte tokens.
  std::string apply_to_bytes(std::string text, bool first) const;
  /// The byte that the token stands for, with byte fallback.
  std::optional<unsigned char> byte_of(std::string_view piece) const noexcept;
  /// Whether a run of byte tokens is text only if all of it is valid UTF-8, as in the Hugging Face
  /// library.
  bool joins_bytes() const noexcept { return joins_bytes_; }
  /// Whether the result of apply() depends on `first`.
  bool first_differs() const noexcept { return first_differs_; }
  /// Whether the last token of a text gives another text: apply_last().
  bool last_differs() const noexcept { return last_differs_; }
  std::string apply_last(std::string_view piece, bool first) const;
  /// Whether a token behind one of the same spelling is left out.
  bool drops_repeats() const noexcept { return drops_repeats_; }
  /// Whether one leading space of the whole text is removed.
  bool strips_leading_space() const noexcept { return strips_leading_space_; }

 private:
  struct Replace {
    Pattern pattern;
    std::string to;
  };
  struct Strip {
    std::string content;
    std::size_t start, stop;
  };
  struct Metaspace {
    std::string replacement;
    bool strips_first;
  };
  struct WordPiece {
    std::string prefix;
    bool cleanup;
  };
  struct Suffix {
    std::string suffix;
  };
  struct Ctc {
    std::string pad, delimiter;
    bool cleanup;
  };
  struct ByteLevel {};
  struct SpaceBetween {};
  using Step =
      std::variant<Replace, Strip, Metaspace, WordPiece, Suffix, Ctc, ByteLevel, SpaceBetween>;

  void add(const base::Json& json, int depth);
  bool is_one_char(const Pattern& pattern) const;
  void require_whole_tokens(const std::string& type) const;
  void add_ctc(const base::Json& json);
  void check_neighbours() const;
  void add_strip(const base::Json& json);
  bool replaces_only_meta() const noexcept;
  /// Where a token stands in a text.
  struct Place {
    bool first, last;
  };
  static std::string run(const Step& step, std::string text, Place place);

  std::vector<Step> steps_;
  std::size_t n_before_bytes_ = 0;  // steps before ByteFallback
  bool byte_fallback_ = false;
  bool joins_bytes_ = false;
  bool fused_ = false;  // while parsing: the steps that follow see the whole text
  bool first_differs_ = false;
  bool last_differs_ = false;
  bool drops_repeats_ = false;
  bool strips_leading_space_ = false;
};

}  // namespace openllm::tokenizer
