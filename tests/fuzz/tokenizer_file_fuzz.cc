// A byte that says which kind of file and which class of tokenizer, then any bytes as that file, a
// NUL and a text: an openllm::Error, or a tokenizer whose answers are consistent.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/utf8.h"
#include "openllm/error.h"
#include "tokenizer/tokenizer.h"

namespace {

namespace tokenizer = openllm::tokenizer;
using openllm::base::Json;

template <std::size_t N>
Json config_of(const char* const (&classes)[N], int choice) {
  Json config = Json::object();
  config["tokenizer_class"] = classes[static_cast<std::size_t>(choice) % N];
  return config;
}

constexpr const char* kPieceClasses[] = {"",
                                         "XLMRobertaTokenizer",
                                         "CamembertTokenizer",
                                         "MBartTokenizer",
                                         "PegasusTokenizer",
                                         "T5Tokenizer",
                                         "DebertaV2Tokenizer",
                                         "AlbertTokenizer",
                                         "ChatGLMTokenizer",
                                         "PLBartTokenizer",
                                         "MarianTokenizer",
                                         "M2M100Tokenizer"};
constexpr const char* kRankClasses[] = {"", "QWenTokenizer", "HYTokenizer", "ChatGLM4Tokenizer",
                                        "TikTokenTokenizer"};

std::unique_ptr<tokenizer::Tokenizer> load_pieces(int choice, std::string_view file) {
  const Json config = config_of(kPieceClasses, choice);
  const std::string& name = config.find("tokenizer_class")->as_string("class");
  if (name != "MarianTokenizer" && name != "M2M100Tokenizer")
    return tokenizer::make_sentencepiece_tokenizer(file, config);
  Json vocab = Json::object();
  for (const char* token : {"<unk>", "</s>", "a", "Hello", "\xE2\x96\x81"})
    vocab[token] = vocab.as_object("vocab").size();
  return tokenizer::make_renamed_sentencepiece_tokenizer(file, vocab, config);
}

std::unique_ptr<tokenizer::Tokenizer> load(int kind, std::string_view file) {
  switch (kind % 5) {
    case 0:
      return load_pieces(kind / 5, file);
    case 1:
      return tokenizer::make_tiktoken_tokenizer(file, config_of(kRankClasses, kind / 5));
    case 2:
      return tokenizer::make_tekken_tokenizer(Json::parse(file, "fuzz"));
    case 3:
      return tokenizer::make_vocab_txt_tokenizer(file, {});
    default: {
      const std::size_t end = file.find('\x01');
      const Json vocab = Json::parse(file.substr(0, end), "fuzz");
      return tokenizer::make_vocab_merges_tokenizer(
          vocab, end == std::string_view::npos ? "" : file.substr(end + 1), {});
    }
  }
}

void use(const tokenizer::Tokenizer& tok, std::string_view text) {
  const auto ids = tok.encode(text);
  const auto located = tok.encode_with_offsets(text);
  if (located.size() != ids.size()) std::abort();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] != located[i].id || located[i].begin > located[i].end) std::abort();
  }
  if (!openllm::base::is_valid_utf8(tok.decode(ids))) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view rest(reinterpret_cast<const char*>(data + 1), size - 1);
  const std::size_t end = data[0] % 5 == 0 ? rest.rfind('\0') : rest.find('\0');
  try {
    const auto tok = load(data[0], rest.substr(0, end));
    if (end != std::string_view::npos) use(*tok, rest.substr(end + 1));
    use(*tok, "Hello  w\xC3\xB6rld 123<s>\n");
  } catch (const openllm::Error&) {
    return 0;
  }
  return 0;
}
