#include "chat/control_words.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/hex.h"
#include "base/utf8.h"

namespace openllm::chat {
namespace {

// CJK Unified Ideographs Extension B: printable for Python, no white space, not changed by letter
// case, normal forms or Jinja's escaping, and next to unused.
constexpr char32_t kFirstMark = 0x20000;
constexpr char32_t kLastMark = 0x2A6DF;

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n\v\f") == std::string_view::npos;
}

std::size_t first_char_bytes(std::string_view text) {
  std::size_t end = 0;
  if (!text.empty()) base::decode_utf8(text, end);
  return end;
}

/// Calls `visit` for every text of a JSON value, keys included, and puts what it gives in its
/// place.
template <typename Visit>
base::Json map_texts(const base::Json& value, const Visit& visit) {
  if (const std::string* text = value.if_string()) return base::Json(visit(*text));
  if (const base::JsonArray* items = value.if_array()) {
    base::JsonArray out;
    out.reserve(items->size());
    for (const base::Json& item : *items) out.push_back(map_texts(item, visit));
    return base::Json(std::move(out));
  }
  if (const base::JsonObject* members = value.if_object()) {
    base::JsonObject out;
    for (const auto& [key, member] : *members) out[visit(key)] = map_texts(member, visit);
    return base::Json(std::move(out));
  }
  return value;
}

bool is_assistants(const base::Json& message) {
  const base::Json* role = message.find("role");
  return role != nullptr && role->if_string() != nullptr && *role->if_string() == "assistant";
}

/// `visit(words, text)` as in `map_texts`, with the words that count in the text.
template <typename Visit>
base::Json map_context(const ControlRules& rules, const base::Json& context, const Visit& visit) {
  const auto with = [&visit](const ControlWords& words) {
    return [&visit, &words](const std::string& text) { return visit(words, text); };
  };
  base::Json out = base::Json::object();
  for (const auto& [key, value] : context.as_object("context")) {
    const base::JsonArray* messages = key == "messages" ? value.if_array() : nullptr;
    if (messages == nullptr) {
      out[key] = map_texts(value, with(rules.anybody));
      continue;
    }
    base::Json list = base::Json::array();
    for (const base::Json& message : *messages)
      list.push_back(
          map_texts(message, with(is_assistants(message) ? rules.assistant : rules.anybody)));
    out[key] = std::move(list);
  }
  return out;
}

/// The character as ASCII writes it: as JSON, and in URLs.
std::vector<std::string> spellings(const std::string& mark) {
  std::size_t end = 0;
  const char32_t c = base::decode_utf8(mark, end) - 0x10000;
  std::string json;
  for (const char32_t unit : {0xD800 + (c >> 10U), 0xDC00 + (c & 0x3FFU)}) {
    json += "\\u";
    base::append_hex(json, static_cast<unsigned char>(unit >> 8U));
    base::append_hex(json, static_cast<unsigned char>(unit & 0xFFU));
  }
  std::string url;
  for (const char byte : mark) {
    std::string hex;
    base::append_hex(hex, static_cast<unsigned char>(byte));
    std::transform(hex.begin(), hex.end(), hex.begin(),
                   [](char d) { return d >= 'a' ? static_cast<char>(d - 'a' + 'A') : d; });
    url += "%" + hex;
  }
  return {mark, std::move(json), std::move(url)};
}

}  // namespace

ControlWords::ControlWords(std::vector<std::string> words) : words_(std::move(words)) {
  std::erase_if(words_, [](const std::string& word) {
    return first_char_bytes(word) == word.size() || is_blank(word);
  });
  for (std::string& word : words_) std::transform(word.begin(), word.end(), word.begin(), lower);
  std::sort(words_.begin(), words_.end());
  words_.erase(std::unique(words_.begin(), words_.end()), words_.end());
  for (unsigned byte = 0; byte < begins_.size(); ++byte) {
    const char c = lower(static_cast<char>(byte));
    begins_[byte] = std::any_of(words_.begin(), words_.end(),
                                [c](const std::string& word) { return word.front() == c; });
  }
}

