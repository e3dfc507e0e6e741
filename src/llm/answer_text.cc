#include "llm/answer_text.h"

#include <algorithm>
#include <string_view>

namespace openllm::llm {

AnswerText::AnswerText(const TextRules& rules, const tokenizer::Tokenizer& tokenizer)
    : tokenizer_(&tokenizer),
      decoder_(tokenizer, rules.skip_special_tokens, rules.continues_text),
      parser_(rules.make_parser ? rules.make_parser() : chat::answer_parsers().front().make({})),
      stop_(rules.stop, rules.include_stop),
      stop_token_ids_(rules.stop_token_ids),
      include_stop_(rules.include_stop),
      skips_special_(rules.skip_special_tokens),
      min_new_tokens_(rules.min_new_tokens) {
  // Where special tokens are not shown, none follow each other.
  if (!rules.skip_special_tokens && !rules.spaces_between_special_tokens)
    decoder_.join_special_tokens();
  if (rules.clean_up_spaces) cleaner_.emplace();
}

bool AnswerText::is_stop_token(std::int32_t token) const {
  return std::find(stop_token_ids_.begin(), stop_token_ids_.end(), token) != stop_token_ids_.end();
}

std::string AnswerText::decode(std::int32_t token) {
  std::string text = decoder_.push(token);
  return cleaner_ ? cleaner_->push(text) : text;
}

std::string AnswerText::flush_decoder() {
  std::string text = decoder_.flush();
  return cleaner_ ? cleaner_->push(text) + cleaner_->flush() : text;
}

void AnswerText::push(std::int32_t token, chat::Segments& out) {
  ++n_tokens_;
  const std::string_view spelling = tokenizer_->token_piece(token);
  if (parser_->is_markup(spelling)) {
    parser_->push_text(flush_decoder(), parsed_);  // text does not go on across markup
    parser_->push_markup(spelling, parsed_);
  } else if (include_stop_ || !is_stop_token(token)) {
    parser_->push_text(decode(token), parsed_);
  }
  const bool search = n_tokens_ > min_new_tokens_;
  release(search, out);
  if (search && skips_special_ && !stop_.empty() && tokenizer_->is_special(token))
    chat::append_segment(out, held_kind_, stop_.push_hidden(spelling), held_call_);
}

void AnswerText::flush(chat::Segments& out) {
  parser_->push_text(flush_decoder(), parsed_);
  parser_->flush(parsed_);
  release(true, out);
  release_held(out);
}

/// Passes on what the parser gave, searched for stop strings where the answer may end already.
void AnswerText::release(bool search, chat::Segments& out) {
  for (const chat::Segment& segment : parsed_) {
    if (stop_.stopped()) break;
    if (segment.kind != held_kind_ || segment.call != held_call_) {
      release_held(out);
      held_kind_ = segment.kind;
      held_call_ = segment.call;
    }
    chat::append_segment(out, segment.kind,
                         search ? stop_.push(segment.text) : stop_.push_unchecked(segment.text),
                         segment.call);
  }
  parsed_.clear();
}

void AnswerText::release_held(chat::Segments& out) {
  chat::append_segment(out, held_kind_, stop_.flush(), held_call_);
}

}  // namespace openllm::llm
