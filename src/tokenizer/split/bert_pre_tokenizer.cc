#include <array>

#include "tokenizer/split/pre_tokenizer.h"
#include "tokenizer/unicode/fast_utf8.h"
#include "tokenizer/unicode/unicode.h"

namespace openllm::tokenizer {
namespace {

enum class CharClass : unsigned char { kWord, kBlank, kMark };

std::array<CharClass, 128> make_ascii_kinds() noexcept {
  std::array<CharClass, 128> kinds{};
  for (std::size_t c = 0; c < kinds.size(); ++c) {
    const auto code = static_cast<char32_t>(c);
    kinds[c] = is_whitespace(code)    ? CharClass::kBlank
               : is_punctuation(code) ? CharClass::kMark
                                      : CharClass::kWord;
  }
  return kinds;
}

class BertPreTokenizer final : public PreTokenizer {
 public:
  void split(Words& words) const override {
    std::vector<Words::Word> out;
    out.reserve(words.text().size() / 5);
    const std::string_view text = words.text();
    for (const Words::Word& word : words.words()) {
      std::size_t begin = word.begin;  // of the letters before `pos`
      for (std::size_t pos = word.begin; pos < word.end;) {
        const std::size_t at = pos;
        const char32_t code = decode_valid(text, pos);
        const CharClass kind = kind_of(code);
        if (kind == CharClass::kWord) continue;
        if (begin < at) out.push_back({begin, at});
        if (kind == CharClass::kMark) out.push_back({at, pos});
        begin = pos;
      }
      if (begin < word.end) out.push_back({begin, word.end});
    }
    words.replace(std::move(out));
  }
  bool keeps_text() const noexcept override { return false; }

 private:
  CharClass kind_of(char32_t code) const noexcept {
    if (code < 0x80) return ascii_[code];
    return is_whitespace(code)    ? CharClass::kBlank
           : is_punctuation(code) ? CharClass::kMark
                                  : CharClass::kWord;
  }

  const std::array<CharClass, 128> ascii_ = make_ascii_kinds();
};

}  // namespace

std::unique_ptr<PreTokenizer> make_bert_pre_tokenizer() {
  return std::make_unique<BertPreTokenizer>();
}

}  // namespace openllm::tokenizer
