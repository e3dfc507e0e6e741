#include "llm/answer_text.h"

#include <gtest/gtest.h>

#include "llm/output_sink.h"
#include "llm/test_tokenizer.h"

namespace openllm::llm {
namespace {

/// A double: reasoning between the tokens <think> and </think>. Holds white space at the end of a
/// part back, and drops it in front of a token of these.
class ThinkParser final : public chat::AnswerParser {
 public:
  bool is_markup(std::string_view token) const noexcept override {
    return token == "<think>" || token == "</think>";
  }
  void push_markup(std::string_view token, chat::Segments& /*out*/) override {
    kind_ = token == "<think>" ? chat::SegmentKind::kReasoning : chat::SegmentKind::kContent;
    held_.clear();
  }
  void push_text(std::string_view text, chat::Segments& out) override {
    held_ += text;
    const std::size_t end = held_.find_last_not_of(" \n") + 1;
    chat::append_segment(out, kind_, held_.substr(0, end));
    held_.erase(0, end);
  }
  void flush(chat::Segments& out) override { chat::append_segment(out, kind_, held_); }

 private:
  chat::SegmentKind kind_ = chat::SegmentKind::kContent;
  std::string held_;
};

const TestTokenizer& tokens() {
  static const TestTokenizer tokenizer({"<think>", "</think>", "<end>", "Hm", " so", "\n", "Yes",
                                        "!", "\xC3", "\xBC", "STO", "P", " STO", " ", ".", " '"});
  return tokenizer;
}

/// "content" and [reasoning] parts in order.
std::string shown(const chat::Segments& segments) {
  std::string out;
  for (const chat::Segment& segment : segments) {
    const bool is_content = segment.kind == chat::SegmentKind::kContent;
    out += is_content ? "{" + segment.text + "}" : "[" + segment.text + "]";
  }
  return out;
}

TextRules think_rules() {
  TextRules rules;
  rules.make_parser = [] { return std::make_unique<ThinkParser>(); };
  return rules;
}

/// The whole answer of these tokens, or up to a stop string.
std::string answer(const TextRules& rules, const std::vector<std::string>& pieces) {
  AnswerText text(rules, tokens());
  chat::Segments out;
  for (const std::string& piece : pieces) {
    if (!text.stopped()) text.push(tokens().find_token(piece).value(), out);
  }
  if (!text.stopped()) text.flush(out);
  return shown(out);
}

TEST(AnswerText, WithoutAParserAllIsContent) {
  TextRules rules;
  EXPECT_EQ(answer(rules, {"<think>", "Hm", "</think>", "\n", "Yes", "!"}), "{Hm\nYes!}");
  rules.skip_special_tokens = false;
  EXPECT_EQ(answer(rules, {"<think>", "Hm", "</think>", "Yes"}), "{<think>Hm</think>Yes}");
}

TEST(AnswerText, AParserSeesSpecialTokensWhetherTheyAreShownOrNot) {
  TextRules rules = think_rules();
  for (const bool skip : {true, false}) {
    rules.skip_special_tokens = skip;
    EXPECT_EQ(answer(rules, {"<think>", "Hm", " so", "\n", "</think>", "\n", "Yes", "!"}),
              "[Hm so]{\nYes!}");
  }
  EXPECT_EQ(answer(rules, {"<think>", "Hm", "<end>", "</think>", "Yes"}), "[Hm<end>]{Yes}");
}

TEST(AnswerText, APieceComesAsSoonAsItIsDecided) {
  AnswerText text(think_rules(), tokens());
  std::vector<std::string> steps;
  for (const char* piece : {"<think>", "Hm", "\n", " so", "</think>", "Yes", "\n"}) {
    chat::Segments out;
    text.push(tokens().find_token(piece).value(), out);
    steps.push_back(shown(out));
  }
  EXPECT_EQ(steps, (std::vector<std::string>{"", "[Hm]", "", "[\n so]", "", "{Yes}", ""}));
  chat::Segments rest;
  text.flush(rest);
  EXPECT_EQ(shown(rest), "{\n}");
}

TEST(AnswerText, AHalfCharacterInFrontOfMarkupBelongsToThePartThatEnds) {
  EXPECT_EQ(answer(think_rules(), {"<think>", "\xC3", "\xBC", "</think>", "\xC3", "\xBC"}),
            "[\xC3\xBC]{\xC3\xBC}");
  EXPECT_EQ(answer(think_rules(), {"<think>", "Hm", "\xC3", "</think>", "Yes"}),
            "[Hm\xEF\xBF\xBD]{Yes}");
}

TEST(AnswerText, SpacesAreCleanedWithinAPartAndBeforeStopsAreLookedFor) {
  TextRules rules = think_rules();
  rules.clean_up_spaces = true;
  rules.stop = {"so!"};
  EXPECT_EQ(answer(rules, {"<think>", "Hm", " ", "</think>", ".", " ", ".", " '"}), "[Hm]{.. '}");
  EXPECT_EQ(answer(rules, {"Yes", " so", " ", "!", "Hm"}), "{Yes }");
}

TEST(AnswerText, StopStringsEndAnyPartButDoNotSpanTwo) {
  TextRules rules = think_rules();
  rules.stop = {"STOP"};
  EXPECT_EQ(answer(rules, {"<think>", "Hm", "STO", "P", "</think>", "Yes"}), "[Hm]");
  EXPECT_EQ(answer(rules, {"<think>", "Hm", "</think>", "Yes", "STO", "P", "!"}), "[Hm]{Yes}");
  EXPECT_EQ(answer(rules, {"<think>", "STO", "</think>", "P", "!"}), "[STO]{P!}");
  EXPECT_EQ(answer(rules, {"Yes", "STO"}), "{YesSTO}");
  rules.include_stop = true;
  EXPECT_EQ(answer(rules, {"<think>", "Hm", "STO", "P", "</think>", "Yes"}), "[HmSTOP]");
  rules.min_new_tokens = 4;
  EXPECT_EQ(answer(rules, {"<think>", "Hm", "STO", "P", "</think>", "Yes"}), "[HmSTOP]{Yes}");
}

TEST(AnswerText, HeldBackTextMayEndInAStopString) {
  TextRules rules = think_rules();
  rules.stop = {"\n"};
  EXPECT_EQ(answer(rules, {"Yes", "\n"}), "{Yes}");  // found when the parser gives it up
  EXPECT_EQ(answer(rules, {"Yes", "\n", "Hm"}), "{Yes}");
}

TEST(AnswerText, AStopTokenHasNoTextButMayBeMarkup) {
  TextRules rules = think_rules();
  rules.skip_special_tokens = false;
  rules.stop_token_ids = {1, 2};
  EXPECT_EQ(answer(rules, {"<think>", "Hm", "</think>"}), "[Hm]");
  EXPECT_EQ(answer(rules, {"Yes", "<end>"}), "{Yes}");
  rules.include_stop = true;
  EXPECT_EQ(answer(rules, {"Yes", "<end>"}), "{Yes<end>}");
}

TEST(AnswerText, ThroughTheSinkEachChoiceHasItsParser) {
  const auto mailbox =
      std::make_shared<Mailbox>(2, true, [](const std::function<void()>&) { FAIL(); });
  const auto sink = std::make_shared<OutputSink>("r", 2, mailbox, std::make_shared<base::Worker>());
  TextRules rules = think_rules();
  rules.stop = {"STOP"};
  sink->configure(std::move(rules),
                  std::shared_ptr<const tokenizer::Tokenizer>(std::shared_ptr<void>(), &tokens()),
                  {});
  const auto tell = [&](int choice, const char* piece) {
    sink->on_token(choice, {tokens().find_token(piece).value(), -1.0F, {}});
  };
  for (const char* piece : {"<think>", "Hm", " so", "</think>", "Yes", " STO"}) tell(0, piece);
  for (const char* piece : {"Yes", "<think>", "Hm", "STO", "P", "!"}) tell(1, piece);
  sink->on_end(0, FinishReason::kLength, 0, {});
  sink->on_end(1, FinishReason::kLength, 0, {});
  const Update update = mailbox->wait();
  EXPECT_TRUE(update.finished);
  EXPECT_EQ(shown(update.choices[0].segments), "[Hm so]{Yes STO}");
  EXPECT_EQ(update.choices[0].finish_reason, FinishReason::kLength);
  EXPECT_EQ(shown(update.choices[1].segments), "{Yes}[Hm]");
  EXPECT_EQ(update.choices[1].finish_reason, FinishReason::kStop);
  EXPECT_EQ(update.choices[1].token_ids.size(), 5U);
}

TEST(AnswerText, ASpecialTokensTextStopsWhetherItIsShownOrNot) {
  for (const bool skip : {true, false}) {
    TextRules rules;
    rules.skip_special_tokens = skip;
    rules.stop = {"<end>"};
    EXPECT_EQ(answer(rules, {"Yes", "!", "<end>", "Hm"}), "{Yes!}") << skip;
    rules.include_stop = true;
    EXPECT_EQ(answer(rules, {"Yes", "<end>", "Hm"}), "{Yes<end>}") << skip;
    rules.stop = {"!<end>Hm"};
    EXPECT_EQ(answer(rules, {"Yes", "!", "<end>", "Hm", "Hm"}), "{Yes!<end>Hm}") << skip;
    rules.stop = {"<end>"};
    rules.include_stop = false;
    rules.min_new_tokens = 2;
    EXPECT_EQ(answer(rules, {"Yes", "<end>", "!", "<end>", "Hm"}), skip ? "{Yes!}" : "{Yes<end>!}");
  }
}

}  // namespace
}  // namespace openllm::llm
