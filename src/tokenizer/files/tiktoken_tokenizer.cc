#include <charconv>
#include <string>

#include "base/error.h"
#include "tokenizer/files/config_tokens.h"
#include "tokenizer/files/ranked_tokens.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/split/pre_tokenizer.h"
#include "tokenizer/text/charsmap.h"
#include "tokenizer/text/normalizer.h"

namespace openllm::tokenizer {
namespace {

constexpr std::string_view kFile = "tiktoken file";
constexpr std::string_view kTekken = "tekken.json";
constexpr std::string_view kConfig = "tokenizer_config.json";
constexpr std::size_t kMaxTokens = std::size_t{1} << 24U;

constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

std::vector<RankedToken> parse_lines(std::string_view text) {
  std::vector<RankedToken> tokens;
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view row = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (row.ends_with('\r')) row.remove_suffix(1);
    if (row.empty()) continue;
    const std::size_t space = row.find(' ');
    RankedToken token;
    const char* last = row.data() + row.size();
    const auto number = space == std::string_view::npos
                            ? std::from_chars_result{nullptr, std::errc::invalid_argument}
                            : std::from_chars(row.data() + space + 1, last, token.rank);
    if (number.ec != std::errc() || number.ptr != last || tokens.size() == kMaxTokens)
      base::fail_at(ErrorCode::kCorruptData, kFile, "line ", line,
                    " is not a token in base64 and its rank");
    token.bytes = decode_base64(row.substr(0, space), kFile);
    tokens.push_back(std::move(token));
  }
  if (tokens.empty()) base::fail_at(ErrorCode::kCorruptData, kFile, "no tokens");
  return tokens;
}

void add_special(AddedTokens& added, std::string content, TokenId id) {
  AddedToken token;
  token.id = id;
  token.content = std::move(content);
  token.special = true;
  added.add(std::move(token));
}

void push_numbered(std::vector<std::string>& names, const char* stem, TokenId first, TokenId end) {
  for (TokenId i = first; i < end; ++i) names.push_back(base::cat(stem, i, "|>"));
}

// The special tokens behind the ranks, by the class of the tokenizer. `next`: the first of them.

std::vector<std::string> llama_specials(TokenId) {
  std::vector<std::string> names = {"<|begin_of_text|>",
                                    "<|end_of_text|>",
                                    "<|reserved_special_token_0|>",
                                    "<|reserved_special_token_1|>",
                                    "<|reserved_special_token_2|>",
                                    "<|reserved_special_token_3|>",
                                    "<|start_header_id|>",
                                    "<|end_header_id|>",
                                    "<|reserved_special_token_4|>",
                                    "<|eot_id|>"};
  push_numbered(names, "<|reserved_special_token_", 5, 251);
  return names;
}

std::vector<std::string> qwen_specials(TokenId) {
  std::vector<std::string> names = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  push_numbered(names, "<|extra_", 0, 205);
  return names;
}

std::vector<std::string> hunyuan_specials(TokenId) {
  std::vector<std::string> names = {"<|endoftext|>", "<|startoftext|>", "<|bos|>", "<|eos|>",
                                    "<|pad|>"};
  push_numbered(names, "<|extra_", 0, 205);
  return names;
}

std::vector<std::string> glm_specials(TokenId) {
  return {"<|endoftext|>",
          "[MASK]",
          "[gMASK]",
          "[sMASK]",
          "<sop>",
          "<eop>",
          "<|system|>",
          "<|user|>",
          "<|assistant|>",
          "<|observation|>",
          "<|begin_of_image|>",
          "<|end_of_image|>",
          "<|begin_of_video|>",
          "<|end_of_video|>"};
}

std::vector<std::string> kimi_specials(TokenId next) {
  constexpr TokenId kReserved = 256;
  std::vector<std::string> names;
  push_numbered(names, "<|reserved_token_", next, next + kReserved);
  return names;
}

/// What classes of tokenizers know that stands in no file.
struct TiktokenClass {
  std::string_view name;
  std::string_view pattern;
  std::vector<std::string> (*specials)(TokenId next);
  bool composes = false;  // text becomes NFC
  std::vector<std::string_view> before{};
  // What begins and ends a text unless the configuration's flag is false.
  std::string_view begin{}, end{};
  std::string_view begin_flag = "add_bos_token";
};

std::vector<TiktokenClass> make_classes() {
  std::vector<TiktokenClass> classes;
  for (const char* name : {"", "LlamaTokenizer", "PreTrainedTokenizer", "TokenizersBackend"})
    classes.push_back({name, kLlama3, llama_specials, false, {}, "<|begin_of_text|>"});
  classes.push_back({"QWenTokenizer", kQwen, qwen_specials, true});
  classes.push_back({"HYTokenizer",
                     kQwen,
                     hunyuan_specials,
                     true,
                     {},
                     "<|startoftext|>",
                     "<|endoftext|>",
                     "add_bod_token"});
  classes.push_back({"ChatGLM4Tokenizer", kLlama3, glm_specials, false, {"[gMASK]", "<sop>"}});
  classes.push_back({"TikTokenTokenizer", kKimiPattern, kimi_specials});
  return classes;
}

TiktokenClass find_class(const std::string& name) {
  std::string known;
  for (TiktokenClass& each : make_classes()) {
    if (each.name == name) return std::move(each);
    if (!each.name.empty()) known += base::cat(known.empty() ? "" : ", ", each.name);
  }
  base::fail_at(ErrorCode::kUnsupported, kConfig, "a tiktoken file of the class ", name,
                " (known: ", known, "); a tokenizer.json says how text is cut");
}

/// Those of ids that the configuration names itself are not as the class has them.
void add_class_specials(AddedTokens& added, const TiktokenClass& known, TokenId next,
                        const base::Json& config) {
  const base::Json& own = field_or_null(config, "added_tokens_decoder");
  for (std::string& name : known.specials(next)) {
    if (own.find(std::to_string(next)) == nullptr) add_special(added, std::move(name), next);
    ++next;
  }
}

struct TekkenSpecial {
  std::string text;
  TokenId rank;
};

/// The special tokens of files that do not list them.
std::vector<TekkenSpecial> default_specials() {
  std::vector<TekkenSpecial> specials;
  TokenId next = 0;
  for (const char* text : {"<unk>",
                           "<s>",
                           "</s>",
                           "[INST]",
                           "[/INST]",
                           "[AVAILABLE_TOOLS]",
                           "[/AVAILABLE_TOOLS]",
                           "[TOOL_RESULTS]",
                           "[/TOOL_RESULTS]",
                           "[TOOL_CALLS]",
                           "[IMG]",
                           "<pad>",
                           "[IMG_BREAK]",
                           "[IMG_END]",
                           "[PREFIX]",
                           "[MIDDLE]",
                           "[SUFFIX]",
                           "[SYSTEM_PROMPT]",
                           "[/SYSTEM_PROMPT]",
                           "[TOOL_CONTENT]"})
    specials.push_back({text, next++});
  return specials;
}

std::vector<TekkenSpecial> read_specials(const base::Json& json, TokenId n_special) {
  std::vector<TekkenSpecial> specials;
  const base::Json& list = field_or_null(json, "special_tokens");
  if (list.is_null()) {
    specials = default_specials();
  } else {
    for (const base::Json& token : require_array(json, "special_tokens", kTekken))
      specials.push_back({require_string(token, "token_str", kTekken),
                          to_token_id(require_field(token, "rank", kTekken), kTekken)});
  }
  std::vector<bool> taken(static_cast<std::size_t>(n_special));
  for (const TekkenSpecial& token : specials) {
    if (token.rank >= n_special)
      base::fail_at(ErrorCode::kCorruptData, kTekken, "special token ", token.rank, " of ",
                    n_special);
    taken[static_cast<std::size_t>(token.rank)] = true;
  }
  for (TokenId id = 0; id < n_special; ++id) {
    if (!taken[static_cast<std::size_t>(id)])
      specials.push_back({base::cat("<SPECIAL_", id, ">"), id});
  }
  return specials;
}

}  // namespace

