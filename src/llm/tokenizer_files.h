#pragma once

#include <memory>
#include <string>

#include "tokenizer/tokenizer.h"

namespace openllm::llm {

/// The tokenizer of a folder, in whatever form it has one: tokenizer.json, else tekken.json,
/// SentencePiece or tiktoken files, vocab.json with merges.txt, vocab.txt. Null when there is none.
/// Throws kCorruptData and kUnsupported, naming the file.
std::shared_ptr<const tokenizer::Tokenizer> load_folder_tokenizer(const std::string& folder);

/// The tokenizer in one file of such a kind, known by its name and first bytes, with the
/// tokenizer_config.json beside it. Null for files that are something else (GGUF).
std::shared_ptr<const tokenizer::Tokenizer> load_file_tokenizer(const std::string& path);

}  // namespace openllm::llm
