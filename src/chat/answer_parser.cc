#include "chat/answer_parser.h"

#include <algorithm>

#include "chat/parsers/text_parser.h"

namespace openllm::chat {
namespace {

constexpr AnswerParserEntry kParsers[] = {
    {"text", make_text_parser},
};

}  // namespace

void append_segment(Segments& segments, SegmentKind kind, std::string_view text, int call) {
  if (text.empty()) return;
  if (segments.empty() || segments.back().kind != kind || segments.back().call != call) {
    segments.push_back({kind, std::string(text), call});
  } else {
    segments.back().text += text;
  }
}

std::span<const AnswerParserEntry> answer_parsers() noexcept { return kParsers; }

const AnswerParserEntry* find_answer_parser(std::string_view name) noexcept {
  const auto* found = std::find_if(std::begin(kParsers), std::end(kParsers),
                                   [name](const auto& entry) { return entry.name == name; });
  return found == std::end(kParsers) ? nullptr : found;
}

}  // namespace openllm::chat
