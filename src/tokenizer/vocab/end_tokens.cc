#include "tokenizer/vocab/end_tokens.h"

#include <algorithm>

namespace openllm::tokenizer {
namespace {

// ChatML, Llama 3 and 4, Phi, Gemma, Harmony, GPT-2, Llama 3 base, DeepSeek, SmolVLM, Command R,
// GLM, StarChat.
constexpr std::string_view kEndSpellings[] = {
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|eot|>",
    "<|eom|>",
    "<|end|>",
    "<end_of_turn>",
    "<turn|>",
    "<|return|>",
    "<|call|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<\uFF5Cend\u2581of\u2581sentence\uFF5C>",
    "<end_of_utterance>",
    "<|END_OF_TURN_TOKEN|>",
    "<|user|>",
    "<|observation|>",
    "<EOT>",
};

/// Ends a message but not the turn where the vocabulary also has <|return|> (Harmony), or begins
/// the next turn only where the vocabulary has <|observation|> (GLM).
bool is_end_here(std::string_view spelling, FindSpecial find_special) {
  if (spelling == "<|end|>") return !find_special("<|return|>");
  if (spelling == "<|user|>") return find_special("<|observation|>").has_value();
  return true;
}

}  // namespace

std::vector<TokenId> collect_end_tokens(const std::vector<TokenId>& configured,
                                        FindSpecial find_special) {
  std::vector<TokenId> ids;
  const auto add = [&](TokenId id) {
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  };
  for (const TokenId id : configured) add(id);
  for (const std::string_view spelling : kEndSpellings) {
    const auto id = find_special(spelling);
    if (id && is_end_here(spelling, find_special)) add(*id);
  }
  return ids;
}

bool is_end_spelling(std::string_view piece) noexcept {
  return piece != "<|user|>" && std::find(std::begin(kEndSpellings), std::end(kEndSpellings),
                                          piece) != std::end(kEndSpellings);
}

}  // namespace openllm::tokenizer
