#include "tokenizer/text/precompiled_normalizer.h"

#include <array>
#include <utility>

#include "base/utf8.h"
#include "tokenizer/text/aligned_text.h"
#include "tokenizer/unicode/fast_utf8.h"
#include "tokenizer/unicode/graphemes.h"

namespace openllm::tokenizer {
namespace {

constexpr std::size_t kMaxClusterBytes = 5;

class PrecompiledNormalizer final : public Normalizer {
 public:
  explicit PrecompiledNormalizer(Charsmap charsmap) : charsmap_(std::move(charsmap)) {
    for (std::size_t c = 0; c < plain_.size(); ++c) {
      const auto letter = static_cast<char>(c);
      plain_[c] = !charsmap_.shortest(std::string_view(&letter, 1));
    }
  }

  std::string apply(std::string text) const override {
    std::string out;
    out.reserve(text.size());
    each_part(
        text, [&](std::string_view part) { out += part; },
        [&](std::string_view, std::string_view to) { out += to; });
    return out;
  }

  void apply_aligned(AlignedText& text) const override {
    std::vector<Rewritten> chars;
    bool changes = false;
    const auto append = [&](std::string_view part) {
      for (std::size_t pos = 0; pos < part.size();) chars.push_back({decode_valid(part, pos), 0});
    };
    each_part(text.text(), append, [&](std::string_view from, std::string_view to) {
      changes = true;
      append(to);
      const std::ptrdiff_t more = count_chars(to) - count_chars(from);
      if (more < 0 && !chars.empty()) chars.back().change += more;
      for (std::ptrdiff_t i = 0; i < more; ++i)
        chars[chars.size() - 1 - static_cast<std::size_t>(i)].change = 1;
    });
    if (changes) text.rewrite(chars);
  }

  std::size_t max_shrink(bool) const noexcept override { return 0; }

 private:
  static std::ptrdiff_t count_chars(std::string_view text) {
    std::ptrdiff_t n = 0;
    for (std::size_t pos = 0; pos < text.size(); ++n) decode_valid(text, pos);
    return n;
  }

  /// Calls `keep(part)` for what stays and `replace(part, by)` for what does not.
  template <typename Keep, typename Replace>
  void each_part(std::string_view text, Keep keep, Replace replace) const {
    std::size_t done = 0;  // what lies between here and `begin` stays
    for (std::size_t begin = 0; begin < text.size();) {
      if (is_plain(text, begin)) {
        ++begin;
        continue;
      }
      const std::size_t end = grapheme_end(text, begin);
      std::size_t pos = begin;
      while (pos < end) {
        const std::size_t at = pos;
        decode_valid(text, pos);
        if (at == begin && end - begin <= kMaxClusterBytes &&
            charsmap_.shortest(text.substr(begin, end - begin)))
          pos = end;
        const auto match = charsmap_.shortest(text.substr(at, pos - at));
        if (!match) continue;
        if (done < at) keep(text.substr(done, at - done));
        replace(text.substr(at, pos - at), match->text);
        done = pos;
      }
      begin = end;
    }
    if (done < text.size()) keep(text.substr(done));
  }

  /// A letter of ASCII that stays and is a cluster of its own.
  bool is_plain(std::string_view text, std::size_t at) const noexcept {
    const auto byte = static_cast<unsigned char>(text[at]);
    return byte < 0x80 && plain_[byte] && byte != '\r' &&
           (at + 1 == text.size() || static_cast<unsigned char>(text[at + 1]) < 0x80);
  }

  Charsmap charsmap_;
  std::array<bool, 128> plain_{};
};

}  // namespace

std::unique_ptr<Normalizer> make_precompiled_normalizer(Charsmap charsmap) {
  return std::make_unique<PrecompiledNormalizer>(std::move(charsmap));
}

}  // namespace openllm::tokenizer
