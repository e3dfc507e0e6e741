#include "tokenizer/text/sentencepiece_normalizer.h"

#include <utility>

#include "base/utf8.h"
#include "tokenizer/vocab/byte_trie.h"

namespace openllm::tokenizer {
namespace {

constexpr std::string_view kMeta = "\xE2\x96\x81";

class SentencePieceNormalizer final : public Normalizer {
 public:
  explicit SentencePieceNormalizer(SentencePieceRules rules) : rules_(std::move(rules)) {
    std::vector<ByteTrie::Entry> entries;
    for (const std::string& text : rules_.kept) entries.push_back({text, 0});
    kept_ = ByteTrie(std::move(entries));
  }

  std::string apply(std::string text) const override {
    std::string out;
    out.reserve(text.size() + text.size() / 2 + kMeta.size());
    rewrite(text, [&](std::string_view bytes, std::size_t, std::size_t) { out += bytes; });
    cut_end(out);
    return out;
  }

  void apply_aligned(AlignedText& text) const override {
    // What a part becomes stands for all of the part.
    std::vector<Origin> origins;
    std::string out;
    const std::vector<Origin>& before = text.origins();
    rewrite(text.text(), [&](std::string_view bytes, std::size_t begin, std::size_t end) {
      out += bytes;
      const Origin first = before[begin];
      const Origin last = end > begin ? before[end - 1] : first;
      origins.insert(origins.end(), bytes.size(), Origin{first.begin, last.end});
    });
    cut_end(out);
    origins.resize(out.size(), origins.empty() ? Origin{} : origins.back());
    text.set(std::move(out), std::move(origins));
  }

  std::size_t max_shrink(bool) const noexcept override {
    return rules_.remove_extra_whitespaces || rules_.charsmap ? 0 : 1;
  }

 private:
  struct Part {
    std::string_view text;
    std::size_t length;
  };
  /// The beginning of a text that is not empty, and what it becomes.
  Part next_part(std::string_view text) const {
    if (const auto match = kept_.longest(text); match.length > 0)
      return {text.substr(0, match.length), match.length};
    if (rules_.charsmap) {
      if (const auto match = rules_.charsmap->longest(text)) return {match->text, match->length};
    }
    std::size_t end = 0;
    base::decode_utf8(text, end);
    return {text.substr(0, end), end};
  }

  std::string_view space() const { return rules_.escape_whitespaces ? kMeta : " "; }

  /// Calls `append(bytes, begin, end)` for what the text becomes, and the part that it stands for.
  template <typename Append>
  void rewrite(std::string_view text, Append append) const {
    std::size_t at = 0;
    while (rules_.remove_extra_whitespaces && at < text.size()) {
      const Part part = next_part(text.substr(at));
      if (part.text != " ") break;
      at += part.length;
    }
    if (at == text.size()) return;
    if (rules_.add_dummy_prefix && !rules_.space_is_suffix) append(space(), at, at);
    bool behind_space = rules_.remove_extra_whitespaces;
    while (at < text.size()) {
      const Part part = next_part(text.substr(at));
      std::string_view rest = part.text;
      while (behind_space && rest.starts_with(' ')) rest.remove_prefix(1);
      for (std::size_t i = 0; i < rest.size();) {
        const std::size_t blank = std::min(rest.find(' ', i), rest.size());
        if (i < blank) append(rest.substr(i, blank - i), at, at + part.length);
        if (blank < rest.size()) append(space(), at, at + part.length);
        i = blank + 1;
      }
      if (!rest.empty()) behind_space = rules_.remove_extra_whitespaces && rest.ends_with(' ');
      at += part.length;
    }
  }

  void cut_end(std::string& out) const {
    const std::string_view blank = space();
    while (rules_.remove_extra_whitespaces && std::string_view(out).ends_with(blank))
      out.resize(out.size() - blank.size());
    if (!out.empty() && rules_.add_dummy_prefix && rules_.space_is_suffix) out += blank;
  }

  SentencePieceRules rules_;
  ByteTrie kept_;
};

}  // namespace

std::unique_ptr<Normalizer> make_sentencepiece_normalizer(SentencePieceRules rules) {
  return std::make_unique<SentencePieceNormalizer>(std::move(rules));
}

}  // namespace openllm::tokenizer
