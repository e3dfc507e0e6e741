#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "tokenizer/bpe/bpe.h"
#include "tokenizer/bpe/spelled_merges.h"
#include "tokenizer/files/pipeline.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/vocab/end_tokens.h"

namespace openllm::tokenizer {
namespace {

constexpr std::string_view kFile = "tokenizer.json";
constexpr std::string_view kModel = "tokenizer.json: model";
constexpr std::ptrdiff_t kSetAhead = 8;  // tokens whose place in the hash table is loaded ahead
constexpr std::string_view kConfig = "tokenizer_config.json";

const base::Json& field_or_null(const base::Json& json, std::string_view key) {
  static const base::Json kNull;
  const base::Json* found = json.find(key);
  return found == nullptr ? kNull : *found;
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

/// The added tokens of both files by content; of equal contents the later one counts, but special
/// is what once was.
class AddedTokens {
 public:
  explicit AddedTokens(const Vocab& vocab) : vocab_(&vocab) {}

  void add(const base::Json& json, TokenId id, std::string_view where) {
    AddedToken token;
    token.content = require_string(json, "content", where);
    token.special = bool_or(json, "special", false, where);
    token.single_word = bool_or(json, "single_word", false, where);
    token.lstrip = bool_or(json, "lstrip", false, where);
    token.rstrip = bool_or(json, "rstrip", false, where);
    token.normalized = bool_or(json, "normalized", !token.special, where);
    if (token.content.empty()) return;
    token.id = vocab_->find(token.content).value_or(id);
    put(std::move(token));
  }

  /// A special token that a file only names. `keeps`: one that is there already stays as it is.
  void mark_special(const std::string& content, bool keeps = false) {
    if (content.empty()) return;
    if (const auto found = index_.find(content); found != index_.end()) {
      if (!keeps) tokens_[found->second].special = true;
    } else if (const auto id = vocab_->find(content)) {
      AddedToken token;
      token.id = *id;
      token.content = content;
      token.special = true;
      put(std::move(token));
    }
  }

  std::optional<TokenId> find_special(std::string_view content) const {
    const auto found = index_.find(std::string(content));
    if (found == index_.end() || !tokens_[found->second].special) return std::nullopt;
    return tokens_[found->second].id;
  }

  std::vector<AddedToken> take() {
    const auto n = tokens_.size() + static_cast<std::size_t>(vocab_->size());
    for (const AddedToken& token : tokens_) {
      if (Vocab::is_plausible_id(token.id, n)) continue;
      base::fail_at(ErrorCode::kCorruptData, kFile, "added token id ", token.id,
                    " in a vocabulary of ", n, " tokens");
    }
    return std::move(tokens_);
  }

 private:
  void put(AddedToken token) {
    const auto [place, is_new] = index_.try_emplace(token.content, tokens_.size());
    if (is_new) {
      tokens_.push_back(std::move(token));
    } else {
      token.special = token.special || tokens_[place->second].special;
      tokens_[place->second] = std::move(token);
    }
  }

  const Vocab* vocab_;
  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string, std::size_t> index_;
};

/// A token as tokenizer_config.json names it: a string or an object with "content"; empty for null.
std::string named_token(const base::Json& json) {
  if (const std::string* text = json.if_string()) return *text;
  if (json.is_object()) return string_or(json, "content", "", kConfig);
  return {};
}

void add_config_tokens(const base::Json& config, AddedTokens& added) {
  if (const base::JsonObject* decoder = field_or_null(config, "added_tokens_decoder").if_object()) {
    for (const auto& member : *decoder) {
      const std::string& key = member.first;
      const bool is_number =
          !key.empty() && key.size() < 10 &&
          std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
      if (!is_number)
        base::fail_at(ErrorCode::kCorruptData, kConfig, "added_tokens_decoder: bad id");
      added.add(member.second, static_cast<TokenId>(std::stol(key)), kConfig);
    }
  }
  for (const char* key : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                          "cls_token", "mask_token"}) {
    added.mark_special(named_token(field_or_null(config, key)));
  }
  for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
    const base::Json& extra = field_or_null(config, key);
    if (const base::JsonArray* list = extra.if_array()) {
      // As in transformers 5, whose lists have no effect on tokens of tokenizer.json.
      for (const base::Json& token : *list) added.mark_special(named_token(token), true);
    } else if (const base::JsonObject* named = extra.if_object()) {
      for (const auto& member : *named) added.mark_special(named_token(member.second));
    }
  }
}

void read_added_tokens(const base::Json& json, AddedTokens& added) {
  const base::Json& list = field_or_null(json, "added_tokens");
  if (list.is_null()) return;
  for (const base::Json& token : require_array(json, "added_tokens", kFile)) {
    added.add(token, to_token_id(require_field(token, "id", kFile), kFile), kFile);
  }
}

/// As transformers 5 makes it: members whose names end in "_token", and the members of an object
/// `extra_special_tokens`; the lists also, as older versions gave them to templates.
base::Json special_tokens_map(const base::Json& config) {
  base::Json map = base::Json::object();
  if (const base::JsonObject* members = config.if_object()) {
    for (const auto& [key, value] : *members) {
      const std::string token = key.ends_with("_token") ? named_token(value) : std::string();
      if (!token.empty()) map[key] = token;
    }
  }
  const base::Json& extra = field_or_null(config, "extra_special_tokens");
  if (const base::JsonObject* named = extra.if_object()) {
    for (const auto& [key, value] : *named) {
      if (const std::string token = named_token(value); !token.empty()) map[key] = token;
    }
  }
  for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
    const base::JsonArray* list = field_or_null(config, key).if_array();
    if (list == nullptr || list->empty()) continue;
    base::Json texts = base::Json::array();
    for (const base::Json& token : *list) texts.push_back(named_token(token));
    map[key] = std::move(texts);
  }
  return map;
}

