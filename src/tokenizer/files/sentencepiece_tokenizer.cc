#include "base/error.h"
#include "tokenizer/bpe/bpe.h"
#include "tokenizer/bpe/score_merges.h"
#include "tokenizer/files/config_tokens.h"
#include "tokenizer/files/pipeline.h"
#include "tokenizer/files/sentencepiece_classes.h"
#include "tokenizer/files/sentencepiece_file.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/text/sentencepiece_normalizer.h"
#include "tokenizer/unigram/unigram.h"
#include "tokenizer/vocab/frozen_tokens.h"
#include "tokenizer/vocab/renamed_pieces.h"
#include "tokenizer/vocab/spaced_words.h"

namespace openllm::tokenizer {
namespace {

using PieceType = SentencePieceFile::PieceType;
using ModelType = SentencePieceFile::ModelType;
constexpr std::string_view kFile = "sentencepiece model";
constexpr std::string_view kConfig = "tokenizer_config.json";

/// What classes of tokenizers put around a text when their configuration does not say it.
struct Frame {
  std::string_view tokenizer_class;
  bool bos, eos;
};
constexpr Frame kFrames[] = {
    {"LlamaTokenizer", true, false},     {"CodeLlamaTokenizer", true, false},
    {"GemmaTokenizer", true, false},     {"BaichuanTokenizer", true, false},
    {"InternLMTokenizer", true, false},  {"InternLM2Tokenizer", true, false},
    {"InternLM3Tokenizer", true, false}, {"OrionTokenizer", true, false},
    {"TelechatTokenizer", true, false},  {"BitnetTokenizer", true, false},
    {"YiTokenizer", false, false},       {"BigBirdTokenizer", false, false},
    {"GPTSw3Tokenizer", false, false},
};
/// These give the file's pieces other ids, in ways that are not known here.
constexpr std::string_view kRenumbered[] = {"BarthezTokenizer", "NllbTokenizer", "XGLMTokenizer"};
constexpr std::string_view kPlbartLanguages[] = {
    "__java__", "__python__", "__en_XX__", "__javascript__", "__php__", "__ruby__", "__go__"};
constexpr std::size_t kPlbartBase = 3;  // languages of the base model

// What ChatGLMTokenizer has behind the file's pieces. Its texts begin with the second and fourth.
constexpr std::string_view kGlmSpecials[] = {"[MASK]",   "[gMASK]",       "[sMASK]",
                                             "sop",      "eop",           "<|system|>",
                                             "<|user|>", "<|assistant|>", "<|observation|>"};
constexpr std::size_t kGlmPrefix[] = {1, 3};

constexpr std::string_view kM2mLanguages[] = {
    "af", "am", "ar", "ast", "az", "ba", "be", "bg", "bn", "br",  "bs", "ca", "ceb", "cs", "cy",
    "da", "de", "el", "en",  "es", "et", "fa", "ff", "fi", "fr",  "fy", "ga", "gd",  "gl", "gu",
    "ha", "he", "hi", "hr",  "ht", "hu", "hy", "id", "ig", "ilo", "is", "it", "ja",  "jv", "ka",
    "kk", "km", "kn", "ko",  "lb", "lg", "ln", "lo", "lt", "lv",  "mg", "mk", "ml",  "mn", "mr",
    "ms", "my", "ne", "nl",  "no", "ns", "oc", "or", "pa", "pl",  "ps", "pt", "ro",  "ru", "sd",
    "si", "sk", "sl", "so",  "sq", "sr", "ss", "su", "sv", "sw",  "ta", "th", "tl",  "tn", "tr",
    "uk", "ur", "uz", "vi",  "wo", "xh", "yi", "yo", "zh", "zu"};

/// {"token": id, ...}
std::unique_ptr<Vocab> read_vocab_json(const base::Json& json) {
  const base::JsonObject* tokens = json.if_object();
  if (tokens == nullptr)
    base::fail_at(ErrorCode::kCorruptData, "vocab.json", "wrong type (expected object, got ",
                  json.type_name(), ")");
  auto vocab = std::make_unique<Vocab>();
  vocab->reserve(tokens->size(), 0);
  for (const auto& [token, value] : *tokens) {
    const TokenId id = to_token_id(value, "vocab.json");
    if (!Vocab::is_plausible_id(id, tokens->size()))
      base::fail_at(ErrorCode::kCorruptData, "vocab.json", "id ", id, " in a vocabulary of ",
                    tokens->size(), " tokens");
    vocab->set(id, token);
  }
  return vocab;
}

class SentencePieceBuilder {
 public:
  /// `vocab_json`: other ids for the file's pieces, or null.
  SentencePieceBuilder(std::string_view bytes, const base::Json& vocab_json,
                       const base::Json& config)
      : file_(parse_sentencepiece(bytes, kFile)), config_(config), vocab_json_(vocab_json) {
    for (const std::string_view name : kRenumbered) {
      if (tokenizer_class(config) != name) continue;
      base::fail_at(ErrorCode::kUnsupported, kFile, "the ids of a ", name,
                    " are not those of its file; it needs a tokenizer.json");
    }
    read_vocab();
  }

