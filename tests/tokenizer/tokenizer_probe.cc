// What the tokenizer makes of texts and ids, for tools/compare_tokenizers.py; and how fast.
//
//   tokenizer_probe FILE [tokenizer_config.json [vocab.json or merges.txt]] < lines of JSON > lines
//   of JSON tokenizer_probe FILE --bench TEXT_FILE
//
// A line in is a text, a list of ids, {"plain_text": a text} that has no special tokens, or
// {"pair": [a text, a text]}. A line out, for a text: ids, plain (without special tokens of the
// post-processor), offsets, text (decoded) and whole (with special tokens); for ids: text and
// whole; for a pair: ids and types. FILE is a tokenizer.json,
// tekken.json, vocab.txt, SentencePiece or tiktoken file.

#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>

#include "base/json.h"
#include "base/mapped_file.h"
#include "tokenizer/tokenizer.h"

namespace {

using openllm::base::Json;
namespace tokenizer = openllm::tokenizer;

Json to_json(const std::vector<tokenizer::TokenId>& ids) {
  Json list = Json::array();
  for (const tokenizer::TokenId id : ids) list.push_back(id);
  return list;
}

void answer_ids(const tokenizer::Tokenizer& tok, const std::vector<tokenizer::TokenId>& ids,
                Json& out) {
  out["text"] = tok.decode(ids);
  out["whole"] = tok.decode(ids, false);
}

Json answer(const tokenizer::Tokenizer& tok, const Json& question) {
  Json out = Json::object();
  if (const std::string* text = question.if_string()) {
    const auto ids = tok.encode(*text);
    out["ids"] = to_json(ids);
    out["plain"] = to_json(tok.encode(*text, {.add_special_tokens = false}));
    Json offsets = Json::array();
    Json located = Json::array();
    Json names = Json::array();
    for (const tokenizer::LocatedToken& token : tok.encode_with_offsets(*text)) {
      Json place = Json::array();
      place.push_back(token.begin);
      place.push_back(token.end);
      offsets.push_back(std::move(place));
      located.push_back(token.id);
      names.push_back(token.name.empty() ? tok.token_piece(token.id) : token.name);
    }
    out["offsets"] = std::move(offsets);
    out["tokens"] = std::move(names);
    if (!(located == out["ids"])) out["located"] = std::move(located);
    answer_ids(tok, ids, out);
    return out;
  }
  if (const Json* text = question.find("plain_text")) {
    out["plain"] = to_json(tok.encode(text->as_string("plain_text"),
                                      {.add_special_tokens = false, .parse_special = false}));
    return out;
  }
  if (const Json* pair = question.find("pair")) {
    const auto& texts = pair->as_array("pair");
    const auto both = tok.encode_pair(texts.at(0).as_string("text"), texts.at(1).as_string("text"));
    out["ids"] = to_json(both.ids);
    out["types"] = to_json(both.types);
    return out;
  }
  std::vector<tokenizer::TokenId> ids;
  for (const Json& id : question.as_array("ids"))
    ids.push_back(static_cast<tokenizer::TokenId>(id.as_int("id")));
  answer_ids(tok, ids, out);
  return out;
}

/// `other`: a second file of the tokenizer, or empty.
std::unique_ptr<tokenizer::Tokenizer> load(const std::string& path, const Json& config,
                                           const std::string& other) {
  const std::string bytes = openllm::base::read_file(path);
  if (other.ends_with(".txt")) {
    return tokenizer::make_vocab_merges_tokenizer(Json::parse(bytes, path),
                                                  openllm::base::read_file(other), config);
  }
  if (!other.empty()) {
    return tokenizer::make_renamed_sentencepiece_tokenizer(
        bytes, Json::parse(openllm::base::read_file(other), other), config);
  }
  if (path.ends_with("tekken.json"))
    return tokenizer::make_tekken_tokenizer(Json::parse(bytes, path));
  if (path.ends_with(".json")) return tokenizer::make_tokenizer(Json::parse(bytes, path), config);
  if (path.ends_with(".txt")) return tokenizer::make_vocab_txt_tokenizer(bytes, config);
  if (bytes.starts_with('\n')) return tokenizer::make_sentencepiece_tokenizer(bytes, config);
  return tokenizer::make_tiktoken_tokenizer(bytes, config);
}

void bench(const tokenizer::Tokenizer& tok, const std::string& text) {
  using Clock = std::chrono::steady_clock;
  double best = 1e9;
  std::size_t n_ids = 0;
  for (int i = 0; i < 5; ++i) {
    const auto begin = Clock::now();
    n_ids = tok.encode(text).size();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - begin).count());
  }
  std::printf("%.2f MB/s, %zu tokens\n", static_cast<double>(text.size()) / best / 1e6, n_ids);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const bool benches = argc == 4 && std::string(argv[2]) == "--bench";
  try {
    const Json config =
        argc >= 3 && !benches ? Json::parse(openllm::base::read_file(argv[2]), argv[2]) : Json();
    const auto tok = load(argv[1], config, argc == 4 && !benches ? argv[3] : "");
    if (benches) {
      bench(*tok, openllm::base::read_file(argv[3]));
      return 0;
    }
    for (std::string line; std::getline(std::cin, line);) {
      Json out = Json::object();
      try {
        out = answer(*tok, Json::parse(line, "line"));
      } catch (const openllm::Error& error) {
        out["error"] = error.what();
      }
      std::cout << out.dump() << "\n" << std::flush;
    }
  } catch (const openllm::Error& error) {
    std::cout << error.what() << "\n";
    return 1;
  }
  return 0;
}
