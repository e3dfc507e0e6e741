#include "server/api/logprobs.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/json.h"
#include "base/utf8.h"
#include "server/api/json_text.h"

namespace openllm::server {
namespace {

/// Tokens can be parts of characters. OpenAI writes those as escapes: "bytes:\xe2\x80" in
/// completions, "\xe2\x80" in chat.
std::string printable(const std::string& bytes, bool is_chat) {
  if (base::is_valid_utf8(bytes)) return bytes;
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text = is_chat ? "" : "bytes:";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += "\\x";
    text += kHex[byte >> 4U];
    text += kHex[byte & 15U];
  }
  return text;
}

std::size_t count_code_points(const std::string& bytes) {
  return static_cast<std::size_t>(std::count_if(bytes.begin(), bytes.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;  // not a continuation byte
  }));
}

/// SentencePiece writes the space before the first word into its token but not into the text.
void close_first_space(LogprobWriter::TextOffset& offset, std::string_view text) {
  if (!offset.is_space_open || text.empty()) return;
  offset.is_space_open = false;
  if (text.front() != ' ') --offset.n_code_points;
}

}  // namespace

void LogprobWriter::append_name(std::string& out, std::int32_t id, bool is_chat) const {
  if (as_ids_) {
    base::append_json_string(out, "token_id:" + std::to_string(id));
  } else {
    base::append_json_string(out, printable(vocabulary_.bytes(id), is_chat));
  }
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

/// Moves over the text of one token.
void LogprobWriter::advance(TextOffset& offset, std::string_view text, std::int32_t id) const {
  const std::string bytes = vocabulary_.bytes(id);
  if (bytes.empty()) return;
  if (vocabulary_.is_special(id)) {
    if (vocabulary_.hides_special) return;
    // What the tokenizer puts before a prompt is not part of its text.
    if (!offset.has_text && text.substr(0, bytes.size()) != bytes) return;
  }
  offset.n_code_points += count_code_points(bytes);
  if (!std::exchange(offset.has_text, true)) {
    offset.is_space_open = bytes.front() == ' ';
    close_first_space(offset, text);
  }
}

void LogprobWriter::append_completion(std::string& out, std::string_view text,
                                      std::span<const std::int32_t> ids,
                                      std::span<const TokenLogprobs> lists,
                                      TextOffset& offset) const {
  std::string tokens;
  std::string logprobs;
  std::string tops;
  std::string offsets;
  close_first_space(offset, text);
  const std::size_t n = std::min(ids.size(), lists.size());
  for (std::size_t i = 0; i < n; ++i) {
    if (i > 0) {
      for (std::string* part : {&tokens, &logprobs, &tops, &offsets}) *part += ',';
    }
    append_name(tokens, ids[i], false);
    append_int(offsets, static_cast<std::int64_t>(offset.n_code_points));
    advance(offset, text, ids[i]);
    if (lists[i].empty()) {
      logprobs += "null";
      tops += "null";
      continue;
    }
    append_logprob(logprobs, lists[i].front().logprob);
    tops += '{';
    std::set<std::string> seen;  // different tokens can have the same text: the likelier one stays
    for (const TokenLogprob& entry : top(lists[i], true)) {
      std::string name;
      append_name(name, entry.token_id, false);
      if (!seen.insert(name).second) continue;
      if (seen.size() > 1) tops += ',';
      tops += name;
      tops += ':';
      append_logprob(tops, entry.logprob);
    }
    tops += '}';
  }
  out += R"({"tokens":[)" + tokens + R"(],"token_logprobs":[)" + logprobs + R"(],"top_logprobs":)";
  out += n_top_ > 0 ? "[" + tops + "]" : "null";
  out += R"(,"text_offset":[)" + offsets + "]}";
}

void LogprobWriter::append_chat_token(std::string& out, const TokenLogprob& entry) const {
  out += R"({"token":)";
  append_name(out, entry.token_id, true);
  out += R"(,"logprob":)";
  append_logprob(out, entry.logprob);
  out += R"(,"bytes":[)";
  bool is_first = true;
  for (const char c : vocabulary_.bytes(entry.token_id)) {
    if (!std::exchange(is_first, false)) out += ',';
    append_int(out, static_cast<unsigned char>(c));
  }
  out += ']';
}

void LogprobWriter::append_chat(std::string& out, std::span<const TokenLogprobs> lists) const {
  out += R"({"content":[)";
  for (std::size_t i = 0; i < lists.size(); ++i) {
    if (lists[i].empty()) continue;
    if (i > 0) out += ',';
    append_chat_token(out, lists[i].front());
    out += R"(,"top_logprobs":[)";
    bool is_first = true;
    for (const TokenLogprob& entry : top(lists[i], false)) {
      if (!std::exchange(is_first, false)) out += ',';
      append_chat_token(out, entry);
      out += '}';
    }
    out += "]}";
  }
  out += R"(],"refusal":null})";
}

}  // namespace openllm::server