  std::unique_ptr<Tokenizer> build() {
    parts_.normalizer = make_normalizer();
    parts_.model = make_model();
    if (!vocab_json_.is_null()) return build_renamed();
    if (tokenizer_class(config_) == "PLBartTokenizer") return build_plbart();
    parts_.decoder =
        DecodeRules::sentencepiece(file_.add_dummy_prefix || file_.remove_extra_whitespaces);
    parts_.bos_id = id_or_none(file_.bos_id);
    parts_.eos_id = id_or_none(file_.eos_id);
    AddedTokens added(*parts_.vocab);
    for (std::size_t i = 0; i < file_.pieces.size(); ++i) {
      const bool special = is(i, PieceType::kControl) || is(i, PieceType::kUnknown);
      if (!special || file_.pieces[i].text.empty()) continue;
      add_token(added, file_.pieces[i].text, static_cast<TokenId>(i), true);
    }
    if (tokenizer_class(config_) == "ChatGLMTokenizer") add_glm_specials(added);
    added.add_config(config_);
    finish_special_tokens(parts_, added, config_, {});
    set_frame();
    return make_pipeline(std::move(parts_));
  }

 private:
  bool is(std::size_t i, PieceType type) const { return file_.pieces[i].type == type; }

  std::optional<TokenId> id_or_none(int id) const {
    const bool exists = id >= 0 && static_cast<std::size_t>(id) < file_.pieces.size();
    return exists ? std::optional<TokenId>(id) : std::nullopt;
  }

  /// The pieces get the ids that `vocab` has for them, and a text ends with </s>.
  void rename(std::unique_ptr<Vocab> vocab) {
    const auto unk = vocab->find("<unk>");
    const auto end = vocab->find("</s>");
    if (!unk || !end)
      base::fail_at(ErrorCode::kCorruptData, "vocab.json", "no token ", unk ? "</s>" : "<unk>");
    parts_.model = std::make_unique<RenamedPieces>(std::move(parts_.vocab), std::move(parts_.model),
                                                   unk_id_, *vocab, *unk);
    parts_.vocab = std::move(vocab);
    parts_.decoder = DecodeRules::sentencepiece(true);
    parts_.eos_id = end;
    parts_.frame.after.push_back(*end);
  }

  std::unique_ptr<Tokenizer> finish(AddedTokens& added) {
    added.add_config(config_);
    finish_special_tokens(parts_, added, config_, {});
    return make_pipeline(std::move(parts_));
  }

  /// Marian and M2M-100: ids are those of vocab.json.
  std::unique_ptr<Tokenizer> build_renamed() {
    rename(read_vocab_json(vocab_json_));
    AddedTokens added(*parts_.vocab);
    const bool is_m2m = tokenizer_class(config_) == "M2M100Tokenizer";
    for (const char* content : {"<s>", "<pad>", "</s>", "<unk>"}) {
      if (!is_m2m && content == std::string_view("<s>")) continue;  // Marian has none
      if (const auto id = parts_.vocab->find(content)) add_token(added, content, *id, true);
    }
    if (is_m2m) {
      add_m2m_languages(added);
    } else {
      add_marian_languages(added);
    }
    return finish(added);
  }

