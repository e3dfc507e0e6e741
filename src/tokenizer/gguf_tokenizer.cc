#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer/bpe.h"
#include "tokenizer/end_tokens.h"
#include "tokenizer/gguf_pre_tokenizer.h"
#include "tokenizer/pipeline.h"

namespace openllm::tokenizer {
namespace {

constexpr std::string_view kMeta = "\xE2\x96\x81";  // U+2581
constexpr std::size_t kMaxTokens = std::size_t{1} << 28U;
constexpr std::size_t kSetAhead = 8;    // tokens whose place in the hash table is loaded ahead
constexpr std::size_t kMergeAhead = 2;  // the same with all their parts
constexpr std::size_t kMaxMergedBytes = 1024;  // longer tokens cannot be reached by merging

enum class TokenType : std::int64_t {
  kNormal = 1,
  kUnknown,
  kControl,
  kUserDefined,
  kUnused,
  kByte
};

class GgufBuilder {
 public:
  explicit GgufBuilder(const GgufVocab& gguf) : gguf_(gguf), n_tokens_(gguf.tokens.size()) {
    if (n_tokens_ == 0) base::fail(ErrorCode::kCorruptData, "gguf: tokenizer: no tokens");
    if (n_tokens_ > kMaxTokens)
      base::fail(ErrorCode::kCorruptData, "gguf: tokenizer: ", n_tokens_, " tokens");
    check_length("token_type", gguf.token_types.size());
    check_length("scores", gguf.scores.size());
    for (const auto& id : {gguf.bos_id, gguf.eos_id, gguf.eot_id, gguf.unk_id}) {
      if (id) check_id(*id);
    }
    read_vocab();
    read_added_tokens();
  }

  std::unique_ptr<Tokenizer> build() {
    if (gguf_.model == "gpt2") {
      build_byte_level();
    } else if (gguf_.model == "llama") {
      build_sentencepiece();
    } else {
      base::fail(ErrorCode::kUnsupported, "gguf: tokenizer model \"", gguf_.model.substr(0, 100),
                 "\" (known: gpt2 llama)");
    }
    parts_.bos_id = gguf_.bos_id;
    parts_.eos_id = gguf_.eos_id;
    parts_.eos_ids = end_tokens();
    return make_pipeline(std::move(parts_));
  }

 private:
  void check_length(const char* what, std::size_t n) const {
    if (n == 0 || n == n_tokens_) return;
    base::fail(ErrorCode::kCorruptData, "gguf: tokenizer.ggml.", what, ": bad length (expected ",
               n_tokens_, ", got ", n, ")");
  }

  void check_id(TokenId id) const {
    if (id >= 0 && static_cast<std::size_t>(id) < n_tokens_) return;
    base::fail(ErrorCode::kCorruptData,
               "gguf: tokenizer: special token id out of range (expected below ", n_tokens_,
               ", got ", id, ")");
  }

  TokenType type_of(TokenId id) const {
    if (gguf_.token_types.empty()) return TokenType::kNormal;
    return static_cast<TokenType>(gguf_.token_types[static_cast<std::size_t>(id)]);
  }
  std::string_view text_of(TokenId id) const { return gguf_.tokens[static_cast<std::size_t>(id)]; }

  void read_vocab() {
    std::size_t n_bytes = 0;
    for (const std::string_view token : gguf_.tokens) n_bytes += token.size();
    parts_.vocab = std::make_unique<Vocab>();
    parts_.vocab->reserve(n_tokens_, n_bytes);
    for (std::size_t i = 0; i < n_tokens_; ++i) {
      if (i + kSetAhead < n_tokens_) parts_.vocab->prefetch(gguf_.tokens[i + kSetAhead]);
      parts_.vocab->set(static_cast<TokenId>(i), gguf_.tokens[i]);
    }
  }

  /// The ids that the file gives a meaning to are special whatever their type says.
  bool has_role(TokenId id) const {
    return id == gguf_.bos_id || id == gguf_.eos_id || id == gguf_.eot_id ||
           is_end_spelling(text_of(id));
  }

  void read_added_tokens() {
    for (std::size_t i = 0; i < n_tokens_; ++i) {
      const auto id = static_cast<TokenId>(i);
      const TokenType type = type_of(id);
      const bool special =
          type == TokenType::kControl || type == TokenType::kUnknown || has_role(id);
      if (!special && type != TokenType::kUserDefined) continue;
      AddedToken token;
      token.id = id;
      token.content = std::string(text_of(id));
      token.special = special;
      // Nobody means a token of this length in a text.
      if (token.content.empty() || token.content.size() > AddedTokenMatcher::kMaxContentBytes)
        continue;
      parts_.added.push_back(std::move(token));
    }
  }

  void build_byte_level() {
    const GgufPreTokenizer pre = find_gguf_pre_tokenizer(gguf_.pre);
    parts_.pre_tokenizer = make_regex_pre_tokenizer(pre.patterns, "gguf: pre-tokenizer");
    BpeOptions options;
    options.byte_level = true;
    options.ignore_merges = pre.ignore_merges;
    auto bpe = std::make_unique<Bpe>(*parts_.vocab, options);
    bpe->reserve_merges(gguf_.merges.size());
    for (std::size_t i = 0; i < gguf_.merges.size(); ++i) add_merge(*bpe, i);
    parts_.model = std::move(bpe);
    parts_.decoder = DecodeRules::byte_level();
    parts_.raw_added_text = true;
    set_frame(pre.add_bos);
  }

