#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "tokenizer/model.h"
#include "tokenizer/vocab/vocab.h"

namespace openllm::tokenizer {

/// A model whose tokens have the ids that another vocabulary gives to their spellings, as files of
/// SentencePiece beside a vocab.json. Text that the model does not know is looked for there as it
/// is.
class RenamedPieces final : public Model {
 public:
  /// `vocab` must outlive the model; what it lacks becomes `unk_id`. `model` works on `pieces`, in
  /// which `model_unk` is the unknown token.
  RenamedPieces(std::unique_ptr<Vocab> pieces, std::unique_ptr<Model> model,
                std::optional<TokenId> model_unk, const Vocab& vocab, TokenId unk_id);

  std::unique_ptr<Session> start(std::size_t text_bytes) const override;
  void locate(std::string_view word, std::vector<Piece>& out) const override;
  std::size_t max_token_bytes() const noexcept override { return model_->max_token_bytes(); }
  bool may_vanish(unsigned char byte) const noexcept override { return model_->may_vanish(byte); }

 private:
  std::unique_ptr<Vocab> pieces_;
  std::unique_ptr<Model> model_;
  std::optional<TokenId> model_unk_;
  const Vocab* vocab_;
  TokenId unk_id_;
  std::vector<TokenId> ids_;  // by the model's ids
};

}  // namespace openllm::tokenizer
