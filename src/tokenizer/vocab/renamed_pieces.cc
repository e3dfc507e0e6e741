#include "tokenizer/vocab/renamed_pieces.h"

#include <utility>

#include "tokenizer/vocab/cached_session.h"

namespace openllm::tokenizer {

RenamedPieces::RenamedPieces(std::unique_ptr<Vocab> pieces, std::unique_ptr<Model> model,
                             std::optional<TokenId> model_unk, const Vocab& vocab, TokenId unk_id)
    : pieces_(std::move(pieces)),
      model_(std::move(model)),
      model_unk_(model_unk),
      vocab_(&vocab),
      unk_id_(unk_id) {
  for (TokenId id = 0; id < pieces_->size(); ++id)
    ids_.push_back(vocab.find(pieces_->piece(id)).value_or(unk_id));
}

void RenamedPieces::locate(std::string_view word, std::vector<Piece>& out) const {
  const std::size_t n_before = out.size();
  model_->locate(word, out);
  for (std::size_t i = n_before; i < out.size(); ++i) {
    Piece& piece = out[i];
    piece.id =
        piece.id == model_unk_
            ? vocab_->find(word.substr(piece.begin, piece.end - piece.begin)).value_or(unk_id_)
            : ids_[static_cast<std::size_t>(piece.id)];
  }
}

std::unique_ptr<Model::Session> RenamedPieces::start(std::size_t text_bytes) const {
  return std::make_unique<CachedSession>(*this, text_bytes);
}

}  // namespace openllm::tokenizer
