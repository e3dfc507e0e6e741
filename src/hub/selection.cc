#include "hub/selection.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <map>
#include <set>

#include "base/error.h"

namespace openllm::hub {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return result;
}

bool is_at_the_top(std::string_view path) noexcept {
  return path.find('/') == std::string_view::npos;
}

std::string_view file_name(std::string_view path) noexcept {
  return path.substr(path.rfind('/') + 1);
}

/// "-00002-of-00003" before the ending: where it begins, and its numbers.
struct Split {
  std::size_t begin = 0;
  int part = 0;
  int n_parts = 0;
};

std::optional<Split> split_of(std::string_view stem) noexcept {
  constexpr std::size_t kLength = 15;  // -00002-of-00003
  if (stem.size() < kLength) return std::nullopt;
  const std::string_view mark = stem.substr(stem.size() - kLength);
  if (mark[0] != '-' || mark.substr(6, 4) != "-of-") return std::nullopt;
  const auto number = [](std::string_view digits) {
    int value = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc() && end == digits.data() + digits.size() ? value : -1;
  };
  const Split split{stem.size() - kLength, number(mark.substr(1, 5)), number(mark.substr(10, 5))};
  if (split.part < 1 || split.n_parts < split.part) return std::nullopt;
  return split;
}

std::string_view without_ending(std::string_view path, std::string_view ending) noexcept {
  return path.substr(0, path.size() - ending.size());
}

constexpr std::string_view kGguf = ".gguf";
constexpr std::string_view kSafetensors = ".safetensors";

bool is_gguf_model(std::string_view path) {
  const std::string name = lower(file_name(path));
  return name.ends_with(kGguf) && !name.starts_with("mmproj") &&
         name.find("imatrix") == std::string::npos;
}

/// "model.safetensors", or "model-00001-of-00002.safetensors", of a `stem` and an ending.
bool is_whole_or_part(std::string_view name, std::string_view stem, std::string_view ending) {
  if (!name.starts_with(stem) || !name.ends_with(ending)) return false;
  const std::string_view rest = without_ending(name.substr(stem.size()), ending);
  const std::optional<Split> split = split_of(rest);
  return rest.empty() || (split && split->begin == 0);
}

/// Weights right in the folder: model*.safetensors, or if nothing is called so, all there are.
std::vector<std::string> find_safetensors(const std::vector<std::string>& paths) {
  std::vector<std::string> named;
  std::vector<std::string> all;
  for (const std::string& path : paths) {
    if (!is_at_the_top(path) || !path.ends_with(kSafetensors)) continue;
    if (is_whole_or_part(path, "model", kSafetensors)) named.push_back(path);
    if (!path.starts_with("consolidated") && !path.starts_with("adapter_")) all.push_back(path);
  }
  return named.empty() ? all : named;
}

/// Forms of weights that are taken where there are neither safetensors nor GGUF, in this order.
struct OtherForm {
  std::string_view serialisation;
  const char* format;
  std::string_view stem;
  std::string_view ending;
};
constexpr OtherForm kOtherForms[] = {{"legacy", "pytorch", "pytorch_model", ".bin"},
                                     {"flax", "flax", "flax_model", ".msgpack"},
                                     {"tensorflow", "tensorflow", "tf_model", ".h5"}};

std::vector<std::string> find_others(const std::vector<std::string>& paths, const OtherForm& form) {
  std::vector<std::string> found;
  std::copy_if(paths.begin(), paths.end(), std::back_inserter(found), [&](const std::string& path) {
    return is_whole_or_part(path, form.stem, form.ending);
  });
  return found;
}

/// A file of a folder that modules.json names: "1_Pooling/config.json",
/// "2_Dense/model.safetensors".
bool is_of_module(std::string_view path) {
  const std::size_t slash = path.find('/');
  if (slash == std::string_view::npos || path[0] < '0' || path[0] > '9') return false;
  const std::string_view folder = path.substr(0, slash);
  const std::string_view name = path.substr(slash + 1);
  return folder.find('_') != std::string_view::npos &&
         (name == "config.json" || name == "model.safetensors");
}

/// Files beside the weights that a model is read with.
bool is_small_file(std::string_view path) {
  static const std::set<std::string_view> kNames = {"config.json",
                                                    "config_sentence_transformers.json",
                                                    "generation_config.json",
                                                    "modules.json",
                                                    "sentence_bert_config.json",
                                                    "tokenizer.json",
                                                    "tokenizer_config.json",
                                                    "special_tokens_map.json",
                                                    "added_tokens.json",
                                                    "vocab.json",
                                                    "vocab.txt",
                                                    "merges.txt",
                                                    "chat_template.jinja",
                                                    "chat_template.json",
                                                    "quantize_config.json",
                                                    "quant_config.json",
                                                    "preprocessor_config.json",
                                                    "processor_config.json",
                                                    "adapter_config.json",
                                                    "params.json",
                                                    "tekken.json"};
  if (path.starts_with("additional_chat_templates/")) return path.ends_with(".jinja");
  if (!is_at_the_top(path)) return is_of_module(path);
  return kNames.count(path) > 0 || path.ends_with(".model") || path.ends_with(".tiktoken") ||
         path.ends_with("chat_template.jinja");
}

