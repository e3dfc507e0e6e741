#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace openllm::chat {

/// The purpose of a part of an answer.
enum class SegmentKind : std::uint8_t {
  kContent,    ///< The answer itself.
  kReasoning,  ///< Thoughts that lead to it.
  kToolCall,   ///< A call of a tool, in the form that the parser of the dialect defines.
};

/// A part of an answer. Parts that follow each other with the same kind and call are one.
struct Segment {
  SegmentKind kind = SegmentKind::kContent;
  std::string text{};
  int call = 0;  ///< Of a tool call: 0 for the first one of the answer, then 1, ...
};
using Segments = std::vector<Segment>;

/// Appends a part; it extends the last one where both are one. Nothing happens for an empty text.
void append_segment(Segments& segments, SegmentKind kind, std::string_view text, int call = 0);

/// Splits an answer, which comes in pieces, into segments. One object per choice. A model's dialect
/// marks the parts with tokens of their own ("<think>") or with text; the parser sees such tokens
/// whether the user wants special tokens in the text or not.
///
/// A parser may hold text back while it could be markup. It appends what is decided to `out`, in
/// the order of the answer; what it appended is final. May throw openllm::Error: that ends the
/// request.
class AnswerParser {
 public:
  AnswerParser() = default;
  AnswerParser(const AnswerParser&) = delete;
  AnswerParser& operator=(const AnswerParser&) = delete;
  virtual ~AnswerParser() = default;

  /// Whether a token, as the vocabulary spells it, is markup: then `push_markup` gets the token
  /// instead of `push_text` its text. Asked for every token, so it must be cheap.
  virtual bool is_markup(std::string_view token) const noexcept = 0;
  /// The text in front of the token has been pushed.
  virtual void push_markup(std::string_view token, Segments& out) = 0;
  /// Whole characters of UTF-8.
  virtual void push_text(std::string_view text, Segments& out) = 0;
  /// The answer has ended: appends what is held back.
  virtual void flush(Segments& out) = 0;
};

/// Facts that a parser may need. The texts are valid during the call.
struct AnswerContext {
  std::string_view prompt{};  ///< A template may have opened a part at its end.
};

/// A dialect of answers.
struct AnswerParserEntry {
  std::string_view name;
  std::unique_ptr<AnswerParser> (*make)(const AnswerContext& context);
};

/// Every dialect known here. "text" is first: all of the answer is content.
std::span<const AnswerParserEntry> answer_parsers() noexcept;
/// Null when there is no dialect of that name.
const AnswerParserEntry* find_answer_parser(std::string_view name) noexcept;

}  // namespace openllm::chat
