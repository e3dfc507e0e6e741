#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "tokenizer/model.h"
#include "tokenizer/vocab/word_cache.h"

namespace openllm::tokenizer {

/// Tokenizes by `Model::locate`, and remembers words. They wait for others, so that what is known
/// of them is loaded for several at once.
class CachedSession final : public Model::Session {
 public:
  CachedSession(const Model& model, std::size_t text_bytes) : model_(model), cache_(text_bytes) {}

  void tokenize(std::string_view word, std::vector<TokenId>& out) override {
    if (word.empty()) return;
    if (n_waiting_ == waiting_.size()) finish(out);
    waiting_[n_waiting_++] = {word, cache_.find_place(word)};
  }

  void finish(std::vector<TokenId>& out) override {
    for (std::size_t i = 0; i < n_waiting_; ++i) {
      const auto& [word, place] = waiting_[i];
      if (cache_.append(place, word, out)) continue;
      const std::size_t begin = out.size();
      pieces_.clear();
      model_.locate(word, pieces_);
      for (const Model::Piece& piece : pieces_) out.push_back(piece.id);
      cache_.put(place, word, std::span(out).subspan(begin));
    }
    n_waiting_ = 0;
  }

 private:
  struct Waiting {
    std::string_view word;
    WordCache::Place place;
  };

  const Model& model_;
  WordCache cache_;
  std::array<Waiting, 16> waiting_;
  std::size_t n_waiting_ = 0;
  std::vector<Model::Piece> pieces_;
};

}  // namespace openllm::tokenizer
