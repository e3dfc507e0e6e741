#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "tokenizer/files/pipeline.h"
#include "tokenizer/vocab/added_tokens.h"
#include "tokenizer/vocab/vocab.h"

namespace openllm::tokenizer {

// What tokenizer_config.json says of a tokenizer, whichever file has its vocabulary.

/// The member, or null.
const base::Json& field_or_null(const base::Json& json, std::string_view key);

/// The added tokens of several files by content; of equal contents the later one counts, but
/// special is what once was.
class AddedTokens {
 public:
  explicit AddedTokens(const Vocab& vocab) : vocab_(&vocab) {}

  /// As both files write it; the vocabulary's id counts before `id`.
  void add(const base::Json& json, TokenId id, std::string_view where);
  void add(AddedToken token);
  /// A special token that a file only names. `keeps`: one that is there already stays as it is.
  void mark_special(const std::string& content, bool keeps = false);
  /// Those that a configuration (or null) has and names.
  void add_config(const base::Json& config);

  std::optional<TokenId> find_special(std::string_view content) const;
  /// Throws kCorruptData for ids that no vocabulary of this size has.
  std::vector<AddedToken> take();

 private:
  const Vocab* vocab_;
  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string, std::size_t> index_;
};

/// Sets the ids of beginning and end, the ends of answers, the named tokens and the added tokens.
/// `eos_fallbacks`: where the configuration names no end.
void finish_special_tokens(PipelineParts& parts, AddedTokens& added, const base::Json& config,
                           std::vector<std::string_view> eos_fallbacks);

/// The member `tokenizer_class` without "Fast" at its end; empty if there is none.
std::string tokenizer_class(const base::Json& config);

}  // namespace openllm::tokenizer