/// Older files leave the type out.
std::string model_type(const base::Json& model) {
  if (model.find("type") != nullptr) return require_type(model, kModel);
  if (model.find("merges") != nullptr) return "BPE";
  return model.find("unk_id") != nullptr ? "Unigram" : "WordPiece";
}

}  // namespace

std::unique_ptr<Tokenizer> make_tokenizer(const base::Json& tokenizer_json,
                                          const base::Json& tokenizer_config) {
  const base::Json& model = require_field(tokenizer_json, "model", kFile);
  if (const std::string type = model_type(model); type != "BPE") fail_unknown("model", type);

  PipelineParts parts;
  parts.vocab = read_vocab(model);
  AddedTokens added(*parts.vocab);
  read_added_tokens(tokenizer_json, added);
  add_config_tokens(tokenizer_config, added);
  const auto find_special = [&](std::string_view name) { return added.find_special(name); };

  parts.normalizer = make_normalizer(field_or_null(tokenizer_json, "normalizer"));
  PreTokenizerChoice choice = make_pre_tokenizer(field_or_null(tokenizer_json, "pre_tokenizer"));
  parts.pre_tokenizer = std::move(choice.pre_tokenizer);
  parts.model = read_bpe(model, *parts.vocab, choice.byte_level);
  parts.frame = parse_post_processor(field_or_null(tokenizer_json, "post_processor"));
  parts.decoder = DecodeRules::from_json(field_or_null(tokenizer_json, "decoder"));

  const auto named_id = [&](const char* key) {
    const std::string name = named_token(field_or_null(tokenizer_config, key));
    return name.empty() ? std::nullopt : added.find_special(name);
  };
  parts.bos_id = named_id("bos_token");
  parts.eos_id = named_id("eos_token");
  if (tokenizer_config.is_null()) {
    if (!parts.frame.before.empty()) parts.bos_id = parts.frame.before.front();
    for (const char* name : {"</s>", "<eos>", "<|endoftext|>", "<|end_of_text|>"}) {
      if (!parts.eos_id) parts.eos_id = added.find_special(name);
    }
  }
  std::vector<TokenId> configured;
  if (parts.eos_id) configured.push_back(*parts.eos_id);
  parts.eos_ids = collect_end_tokens(configured, find_special);
  parts.special_tokens_map = special_tokens_map(tokenizer_config);
  parts.added = added.take();
  return make_pipeline(std::move(parts));
}

}  // namespace openllm::tokenizer
