#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "openllm/llm.h"

namespace openllm {

/// The tokens of a text. All lists are as long.
struct Encoding {
  std::vector<std::int32_t> ids{};
  /// As the vocabulary spells them; of unknown ones of Unigram the text that they stand for.
  std::vector<std::string> tokens{};
  struct Place {
    std::size_t begin = 0;
    std::size_t end = 0;
  };
  /// Where each token is in the text, in code points. Tokens that stand for no text: 0 and 0.
  std::vector<Place> offsets{};
};

/// A tokenizer alone: of a model, or of a file that is one (tokenizer.json, SentencePiece,
/// tiktoken, tekken.json, vocab.txt). Loads at once. A cheap handle. Thread safety: const methods
/// from any thread.
class OPENLLM_API TextTokenizer {
 public:
  /// `model_or_file`: as LLM takes a model, or a file. Throws kNotFound, kCorruptData,
  /// kUnsupported; the last one also for a model without a tokenizer.
  explicit TextTokenizer(const std::string& model_or_file, const LoadOptions& options = {});

  Encoding encode(std::string_view text, const TokenizeOptions& options = {}) const;
  /// Throws kInvalidArgument for ids that the vocabulary does not have.
  std::string decode(const std::vector<std::int32_t>& token_ids,
                     bool skip_special_tokens = true) const;
  /// The text that a token adds in the middle of others. Empty for ids that there are not.
  std::string token_text(std::int32_t token_id) const;
  int vocab_size() const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

/// The chat template of a model that is used when requests name none. Throws kUnsupported for a
/// model that has none.
OPENLLM_API std::string chat_template_source(const std::string& model);

/// What a template (Jinja, as chat templates have it) makes of the variables in `data_json`, an
/// object; nothing is added to them. `place` is what messages call the template. Throws
/// kInvalidArgument, and kResourceExhausted where it needs too much work or memory.
OPENLLM_API std::string render_template(const std::string& source, const std::string& data_json,
                                        const std::string& place = "template");

}  // namespace openllm
