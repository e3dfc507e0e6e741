#include "tokenizer/files/config_tokens.h"

#include <algorithm>

#include "base/error.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/vocab/end_tokens.h"

namespace openllm::tokenizer {
namespace {

constexpr std::string_view kFile = "tokenizer.json";
constexpr std::string_view kConfig = "tokenizer_config.json";

/// A token as tokenizer_config.json names it: a string or an object with "content"; empty for null.
std::string named_token(const base::Json& json) {
  if (const std::string* text = json.if_string()) return *text;
  if (json.is_object()) return string_or(json, "content", "", kConfig);
  return {};
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

}  // namespace

const base::Json& field_or_null(const base::Json& json, std::string_view key) {
  static const base::Json kNull;
  const base::Json* found = json.find(key);
  return found == nullptr ? kNull : *found;
}

void AddedTokens::add(const base::Json& json, TokenId id, std::string_view where) {
  AddedToken token;
  token.content = require_string(json, "content", where);
  token.special = bool_or(json, "special", false, where);
  token.single_word = bool_or(json, "single_word", false, where);
  token.lstrip = bool_or(json, "lstrip", false, where);
  token.rstrip = bool_or(json, "rstrip", false, where);
  token.normalized = bool_or(json, "normalized", !token.special, where);
  if (token.content.empty()) return;
  // What a file before said, or the vocabulary, counts before this id.
  const auto known = index_.find(token.content);
  token.id =
      known != index_.end() ? tokens_[known->second].id : vocab_->find(token.content).value_or(id);
  add(std::move(token));
}

void AddedTokens::add(AddedToken token) {
  const auto [place, is_new] = index_.try_emplace(token.content, tokens_.size());
  if (is_new) {
    tokens_.push_back(std::move(token));
  } else {
    token.special = token.special || tokens_[place->second].special;
    tokens_[place->second] = std::move(token);
  }
}

void AddedTokens::mark_special(const std::string& content, bool keeps) {
  if (content.empty()) return;
  if (const auto found = index_.find(content); found != index_.end()) {
    if (!keeps) tokens_[found->second].special = true;
  } else if (const auto id = vocab_->find(content)) {
    AddedToken token;
    token.id = *id;
    token.content = content;
    token.special = true;
    add(std::move(token));
  }
}

std::optional<TokenId> AddedTokens::find_special(std::string_view content) const {
  const auto found = index_.find(std::string(content));
  if (found == index_.end() || !tokens_[found->second].special) return std::nullopt;
  return tokens_[found->second].id;
}

std::vector<AddedToken> AddedTokens::take() {
  const auto n = tokens_.size() + static_cast<std::size_t>(vocab_->size());
  for (const AddedToken& token : tokens_) {
    if (Vocab::is_plausible_id(token.id, n)) continue;
    base::fail_at(ErrorCode::kCorruptData, kFile, "added token id ", token.id,
                  " in a vocabulary of ", n, " tokens");
  }
  return std::move(tokens_);
}

void AddedTokens::add_config(const base::Json& config) {
  if (const base::JsonObject* decoder = field_or_null(config, "added_tokens_decoder").if_object()) {
    for (const auto& member : *decoder) {
      const std::string& key = member.first;
      const bool is_number =
          !key.empty() && key.size() < 10 &&
          std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
      if (!is_number)
        base::fail_at(ErrorCode::kCorruptData, kConfig, "added_tokens_decoder: bad id");
      add(member.second, static_cast<TokenId>(std::stol(key)), kConfig);
    }
  }
  for (const char* key : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                          "cls_token", "mask_token"}) {
    mark_special(named_token(field_or_null(config, key)));
  }
  for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
    const base::Json& extra = field_or_null(config, key);
    if (const base::JsonArray* list = extra.if_array()) {
      // As in transformers 5, whose lists have no effect on tokens of tokenizer.json.
      for (const base::Json& token : *list) mark_special(named_token(token), true);
    } else if (const base::JsonObject* named = extra.if_object()) {
      for (const auto& member : *named) mark_special(named_token(member.second));
    }
  }
}

void finish_special_tokens(PipelineParts& parts, AddedTokens& added, const base::Json& config,
                           std::vector<std::string_view> eos_fallbacks) {
  const auto named_id = [&](const char* key) {
    const std::string name = named_token(field_or_null(config, key));
    return name.empty() ? std::nullopt : added.find_special(name);
  };
  if (const auto id = named_id("bos_token")) parts.bos_id = id;
  if (const auto id = named_id("eos_token")) parts.eos_id = id;
  for (const std::string_view name : eos_fallbacks) {
    if (!parts.eos_id) parts.eos_id = added.find_special(name);
  }
  std::vector<TokenId> configured;
  if (parts.eos_id) configured.push_back(*parts.eos_id);
  parts.eos_ids = collect_end_tokens(
      configured, [&](std::string_view name) { return added.find_special(name); });
  parts.special_tokens_map = special_tokens_map(config);
  parts.added = added.take();
}

std::string tokenizer_class(const base::Json& config) {
  const std::string* name = field_or_null(config, "tokenizer_class").if_string();
  if (name == nullptr) return {};
  return name->ends_with("Fast") ? name->substr(0, name->size() - 4) : *name;
}

}  // namespace openllm::tokenizer