bool is_index(std::string_view path, std::string_view ending) {
  return is_at_the_top(path) && path.ends_with(base::cat(ending, ".index.json"));
}

Selection with_small_files(const std::vector<std::string>& paths, std::vector<std::string> weights,
                           std::string_view ending, const char* format) {
  Selection result{std::move(weights), {}, format};
  for (const std::string& path : paths) {
    if (is_small_file(path) || is_index(path, ending)) result.files.push_back(path);
  }
  std::sort(result.files.begin(), result.files.end());
  return result;
}

std::string_view stem_of(std::string_view path) noexcept {
  return path.substr(0, std::min(path.rfind('.'), path.size()));
}

/// 0 for a file that is not split.
int n_parts_of(std::string_view path) noexcept {
  const std::optional<Split> split = split_of(stem_of(path));
  return split ? split->n_parts : 0;
}

/// The name of another part of a split file.
std::string part_of(std::string_view path, int part) {
  const std::string_view stem = stem_of(path);
  const std::size_t begin = split_of(stem).value_or(Split{stem.size()}).begin;
  std::array<char, 32> mark{};
  std::snprintf(mark.data(), mark.size(), "-%05d-of-%05d", part, n_parts_of(path));
  return base::cat(stem.substr(0, begin), mark.data(), path.substr(stem.size()));
}

/// The parts of a split file up to the first one that is missing, and that one: a name may promise
/// many. A file that is not split alone.
std::vector<std::string> parts_there(const std::string& path, const std::set<std::string>& there) {
  const int n_parts = n_parts_of(path);
  if (n_parts == 0) return {path};
  std::vector<std::string> parts;
  for (int i = 1; i <= n_parts; ++i) {
    parts.push_back(part_of(path, i));
    if (there.count(parts.back()) == 0) break;
  }
  return parts;
}

/// GGUF models of a repository by the first file of each.
struct GgufModel {
  std::string first{};
  std::vector<std::string> files{};
};

std::vector<GgufModel> find_gguf(const std::vector<std::string>& paths) {
  std::vector<GgufModel> models;
  const std::set<std::string> there(paths.begin(), paths.end());
  for (const std::string& path : paths) {
    if (!is_gguf_model(path)) continue;
    if (n_parts_of(path) > 0 && part_of(path, 1) != path) continue;
    std::vector<std::string> parts = parts_there(path, there);
    if (parts.front() == path) models.push_back({path, std::move(parts)});
  }
  return models;
}

/// Smaller is nearer to what is taken when nothing is asked for.
int distance_from_default(std::string_view variant) {
  constexpr std::array<std::string_view, 14> kOrder = {
      "Q4_K_M", "Q4_K_S", "Q4_K_XL", "Q4_0", "Q4_1", "IQ4_NL", "IQ4_XS",
      "Q5_K_M", "Q5_K_S", "Q5_0",    "Q6_K", "Q8_0", "BF16",   "F16"};
  for (std::size_t i = 0; i < kOrder.size(); ++i) {
    if (variant == kOrder[i] || variant == base::cat("UD-", kOrder[i])) return static_cast<int>(i);
  }
  return static_cast<int>(kOrder.size());
}

std::string list(const std::vector<GgufModel>& models) {
  std::string text;
  for (const GgufModel& model : models) {
    const std::string variant = variant_of(model.first);
    text += (text.empty() ? "" : ", ") + (variant.empty() ? model.first : variant);
  }
  return text;
}

Selection select_gguf(const std::vector<GgufModel>& models, const Reference& reference) {
  std::vector<const GgufModel*> wanted;
  for (const GgufModel& model : models) {
    const bool is_file =
        std::find(model.files.begin(), model.files.end(), reference.file) != model.files.end();
    const bool is_variant = variant_of(model.first) == upper(reference.variant);
    if (reference.file.empty() ? reference.variant.empty() || is_variant : is_file)
      wanted.push_back(&model);
  }
  if (wanted.empty()) {
    base::fail_with(ErrorCode::kNotFound, {"model", ErrorReason::kModelNotFound},
                    "model: ", reference.repo, " has no GGUF file ",
                    reference.file.empty() ? reference.variant : reference.file, " (it has ",
                    models.empty() ? "none" : list(models), ")");
  }
  const auto nearest = std::min_element(wanted.begin(), wanted.end(), [](auto* a, auto* b) {
    const auto key = [](const GgufModel& model) {
      return std::pair(distance_from_default(variant_of(model.first)), model.first.size());
    };
    return key(*a) < key(*b);
  });
  return {(*nearest)->files, (*nearest)->first, "gguf"};
}

