// Tokenizers in several files, as there were before tokenizer.json: what such a file says is put
// together as a tokenizer.json would have it.

#include <algorithm>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer/files/config_tokens.h"
#include "tokenizer/files/json_components.h"
#include "tokenizer/json_fields.h"

namespace openllm::tokenizer {
namespace {

constexpr std::string_view kMerges = "merges.txt";
constexpr std::string_view kVocabTxt = "vocab.txt";
constexpr std::string_view kConfig = "tokenizer_config.json";
constexpr std::size_t kMaxLines = std::size_t{1} << 24U;

std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

base::Json read_merges(std::string_view text) {
  base::Json merges = base::Json::array();
  std::size_t n_lines = 0;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    const bool is_version = n_lines == 0 && line.starts_with("#version");
    if (++n_lines > kMaxLines)
      base::fail_at(ErrorCode::kCorruptData, kMerges, "too many lines (at most ", kMaxLines, ")");
    if (line.empty() || is_version) continue;
    if (std::count(line.begin(), line.end(), ' ') != 1)
      base::fail_at(ErrorCode::kCorruptData, kMerges, "line ", n_lines, " is not a pair of tokens");
    merges.push_back(std::string(line));
  }
  return merges;
}

base::Json byte_level(bool add_prefix_space, bool use_regex) {
  base::Json json = component("ByteLevel");
  json["add_prefix_space"] = add_prefix_space;
  json["trim_offsets"] = true;
  json["use_regex"] = use_regex;
  return json;
}

/// Isolates the matches of a pattern, then goes on as ByteLevel.
base::Json split_bytes(const char* pattern) {
  base::Json split = component("Split");
  split["pattern"]["Regex"] = pattern;
  split["behavior"] = "Isolated";
  split["invert"] = false;
  base::Json sequence = component("Sequence");
  sequence["pretokenizers"].push_back(std::move(split));
  sequence["pretokenizers"].push_back(byte_level(false, false));
  return sequence;
}

base::Json named_pair(const base::Json& vocab, std::string_view token) {
  const base::Json* id = vocab.find(token);
  if (id == nullptr)
    base::fail_at(ErrorCode::kCorruptData, "vocab.json", "no token \"", token, "\"");
  base::Json pair = base::Json::array();
  pair.push_back(token);
  pair.push_back(*id);
  return pair;
}

base::Json roberta_frame(const base::Json& vocab, bool add_prefix_space) {
  base::Json json = component("RobertaProcessing");
  json["cls"] = named_pair(vocab, "<s>");
  json["sep"] = named_pair(vocab, "</s>");
  json["trim_offsets"] = true;
  json["add_prefix_space"] = add_prefix_space;
  return json;
}

struct Named {
  const char* key;
  const char* token;
};
constexpr Named kGpt2Tokens[] = {
    {"bos_token", "<|endoftext|>"}, {"eos_token", "<|endoftext|>"}, {"unk_token", "<|endoftext|>"}};
constexpr Named kQwenTokens[] = {
    {"eos_token", "<|endoftext|>"}, {"pad_token", "<|endoftext|>"}, {"unk_token", "<|endoftext|>"}};
constexpr Named kRobertaTokens[] = {{"bos_token", "<s>"},
                                    {"eos_token", "</s>"},
                                    {"unk_token", "<unk>"},
                                    {"pad_token", "<pad>"},
                                    {"mask_token", "<mask>"}};

/// The special tokens that a class has where the configuration names no others.
template <std::size_t N>
base::Json added_tokens(const Named (&names)[N], const base::Json& vocab,
                        const base::Json& config) {
  base::Json list = base::Json::array();
  for (const Named& name : names) {
    const base::Json* id = vocab.find(name.token);
    if (id != nullptr && field_or_null(config, name.key).is_null())
      list.push_back(special_token(name.token, to_token_id(*id, "vocab.json")));
  }
  return list;
}

/// As the configuration says; the named tokens default to GPT-2's.
base::Json bos_eos_frame(const base::Json& vocab, const base::Json& config) {
  base::Json json = component("TemplateProcessing");
  const auto add = [&](const char* form, const char* flag, const char* name, int type) {
    if (!bool_or(config, flag, false, kConfig)) return;
    const base::Json& named = field_or_null(config, name);
    std::string token = "<|endoftext|>";
    if (named.is_string()) token = named.as_string(kConfig);
    if (named.is_object()) token = require_string(named, "content", kConfig);
    json["special_tokens"][token]["ids"] = base::Json::array();
    json["special_tokens"][token]["ids"].push_back(named_pair(vocab, token).as_array(kConfig)[1]);
    base::Json item = base::Json::object();
    item["SpecialToken"]["id"] = token;
    item["SpecialToken"]["type_id"] = type;
    json[form].push_back(std::move(item));
  };
  const auto add_text = [&](const char* form, const char* text, int type) {
    add(form, "add_bos_token", "bos_token", type);
    base::Json item = base::Json::object();
    item["Sequence"]["id"] = text;
    item["Sequence"]["type_id"] = type;
    json[form].push_back(std::move(item));
    add(form, "add_eos_token", "eos_token", type);
  };
  add_text("single", "A", 0);
  add_text("pair", "A", 0);
  add_text("pair", "B", 1);
  return json;
}

constexpr std::string_view kGpt2Classes[] = {"",
                                             "GPT2Tokenizer",
                                             "PreTrainedTokenizer",
                                             "GPTNeoXTokenizer",
                                             "CodeGenTokenizer",
                                             "GPTJTokenizer"};
constexpr std::string_view kRobertaClasses[] = {"RobertaTokenizer", "BartTokenizer", "LEDTokenizer",
                                                "LongformerTokenizer"};

template <std::size_t N>
bool is_among(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

base::Json bert_normalizer(const base::Json& config) {
  base::Json json = component("BertNormalizer");
  json["clean_text"] = true;
  json["handle_chinese_chars"] = bool_or(config, "tokenize_chinese_chars", true, kConfig);
  json["lowercase"] = bool_or(config, "do_lower_case", true, kConfig);
  json["strip_accents"] = field_or_null(config, "strip_accents");
  return json;
}

}  // namespace

std::unique_ptr<Tokenizer> make_vocab_merges_tokenizer(const base::Json& vocab_json,
                                                       std::string_view merges_text,
                                                       const base::Json& tokenizer_config) {
  const std::string name = tokenizer_class(tokenizer_config);
  base::Json json = base::Json::object();
  json["model"] = component("BPE");
  json["model"]["vocab"] = vocab_json;
  json["model"]["merges"] = read_merges(merges_text);
  json["decoder"] = component("ByteLevel");
  const bool prefix_space = bool_or(tokenizer_config, "add_prefix_space", false, kConfig);
  if (is_among(kRobertaClasses, name)) {
    json["pre_tokenizer"] = byte_level(prefix_space, true);
    json["post_processor"] = roberta_frame(vocab_json, prefix_space);
    json["added_tokens"] = added_tokens(kRobertaTokens, vocab_json, tokenizer_config);
  } else if (name == "Qwen2Tokenizer") {
    json["normalizer"] = component("NFC");
    json["added_tokens"] = added_tokens(kQwenTokens, vocab_json, tokenizer_config);
    json["pre_tokenizer"] = split_bytes(
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)");
    json["post_processor"] = bos_eos_frame(vocab_json, tokenizer_config);
  } else if (is_among(kGpt2Classes, name)) {
    if (name == "GPTNeoXTokenizer") json["normalizer"] = component("NFC");
    json["added_tokens"] = added_tokens(kGpt2Tokens, vocab_json, tokenizer_config);
    json["pre_tokenizer"] = byte_level(prefix_space, true);
    json["post_processor"] = bos_eos_frame(vocab_json, tokenizer_config);
  } else {
    base::fail_at(ErrorCode::kUnsupported, kConfig, "vocab.json and merges.txt of the class ", name,
                  " (known: GPT2Tokenizer, GPTNeoXTokenizer, CodeGenTokenizer, RobertaTokenizer, "
                  "BartTokenizer, LEDTokenizer, LongformerTokenizer, Qwen2Tokenizer); a "
                  "tokenizer.json says how text is cut");
  }
  return make_tokenizer(json, tokenizer_config);
}

std::unique_ptr<Tokenizer> make_vocab_txt_tokenizer(std::string_view text,
                                                    const base::Json& tokenizer_config) {
  base::Json vocab = base::Json::object();
  std::int64_t next = 0;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    if (next == static_cast<std::int64_t>(kMaxLines))
      base::fail_at(ErrorCode::kCorruptData, kVocabTxt, "too many lines (at most ", kMaxLines, ")");
    if (!base::is_valid_utf8(line))
      base::fail_at(ErrorCode::kCorruptData, kVocabTxt, "line ", next + 1, " is not UTF-8");
    vocab[line] = next++;
  }
  const auto pair = [&](const char* token) -> base::Json {
    const base::Json* id = vocab.find(token);
    if (id == nullptr) base::fail_at(ErrorCode::kCorruptData, kVocabTxt, "no token ", token);
    base::Json list = base::Json::array();
    list.push_back(token);
    list.push_back(*id);
    return list;
  };
  base::Json json = base::Json::object();
  json["added_tokens"] = base::Json::array();
  for (const char* content : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}) {
    const base::Json* id = vocab.find(content);
    if (id == nullptr) continue;
    base::Json token = base::Json::object();
    token["id"] = *id;
    token["content"] = content;
    token["special"] = true;
    json["added_tokens"].push_back(std::move(token));
  }
  json["normalizer"] = bert_normalizer(tokenizer_config);
  json["pre_tokenizer"] = component("BertPreTokenizer");
  json["post_processor"] = component("BertProcessing");
  json["post_processor"]["cls"] = pair("[CLS]");
  json["post_processor"]["sep"] = pair("[SEP]");
  json["decoder"] = component("WordPiece");
  json["model"] = component("WordPiece");
  json["model"]["unk_token"] = "[UNK]";
  json["model"]["vocab"] = std::move(vocab);
  return make_tokenizer(json, tokenizer_config);
}

}  // namespace openllm::tokenizer
