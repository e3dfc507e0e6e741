#include "openllm/inspect.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <tuple>
#include <utility>

#include "format/model_source.h"
#include "llm/local_model.h"
#include "tensor/dtype.h"

namespace openllm {
namespace {

namespace fs = std::filesystem;

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// The name with a star for each number between dots.
std::string without_numbers(const std::string& name) {
  std::string out;
  for (std::size_t i = 0; i < name.size();) {
    std::size_t end = std::min(name.find('.', i), name.size());
    const bool is_number =
        end > i && std::all_of(name.begin() + static_cast<std::ptrdiff_t>(i),
                               name.begin() + static_cast<std::ptrdiff_t>(end), is_digit);
    out += is_number ? "*" : name.substr(i, end - i);
    if (end < name.size()) out += '.';
    i = end + 1;
  }
  return out;
}

std::vector<TensorGroup> group_tensors(const format::Checkpoint& checkpoint) {
  using Key = std::tuple<std::string, std::string, std::vector<std::int64_t>>;
  std::map<Key, TensorGroup> groups;
  for (const format::NamedTensor& tensor : checkpoint.tensors()) {
    std::vector<std::int64_t> shape;
    for (int d = 0; d < tensor.view.shape.n_dims(); ++d) shape.push_back(tensor.view.shape[d]);
    const std::string type(tensor::info(tensor.view.dtype).name);
    TensorGroup& group = groups[{without_numbers(tensor.name), type, shape}];
    ++group.n_tensors;
    group.n_elements += tensor.view.shape.n_elems();
    group.n_bytes += static_cast<std::int64_t>(tensor.view.bytes.size());
  }
  std::vector<TensorGroup> out;
  for (auto& [key, group] : groups) {
    std::tie(group.name, group.type, group.shape) = key;
    out.push_back(std::move(group));
  }
  std::stable_sort(out.begin(), out.end(), [](const TensorGroup& a, const TensorGroup& b) {
    return a.n_bytes > b.n_bytes;
  });
  return out;
}

/// `license:` of the settings that begin README.md on the hub, between lines of three dashes.
std::string license_of_card(const fs::path& folder) {
  constexpr int kMostLines = 200;
  constexpr std::size_t kLongestLine = 500;
  std::ifstream card(folder / "README.md");
  std::string line;
  const auto next = [&] {
    if (!std::getline(card, line) || line.size() > kLongestLine) return false;
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    return true;
  };
  if (!next() || line != "---") return {};
  std::map<std::string, std::string> values{{"license", ""}, {"license_name", ""}};
  for (int i = 0; i < kMostLines && next() && line != "---"; ++i) {
    const std::size_t colon = std::min(line.find(':'), line.size());
    const auto value = values.find(line.substr(0, colon));
    if (value == values.end() || colon == line.size()) continue;
    value->second = line.substr(std::min(line.find_first_not_of(' ', colon + 1), line.size()));
    std::erase_if(value->second,
                  [](char c) { return c == '"' || c == '\'' || (c >= 0 && c < ' '); });
  }
  // One without a name that the hub knows is "other".
  const bool has_own_name = values["license"] == "other" && !values["license_name"].empty();
  return values[has_own_name ? "license_name" : "license"];
}

std::string license_of(const format::ModelSource& source) {
  if (source.gguf != nullptr) {
    const base::Json* name = source.gguf->config().find("general.license");
    const std::string* text = name == nullptr ? nullptr : name->if_string();
    return text == nullptr ? std::string() : *text;
  }
  return license_of_card(source.path);
}

/// The type of blocks with the most bytes.
std::string commonest_blocks(const format::Checkpoint& checkpoint) {
  std::map<std::string_view, std::size_t> bytes;
  for (const format::NamedTensor& tensor : checkpoint.tensors()) {
    const tensor::DTypeInfo& type = tensor::info(tensor.view.dtype);
    if (type.block_elems > 1) bytes[type.name] += tensor.view.bytes.size();
  }
  const auto most = std::max_element(
      bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? std::string() : std::string(most->first);
}

}  // namespace

Inspection inspect(const std::string& model, const LoadOptions& options) {
  llm::LocalModel local(model, options);
  const format::ModelSource& source = local.source();
  Inspection result;
  const Diagnosis diagnosis = diagnose(model, {.load = options, .predict = false});
  if (diagnosis.model) result.model = *diagnosis.model;
  for (const Finding& finding : diagnosis.findings) {
    if (finding.severity == Severity::kError) result.findings.push_back(finding);
  }
  result.backends = ask_backends(model, options);
  result.license = license_of(source);
  result.quantisation = source.quantisation;
  for (const format::NamedTemplate& chat : source.chat_templates)
    result.chat_templates.push_back(chat.name);
  if (source.has_weights()) {
    const auto checkpoint = source.open_weights();
    result.tensors = group_tensors(*checkpoint);
    if (result.quantisation.empty()) result.quantisation = commonest_blocks(*checkpoint);
  }
  return result;
}

}  // namespace openllm