std::vector<std::size_t> ControlWords::find(std::string_view text) const {
  std::vector<std::size_t> places;
  for (std::size_t begin = 0; begin < text.size(); ++begin) {
    if (!begins_[static_cast<unsigned char>(text[begin])]) continue;
    // The words that go on as the text does, ever fewer of them.
    auto first = words_.begin();
    auto last = words_.end();
    std::size_t length = 0;
    while (first != last && first->size() > length && begin + length < text.size()) {
      const char c = lower(text[begin + length]);
      const auto before = [length](const std::string& word, char wanted) {
        return word.size() <= length ||
               static_cast<unsigned char>(word[length]) < static_cast<unsigned char>(wanted);
      };
      first = std::lower_bound(first, last, c, before);
      last = std::upper_bound(first, last, c, [length](char wanted, const std::string& word) {
        return static_cast<unsigned char>(wanted) < static_cast<unsigned char>(word[length]);
      });
      ++length;
    }
    if (first == last) continue;
    const bool is_whole = first->size() <= length;
    if (!is_whole && begin + length < text.size()) continue;
    const std::size_t place = begin + first_char_bytes(text.substr(begin));
    if (place <= text.size()) places.push_back(place);
  }
  return places;
}

ControlRules make_control_rules(const std::vector<ControlToken>& tokens, std::string_view source,
                                const std::vector<std::string>& sought) {
  std::vector<std::string> anybody;
  std::vector<std::string> assistant;
  for (const ControlToken& token : tokens) {
    if (!token.special && source.find(token.text) == std::string_view::npos) continue;
    anybody.push_back(token.text);
    const bool is_sought = std::any_of(sought.begin(), sought.end(), [&](const auto& text) {
      return text.find(token.text) != std::string::npos;
    });
    if (token.special && !is_sought) assistant.push_back(token.text);
  }
  return {ControlWords(std::move(anybody)), ControlWords(std::move(assistant))};
}

std::string unused_character(const std::vector<std::string_view>& texts) {
  std::vector<bool> used(kLastMark - kFirstMark + 1);
  for (const std::string_view text : texts) {
    for (std::size_t at = text.find('\xF0'); at < text.size(); at = text.find('\xF0', at)) {
      const char32_t c = base::decode_utf8(text, at);
      if (c >= kFirstMark && c <= kLastMark) used[c - kFirstMark] = true;
    }
  }
  const auto unused = std::find(used.begin(), used.end(), false);
  std::string out;
  if (unused != used.end())
    base::append_utf8(out, kFirstMark + static_cast<char32_t>(unused - used.begin()));
  return out;
}

ControlMarks ControlMarks::put(const ControlRules& rules, std::string_view source,
                               base::Json& context) {
  ControlMarks marks;
  bool any = false;
  (void)map_context(rules, context, [&any](const ControlWords& words, const std::string& text) {
    any = any || !words.find(text).empty();
    return text;
  });
  if (!any) return marks;
  marks.mark_ = unused_character({context.dump(), source});
  if (marks.mark_.empty()) {
    base::fail_at(ErrorCode::kInvalidArgument, "messages",
                  "hold control words beside every ideograph of a whole block of Unicode, so that "
                  "the words cannot be marked (set special_tokens_in_messages, or leave some out)");
  }
  context =
      map_context(rules, context, [&marks](const ControlWords& words, const std::string& text) {
        std::string marked;
        std::size_t done = 0;
        for (const std::size_t place : words.find(text)) {
          marked.append(text, done, place - done).append(marks.mark_);
          done = place;
        }
        return marked.append(text, done);
      });
  return marks;
}

RenderedPrompt ControlMarks::take(std::string rendered) const {
  if (mark_.empty()) return {std::move(rendered), {}};
  const std::vector<std::string> marks = spellings(mark_);
  RenderedPrompt prompt;
  std::size_t done = 0;
  for (;;) {
    std::size_t next = std::string::npos;
    std::size_t length = 0;
    for (const std::string& mark : marks) {
      const std::size_t at = rendered.find(mark, done);
      if (at >= next) continue;
      next = at;
      length = mark.size();
    }
    prompt.text.append(rendered, done, next - done);
    if (next == std::string::npos) return prompt;
    prompt.guards.push_back(prompt.text.size());
    done = next + length;
  }
}

}  // namespace openllm::chat
