#include "server/completion_text.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

namespace openllm::server {
namespace {

std::int64_t count_code_points(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;  // not a continuation byte
  });
}

bool is_special(const LLM& llm, std::int32_t id) {
  return llm.detokenize({id}, true).empty() && !llm.detokenize({id}, false).empty();
}

/// The parts of a whole text.
std::vector<std::string> parts_of(TextDecoder decoder, const std::vector<std::int32_t>& ids) {
  std::vector<std::string> parts;
  const auto add = [&](std::vector<std::string> more) {
    std::move(more.begin(), more.end(), std::back_inserter(parts));
  };
  for (const std::int32_t id : ids) add(decoder.push(id));
  add(decoder.flush());
  return parts;
}

/// The tokens of a prompt that its own text has: the tokenizer may have put special ones around it.
struct Written {
  std::size_t first = 0;
  std::size_t last = 0;   ///< One past.
  std::size_t begin = 0;  ///< Byte of the text where they begin: a prompt may have been cut there.
  bool is_exact = false;  ///< They say what the text says; they may not where it is normalised.
};

Written find_written(const LLM& llm, std::string_view text, const std::vector<std::int32_t>& ids,
                     const std::vector<std::string>& parts) {
  constexpr std::size_t kMostAdded = 2;  // at each end
  const std::size_t n = ids.size();
  std::string all;
  std::vector<std::size_t> begins{0};
  for (const std::string& part : parts) begins.push_back((all += part).size());
  std::size_t n_before = 0;
  while (n_before < std::min(n, kMostAdded) && is_special(llm, ids[n_before])) ++n_before;
  std::size_t n_after = 0;
  while (n_after < std::min(n - n_before, kMostAdded) && is_special(llm, ids[n - 1 - n_after]))
    ++n_after;
  for (std::size_t first = 0; first <= n_before; ++first) {
    for (std::size_t last = n; last >= n - n_after && last >= first; --last) {
      const std::size_t size = begins[last] - begins[first];
      if (text.ends_with(std::string_view(all).substr(begins[first], size)))
        return {first, last, text.size() - size, true};
      if (last == 0) break;
    }
  }
  return {n_before, n - n_after, 0, false};
}

/// Bytes of the text at `pos` that the part stands for where the text is not what its tokens say.
/// Tokenizers put a space before a word that follows a special token.
std::size_t length_there(std::string_view text, std::size_t pos, std::string_view part,
                         bool is_added) {
  const std::string_view rest = text.substr(pos);
  if (rest.starts_with(part)) return part.size();
  if (part.starts_with(' ') && rest.starts_with(part.substr(1))) return part.size() - 1;
  return is_added ? 0 : std::min(part.size(), rest.size());
}

/// Where the tokens of a prompt stand in its own text; close, and never beyond the text, where that
/// is not what its tokens say.
std::vector<std::int64_t> offsets_within(const LLM& llm, std::string_view text,
                                         const std::vector<std::int32_t>& ids) {
  const std::vector<std::string> parts = parts_of(llm.text_decoder(false), ids);
  const Written written = find_written(llm, text, ids, parts);
  std::size_t pos = written.begin;
  std::int64_t at = count_code_points(text.substr(0, pos));
  std::vector<std::int64_t> offsets;
  offsets.reserve(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    offsets.push_back(at);
    const bool is_added = i < written.first || i >= written.last;
    if (is_added && written.is_exact) continue;
    const std::size_t n =
        written.is_exact ? parts[i].size() : length_there(text, pos, parts[i], is_added);
    at += count_code_points(text.substr(pos, n));
    pos += n;
  }
  return offsets;
}

}  // namespace

void TokenOffsets::push(std::int32_t id, std::vector<std::int64_t>& offsets, std::string& text) {
  ++n_tokens_;
  add(decoder_ ? decoder_->push(id) : std::vector<std::string>(1), offsets, text);
}

void TokenOffsets::flush(std::vector<std::int64_t>& offsets, std::string& text) {
  add(decoder_ ? decoder_->flush() : std::vector<std::string>(), offsets, text);
}

void TokenOffsets::add(const std::vector<std::string>& parts, std::vector<std::int64_t>& offsets,
                       std::string& text) {
  const auto give = [&] {  // a token's offset is known when the texts of all before it are
    if (n_given_ > n_known_ || n_given_ == n_tokens_) return;
    ++n_given_;
    offsets.push_back(next_);
  };
  give();
  for (const std::string& part : parts) {
    text += part;
    next_ += count_code_points(part);
    ++n_known_;
    give();
  }
}

