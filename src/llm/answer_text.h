#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chat/answer_parser.h"
#include "llm/space_cleaner.h"
#include "llm/stop_matcher.h"
#include "tokenizer/tokenizer.h"

namespace openllm::llm {

/// Rules that turn the tokens of one request into text.
struct TextRules {
  bool skip_special_tokens = true;
  bool spaces_between_special_tokens = true;
  bool clean_up_spaces = false;
  std::vector<std::string> stop{};
  bool include_stop = false;
  int min_new_tokens = 0;
  std::vector<std::int32_t> stop_token_ids{};
  bool want_logprobs = false;
  bool continues_text = false;  ///< The prompt has text: a leading space of the answer is kept.
  std::size_t vocab_size = 0;   ///< Logits per row.
  int stream_interval = 1;      ///< Tokens between two outputs of a stream.
  /// Makes the parser of one choice; empty: all of the answer is content.
  std::function<std::unique_ptr<chat::AnswerParser>()> make_parser{};
};

/// The text of one choice: tokens are decoded, cleaned of spaces if that is asked for, parsed into
/// segments, and searched for stop strings. Each of these may hold text back; what was appended to
/// `out` is final.
///
/// A stop string may lie in a segment of any kind, across any tokens, but not across two segments.
/// The text of a special token counts, also where special tokens are not shown.
class AnswerText {
 public:
  AnswerText(const TextRules& rules, const tokenizer::Tokenizer& tokenizer);

  /// The next token. Nothing may follow once `stopped()`.
  void push(std::int32_t token, chat::Segments& out);
  /// The answer has ended: appends what is held back, up to a stop string in it.
  void flush(chat::Segments& out);
  /// A stop string was found: the answer ends there.
  bool stopped() const noexcept { return stop_.stopped(); }

 private:
  bool is_stop_token(std::int32_t token) const;
  std::string decode(std::int32_t token);
  std::string flush_decoder();
  void release(bool search, chat::Segments& out);
  void release_held(chat::Segments& out);

  const tokenizer::Tokenizer* tokenizer_;
  tokenizer::IncrementalDecoder decoder_;
  std::optional<SpaceCleaner> cleaner_{};
  std::unique_ptr<chat::AnswerParser> parser_;
  StopMatcher stop_;
  std::vector<std::int32_t> stop_token_ids_;
  bool include_stop_;
  bool skips_special_;
  int min_new_tokens_;
  int n_tokens_ = 0;
  chat::Segments parsed_;  // of one token; kept for its capacity
  chat::SegmentKind held_kind_ = chat::SegmentKind::kContent;  // of what stop_ holds back
  int held_call_ = 0;
};

}  // namespace openllm::llm