  /// Merges of tokens that the vocabulary lacks have no effect.
  void add_merge(Bpe& bpe, std::size_t index) const {
    const std::string_view text = gguf_.merges[index];
    const std::size_t space = text.find(' ', 1);
    if (space == std::string_view::npos) {
      base::fail(ErrorCode::kCorruptData, "gguf: tokenizer.ggml.merges: entry ", index,
                 " is not a pair");
    }
    const std::string_view left = text.substr(0, space);
    const std::string_view right = text.substr(space + 1);
    const auto left_id = parts_.vocab->find(left);
    const auto right_id = parts_.vocab->find(right);
    const auto merged_id = parts_.vocab->find(base::cat(left, right));
    if (!left_id || !right_id || !merged_id) return;
    if (bpe.has_merge(*left_id, *right_id)) return;  // the first one counts
    bpe.add_merge(*left_id, *right_id, {static_cast<std::uint32_t>(index), *merged_id});
  }

  void build_sentencepiece() {
    const bool add_space_prefix = gguf_.add_space_prefix.value_or(true);
    if (add_space_prefix) parts_.normalizer = make_prepend_normalizer(std::string(kMeta));
    parts_.normalizer = make_normalizer_sequence(std::move(parts_.normalizer),
                                                 make_replace_normalizer(" ", std::string(kMeta)));
    BpeOptions options;
    options.byte_fallback = true;
    options.unk_id = gguf_.unk_id;
    auto bpe = std::make_unique<Bpe>(*parts_.vocab, options);
    add_score_merges(*bpe);
    parts_.model = std::move(bpe);
    parts_.decoder = DecodeRules::sentencepiece(add_space_prefix);
    set_frame(true);
  }

  float score_of(TokenId id) const {
    if (gguf_.scores.empty()) return -static_cast<float>(id);
    const float score = gguf_.scores[static_cast<std::size_t>(id)];
    return std::isnan(score) ? -std::numeric_limits<float>::infinity() : score;
  }

  /// SentencePiece merges any two neighbours that make a token, the highest score first.
  void add_score_merges(Bpe& bpe) const {
    std::vector<TokenId> order;
    for (TokenId id = 0; id < static_cast<TokenId>(n_tokens_); ++id) {
      const TokenType type = type_of(id);
      const bool can_merge = type == TokenType::kNormal || type == TokenType::kUserDefined ||
                             type == TokenType::kUnused;
      if (static_cast<std::size_t>(id) + kSetAhead < n_tokens_)
        parts_.vocab->prefetch(gguf_.tokens[static_cast<std::size_t>(id) + kSetAhead]);
      const bool is_found = parts_.vocab->find(text_of(id)) == id;
      if (can_merge && is_found && text_of(id).size() <= kMaxMergedBytes) order.push_back(id);
    }
    std::stable_sort(order.begin(), order.end(),
                     [&](TokenId a, TokenId b) { return score_of(a) > score_of(b); });
    bpe.reserve_merges(order.size() * 2);
    std::uint32_t rank = 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (i > 0 && score_of(order[i]) != score_of(order[i - 1])) ++rank;
      if (i + kMergeAhead < order.size()) prefetch_parts(text_of(order[i + kMergeAhead]));
      const std::string_view text = text_of(order[i]);
      for (std::size_t at = 0; at < text.size();) {
        base::decode_utf8(text, at);
        if (at >= text.size()) break;
        const auto left = find_part(text.substr(0, at));
        if (!left) continue;
        const auto right = find_part(text.substr(at));
        if (right) bpe.add_merge(*left, *right, {rank, order[i]});
      }
    }
  }

  void prefetch_parts(std::string_view text) const noexcept {
    for (std::size_t at = 0; at < text.size();) {
      base::decode_utf8(text, at);
      if (at >= text.size()) break;
      parts_.vocab->prefetch(text.substr(0, at));
      parts_.vocab->prefetch(text.substr(at));
    }
  }

  std::optional<TokenId> find_part(std::string_view text) const {
    const auto id = parts_.vocab->find(text);
    if (!id || type_of(*id) == TokenType::kControl || type_of(*id) == TokenType::kByte)
      return std::nullopt;
    return id;
  }

  void set_frame(bool add_bos_default) {
    if (gguf_.add_bos.value_or(add_bos_default) && gguf_.bos_id)
      parts_.frame.before.push_back(*gguf_.bos_id);
    if (gguf_.add_eos.value_or(false) && gguf_.eos_id) parts_.frame.after.push_back(*gguf_.eos_id);
  }

  std::vector<TokenId> end_tokens() const {
    std::vector<TokenId> configured;
    if (gguf_.eot_id) configured.push_back(*gguf_.eot_id);
    if (gguf_.eos_id) configured.push_back(*gguf_.eos_id);
    const auto find_special = [&](std::string_view spelling) -> std::optional<TokenId> {
      const auto id = parts_.vocab->find(spelling);
      const bool is_control =
          id && (type_of(*id) == TokenType::kControl || is_end_spelling(spelling));
      return is_control ? id : std::nullopt;
    };
    return collect_end_tokens(configured, find_special);
  }

  const GgufVocab& gguf_;
  const std::size_t n_tokens_;
  PipelineParts parts_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_tokenizer(const GgufVocab& vocab) {
  return GgufBuilder(vocab).build();
}

}  // namespace openllm::tokenizer
