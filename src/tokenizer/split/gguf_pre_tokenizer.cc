#include "tokenizer/split/gguf_pre_tokenizer.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#include "tokenizer/split/pre_tokenizer.h"

namespace openllm::tokenizer {
namespace {

// The patterns are those of the tokenizer.json files from which the GGUF files were converted.

#define OPENLLM_CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define OPENLLM_LETTERS R"([^\r\n\p{L}\p{N}]?\p{L}+)"
#define OPENLLM_OTHER R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"
#define OPENLLM_UPPER R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define OPENLLM_LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define OPENLLM_BEFORE R"([^\r\n\p{L}\p{N}]?)"
#define OPENLLM_O200K_TAIL R"( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"

constexpr std::string_view kLlama3 =
    OPENLLM_CONTRACTIONS "|" OPENLLM_LETTERS R"(|\p{N}{1,3}|)" OPENLLM_OTHER;
constexpr std::string_view kQwen2 =
    OPENLLM_CONTRACTIONS "|" OPENLLM_LETTERS R"(|\p{N}|)" OPENLLM_OTHER;
constexpr std::string_view kQwen35 = OPENLLM_CONTRACTIONS
    R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt4o = OPENLLM_BEFORE OPENLLM_UPPER
    "*" OPENLLM_LOWER "+" OPENLLM_CONTRACTIONS "?|" OPENLLM_BEFORE OPENLLM_UPPER "+" OPENLLM_LOWER
    "*" OPENLLM_CONTRACTIONS R"(?|\p{N}{1,3}|)" OPENLLM_O200K_TAIL;
constexpr std::string_view kTekken =
    OPENLLM_BEFORE OPENLLM_UPPER "*" OPENLLM_LOWER "+|" OPENLLM_BEFORE OPENLLM_UPPER
                                 "+" OPENLLM_LOWER R"(*|\p{N}|)" OPENLLM_O200K_TAIL;
constexpr std::string_view kDigit = R"(\p{N})";
constexpr std::string_view kThreeDigits = "[0-9][0-9][0-9]";

constexpr std::string_view kDeepseekLetters =
    R"(\s?[)"
    R"(A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293})"
    R"(\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A})"
    R"(\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556})"
    R"(\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF})"
    R"(\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D})"
    R"(\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D})"
    R"(\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4})"
    R"(\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4})"
    R"(\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124})"
    R"(\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F})"
    R"(\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4})"
    R"(\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F})"
    R"(\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17})"
    R"(\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3})"
    R"(\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF})"
    R"(\x{1E900}-\x{1E943})"
    R"(]+)";
constexpr std::string_view kDeepseekPunctuation =
    R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)";
constexpr std::string_view kDeepseekCjk =
    R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)";
constexpr std::string_view kDeepseek3Cjk =
    R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)";
constexpr std::string_view kDeepseek3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|)"
    R"( ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kBloom =
    R"( ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+)";
constexpr std::string_view kBailing =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kSeedCoder = OPENLLM_CONTRACTIONS
    "|" OPENLLM_LETTERS R"(|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr std::string_view kMiniCpm5 =
    OPENLLM_CONTRACTIONS "|" OPENLLM_LETTERS R"(|\p{N}+|)" OPENLLM_OTHER;
constexpr std::string_view kExaoneMoe =
    OPENLLM_CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}|)"
                         R"( ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)";

// Three digits each, counted from the end.
constexpr std::string_view kDigitGroups = R"(\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N})))";
constexpr std::string_view kLines = R"([^\n]+|[\n]+)";
constexpr std::string_view kJais2 = OPENLLM_CONTRACTIONS
    "|" OPENLLM_LETTERS
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|)"
    R"(\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|)"
    R"(\s{1,2}(?!\S)|\s{1})";
constexpr std::string_view kYoutuScripts =
    R"([\x{AC00}-\x{D7A3}\x{3131}-\x{318E}]+|)"
    R"([\x{FF01}\x{2026}\x{201C}\x{201D}\x{2018}\x{2019}\x{2014}\x{FF1A}\x{FF1B}\x{FF0C})"
    R"(\x{3001}-\x{303F}\x{FE30}-\x{FE4F}]+|[\x{3105}-\x{312F}]+|)"
    R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)";
constexpr std::string_view kYoutu = OPENLLM_BEFORE OPENLLM_UPPER
    "*" OPENLLM_LOWER "+" OPENLLM_CONTRACTIONS "?|" OPENLLM_BEFORE OPENLLM_UPPER "+" OPENLLM_LOWER
    "*" OPENLLM_CONTRACTIONS R"(?|\p{N}|)" OPENLLM_O200K_TAIL;
