#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocab/post_processor.h"

namespace openllm::tokenizer {

/// Places in bytes of `text` (valid UTF-8) to places in code points.
void count_code_points(std::string_view text, std::vector<LocatedToken>& tokens);

/// Takes the white space at the ends of tokens out of their places, as ByteLevel does behind a
/// model. `piece_of` spells tokens.
void trim_places(SpecialFrame::Trim trim, base::FunctionRef<std::string_view(TokenId)> piece_of,
                 std::vector<LocatedToken>& tokens);

}  // namespace openllm::tokenizer
