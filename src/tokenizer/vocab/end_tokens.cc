#include "tokenizer/vocab/end_tokens.h"

#include <algorithm>

namespace openllm::tokenizer {
namespace {

// ChatML, Llama 3 and 4, Phi, Gemma, Harmony, Solar Open, GPT-2, Llama 3 base, DeepSeek, SmolVLM,
// Command R, GLM, StarChat, Code Llama, Kimi; Gemma and Llama 2 where the file names another end.
// llama.cpp (llama-vocab.cpp) ends answers at the same spellings.
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
    "<|flush|>",
    "<|calls|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<\uFF5Cend\u2581of\u2581sentence\uFF5C>",
    "<end_of_utterance>",
    "<|END_OF_TURN_TOKEN|>",
    "<|user|>",
    "<|observation|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|tool_response>",
    "<eos>",
    "</s>",
};

/// Ends a message but not the turn where the vocabulary also has <|return|> (Harmony) or <|flush|>
/// (Solar Open), begins the next turn only where the vocabulary has <|observation|> (GLM), or is
/// plain text where it has <|tool_response> (Gemma 4).
bool is_end_here(std::string_view spelling, FindSpecial find_special) {
  if (spelling == "<|end|>") return !find_special("<|return|>") && !find_special("<|flush|>");
  if (spelling == "</s>") return !find_special("<|tool_response>");
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
  return piece != "<|user|>" && piece != "</s>" &&
         std::find(std::begin(kEndSpellings), std::end(kEndSpellings), piece) !=
             std::end(kEndSpellings);
}

}  // namespace openllm::tokenizer
