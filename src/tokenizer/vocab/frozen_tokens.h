#pragma once

#include <memory>
#include <vector>

#include "tokenizer/model.h"
#include "tokenizer/vocab/byte_trie.h"

namespace openllm::tokenizer {

/// Tokens that are cut out of a word before another model gets what is left: leftmost, then
/// longest.
class FrozenTokens final : public Model {
 public:
  FrozenTokens(std::vector<ByteTrie::Entry> tokens, std::unique_ptr<Model> model)
      : trie_(std::move(tokens)), model_(std::move(model)) {}

  std::unique_ptr<Session> start(std::size_t text_bytes) const override;
  void locate(std::string_view word, std::vector<Piece>& out) const override;
  std::size_t max_token_bytes() const noexcept override { return 0; }
  bool may_vanish(unsigned char byte) const noexcept override { return model_->may_vanish(byte); }

 private:
  void locate_rest(std::string_view word, std::size_t begin, std::size_t end,
                   std::vector<Piece>& out) const;

  ByteTrie trie_;
  std::unique_ptr<Model> model_;
};

}  // namespace openllm::tokenizer