constexpr std::string_view kSpark =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|)"
    R"( ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kAfmoeScripts =
    R"([\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{F900}-\x{FAFF}\x{3040}-\x{309F}\x{30A0}-\x{30FF})"
    R"(\x{FF65}-\x{FF9F}\x{2F00}-\x{2FDF}\x{E40}-\x{E7F}\x{E80}-\x{EFF}\x{1780}-\x{17FF})"
    R"(\x{1000}-\x{109F}\x{AA60}-\x{AA7F}\x{A9E0}-\x{A9FF}\x{AC00}-\x{D7AF}\x{1100}-\x{11FF}]+)";
constexpr std::string_view kUfakzeka = OPENLLM_LETTERS R"(|\p{N}|)" OPENLLM_OTHER;

struct Row {
  std::string_view names;  // separated by spaces
  std::vector<std::string_view> patterns;
  bool ignore_merges = false;
  bool add_bos = false;
  bool raw_text = false;
  bool whole_newlines = false;
};

std::vector<Row> make_rows() {
  return {
      {"default", {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2Pattern, R"(\p{N}+)", kThreeDigits}},
      {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
       {kLlama3},
       true,
       true},
      {"dbrx smaug-bpe glm4 chatglm-bpe", {kLlama3}},
      {"qwen2 deepseek-r1-qwen megrez stablelm2 hunyuan grok-2 solar-open kormo f2llmv2", {kQwen2}},
      {"qwen35", {kQwen35}},
      {"gpt-2 phi-2 mpt olmo jais trillion granite-docling exaone4 gigachat mellum a.x-4.0 "
       "modern-bert jina-es jina-de jina-v2-es jina-v2-de jina-v1-en jina-v2-code roberta-bpe",
       {kGpt2Pattern}},
      {"smollm starcoder refact command-r codeshell exaone minerva-7b mellum2",
       {kDigit, kGpt2Pattern}},
      {"deepseek-llm",
       {R"([\r\n])", kDeepseekLetters, kDeepseekPunctuation, R"(\s+$)", kDeepseekCjk, R"(\p{N}+)"}},
      {"deepseek-coder", {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepseekCjk, kDigit}},
      {"deepseek-v3 hunyuan-dense joyai-llm hy_v4", {R"(\p{N}{1,3})", kDeepseek3Cjk, kDeepseek3}},
      {"falcon", {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2Pattern, kThreeDigits}},
      {"tekken", {kTekken}, true, true},
      {"gpt-4o llama4 kanana2 minimax-m2 talkie", {kGpt4o}},
      {"granite-embed-multi-97m", {kGpt4o}, true},
      {"tiny_aya cohere2moe", {kDigitGroups, kGpt4o}},
      {"kimi-k2", {kKimiPattern}},
      {"afmoe", {kDigitGroups, kAfmoeScripts, kDeepseek3}},
      {"jais-2", {kJais2}},
      {"youtu", {kYoutuScripts, kYoutu}, true},
      {"spark2_5", {R"(\p{N}{1,3})", kDeepseek3Cjk, kSpark, kDigit}},
      {"laguna", {kLines, kQwen2}},
      {"ufakzeka", {kUfakzeka}},
      {"gemma4 granite-embed-multi-311m", {kLines}, false, false, true, true},
      {"sarvam-moe", {kLines}, false, false, true},
      {"bloom poro-chat gpt3-finnish", {kBloom}},
      {"viking", {kBloom, kDigit}},
      {"superbpe", {R"(\p{N}+)", R"((?=(\d{3})+(?!\d)))"}},
      {"bailingmoe bailingmoe2 llada-moe", {kBailing}},
      {"seed-coder", {kSeedCoder}},
      {"minicpm5", {R"(\p{N}{1,3})", kMiniCpm5}, true},
      {"exaone-moe", {kExaoneMoe}},
      {"chameleon",
       {"<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", R"(([\t\n]|    |  ))", kDigit,
        R"([\p{P}!-/:-@\[-`{-~])", kGpt2Pattern},
       false,
       true},
  };
}

bool has_name(std::string_view names, std::string_view name) {
  while (!names.empty()) {
    const std::size_t space = names.find(' ');
    if (names.substr(0, space) == name) return true;
    if (space == std::string_view::npos) break;
    names.remove_prefix(space + 1);
  }
  return false;
}

}  // namespace

GgufPreTokenizer find_gguf_pre_tokenizer(std::string_view name) {
  std::string known;
  for (Row& row : make_rows()) {
    if (has_name(row.names, name)) {
      return {std::move(row.patterns), row.ignore_merges, row.add_bos, row.raw_text,
              row.whole_newlines};
    }
    known += base::cat(known.empty() ? "" : " ", row.names);
  }
  base::fail(ErrorCode::kUnsupported, "gguf: pre-tokenizer \"", name.substr(0, 100),
             "\" (known: ", known, ")");
}

}  // namespace openllm::tokenizer
