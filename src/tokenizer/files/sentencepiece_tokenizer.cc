#include "base/error.h"
#include "tokenizer/bpe/bpe.h"
#include "tokenizer/bpe/score_merges.h"
#include "tokenizer/files/config_tokens.h"
#include "tokenizer/files/pipeline.h"
#include "tokenizer/files/sentencepiece_file.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/text/sentencepiece_normalizer.h"
#include "tokenizer/unigram/unigram.h"
#include "tokenizer/vocab/frozen_tokens.h"

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
    {"LlamaTokenizer", true, false},    {"CodeLlamaTokenizer", true, false},
    {"GemmaTokenizer", true, false},    {"BaichuanTokenizer", true, false},
    {"InternLMTokenizer", true, false}, {"InternLM2Tokenizer", true, false},
    {"YiTokenizer", false, false},      {"T5Tokenizer", false, true},
    {"PegasusTokenizer", false, true},  {"BigBirdTokenizer", false, false},
    {"GPTSw3Tokenizer", false, false},
};
/// These give the file's pieces other ids.
constexpr std::string_view kRenumbered[] = {
    "XLMRobertaTokenizer", "CamembertTokenizer", "BarthezTokenizer", "MBartTokenizer",
    "MBart50Tokenizer",    "NllbTokenizer",      "XGLMTokenizer",    "PLBartTokenizer"};

class SentencePieceBuilder {
 public:
  SentencePieceBuilder(std::string_view bytes, const base::Json& config)
      : file_(parse_sentencepiece(bytes, kFile)), config_(config) {
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
    parts_.decoder =
        DecodeRules::sentencepiece(file_.add_dummy_prefix || file_.remove_extra_whitespaces);
    parts_.bos_id = id_or_none(file_.bos_id);
    parts_.eos_id = id_or_none(file_.eos_id);
    AddedTokens added(*parts_.vocab);
    for (std::size_t i = 0; i < file_.pieces.size(); ++i) {
      const bool special = is(i, PieceType::kControl) || is(i, PieceType::kUnknown);
      if (!special || file_.pieces[i].text.empty()) continue;
      AddedToken token;
      token.id = static_cast<TokenId>(i);
      token.content = file_.pieces[i].text;
      token.special = true;
      added.add(std::move(token));
    }
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

  void read_vocab() {
    parts_.vocab = std::make_unique<Vocab>();
    parts_.vocab->reserve(file_.pieces.size(), 0);
    for (std::size_t i = 0; i < file_.pieces.size(); ++i) {
      parts_.vocab->set(static_cast<TokenId>(i), file_.pieces[i].text);
      if (is(i, PieceType::kUnknown)) unk_id_ = static_cast<TokenId>(i);
    }
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
    if (file_.model_type == ModelType::kBpe) return make_bpe();
    base::fail_at(ErrorCode::kUnsupported, kFile, "a model of ",
                  file_.model_type == ModelType::kWord ? "words" : "characters",
                  " (known: unigram, bpe)");
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

  std::unique_ptr<Model> make_bpe() const {
    std::vector<float> scores;
    std::vector<unsigned char> roles;
    std::vector<ByteTrie::Entry> frozen;
    for (std::size_t i = 0; i < file_.pieces.size(); ++i) {
      const auto id = static_cast<TokenId>(i);
      if (is(i, PieceType::kUnused))
        base::fail_at(ErrorCode::kUnsupported, kFile, "unused pieces of a BPE model");
      const bool merges = is(i, PieceType::kNormal) && parts_.vocab->is_found(id);
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
  PipelineParts parts_;
  std::optional<TokenId> unk_id_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(std::string_view bytes,
                                                        const base::Json& tokenizer_config) {
  return SentencePieceBuilder(bytes, tokenizer_config).build();
}

}  // namespace openllm::tokenizer
