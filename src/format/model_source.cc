#include "format/model_source.h"

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/error.h"
#include "format/gguf.h"
#include "format/hf_folder.h"
#include "format/recognise.h"

namespace openllm::format {
namespace {

namespace fs = std::filesystem;

/// The configuration of a model whose tensors are not opened.
class ConfigOnly final : public Checkpoint {
 public:
  ConfigOnly(Layout layout, std::string path, base::Json config)
      : layout_(layout), path_(std::move(path)), config_(std::move(config)) {}
  Kind kind() const noexcept override { return layout_; }
  const std::string& path() const noexcept override { return path_; }
  const base::Json& config() const noexcept override { return config_; }
  const std::vector<NamedTensor>& tensors() const noexcept override { return tensors_; }
  void drop_pages(const tensor::TensorView& /*view*/) const noexcept override {}

 private:
  const Layout layout_;
  const std::string path_;
  const base::Json config_;
  const std::vector<NamedTensor> tensors_;
};

/// Path of the file, or empty when there is none.
std::string find_file(const std::string& folder, const char* name) {
  const fs::path path = fs::path(folder) / name;
  std::error_code ignored;
  return fs::exists(path, ignored) ? path.string() : std::string();
}

std::string text_of(const base::Json* value) {
  return value != nullptr && value->if_string() != nullptr ? *value->if_string() : std::string();
}

/// llama.cpp's metadata under our names. Its mirostat and XTC samplers have no counterpart here.
base::Json gguf_generation_defaults(const base::Json& metadata) {
  struct Name {
    const char* gguf;
    const char* ours;
  };
  constexpr Name kNames[] = {{"general.sampling.temp", "temperature"},
                             {"general.sampling.top_k", "top_k"},
                             {"general.sampling.top_p", "top_p"},
                             {"general.sampling.min_p", "min_p"},
                             {"general.sampling.penalty_repeat", "repetition_penalty"}};
  base::Json config;
  for (const auto& [gguf, ours] : kNames) {
    if (const base::Json* value = metadata.find(gguf)) config[ours] = *value;
  }
  // There, any temperature below 0 is greedy too, and a penalty over the last 0 tokens is off.
  const auto number = [&](const char* name) {
    const base::Json* value = metadata.find(name);
    return value != nullptr && value->is_number() ? std::optional(value->as_double(name))
                                                  : std::nullopt;
  };
  if (number("general.sampling.temp").value_or(1.0) < 0.0) config["temperature"] = 0;
  if (number("general.sampling.penalty_last_n") == 0.0) config["repetition_penalty"] = 1;
  return config;
}

/// A form of weights in files beside config.json, and what such files are called.
struct FileForm {
  WeightFormat format;
  Serialisation name;
  std::string_view begin;
  std::string_view end;
};
/// In the order in which they are taken where nobody asks for one.
constexpr FileForm kFileForms[] = {
    {WeightFormat::kSafetensors, Serialisation::kSafetensors, "", ".safetensors"},
    {WeightFormat::kPytorch, Serialisation::kLegacy, "pytorch_model", ".bin"},
    {WeightFormat::kFlax, Serialisation::kFlax, "flax_model", ".msgpack"},
    {WeightFormat::kTensorflow, Serialisation::kTensorflow, "tf_model", ".h5"}};

bool has_file(const std::string& folder, const FileForm& form) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with(form.begin) && name.ends_with(form.end)) return true;
  }
  return false;
}

/// By the names of the folder's files.
WeightFormat find_weights(const std::string& folder, Serialisation wanted) {
  for (const FileForm& form : kFileForms) {
    const bool counts = wanted == Serialisation::kAuto || wanted == form.name;
    if (counts && has_file(folder, form)) return form.format;
    if (wanted == form.name) {
      base::fail_at(ErrorCode::kNotFound, folder, "no ", form.begin, "*", form.end, " here (",
                    describe_folder(folder), ")");
    }
  }
  return WeightFormat::kNone;
}

std::string hf_architecture(const base::Json& config) {
  std::string name = text_of(config.find("model_type"));
  if (!name.empty()) return name;
  const base::Json* list = config.find("architectures");
  if (list == nullptr || list->if_array() == nullptr || list->if_array()->empty()) return {};
  return text_of(&list->if_array()->front());
}

/// All but configuration and weights.
void open_hf_texts(ModelSource& source) {
  source.chat_templates = chat_templates_of_folder(source.path);
  source.generation_defaults = read_json_file(source.path, "generation_config.json");
  source.generation_defaults_place = (fs::path(source.path) / "generation_config.json").string();
  source.tokenizer_path = find_file(source.path, "tokenizer.json");
  source.tokenizer_config_path = find_file(source.path, "tokenizer_config.json");
}

