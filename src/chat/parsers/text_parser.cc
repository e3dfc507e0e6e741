#include "chat/parsers/text_parser.h"

namespace openllm::chat {
namespace {

class TextParser final : public AnswerParser {
 public:
  bool is_markup(std::string_view /*token*/) const noexcept override { return false; }
  void push_markup(std::string_view /*token*/, Segments& /*out*/) override {}
  void push_text(std::string_view text, Segments& out) override {
    append_segment(out, SegmentKind::kContent, text);
  }
  void flush(Segments& /*out*/) override {}
};

}  // namespace

std::unique_ptr<AnswerParser> make_text_parser(const AnswerContext& /*context*/) {
  return std::make_unique<TextParser>();
}

}  // namespace openllm::chat