std::unique_ptr<Tokenizer> make_tiktoken_tokenizer(std::string_view text,
                                                   const base::Json& tokenizer_config) {
  const std::vector<RankedToken> tokens = parse_lines(text);
  const TiktokenClass known = find_class(tokenizer_class(tokenizer_config));
  PipelineParts parts;
  set_ranked_tokens(parts, tokens, 0, known.pattern, kFile);
  if (known.composes) parts.normalizer = make_nfc_normalizer();
  AddedTokens added(*parts.vocab);
  add_class_specials(added, known, parts.vocab->size(), tokenizer_config);
  added.add_config(tokenizer_config);
  for (const std::string_view name : known.before) {
    if (const auto id = added.find_special(name)) parts.frame.before.push_back(*id);
  }
  parts.bos_id = added.find_special(known.begin);
  const auto end = added.find_special(known.end);
  finish_special_tokens(parts, added, tokenizer_config, {"<|end_of_text|>", "<|endoftext|>"});
  const bool begins = !known.begin.empty() && parts.bos_id;
  if (begins && bool_or(tokenizer_config, known.begin_flag, true, kConfig))
    parts.frame.before.push_back(*parts.bos_id);
  if (end && bool_or(tokenizer_config, "add_eod_token", true, kConfig))
    parts.frame.after.push_back(*end);
  return make_pipeline(std::move(parts));
}

std::unique_ptr<Tokenizer> make_tekken_tokenizer(const base::Json& tekken_json) {
  const base::Json& config = require_field(tekken_json, "config", kTekken);
  const TokenId size = to_token_id(require_field(config, "default_vocab_size", kTekken), kTekken);
  const TokenId n_special =
      to_token_id(require_field(config, "default_num_special_tokens", kTekken), kTekken);
  const base::JsonArray& vocab = require_array(tekken_json, "vocab", kTekken);
  if (n_special > size || static_cast<std::size_t>(size - n_special) > vocab.size() ||
      n_special > (1 << 20))
    base::fail_at(ErrorCode::kCorruptData, kTekken, "default_vocab_size ", size, " with ",
                  n_special, " special tokens and ", vocab.size(), " others");
  std::vector<RankedToken> tokens;
  for (TokenId i = 0; i < size - n_special; ++i) {
    const base::Json& token = vocab[static_cast<std::size_t>(i)];
    tokens.push_back({decode_base64(require_string(token, "token_bytes", kTekken), kTekken),
                      to_token_id(require_field(token, "rank", kTekken), kTekken)});
  }
  PipelineParts parts;
  set_ranked_tokens(parts, tokens, n_special, require_string(config, "pattern", kTekken), kTekken);
  AddedTokens added(*parts.vocab);
  for (const TekkenSpecial& token : read_specials(tekken_json, n_special)) {
    // A text that is also a token of the vocabulary keeps both ids.
    if (!parts.vocab->find(token.text)) parts.vocab->set(token.rank, token.text);
    add_special(added, token.text, token.rank);
  }
  parts.bos_id = added.find_special("<s>");
  parts.eos_id = added.find_special("</s>");
  base::Json named = base::Json::object();
  named["bos_token"] = "<s>";
  named["eos_token"] = "</s>";
  finish_special_tokens(parts, added, named, {});
  if (parts.bos_id) parts.frame.before.push_back(*parts.bos_id);
  return make_pipeline(std::move(parts));
}

}  // namespace openllm::tokenizer
