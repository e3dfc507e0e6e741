#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "tokenizer/text/aligned_text.h"

namespace openllm::tokenizer {

/// Rewrites text before it is split into words. Thread safety: const methods from any thread.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  /// Valid UTF-8 in and out.
  virtual std::string apply(std::string text) const = 0;
  /// The same, and what each byte stands for, as the Hugging Face library has it.
  virtual void apply_aligned(AlignedText& text) const = 0;
  /// The same for a text whose first `start` bytes stand for the first character of the whole
  /// input; sets `start` to the number of bytes of the result that do.
  virtual std::string apply_at_start(std::string text, std::size_t& start) const;
  /// The most that normalizing shortens a text, as a factor of its bytes, and also the bytes of its
  /// characters that are not white space; 0 where there is no such limit. `is_ascii`: for texts of
  /// ASCII alone.
  virtual std::size_t max_shrink(bool is_ascii) const noexcept = 0;
};

/// The component "normalizer" of tokenizer.json; null for JSON null.
std::unique_ptr<Normalizer> make_normalizer(const base::Json& json, int depth = 0);

std::unique_ptr<Normalizer> make_nfc_normalizer();
std::unique_ptr<Normalizer> make_replace_normalizer(std::string from, std::string to);
/// In front of every text that is not empty.
std::unique_ptr<Normalizer> make_prepend_normalizer(std::string prefix);
std::unique_ptr<Normalizer> make_normalizer_sequence(std::unique_ptr<Normalizer> first,
                                                     std::unique_ptr<Normalizer> second);

/// Lower case of every character.
void rewrite_lower(AlignedText& text);

/// All occurrences of `from` (not empty) in `text`, leftmost first.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

}  // namespace openllm::tokenizer
