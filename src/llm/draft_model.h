#pragma once

#include <optional>
#include <string>

#include "format/model_source.h"
#include "openllm/options.h"
#include "tokenizer/tokenizer.h"

namespace openllm::llm {

/// LoadOptions::draft_model, found as any model is; nullopt when none is named. Every error is
/// about "draft_model".
std::optional<format::ModelSource> find_draft(const LoadOptions& options);

/// The options with its path in place of what names it, as backends take it.
LoadOptions with_draft_path(LoadOptions options);

/// Throws kInvalidArgument where "draft_model" unless the draft has the tokens of the model:
/// `tokens`, or where that has no tokenizer, as many as `n_tokens`. Tokens at the end that one of
/// them lacks must stand for nothing: tables are padded to round sizes.
void require_same_tokens(const tokenizer::Tokenizer* tokens, int n_tokens,
                         const format::ModelSource& draft, int n_draft_tokens,
                         const std::string& pre);

/// The same of two vocabularies.
void require_same_tokens(const tokenizer::Tokenizer& tokens, const tokenizer::Tokenizer& draft,
                         const std::string& draft_name);

}  // namespace openllm::llm