  /// PLBART: fairseq's four tokens, the pieces one later than in the file, languages, a mask.
  std::unique_ptr<Tokenizer> build_plbart() {
    auto vocab = std::make_unique<Vocab>();
    TokenId next = 0;
    for (const char* content : {"<s>", "<pad>", "</s>", "<unk>"}) vocab->set(next++, content);
    for (std::size_t i = 3; i < file_.pieces.size(); ++i) vocab->set(next++, file_.pieces[i].text);
    rename(std::move(vocab));
    AddedTokens added(*parts_.vocab);
    TokenId id = 0;
    for (const char* content : {"<s>", "<pad>", "</s>", "<unk>"})
      add_token(added, content, id++, true);
    const base::Json& source = field_or_null(config_, "src_lang");
    const std::string own = source.is_string() ? source.as_string(kConfig) : std::string();
    const bool is_base = string_or(config_, "language_codes", "base", kConfig) == "base";
    const std::size_t n = is_base ? kPlbartBase : std::size(kPlbartLanguages);
    for (std::size_t i = 0; i < n; ++i) {
      const std::string_view language = kPlbartLanguages[i];
      if (language == own || language == base::cat("__", own, "__"))
        parts_.frame.after.push_back(next);
      add_token(added, language, next++, true, true);
    }
    if (is_base) {
      AddedToken mask;
      mask.id = next;
      mask.content = "<mask>";
      mask.special = true;
      mask.lstrip = true;
      added.add(std::move(mask));
    }
    return finish(added);
  }

  static void add_token(AddedTokens& added, std::string_view content, TokenId id, bool special,
                        bool hidden = false) {
    AddedToken token;
    token.hidden = hidden;
    token.id = id;
    token.content = content;
    token.special = special;
    added.add(std::move(token));
  }

  /// The language of a text is a token in front of it. Texts do not spell it.
  void add_m2m_languages(AddedTokens& added) {
    const base::Json& source = field_or_null(config_, "src_lang");
    const std::string own = source.is_string() ? source.as_string(kConfig) : "en";
    TokenId next = parts_.vocab->size();
    for (const std::string_view language : kM2mLanguages) {
      if (language == own) parts_.frame.before.push_back(next);
      add_token(added, base::cat("__", language, "__"), next++, true, true);
    }
    if (parts_.frame.before.empty())
      base::fail_at(ErrorCode::kUnsupported, kConfig, "src_lang ", own, " is not one of ",
                    std::size(kM2mLanguages), " known languages");
  }

  /// `>>fra<<` in front of a text names the language of its translation.
  void add_marian_languages(AddedTokens& added) const {
    for (TokenId id = 0; id < parts_.vocab->size(); ++id) {
      const std::string_view piece = parts_.vocab->piece(id);
      if (piece.starts_with(">>") && piece.ends_with("<<") && piece.size() > 4)
        add_token(added, piece, id, false);
    }
  }

  void read_vocab() {
    parts_.vocab = std::make_unique<Vocab>();
    parts_.vocab->reserve(file_.pieces.size(), 0);
    for (std::size_t i = 0; i < file_.pieces.size(); ++i) {
      parts_.vocab->set(static_cast<TokenId>(i), file_.pieces[i].text);
      if (is(i, PieceType::kUnknown)) unk_id_ = static_cast<TokenId>(i);
    }
  }

  /// Texts cannot spell them, unless the configuration lists them.
  void add_glm_specials(AddedTokens& added) {
    const auto first = static_cast<TokenId>(file_.pieces.size());
    TokenId next = first;
    for (const std::string_view content : kGlmSpecials)
      add_token(added, content, next++, true, true);
    for (const std::size_t place : kGlmPrefix)
      parts_.frame.before.push_back(first + static_cast<TokenId>(place));
  }

  std::unique_ptr<Normalizer> make_normalizer() const {
    SentencePieceRules rules;
    if (!file_.charsmap.empty()) rules.charsmap = Charsmap(file_.charsmap, kFile);
    for (const auto& piece : file_.pieces) {
      if (piece.type == PieceType::kUserDefined) rules.kept.emplace_back(piece.text);
    }
    rules.add_dummy_prefix = file_.add_dummy_prefix;
    rules.remove_extra_whitespaces = file_.remove_extra_whitespaces;
    rules.escape_whitespaces = file_.escape_whitespaces;
    rules.space_is_suffix = file_.space_is_suffix;
    return make_sentencepiece_normalizer(std::move(rules));
  }