/// Throws kNotFound unless of each split file all parts are there.
void require_parts(const std::vector<std::string>& files, const std::vector<std::string>& paths,
                   const Reference& reference) {
  const std::set<std::string> there(paths.begin(), paths.end());
  std::set<std::string> known;
  for (const std::string& file : files) {
    if (known.count(file) > 0) continue;
    std::vector<std::string> parts = parts_there(file, there);
    const std::string last = parts.back();
    known.insert(parts.begin(), parts.end());
    if (there.count(last) > 0) continue;
    base::fail_with(ErrorCode::kNotFound, {"model", ErrorReason::kModelNotFound},
                    "model: ", reference.repo, " lacks ", last, ", a part of a split file");
  }
}

}  // namespace

std::vector<std::string> gguf_models_of(const std::vector<std::string>& paths) {
  std::vector<std::string> names;
  for (const GgufModel& model : find_gguf(paths)) names.push_back(model.first);
  return names;
}

std::vector<std::string> parts_of_split(std::string_view path) {
  std::vector<std::string> parts;
  const int n_parts = n_parts_of(path);
  for (int i = 1; i <= n_parts; ++i) parts.push_back(part_of(path, i));
  if (parts.empty()) parts.emplace_back(path);
  return parts;
}

std::string variant_of(std::string_view path) {
  std::string stem = upper(file_name(path));
  if (stem.ends_with(".GGUF")) stem.resize(stem.size() - kGguf.size());
  if (const auto split = split_of(lower(stem))) stem.resize(split->begin);
  // The longest ending behind a "-" or "." that names one: "...-UD-Q4_K_XL", "....Q8_0".
  for (std::size_t i = stem.find_first_of("-."); i != std::string::npos;
       i = stem.find_first_of("-.", i + 1)) {
    if (is_variant(std::string_view(stem).substr(i + 1))) return stem.substr(i + 1);
  }
  return is_variant(stem) ? stem : std::string();
}

namespace {

/// For a model whose weights are elsewhere.
Selection select_texts(const std::vector<std::string>& paths, const Reference& reference) {
  Selection result{{}, {}, "none"};
  std::copy_if(paths.begin(), paths.end(), std::back_inserter(result.files), is_small_file);
  if (std::find(result.files.begin(), result.files.end(), "config.json") == result.files.end()) {
    base::fail_with(ErrorCode::kNotFound, {"model", ErrorReason::kModelNotFound},
                    "model: ", reference.repo, " has no config.json among its ", paths.size(),
                    " files");
  }
  return result;
}

/// A LoRA adapter as peft writes it; nothing where there is none.
std::optional<Selection> select_adapter(const std::vector<std::string>& paths) {
  constexpr std::string_view kConfig = "adapter_config.json";
  const auto has = [&](std::string_view name) {
    return std::find(paths.begin(), paths.end(), name) != paths.end();
  };
  for (const std::string_view weights : {"adapter_model.safetensors", "adapter_model.bin"}) {
    if (has(kConfig) && has(weights))
      return Selection{
          {std::string(kConfig), std::string(weights)}, {}, std::string(kAdapterFormat)};
  }
  return std::nullopt;
}

}  // namespace

Selection select_files(const std::vector<std::string>& paths, const Reference& reference,
                       std::string_view serialisation) {
  if (serialisation == "none") return select_texts(paths, reference);
  const bool any = serialisation.empty() || serialisation == "auto";
  const std::vector<GgufModel> gguf = find_gguf(paths);
  const bool names_gguf = !reference.variant.empty() || !reference.file.empty();
  if (!names_gguf && (any || serialisation == "safetensors")) {
    std::vector<std::string> weights = find_safetensors(paths);
    require_parts(weights, paths, reference);
    if (!weights.empty())
      return with_small_files(paths, std::move(weights), kSafetensors, "safetensors");
  }
  if (names_gguf || (!gguf.empty() && (any || serialisation == "gguf"))) {
    Selection selection = select_gguf(gguf, reference);
    require_parts(selection.files, paths, reference);
    return selection;
  }
  for (const OtherForm& form : kOtherForms) {
    if (!any && serialisation != form.serialisation) continue;
    std::vector<std::string> weights = find_others(paths, form);
    require_parts(weights, paths, reference);
    if (weights.empty()) continue;
    return with_small_files(paths, std::move(weights), form.ending, form.format);
  }
  if (any && !names_gguf) {
    if (auto adapter = select_adapter(paths)) return *std::move(adapter);
  }
  base::fail_with(
      ErrorCode::kNotFound, {"model", ErrorReason::kModelNotFound}, "model: ", reference.repo,
      " has no weights that can be read here (expected ",
      any ? "*.safetensors, *.gguf, pytorch_model*.bin, flax_model*.msgpack or tf_model*.h5"
          : serialisation,
      " among its ", paths.size(), " files)");
}

}  // namespace openllm::hub
