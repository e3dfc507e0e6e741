#include "tokenizer/files/hf_model.h"

#include <limits>

#include "base/error.h"
#include "tokenizer/bpe/bpe.h"
#include "tokenizer/bpe/spelled_merges.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/unigram/unigram.h"
#include "tokenizer/wordpiece/wordpiece.h"

namespace openllm::tokenizer {
namespace {

constexpr std::string_view kModel = "tokenizer.json: model";
constexpr std::ptrdiff_t kSetAhead = 8;  // tokens whose place in the hash table is loaded ahead

/// [["a", -1.5], ...]; a token's place is its id.
std::unique_ptr<Vocab> read_scored_vocab(const base::JsonArray& tokens) {
  auto vocab = std::make_unique<Vocab>();
  vocab->reserve(tokens.size(), 0);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const base::JsonArray* pair = tokens[i].if_array();
    if (pair == nullptr || pair->size() != 2 || !(*pair)[0].is_string() || !(*pair)[1].is_number())
      base::fail_at(ErrorCode::kCorruptData, kModel, "vocab: entry ", i,
                    " is not a token and its score");
    vocab->set(static_cast<TokenId>(i), *(*pair)[0].if_string());
  }
  return vocab;
}

std::unique_ptr<Vocab> read_vocab(const base::Json& model) {
  const base::Json& json = require_field(model, "vocab", kModel);
  const base::JsonObject* tokens = json.if_object();
  if (tokens == nullptr) {
    base::fail_at(ErrorCode::kCorruptData, kModel, "vocab: wrong type (expected object, got ",
                  json.type_name(), ")");
  }
  std::size_t n_bytes = 0;
  for (const auto& member : *tokens) n_bytes += member.first.size();
  auto vocab = std::make_unique<Vocab>();
  vocab->reserve(tokens->size(), n_bytes);
  for (auto next = tokens->begin(); next != tokens->end(); ++next) {
    if (tokens->end() - next > kSetAhead) vocab->prefetch(hash_bytes((next + kSetAhead)->first));
    const auto& member = *next;
    const TokenId id = to_token_id(member.second, kModel);
    if (!Vocab::is_plausible_id(id, tokens->size())) {
      base::fail_at(ErrorCode::kCorruptData, kModel, "id ", id, " in a vocabulary of ",
                    tokens->size(), " tokens");
    }
    vocab->set(id, member.first);
  }
  return vocab;
}

/// "a b" or ["a", "b"]
SpelledMerge parse_merge(const base::Json& json, std::size_t index) {
  if (const std::string* text = json.if_string()) {
    const std::size_t space = text->find(' ');
    if (space != std::string::npos && text->find(' ', space + 1) == std::string::npos) {
      return {std::string_view(*text).substr(0, space), std::string_view(*text).substr(space + 1)};
    }
  } else if (const base::JsonArray* pair = json.if_array()) {
    if (pair->size() == 2 && (*pair)[0].is_string() && (*pair)[1].is_string()) {
      return {*(*pair)[0].if_string(), *(*pair)[1].if_string()};
    }
  }
  base::fail_at(ErrorCode::kCorruptData, kModel, "merge ", index, ": not a pair of tokens");
}

/// Old files begin their merges as merges.txt does, with a line that tells its version.
std::size_t first_merge(const base::JsonArray& merges) {
  const std::string* text = merges.empty() ? nullptr : merges.front().if_string();
  return text != nullptr && text->starts_with("#version") ? 1 : 0;
}

std::unique_ptr<Model> read_bpe(const base::Json& model, const Vocab& vocab, bool byte_level) {
  BpeOptions options;
  options.byte_level = byte_level;
  options.byte_fallback = bool_or(model, "byte_fallback", false, kModel);
  options.fuse_unk = bool_or(model, "fuse_unk", false, kModel);
  options.ignore_merges = bool_or(model, "ignore_merges", false, kModel);
  options.continuing_prefix = string_or(model, "continuing_subword_prefix", "", kModel);
  options.word_suffix = string_or(model, "end_of_word_suffix", "", kModel);
  if (const std::string unk = string_or(model, "unk_token", "", kModel); !unk.empty()) {
    options.unk_id = vocab.find(unk);
  }
  const base::JsonArray& merges = require_array(model, "merges", kModel);
  const std::size_t first = first_merge(merges);
  const auto entries = read_spelled_merges(
      vocab, merges.size() - first,
      [&](std::size_t i) { return parse_merge(merges[first + i], first + i); },
      options.continuing_prefix, "tokenizer: merge ");
  return std::make_unique<Bpe>(vocab, std::move(options), entries);
}

std::optional<TokenId> find_unknown(const base::Json& model, const Vocab& vocab,
                                    std::string_view fallback) {
  return vocab.find(string_or(model, "unk_token", fallback, kModel));
}

std::unique_ptr<Model> read_word_piece(const base::Json& model, const Vocab& vocab) {
  WordPieceOptions options;
  options.continuing_prefix = string_or(model, "continuing_subword_prefix", "##", kModel);
  if (const base::Json* n = model.find("max_input_chars_per_word"); n != nullptr && !n->is_null())
    options.max_word_chars = static_cast<std::size_t>(to_token_id(*n, kModel));
  options.unk_id = find_unknown(model, vocab, "[UNK]");
  return std::make_unique<WordPiece>(vocab, std::move(options));
}

std::unique_ptr<Model> read_unigram(const base::Json& model, const Vocab& vocab) {
  UnigramOptions options;
  options.byte_fallback = bool_or(model, "byte_fallback", false, kModel);
  if (const base::Json* id = model.find("unk_id"); id != nullptr && !id->is_null()) {
    options.unk_id = to_token_id(*id, kModel);
    if (*options.unk_id >= vocab.size())
      base::fail_at(ErrorCode::kCorruptData, kModel, "unk_id out of range (expected below ",
                    vocab.size(), ", got ", *options.unk_id, ")");
  }
  std::vector<double> scores;
  for (const base::Json& token : require_array(model, "vocab", kModel))
    scores.push_back(token.as_array(kModel)[1].as_double(kModel));
  return std::make_unique<Unigram>(vocab, std::move(scores), std::move(options));
}

[[noreturn]] void fail_bytes(std::string_view type) {
  base::fail_at(ErrorCode::kUnsupported, kModel, "", type, " behind the pre_tokenizer ByteLevel");
}

/// Older files leave the type out.
std::string model_type(const base::Json& model) {
  if (model.find("type") != nullptr) return require_type(model, kModel);
  if (model.find("merges") != nullptr) return "BPE";
  return model.find("unk_id") != nullptr ? "Unigram" : "WordPiece";
}

}  // namespace

std::unique_ptr<Vocab> read_hf_vocab(const base::Json& model) {
  const std::string type = model_type(model);
  if (type == "Unigram") return read_scored_vocab(require_array(model, "vocab", kModel));
  if (type == "BPE" || type == "WordPiece" || type == "WordLevel") return read_vocab(model);
  fail_unknown("model", type);
}

std::unique_ptr<Model> read_hf_model(const base::Json& model, const Vocab& vocab, bool byte_level) {
  const std::string type = model_type(model);
  if (type == "BPE") return read_bpe(model, vocab, byte_level);
  if (type != "WordPiece" && type != "WordLevel" && type != "Unigram") fail_unknown("model", type);
  if (byte_level) fail_bytes(type);
  if (type == "Unigram") return read_unigram(model, vocab);
  if (type == "WordPiece") return read_word_piece(model, vocab);
  return std::make_unique<WordLevel>(vocab, find_unknown(model, vocab, "<unk>"));
}

}  // namespace openllm::tokenizer
