#pragma once

#include <memory>

#include "chat/answer_parser.h"

namespace openllm::chat {

/// All of the answer is content.
std::unique_ptr<AnswerParser> make_text_parser(const AnswerContext& context);

}  // namespace openllm::chat
