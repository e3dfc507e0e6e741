#include "llm/tokenizer_files.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "format/json_file.h"
#include "format/recognise.h"

namespace openllm::llm {
namespace {

namespace fs = std::filesystem;
using Pointer = std::shared_ptr<const tokenizer::Tokenizer>;

/// What is wrong is the file's fault, not the caller's, and the message says which file.
template <typename Read>
Pointer blame_file(const std::string& path, Read read) {
  try {
    return read();
  } catch (const Error& error) {
    const bool callers = error.code() == ErrorCode::kInvalidArgument;
    const bool names_it = error.where() == path;
    throw Error(callers ? ErrorCode::kCorruptData : error.code(),
                names_it ? error.what() : base::cat(path, ": ", error.what()), path);
  }
}

/// The object in a file of the folder; null when there is no such file.
base::Json read_object(const std::string& folder, const char* name) {
  base::Json json = format::read_json_file(folder, name);
  if (!json.is_null() && !json.is_object()) {
    base::fail_at(ErrorCode::kCorruptData, base::cat(folder, "/", name),
                  "wrong type (expected object, got ", json.type_name(), ")");
  }
  return json;
}

struct TypeClass {
  std::string_view model_type, tokenizer_class;
};
/// Whose tokenizer a model has when no file names the class.
constexpr TypeClass kClasses[] = {
    {"bart", "BartTokenizer"},
    {"blenderbot", "BlenderbotTokenizer"},
    {"camembert", "CamembertTokenizer"},
    {"codegen", "CodeGenTokenizer"},
    {"deberta-v2", "DebertaV2Tokenizer"},
    {"gemma", "GemmaTokenizer"},
    {"gpt2", "GPT2Tokenizer"},
    {"llama", "LlamaTokenizer"},
    {"m2m_100", "M2M100Tokenizer"},
    {"marian", "MarianTokenizer"},
    {"mbart", "MBartTokenizer"},
    {"mistral", "LlamaTokenizer"},
    {"mt5", "T5Tokenizer"},
    {"opt", "GPT2Tokenizer"},
    {"pegasus", "PegasusTokenizer"},
    {"plbart", "PLBartTokenizer"},
    {"qwen", "QWenTokenizer"},
    {"qwen2", "Qwen2Tokenizer"},
    {"roberta", "RobertaTokenizer"},
    {"t5", "T5Tokenizer"},
    {"umt5", "T5Tokenizer"},
    {"xglm", "XGLMTokenizer"},
    {"xlm-roberta", "XLMRobertaTokenizer"},
};

/// As AutoTokenizer: config.json names the class, or its model has one.
void set_class(base::Json& tokenizer_config, const base::Json& config) {
  const auto text_of = [&](const char* key) {
    const base::Json* value = config.find(key);
    return value == nullptr || !value->is_string() ? std::string() : value->as_string(key);
  };
  if (tokenizer_config.find("tokenizer_class") != nullptr) return;
  std::string name = text_of("tokenizer_class");
  for (const TypeClass& known : kClasses) {
    if (name.empty() && known.model_type == text_of("model_type")) name = known.tokenizer_class;
  }
  if (!name.empty()) tokenizer_config["tokenizer_class"] = name;
}

/// tokenizer_config.json. Files from before it listed added tokens have a part of it beside it.
base::Json read_tokenizer_config(const std::string& folder) {
  base::Json config = read_object(folder, "tokenizer_config.json");
  if (config.find("added_tokens_decoder") != nullptr) return config;
  const base::Json map = read_object(folder, "special_tokens_map.json");
  if (const base::JsonObject* members = map.if_object()) {
    for (const auto& [key, value] : *members) config[key] = value;
  }
  return config;
}

bool exists(const std::string& folder, std::string_view name) {
  std::error_code ignored;
  return fs::is_regular_file(fs::path(folder) / name, ignored);
}

std::string read_text(const std::string& path) {
  std::string text = base::read_file(path);
  format::refuse_placeholder(path, text, "a tokenizer");
  return text;
}

/// Lines of base64 and a number; a SentencePiece file begins with the tag of its first piece.
bool is_tiktoken(std::string_view text) {
  const std::string_view line = text.substr(0, std::min(text.find('\n'), std::size_t{4096}));
  const std::size_t space = line.find(' ');
  return space != std::string_view::npos && space > 0 &&
         line.find_first_not_of(
             "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") == space &&
         line.find_first_not_of("0123456789\r", space + 1) == std::string_view::npos;
}

Pointer load_model_file(const std::string& path, const base::Json& config) {
  return blame_file(path, [&]() -> Pointer {
    const std::string bytes = read_text(path);
    if (is_tiktoken(bytes)) return tokenizer::make_tiktoken_tokenizer(bytes, config);
    return tokenizer::make_sentencepiece_tokenizer(bytes, config);
  });
}

base::Json parse_file(const std::string& path) {
  const std::string text = read_text(path);
  return base::Json::parse(text, path);
}

/// Pieces of a SentencePiece file that have other ids.
Pointer load_renamed(const std::string& folder, const std::string& name, const base::Json& config) {
  return blame_file(base::cat(folder, "/", name), [&]() -> Pointer {
    return tokenizer::make_renamed_sentencepiece_tokenizer(
        read_text(base::cat(folder, "/", name)), parse_file(base::cat(folder, "/vocab.json")),
        config);
  });
}

/// *.tiktoken; of several the first by name.
std::string find_tiktoken(const std::string& folder) {
  std::vector<std::string> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.path().extension() == ".tiktoken") found.push_back(entry.path().string());
  }
  return found.empty() ? std::string() : *std::min_element(found.begin(), found.end());
}

}  // namespace

