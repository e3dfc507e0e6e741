#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace openllm::llm {

/// Takes the spaces away that some tokenizers leave before punctuation and English contractions, as
/// transformers' clean_up_tokenization does to a whole text: its replacements one after the other,
/// each on what the ones before gave. Here the text comes in pieces; what later ones may still
/// change is held back.
class SpaceCleaner {
 public:
  SpaceCleaner();
  /// What is certain now.
  std::string push(std::string_view text);
  /// What was held back: the text ends here.
  std::string flush();

 private:
  struct Replacement {
    std::string_view from;
    std::string_view to;
    std::string held{};  ///< The longest end of the text that may begin `from`.

    std::string push(std::string_view text);
  };
  std::vector<Replacement> steps_;
};

}  // namespace openllm::llm