void open_hf(ModelSource& source, Serialisation wanted) {
  source.config = HfFolder::read_config(source.path);
  source.weights = find_weights(source.path, wanted);
  source.architecture = hf_architecture(source.config);
  if (const base::Json* quantisation = source.config.find("quantization_config"))
    source.quantisation = text_of(quantisation->find("quant_method"));
  open_hf_texts(source);
}

void open_gguf(ModelSource& source, const std::string& file) {
  source.gguf = std::make_shared<const GgufMetadata>(file);
  source.config = source.gguf->config();
  source.weights = WeightFormat::kGguf;
  source.architecture = text_of(source.config.find("general.architecture"));
  source.chat_templates = chat_templates_of_gguf(source.config, file);
  source.generation_defaults = gguf_generation_defaults(source.config);
  source.generation_defaults_place = file + ": general.sampling";
}

/// The last part of the path, without ".gguf" in letters of either case.
std::string name_of(const std::string& path) {
  const fs::path normal = fs::path(path).lexically_normal();
  std::string name = normal.filename().string();
  if (name.empty()) name = normal.parent_path().filename().string();
  if (has_gguf_ending(name)) name.resize(name.size() - 5);
  return name.empty() ? path : name;
}

/// The first of these members that is a size; 0 when none is.
int size_of(const base::Json& config, std::initializer_list<std::string> keys) {
  constexpr std::int64_t kMax = std::int64_t{1} << 30;
  for (const std::string& key : keys) {
    const base::Json* value = config.find(key);
    const std::int64_t* number = value == nullptr ? nullptr : value->if_int();
    if (number != nullptr && *number > 0 && *number <= kMax) return static_cast<int>(*number);
  }
  return 0;
}

}  // namespace

const char* to_string(WeightFormat format) noexcept {
  switch (format) {
    case WeightFormat::kNone:
      return "none";
    case WeightFormat::kSafetensors:
      return "safetensors";
    case WeightFormat::kGguf:
      return "gguf";
    case WeightFormat::kPytorch:
      return "pytorch";
    case WeightFormat::kFlax:
      return "flax";
    case WeightFormat::kTensorflow:
      return "tensorflow";
  }
  return "none";
}

ModelOutline ModelSource::outline() const {
  if (gguf != nullptr) {
    const std::string prefix = architecture + ".";
    ModelOutline outline{size_of(config, {prefix + "block_count"}),
                         size_of(config, {prefix + "vocab_size"}),
                         size_of(config, {prefix + "context_length"})};
    const std::uint64_t n_tokens = gguf->array_length("tokenizer.ggml.tokens").value_or(0);
    constexpr std::uint64_t kMaxTokens = 1U << 30U;
    if (n_tokens > 0 && n_tokens <= kMaxTokens) outline.vocab_size = static_cast<int>(n_tokens);
    return outline;
  }
  // Models of text and images keep the decoder's sizes one level down.
  const base::Json* inner = config.find("text_config");
  const base::Json& text = inner != nullptr && inner->is_object() ? *inner : config;
  return {size_of(text, {"num_hidden_layers", "n_layer", "n_layers", "num_layers"}),
          size_of(text, {"vocab_size", "padded_vocab_size"}),
          size_of(text, {"max_position_embeddings", "n_positions", "n_ctx", "max_seq_len",
                         "seq_length", "max_sequence_length"})};
}

std::unique_ptr<Checkpoint> ModelSource::open_weights() const {
  if (gguf != nullptr) return std::make_unique<Gguf>(gguf);
  if (weights == WeightFormat::kPytorch) return std::make_unique<HfFolder>(path, kPytorchFolder);
  if (weights == WeightFormat::kFlax) return std::make_unique<HfFolder>(path, kFlaxFolder);
  if (weights == WeightFormat::kTensorflow)
    return std::make_unique<HfFolder>(path, kTensorflowFolder);
  return open_checkpoint(path);
}

std::unique_ptr<Checkpoint> ModelSource::without_tensors() const {
  return std::make_unique<ConfigOnly>(layout, path, config);
}

ModelSource open_model(const std::string& path, Serialisation wanted) {
  const Location found = locate_model(path, wanted);
  ModelSource source;
  source.id = name_of(path);
  source.version = "local";
  source.path = path;
  source.layout = found.layout;
  if (found.layout == Layout::kGguf) {
    open_gguf(source, found.path);
  } else {
    open_hf(source, wanted);
  }
  return source;
}

ModelSource open_tokenizer(const std::string& path) {
  ModelSource source;
  const bool is_bare = !HfFolder::has_config(path) && !find_file(path, "tokenizer.json").empty();
  if (is_bare) {
    source.path = path;
    source.config = base::Json::object();
    open_hf_texts(source);
  } else {
    source = open_model(path);
  }
  source.weights = WeightFormat::kNone;
  source.quantisation.clear();
  return source;
}

}  // namespace openllm::format
