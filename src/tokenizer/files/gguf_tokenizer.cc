#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer/bpe/bpe.h"
#include "tokenizer/bpe/score_merges.h"
#include "tokenizer/bpe/spelled_merges.h"
#include "tokenizer/files/pipeline.h"
#include "tokenizer/split/gguf_pre_tokenizer.h"
#include "tokenizer/text/bert_normalizer.h"
#include "tokenizer/text/sentencepiece_normalizer.h"
#include "tokenizer/unicode/byte_level.h"
#include "tokenizer/unigram/token_costs.h"
#include "tokenizer/unigram/unigram.h"
#include "tokenizer/vocab/byte_tokens.h"
#include "tokenizer/vocab/end_tokens.h"
#include "tokenizer/wordpiece/longest_tokens.h"
#include "tokenizer/wordpiece/wordpiece.h"

namespace openllm::tokenizer {
namespace {

constexpr std::string_view kMeta = "\xE2\x96\x81";  // U+2581
constexpr std::string_view kModels = "gpt2 llama bert t5 rwkv plamo2 gemma4";
constexpr std::size_t kMaxTokens = std::size_t{1} << 28U;
constexpr std::size_t kSetAhead = 8;  // tokens whose place in the hash table is loaded ahead

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
    for (const auto& id : {gguf.bos_id, gguf.eos_id, gguf.eot_id, gguf.eom_id, gguf.unk_id,
                           gguf.sep_id, gguf.pad_id, gguf.cls_id, gguf.mask_id}) {
      if (id) check_id(*id);
    }
    for (const TokenId id : gguf.end_ids) check_id(id);
    read_vocab();
    read_added_tokens();
  }

