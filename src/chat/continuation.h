#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace openllm::chat {

/// A prompt that ends inside the final message, so that the answer goes on with it. As transformers
/// does it (`continue_final_message`): the end of that message's text is tagged, and the prompt is
/// cut at the tag. Where the template trims the text, white space in front of the tag goes too.
class Continuation {
 public:
  /// Tags the last of `context`'s messages. Throws kInvalidArgument when there is no text to go on
  /// with, or the template (`source`) does not read it.
  static Continuation put(std::string_view source, base::Json& context);
  /// Throws kInvalidArgument when the template left the message out.
  void cut(std::string& rendered) const;

 private:
  std::string tag_;   // without the space behind it
  std::string text_;  // of the message, without white space around it
};

}  // namespace openllm::chat
