#include "server/api/logprobs.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/hex.h"
#include "base/utf8.h"

namespace openllm::server {
namespace {

/// Tokens can be parts of characters. OpenAI writes those as escapes: "bytes:\xe2\x80" in
/// completions, "\xe2\x80" in chat.
std::string printable(const std::string& bytes, bool is_chat) {
  if (base::is_valid_utf8(bytes)) return bytes;
  std::string text = is_chat ? "" : "bytes:";
  for (const char c : bytes) {
    text += "\\x";
    base::append_hex(text, static_cast<unsigned char>(c));
  }
  return text;
}

/// Infinities and NaN become -9999, as OpenAI writes impossible logprobs.
void write_logprob(base::JsonWriter& json, float value) {
  if (std::isfinite(value)) {
    json.value(value);
  } else {
    json.raw("-9999.0");
  }
}

}  // namespace

LogprobWriter::Vocabulary LogprobWriter::vocabulary_of(const LLM& llm) {
  if (!llm.info().has_tokenizer) return {};
  return {[&llm](std::int32_t id) { return llm.token_text(id); }};
}

std::string LogprobWriter::name(std::int32_t id, bool is_chat) const {
  if (as_ids_) return "token_id:" + std::to_string(id);
  if (vocabulary_.bytes) return printable(vocabulary_.bytes(id), is_chat);
  base::fail_at(
      ErrorCode::kUnsupported, "logprobs",
      "the model has no tokenizer to name tokens by (expected return_tokens_as_token_ids)");
}

TokenLogprobs LogprobWriter::top(const TokenLogprobs& list, bool always_chosen) const {
  TokenLogprobs sorted = list;
  std::stable_sort(sorted.begin(), sorted.end(), [](const TokenLogprob& a, const TokenLogprob& b) {
    return a.logprob > b.logprob;
  });
  const auto limit = static_cast<std::size_t>(n_top_);
  if (sorted.size() <= limit) return sorted;
  const auto chosen = std::find_if(sorted.begin(), sorted.end(), [&](const TokenLogprob& entry) {
    return entry.token_id == list.front().token_id;
  });
  const bool is_beyond = static_cast<std::size_t>(chosen - sorted.begin()) >= limit;
  const TokenLogprob kept = *chosen;
  sorted.resize(limit);
  if (always_chosen && is_beyond) sorted.push_back(kept);
  return sorted;
}

void LogprobWriter::write_top(base::JsonWriter& json, const TokenLogprobs& list) const {
  json.begin_object();
  std::set<std::string> seen;  // different tokens can have the same text: the likelier one stays
  for (const TokenLogprob& entry : top(list, true)) {
    const std::string text = name(entry.token_id, false);
    if (!seen.insert(text).second) continue;
    json.key(text);
    write_logprob(json, entry.logprob);
  }
  json.end_object();
}

void LogprobWriter::append_completion(std::string& out, const PlacedTokens& placed) const {
  std::array<std::string, 4> parts;
  base::JsonWriter tokens(parts[0]);
  base::JsonWriter logprobs(parts[1]);
  base::JsonWriter tops(parts[2]);
  base::JsonWriter offsets(parts[3]);
  for (std::size_t i = 0; i < placed.ids.size(); ++i) {
    tokens.value(name(placed.ids[i], false));
    offsets.value(placed.offsets[i]);
    const TokenLogprobs& list = placed.lists[i];
    if (list.empty()) {
      logprobs.null();
      tops.null();
      continue;
    }
    write_logprob(logprobs, list.front().logprob);
    write_top(tops, list);
  }
  base::JsonWriter json(out);
  json.begin_object();
  json.key("tokens").begin_array().raw(parts[0]).end_array();
  json.key("token_logprobs").begin_array().raw(parts[1]).end_array();
  // Without likely tokens the list is empty, not null: clients go through it.
  json.key("top_logprobs").begin_array();
  if (n_top_ > 0) json.raw(parts[2]);
  json.end_array();
  json.key("text_offset").begin_array().raw(parts[3]).end_array();
  json.end_object();
}

void LogprobWriter::write_chat_token(base::JsonWriter& json, const TokenLogprob& entry) const {
  json.member("token", name(entry.token_id, true)).key("logprob");
  write_logprob(json, entry.logprob);
  json.key("bytes").begin_array();
  for (const char c : vocabulary_.bytes(entry.token_id))
    json.value(int{static_cast<unsigned char>(c)});
  json.end_array();
}

void LogprobWriter::append_prompt(std::string& out, const std::vector<TokenLogprobs>& lists,
                                  int n_top) const {
  base::JsonWriter json(out);
  json.begin_array();
  for (const TokenLogprobs& list : lists) {
    if (list.empty()) {
      json.null();
      continue;
    }
    json.begin_object();
    for (const TokenLogprob& entry : list) {
      const auto n_likelier =
          std::count_if(list.begin(), list.end(),
                        [&](const TokenLogprob& other) { return other.logprob > entry.logprob; });
      json.key(std::to_string(entry.token_id)).begin_object().key("logprob");
      write_logprob(json, entry.logprob);
      json.key("rank");
      if (n_likelier < n_top) {
        json.value(std::int64_t{n_likelier} + 1);
      } else {
        json.null();
      }
      json.key("decoded_token");
      if (vocabulary_.bytes) {
        json.value(printable(vocabulary_.bytes(entry.token_id), true));
      } else {
        json.null();
      }
      json.end_object();
    }
    json.end_object();
  }
  json.end_array();
}

void LogprobWriter::append_chat(std::string& out, std::span<const TokenLogprobs> lists) const {
  base::JsonWriter json(out);
  json.begin_object().key("content").begin_array();
  for (const TokenLogprobs& list : lists) {
    if (list.empty()) continue;
    json.begin_object();
    write_chat_token(json, list.front());
    json.key("top_logprobs").begin_array();
    for (const TokenLogprob& entry : top(list, false)) {
      json.begin_object();
      write_chat_token(json, entry);
      json.end_object();
    }
    json.end_array().end_object();
  }
  json.end_array().key("refusal").null().end_object();
}

}  // namespace openllm::server
