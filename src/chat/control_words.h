#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

// Words that a tokenizer turns into tokens of their own ("<|im_end|>") structure a prompt. The
// template writes them; what comes with a request must not. So before a template is rendered, a
// mark is put into every such word in the request's texts, and taken out of the prompt again: where
// it was, no control token is found. The mark goes through the template inside the text, whatever
// the template does with it: joining, trimming, splitting, JSON.
namespace openllm::chat {

/// An added token of a tokenizer.
struct ControlToken {
  std::string text;
  bool special = false;
};

/// A set of words that can be found in texts. Letter case is ignored, as templates may change it.
class ControlWords {
 public:
  ControlWords() = default;
  explicit ControlWords(std::vector<std::string> words);

  /// Places inside of words in `text`, ascending, each behind the first character of a word; also
  /// of the beginning of a word at the end of the text, which another text may complete. Words of
  /// one character have no inside.
  std::vector<std::size_t> find(std::string_view text) const;

 private:
  std::vector<std::string> words_;  // lower case, sorted
  std::array<bool, 256> begins_{};  // by byte: some word begins so, in either letter case
};

/// The words of a template's conversations that are to be text, by who wrote them.
struct ControlRules {
  ControlWords anybody;    ///< In messages, tools, documents and template variables.
  ControlWords assistant;  ///< In the messages of the assistant.
};

/// Control words are the special tokens, and the other added tokens that the template's source has.
/// The assistant's own turns may hold what models write of themselves: tokens that are not special,
/// and those that the template looks for there (`sought`: "</think>").
ControlRules make_control_rules(const std::vector<ControlToken>& tokens, std::string_view source,
                                const std::vector<std::string>& sought);

/// A prompt, and the places in it that no added token may lie across.
struct RenderedPrompt {
  std::string text{};
  std::vector<std::size_t> guards{};  ///< Ascending.
};

/// The marks of one rendering.
class ControlMarks {
 public:
  /// Marks the texts of a template's variables. `source`: the template's. Throws kInvalidArgument
  /// when the texts leave no character to mark with.
  static ControlMarks put(const ControlRules& rules, std::string_view source, base::Json& context);
  /// Takes the marks out of what was rendered.
  RenderedPrompt take(std::string rendered) const;

 private:
  std::string mark_;  // empty: nothing was marked
};

/// A character, of those that templates leave alone (ideographs are letters without case), that is
/// in none of the texts; empty when each of them is.
std::string unused_character(const std::vector<std::string_view>& texts);

}  // namespace openllm::chat