PromptText::PromptText(const LLM& llm, const GenerationOutput& first, const Wishes& wishes) {
  static const std::vector<std::int32_t> kNone;
  const std::vector<std::int32_t>& ids = first.prompt_token_ids ? *first.prompt_token_ids : kNone;
  const bool has_text = !first.prompt.empty() || ids.empty();
  const bool joins = wishes.echo && !has_text;
  if (wishes.echo && has_text) echo = first.prompt;
  if (!joins && !wishes.logprobs) return;
  if (!llm.info().has_tokenizer) {
    place_without_text(first, wishes);
    return;
  }
  const bool continues =
      std::any_of(ids.begin(), ids.end(), [&](std::int32_t id) { return !is_special(llm, id); });
  std::vector<std::int64_t> known;
  if (!joins) {
    if (wishes.echo) known = offsets_within(llm, echo, ids);
    offsets.emplace(llm.text_decoder(wishes.skip_special, continues), count_code_points(echo));
  } else {
    offsets.emplace(llm.text_decoder(wishes.skip_special), 0);
    for (const std::int32_t id : ids) offsets->push(id, known, echo);
    if (offsets->is_waiting()) alone.emplace(llm.text_decoder(wishes.skip_special, continues));
  }
  if (wishes.echo && wishes.logprobs && first.prompt_logprobs) add_logprobs(first, known);
  if (!wishes.logprobs && !alone) offsets.reset();
}

/// All of a text that is empty begins where it does.
void PromptText::place_without_text(const GenerationOutput& first, const Wishes& wishes) {
  if (!wishes.logprobs) return;
  offsets.emplace(std::nullopt, 0);
  if (!wishes.echo || !first.prompt_logprobs || !first.prompt_token_ids) return;
  add_logprobs(first, std::vector<std::int64_t>(first.prompt_token_ids->size(), 0));
}

void PromptText::add_logprobs(const GenerationOutput& first,
                              const std::vector<std::int64_t>& known) {
  const std::vector<std::int32_t>& ids = *first.prompt_token_ids;
  const std::vector<TokenLogprobs>& lists = *first.prompt_logprobs;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    TokenLogprobs list = i < lists.size() ? lists[i] : TokenLogprobs{};
    if (i < known.size()) {
      placed.ids.push_back(ids[i]);
      placed.lists.push_back(std::move(list));
    } else {
      waiting_ids.push_back(ids[i]);
      waiting_lists.push_back(std::move(list));
    }
  }
  placed.offsets.assign(known.begin(),
                        known.begin() + static_cast<std::ptrdiff_t>(placed.ids.size()));
}

ChoiceText::ChoiceText(const PromptText& prompt, bool logprobs)
    : logprobs_(logprobs),
      offsets_(prompt.offsets),
      waiting_ids_(prompt.waiting_ids),
      waiting_lists_(prompt.waiting_lists),
      first_{prompt.echo, prompt.placed},
      alone_(prompt.alone) {}

ChoiceText::Piece ChoiceText::add(const CompletionChunk& chunk) {
  Piece piece = std::exchange(first_, {});
  if (logprobs_) {
    for (std::size_t i = 0; i < chunk.token_ids.size(); ++i) {
      waiting_ids_.push_back(chunk.token_ids[i]);
      const bool has_list = chunk.logprobs && i < chunk.logprobs->size();
      waiting_lists_.push_back(has_list ? (*chunk.logprobs)[i] : TokenLogprobs{});
    }
  }
  library_text_ += chunk.text;
  if (offsets_) {
    for (const std::int32_t id : chunk.token_ids) follow(id, piece.tokens);
    if (chunk.finish_reason) end(piece.tokens);
  }
  piece.text += take_text(chunk.finish_reason.has_value());
  return piece;
}

/// Moves over one token of the answer.
void ChoiceText::follow(std::int32_t id, PlacedTokens& tokens) {
  std::vector<std::int64_t> known;
  std::string text;
  offsets_->push(id, known, text);
  place(tokens, known);
  if (!alone_) return;
  joined_text_ += text;
  ++n_alone_waiting_;
  add_alone(alone_->push(id));
}

void ChoiceText::end(PlacedTokens& tokens) {
  std::vector<std::int64_t> known;
  std::string text;
  offsets_->flush(known, text);
  place(tokens, known);
  if (!alone_) return;
  joined_text_ += text;
  add_alone(alone_->flush());
}

/// Once no token waits for another in either way of decoding, both go on alike.
void ChoiceText::add_alone(const std::vector<std::string>& parts) {
  for (const std::string& part : parts) alone_text_ += part;
  n_alone_waiting_ -= parts.size();
  if (n_alone_waiting_ > 0 || offsets_->is_waiting()) return;
  alone_.reset();
  if (!logprobs_) offsets_.reset();
}

void ChoiceText::place(PlacedTokens& tokens, const std::vector<std::int64_t>& known) {
  if (!logprobs_) return;
  for (const std::int64_t offset : known) {
    tokens.ids.push_back(waiting_ids_.front());
    tokens.lists.push_back(std::move(waiting_lists_.front()));
    tokens.offsets.push_back(offset);
    waiting_ids_.pop_front();
    waiting_lists_.pop_front();
  }
}

/// The library's text, which begins as the answer does alone; shown as it is after the prompt.
std::string ChoiceText::take_text(bool is_end) {
  if (alone_ || (!is_end && library_text_.size() < alone_text_.size())) return {};
  std::string text = std::exchange(joined_text_, {});
  const std::string alone = std::exchange(alone_text_, {});
  if (library_text_.size() < alone.size()) {  // a stop within these tokens: the same end goes
    const std::size_t cut = alone.size() - library_text_.size();
    text.resize(text.size() - std::min(cut, text.size()));
  } else {
    text += std::string_view(library_text_).substr(alone.size());
  }
  library_text_.clear();
  return text;
}

}  // namespace openllm::server