  std::unique_ptr<Tokenizer> build() {
    if (gguf_.model == "gpt2" || gguf_.model == "gemma4") {
      build_merging();
    } else if (gguf_.model == "llama") {
      build_sentencepiece();
    } else if (gguf_.model == "bert") {
      build_word_piece();
    } else if (gguf_.model == "t5") {
      build_unigram();
    } else if (gguf_.model == "rwkv") {
      build_longest();
    } else if (gguf_.model == "plamo2") {
      build_costs();
    } else if (gguf_.model.empty()) {
      base::fail_at(ErrorCode::kCorruptData, "tokenizer.ggml.model", "missing (expected one of ",
                    kModels, ")");
    } else {
      base::fail(ErrorCode::kUnsupported, "gguf: tokenizer model \"", gguf_.model.substr(0, 100),
                 "\" (known: ", kModels, ")");
    }
    parts_.bos_id = gguf_.bos_id;
    parts_.eos_id = gguf_.eos_id;
    parts_.eos_ids = end_tokens();
    name_special_tokens();
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
      if (i + kSetAhead < n_tokens_)
        parts_.vocab->prefetch(hash_bytes(gguf_.tokens[i + kSetAhead]));
      parts_.vocab->set(static_cast<TokenId>(i), gguf_.tokens[i]);
    }
  }

  /// The ids that the file gives a meaning to are special whatever their type says.
  bool has_role(TokenId id) const {
    return id == gguf_.bos_id || id == gguf_.eos_id || id == gguf_.eot_id || id == gguf_.eom_id ||
           std::find(gguf_.end_ids.begin(), gguf_.end_ids.end(), id) != gguf_.end_ids.end() ||
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

  /// Without it nobody knows how the model's authors cut text into words.
  void check_pre() const {
    if (!gguf_.pre.empty()) return;
    base::fail_at(
        ErrorCode::kCorruptData, "tokenizer.ggml.pre",
        "missing, so that it is unknown how text is cut into words (expected the name of a "
        "pre-tokenizer; LoadOptions::tokenizer_pre gives it, llama.cpp would take "
        "\"default\")");
  }

  /// BPE that joins bytes, or characters with spaces spelled as SentencePiece does.
  void build_merging() {
    const bool is_gemma = gguf_.model == "gemma4";
    if (!is_gemma) check_pre();
    const GgufPreTokenizer pre = find_gguf_pre_tokenizer(is_gemma ? gguf_.model : gguf_.pre);
    parts_.pre_tokenizer = make_regex_pre_tokenizer(pre.patterns, "gguf: pre-tokenizer");
    BpeOptions options;
    options.byte_level = !pre.raw_text;
    options.byte_fallback = pre.raw_text;
    options.ignore_merges = pre.ignore_merges;
    options.whole_newlines = pre.whole_newlines;
    if (pre.raw_text) parts_.normalizer = make_replace_normalizer(" ", std::string(kMeta));
    parts_.model = std::make_unique<Bpe>(*parts_.vocab, options, read_merges());
    parts_.decoder = pre.raw_text ? DecodeRules::sentencepiece(false) : DecodeRules::byte_level();
    parts_.raw_added_text = true;
    set_frame(pre.add_bos, false, pre.whole_newlines);
  }

  /// Tokens of several characters come about by merges only.
  void check_merges() const {
    if (!gguf_.merges.empty()) return;
    for (std::size_t i = 0; i < n_tokens_; ++i) {
      const auto id = static_cast<TokenId>(i);
      if (type_of(id) != TokenType::kNormal || has_role(id)) continue;
      std::size_t first = 0;
      const std::string_view text = text_of(id);
      if (!text.empty()) base::decode_utf8(text, first);
      if (first == text.size()) continue;
      base::fail_at(ErrorCode::kCorruptData, "tokenizer.ggml.merges",
                    "missing or empty (expected the merges that make tokens such as \"",
                    text.substr(0, 100), "\"; without them every word falls into letters)");
    }
  }

  /// Of equal merges the first counts.
  std::vector<MergeTable::Entry> read_merges() const {
    check_merges();
    const auto merge_at = [&](std::size_t index) {
      const std::string_view text = gguf_.merges[index];
      const std::size_t space = text.find(' ', 1);
      if (space == std::string_view::npos) {
        base::fail(ErrorCode::kCorruptData, "gguf: tokenizer.ggml.merges: entry ", index,
                   " is not a pair");
      }
      return SpelledMerge{text.substr(0, space), text.substr(space + 1)};
    };
    auto entries = read_spelled_merges(*parts_.vocab, gguf_.merges.size(), merge_at, "",
                                       "gguf: tokenizer.ggml.merges: entry ");
    std::reverse(entries.begin(), entries.end());
    return entries;
  }

  void require_scores() const {
    if (!gguf_.scores.empty()) return;
    base::fail_at(ErrorCode::kCorruptData, "tokenizer.ggml.scores",
                  "missing (expected one for each token; without them it is unknown which "
                  "characters join first)");
  }

  /// The file spells the first token of a word with U+2581, others as they are.
  void build_word_piece() {
    BertNormalizerOptions rules;
    rules.lowercase = gguf_.lowercase.value_or(true);
    rules.strip_accents = gguf_.strip_accents.value_or(rules.lowercase);
    parts_.normalizer = make_bert_normalizer(rules);
    parts_.pre_tokenizer = make_bert_pre_tokenizer();
    WordPieceOptions options;
    options.first_prefix = kMeta;
    options.continuing_prefix.clear();
    options.max_word_chars = std::size_t{1} << 30U;
    options.unk_id = gguf_.unk_id ? gguf_.unk_id : parts_.vocab->find("[UNK]");
    parts_.model = std::make_unique<WordPiece>(*parts_.vocab, std::move(options));
    parts_.decoder = DecodeRules::sentencepiece(true);
    const auto cls = gguf_.bos_id   ? gguf_.bos_id
                     : gguf_.cls_id ? gguf_.cls_id
                                    : parts_.vocab->find("[CLS]");
    const auto sep = gguf_.sep_id ? gguf_.sep_id : parts_.vocab->find("[SEP]");
    if (cls) parts_.frame.before.push_back(*cls);
    if (sep) parts_.frame.after.push_back(*sep);
  }

  void build_unigram() {
    require_scores();
    SentencePieceRules rules;
    if (!gguf_.charsmap.empty())
      rules.charsmap = Charsmap(gguf_.charsmap, "tokenizer.ggml.precompiled_charsmap");
    rules.add_dummy_prefix = gguf_.add_space_prefix.value_or(false);
    rules.remove_extra_whitespaces = gguf_.remove_extra_whitespaces.value_or(false);
    rules.escape_whitespaces = gguf_.escape_whitespaces.value_or(true);
    rules.space_is_suffix = gguf_.space_is_suffix.value_or(false);
    parts_.normalizer = make_sentencepiece_normalizer(std::move(rules));
    UnigramOptions options;
    options.unk_id = gguf_.unk_id ? gguf_.unk_id : std::optional<TokenId>(n_tokens_ > 2 ? 2 : 0);
    options.finds_unknown = false;
    std::vector<double> scores;
    for (std::size_t i = 0; i < n_tokens_; ++i) {
      const auto id = static_cast<TokenId>(i);
      scores.push_back(static_cast<double>(score_of(id)));
      options.unused.push_back(type_of(id) != TokenType::kNormal);
    }
    parts_.model = std::make_unique<Unigram>(*parts_.vocab, std::move(scores), std::move(options));
    parts_.decoder = DecodeRules::sentencepiece(gguf_.add_space_prefix.value_or(false));
    set_frame(false, true);
  }

  /// The file spells bytes with escapes; here they are in GPT-2's alphabet as in other vocabularies
  /// of bytes.
  void build_longest() {
    auto vocab = std::make_unique<Vocab>();
    std::vector<std::string> texts;
    texts.reserve(n_tokens_);
    std::vector<ByteTrie::Entry> entries;
    for (std::size_t i = 0; i < n_tokens_; ++i) {
      const auto id = static_cast<TokenId>(i);
      texts.push_back(unescape(text_of(id)));
      vocab->set(id, map_bytes(texts.back()));
      entries.push_back({texts.back(), id});
    }
    parts_.vocab = std::move(vocab);
    parts_.model = std::make_unique<LongestTokens>(std::move(entries), gguf_.unk_id.value_or(0));
    parts_.decoder = DecodeRules::byte_level();
    parts_.raw_added_text = true;
    set_frame(false);
  }

  static std::string unescape(std::string_view text) {
    std::string out;
    const auto hex = [](char c) {
      return static_cast<unsigned>(c >= 'a'   ? c - 'a' + 10
                                   : c >= 'A' ? c - 'A' + 10
                                              : c - '0') &
             15U;
    };
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\\' || i + 1 == text.size()) {
        out.push_back(text[i]);
        continue;
      }
      const char kind = text[++i];
      if (kind == 'x' && i + 2 < text.size()) {
        out.push_back(static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2])));
        i += 2;
      } else {
        out.push_back(kind == 't' ? '\t' : kind == 'n' ? '\n' : kind == 'r' ? '\r' : kind);
      }
    }
    return out;
  }

  void build_costs() {
    require_scores();
    std::vector<TokenId> byte_tokens = find_byte_tokens(*parts_.vocab);
    if (byte_tokens.empty())
      base::fail_at(ErrorCode::kCorruptData, "tokenizer.ggml.tokens",
                    "a byte without a token (expected <0x00> to <0xFF>)");
    std::vector<bool> skipped;
    for (std::size_t i = 0; i < n_tokens_; ++i)
      skipped.push_back(type_of(static_cast<TokenId>(i)) == TokenType::kByte);
    parts_.model =
        std::make_unique<TokenCosts>(*parts_.vocab, gguf_.scores, skipped, std::move(byte_tokens));
    parts_.decoder = DecodeRules::bytes_and_spellings();
    set_frame(false);
  }

  void build_sentencepiece() {
    require_scores();
    const bool add_space_prefix = gguf_.add_space_prefix.value_or(true);
    if (add_space_prefix) parts_.normalizer = make_prepend_normalizer(std::string(kMeta));
    parts_.normalizer = make_normalizer_sequence(std::move(parts_.normalizer),
                                                 make_replace_normalizer(" ", std::string(kMeta)));
    BpeOptions options;
    options.byte_fallback = true;
    options.unk_id = gguf_.unk_id;
    parts_.model = std::make_unique<Bpe>(*parts_.vocab, options, score_merges());
    parts_.decoder = DecodeRules::sentencepiece(add_space_prefix);
    set_frame(true);
  }

  float score_of(TokenId id) const {
    const float score = gguf_.scores[static_cast<std::size_t>(id)];
    return std::isnan(score) ? -std::numeric_limits<float>::infinity() : score;
  }

  std::vector<MergeTable::Entry> score_merges() const {
    std::vector<float> scores(n_tokens_);
    std::vector<unsigned char> roles(n_tokens_);
    for (std::size_t i = 0; i < n_tokens_; ++i) {
      const auto id = static_cast<TokenId>(i);
      scores[i] = score_of(id);
      if (!parts_.vocab->is_found(id)) continue;
      const TokenType type = type_of(id);
      if (type != TokenType::kControl && type != TokenType::kByte) roles[i] |= kMergePart;
      if (type == TokenType::kNormal || type == TokenType::kUserDefined ||
          type == TokenType::kUnused)
        roles[i] |= kMergeResult;
    }
    return make_score_merges(*parts_.vocab, scores, roles);
  }

  /// `needs_bos`: whatever the file says; those of Gemma 4 are wrong about it.
  void set_frame(bool add_bos_default, bool add_eos_default = false, bool needs_bos = false) {
    if ((needs_bos || gguf_.add_bos.value_or(add_bos_default)) && gguf_.bos_id)
      parts_.frame.before.push_back(*gguf_.bos_id);
    if (gguf_.add_eos.value_or(add_eos_default) && gguf_.eos_id)
      parts_.frame.after.push_back(*gguf_.eos_id);
  }

  std::vector<TokenId> end_tokens() const {
    std::vector<TokenId> configured;
    for (const auto& id : {gguf_.eot_id, gguf_.eom_id, gguf_.eos_id}) {
      if (id) configured.push_back(*id);
    }
    configured.insert(configured.end(), gguf_.end_ids.begin(), gguf_.end_ids.end());
    // Files of code models seldom name these; llama.cpp knows them by their spelling, too.
    for (const std::string_view spelling :
         {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]", "<|fim_repo|>",
          "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>", "<|file_sep|>"}) {
      const auto id = parts_.vocab->find(spelling);
      if (id && type_of(*id) == TokenType::kControl) configured.push_back(*id);
    }
    const auto find_special = [&](std::string_view spelling) -> std::optional<TokenId> {
      const auto id = parts_.vocab->find(spelling);
      const bool is_control =
          id && (type_of(*id) == TokenType::kControl || is_end_spelling(spelling));
      return is_control ? id : std::nullopt;
    };
    return collect_end_tokens(configured, find_special);
  }

  void name_special_tokens() {
    const auto name = [&](const char* key, std::optional<TokenId> id) {
      if (id) parts_.special_tokens_map[key] = text_of(*id);
    };
    name("bos_token", gguf_.bos_id);
    name("eos_token", gguf_.eos_id);
    name("unk_token", gguf_.unk_id);
    name("sep_token", gguf_.sep_id);
    name("pad_token", gguf_.pad_id);
    name("cls_token", gguf_.cls_id);
    name("mask_token", gguf_.mask_id);
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