  std::unique_ptr<Model> make_model() const {
    if (file_.model_type == ModelType::kUnigram) return make_unigram();
    if (file_.model_type == ModelType::kBpe) return make_bpe(true);
    if (file_.model_type == ModelType::kChar) return make_bpe(false);
    return std::make_unique<SpacedWords>(*parts_.vocab, unk_id_, file_.byte_fallback);
  }

  std::unique_ptr<Model> make_unigram() const {
    UnigramOptions options;
    options.byte_fallback = file_.byte_fallback;
    options.unk_id = unk_id_;
    options.single_precision = true;
    options.finds_unknown = false;
    std::vector<double> scores;
    for (std::size_t i = 0; i < file_.pieces.size(); ++i) {
      scores.push_back(static_cast<double>(file_.pieces[i].score));
      options.preferred.push_back(is(i, PieceType::kUserDefined));
      options.unused.push_back(!is(i, PieceType::kNormal) && !is(i, PieceType::kUserDefined));
    }
    return std::make_unique<Unigram>(*parts_.vocab, std::move(scores), std::move(options));
  }

  /// BPE; without merges, characters.
  std::unique_ptr<Model> make_bpe(bool has_merges) const {
    std::vector<float> scores;
    std::vector<unsigned char> roles;
    std::vector<ByteTrie::Entry> frozen;
    for (std::size_t i = 0; i < file_.pieces.size(); ++i) {
      const auto id = static_cast<TokenId>(i);
      if (has_merges && is(i, PieceType::kUnused))
        base::fail_at(ErrorCode::kUnsupported, kFile, "unused pieces of a BPE model");
      const bool merges = has_merges && is(i, PieceType::kNormal) && parts_.vocab->is_found(id);
      roles.push_back(merges ? kMergePart | kMergeResult : 0);
      scores.push_back(file_.pieces[i].score);
      if (is(i, PieceType::kUserDefined)) frozen.push_back({file_.pieces[i].text, id});
    }
    BpeOptions options;
    options.byte_fallback = file_.byte_fallback;
    options.unk_id = unk_id_;
    options.fuse_unk = true;
    auto bpe = std::make_unique<Bpe>(*parts_.vocab, options,
                                     make_score_merges(*parts_.vocab, scores, roles));
    if (frozen.empty()) return bpe;
    return std::make_unique<FrozenTokens>(std::move(frozen), std::move(bpe));
  }

  void set_frame() {
    Frame frame{"", false, false};
    const std::string name = tokenizer_class(config_);
    for (const Frame& known : kFrames) {
      if (known.tokenizer_class == name) frame = known;
    }
    if (bool_or(config_, "add_bos_token", frame.bos, kConfig) && parts_.bos_id)
      parts_.frame.before.push_back(*parts_.bos_id);
    if (bool_or(config_, "add_eos_token", frame.eos, kConfig) && parts_.eos_id)
      parts_.frame.after.push_back(*parts_.eos_id);
  }

  SentencePieceFile file_;
  const base::Json& config_;
  const base::Json& vocab_json_;
  PipelineParts parts_;
  std::optional<TokenId> unk_id_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(std::string_view bytes,
                                                        const base::Json& tokenizer_config) {
  const SentencePieceFile file = parse_sentencepiece(bytes, kFile);
  if (auto own = make_class_tokenizer(file, tokenizer_class(tokenizer_config), tokenizer_config))
    return own;
  const base::Json none;
  return SentencePieceBuilder(bytes, none, tokenizer_config).build();
}

std::unique_ptr<Tokenizer> make_renamed_sentencepiece_tokenizer(
    std::string_view bytes, const base::Json& vocab_json, const base::Json& tokenizer_config) {
  return SentencePieceBuilder(bytes, vocab_json, tokenizer_config).build();
}

}  // namespace openllm::tokenizer