Pointer load_folder_tokenizer(const std::string& folder) {
  const auto path_of = [&](const char* name) { return base::cat(folder, "/", name); };
  const base::Json json = format::read_json_file(folder, "tokenizer.json");
  base::Json config = read_tokenizer_config(folder);
  // Messages begin with the file's name.
  if (!json.is_null())
    return blame_file(folder, [&]() -> Pointer { return tokenizer::make_tokenizer(json, config); });
  if (exists(folder, "tekken.json")) return load_file_tokenizer(path_of("tekken.json"));
  set_class(config, read_object(folder, "config.json"));
  if (exists(folder, "vocab.json")) {
    const base::Json* name = config.find("tokenizer_class");
    if (exists(folder, "source.spm")) return load_renamed(folder, "source.spm", config);
    if (name != nullptr && *name == base::Json("M2M100Tokenizer"))
      return load_renamed(folder, "sentencepiece.bpe.model", config);
  }
  for (const char* name : {"tokenizer.model", "spiece.model", "sentencepiece.bpe.model",
                           "sentencepiece.model", "spm.model", "tiktoken.model"}) {
    if (exists(folder, name)) return load_model_file(path_of(name), config);
  }
  if (const std::string path = find_tiktoken(folder); !path.empty())
    return load_model_file(path, config);
  if (exists(folder, "vocab.json") && exists(folder, "merges.txt")) {
    return blame_file(folder, [&]() -> Pointer {
      return tokenizer::make_vocab_merges_tokenizer(parse_file(path_of("vocab.json")),
                                                    read_text(path_of("merges.txt")), config);
    });
  }
  return exists(folder, "vocab.txt") ? load_file_tokenizer(path_of("vocab.txt")) : nullptr;
}

Pointer load_file_tokenizer(const std::string& path) {
  const fs::path file(path);
  const std::string name = file.filename().string();
  const std::string folder = file.has_parent_path() ? file.parent_path().string() : ".";
  const std::string extension = file.extension().string();
  if (name.find("tekken") != std::string::npos && extension == ".json")
    return blame_file(
        path, [&]() -> Pointer { return tokenizer::make_tekken_tokenizer(parse_file(path)); });
  if (extension == ".json") {
    return blame_file(path, [&]() -> Pointer {
      return tokenizer::make_tokenizer(parse_file(path), read_tokenizer_config(folder));
    });
  }
  if (extension == ".tiktoken" || name.find(".model") != std::string::npos)
    return load_model_file(path, read_tokenizer_config(folder));
  if (extension == ".txt") {
    return blame_file(path, [&]() -> Pointer {
      return tokenizer::make_vocab_txt_tokenizer(read_text(path), read_tokenizer_config(folder));
    });
  }
  return nullptr;
}

}  // namespace openllm::llm
