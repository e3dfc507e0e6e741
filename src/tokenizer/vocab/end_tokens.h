#pragma once

#include <optional>
#include <vector>

#include "base/function_ref.h"
#include "tokenizer/tokenizer.h"

namespace openllm::tokenizer {

/// Finds a special token by its spelling.
using FindSpecial = base::FunctionRef<std::optional<TokenId>(std::string_view)>;

/// `configured` (most specific first), then the well-known tokens that end a turn or a text; each
/// once.
std::vector<TokenId> collect_end_tokens(const std::vector<TokenId>& configured,
                                        FindSpecial find_special);

/// Whether a token of this spelling always ends a turn or a text.
bool is_end_spelling(std::string_view piece) noexcept;

}  // namespace openllm::tokenizer
