#include "tokenizer/vocab/added_tokens.h"

#include <algorithm>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer/unicode/unicode.h"

namespace openllm::tokenizer {

namespace {

/// Whether a guard lies inside, not at an end.
bool is_guarded(std::span<const std::size_t> guards, std::size_t begin, std::size_t end) noexcept {
  const auto next = std::upper_bound(guards.begin(), guards.end(), begin);
  return next != guards.end() && *next < end;
}

}  // namespace

void AddedTokenMatcher::add(const AddedToken& token, std::string_view content) {
  // Texts are whole characters; part of one would leave the rest of it to be read past its end.
  if (content.empty() || !base::is_valid_utf8(content)) return;
  if (content.size() > kMaxContentBytes) {
    base::fail(ErrorCode::kUnsupported, "tokenizer: added token ", token.id,
               " is too long (at most ", kMaxContentBytes, " bytes, got ", content.size(), ")");
  }
  std::uint32_t node = 0;
  for (const char c : content) {
    const auto byte = static_cast<unsigned char>(c);
    auto& next = nodes_[node].next;
    const auto at =
        std::lower_bound(next.begin(), next.end(), byte,
                         [](const auto& edge, unsigned char value) { return edge.first < value; });
    if (at != next.end() && at->first == byte) {
      node = at->second;
      continue;
    }
    const auto fresh = static_cast<std::uint32_t>(nodes_.size());
    next.insert(at, {byte, fresh});
    nodes_.emplace_back();
    node = fresh;
  }
  nodes_[node].rule = static_cast<std::int32_t>(rules_.size());
  starts_[static_cast<unsigned char>(content[0])] = true;
  longest_bytes_ = std::max(longest_bytes_, content.size());
  takes_blanks_ = takes_blanks_ || token.lstrip || token.rstrip;
  rules_.push_back({token.id, token.special, token.single_word, token.lstrip, token.rstrip});
}

const std::uint32_t* AddedTokenMatcher::find_child(const Node& node,
                                                   unsigned char byte) const noexcept {
  const auto& next = node.next;
  if (next.size() == 1) return next[0].first == byte ? &next[0].second : nullptr;  // most have one
  const auto at =
      std::lower_bound(next.begin(), next.end(), byte,
                       [](const auto& edge, unsigned char value) { return edge.first < value; });
  return at == next.end() || at->first != byte ? nullptr : &at->second;
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::longest_at(
    std::string_view text, std::size_t pos) const noexcept {
  std::optional<Match> best;
  std::uint32_t node = 0;
  for (std::size_t i = pos; i < text.size(); ++i) {
    const std::uint32_t* child = find_child(nodes_[node], static_cast<unsigned char>(text[i]));
    if (child == nullptr) break;
    node = *child;
    const std::int32_t rule = nodes_[node].rule;
    if (rule >= 0) best = Match{i + 1 - pos, &rules_[static_cast<std::size_t>(rule)]};
  }
  return best;
}

bool AddedTokenMatcher::is_single_word(std::string_view text, std::size_t begin,
                                       std::size_t end) noexcept {
  if (begin > 0 && is_word_char(char_before(text, begin))) return false;
  return end == text.size() || !is_word_char(base::decode_utf8(text, end));
}

void AddedTokenMatcher::split(std::string_view text, bool parse_special,
                              std::span<const std::size_t> guards,
                              base::FunctionRef<void(const Segment&)> visit) const {
  std::size_t done = 0;  // everything before was visited
  for (std::size_t pos = 0; pos < text.size() && !rules_.empty();) {
    if (!starts_[static_cast<unsigned char>(text[pos])]) {
      ++pos;
      continue;
    }
    const auto match = longest_at(text, pos);
    if (!match) {
      ++pos;
      continue;
    }
    std::size_t begin = pos;
    std::size_t end = pos + match->length;
    pos = end;
    const Rule& rule = *match->rule;
    // As in the Hugging Face library, what was matched and then refused is not looked at again.
    if (is_guarded(guards, begin, end)) continue;
    if (rule.special && !parse_special) continue;
    if (rule.single_word && !is_single_word(text, begin, end)) continue;
    if (rule.lstrip) begin -= trailing_whitespace(text.substr(0, begin));
    // A token before may have taken the white space, or even this token; then that stays so for the
    // white space, and the text in between comes once more, as in the Hugging Face library.
    if (rule.lstrip) begin = std::max(begin, done);
    if (rule.rstrip) end += leading_whitespace(text.substr(end));
    if (begin > done) visit({text.substr(done, begin - done), done, std::nullopt});
    if (begin < end) visit({text.substr(begin, end - begin), begin, rule.id});
    done = end;
  }
  if (done < text.size()) visit({text.substr(done), done, std::nullopt});
}

}  // namespace openllm::tokenizer
