#include "tokenizer/text/aligned_forms.h"

#include <algorithm>

#include "tokenizer/unicode/fast_utf8.h"

namespace openllm::tokenizer {
namespace {

bool is_decomposed(NormalForm form) noexcept {
  return form == NormalForm::kNfd || form == NormalForm::kNfkd;
}

/// Characters with their combining classes.
struct Classed {
  Rewritten rewritten;
  int combining;
};

/// Decomposes, and sorts the marks of each character.
std::vector<Classed> decompose_all(NormalForm form, std::string_view text) {
  const bool compatible = form == NormalForm::kNfkc || form == NormalForm::kNfkd;
  const NormalForm decomposed = compatible ? NormalForm::kNfkd : NormalForm::kNfd;
  std::vector<Classed> out;
  for (std::size_t pos = 0; pos < text.size();) {
    const char32_t code = decode_valid(text, pos);
    const std::u32string parts = decompose(decomposed, code);
    if (parts.empty()) out.push_back({{code, 0}, combining_class(code)});
    for (std::size_t i = 0; i < parts.size(); ++i)
      out.push_back({{parts[i], i == 0 ? 0 : 1}, combining_class(parts[i])});
  }
  for (auto begin = out.begin(); begin != out.end();) {
    if (begin->combining == 0) {
      ++begin;
      continue;
    }
    const auto end =
        std::find_if(begin, out.end(), [](const Classed& c) { return c.combining == 0; });
    std::stable_sort(begin, end,
                     [](const Classed& a, const Classed& b) { return a.combining < b.combining; });
    begin = end;
  }
  return out;
}

}  // namespace

std::vector<Rewritten> normalize_chars(NormalForm form, std::string_view text) {
  constexpr std::size_t kNone = ~std::size_t{0};
  std::vector<Rewritten> out;
  std::size_t starter = kNone;  // what following characters may join
  int last_class = 0;           // of the marks between it and the next character; 0: there are none
  for (const Classed& next : decompose_all(form, text)) {
    const auto& [code, change] = next.rewritten;
    const bool blocked = last_class != 0 && last_class >= next.combining;
    if (!is_decomposed(form) && starter != kNone && !blocked) {
      if (const auto both = compose(out[starter].code, code)) {
        out[starter] = {*both, out[starter].change + change - 1};
        continue;
      }
    }
    if (next.combining == 0) {
      starter = out.size();
      last_class = 0;
    } else if (starter != kNone) {
      last_class = next.combining;
    }
    out.push_back(next.rewritten);
  }
  return out;
}

}  // namespace openllm::tokenizer
