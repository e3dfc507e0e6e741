#include "format/chat_templates.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"
#include "format/json_file.h"
#include "format/recognise.h"

namespace openllm::format {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxTemplates = 64;
constexpr std::string_view kEnding = ".jinja";
/// What transformers calls the folder, and what it was called once.
constexpr const char* kFolders[] = {"additional_chat_templates", "chat_templates"};

NamedTemplate read_template(const fs::path& path, std::string name) {
  std::string source = base::read_file(path.string());
  refuse_placeholder(path.string(), source, "a chat template");
  return {std::move(name), std::move(source), path.string()};
}

bool has(const std::vector<NamedTemplate>& templates, std::string_view name) {
  return std::any_of(templates.begin(), templates.end(),
                     [name](const NamedTemplate& known) { return known.name == name; });
}

void add_files(const fs::path& folder, std::vector<NamedTemplate>& out) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.size() > kEnding.size() && name.ends_with(kEnding)) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  for (const std::string& file : names) {
    std::string name = file.substr(0, file.size() - kEnding.size());
    if (out.size() < kMaxTemplates && !has(out, name))
      out.push_back(read_template(folder / file, std::move(name)));
  }
}

[[noreturn]] void fail_entry(const std::string& place) {
  base::fail_at(ErrorCode::kCorruptData, place,
                "bad entry (expected a template, or a list of objects with the texts name and "
                "template)");
}

void add_entry(const base::Json& entry, const std::string& place, std::vector<NamedTemplate>& out) {
  const base::Json* name = entry.find("name");
  const base::Json* source = entry.find("template");
  const bool is_right = name != nullptr && name->if_string() != nullptr && source != nullptr &&
                        source->if_string() != nullptr;
  if (!is_right) fail_entry(place);
  if (out.size() >= kMaxTemplates) return;
  std::erase_if(out, [&](const auto& known) { return known.name == *name->if_string(); });
  out.push_back({*name->if_string(), *source->if_string(),
                 base::cat(place, ": ", name->if_string()->substr(0, 100))});
}

/// The member `chat_template`: a text, a list of named templates, or an object of them.
std::vector<NamedTemplate> templates_of_json(const std::string& folder, const char* file) {
  std::vector<NamedTemplate> found;
  const base::Json json = read_json_file(folder, file);
  const base::Json* value = json.find("chat_template");
  if (value == nullptr || value->is_null()) return found;
  const std::string place = (fs::path(folder) / file).string() + ": chat_template";
  if (const std::string* source = value->if_string()) {
    found.push_back({"default", *source, place});
  } else if (const base::JsonArray* list = value->if_array()) {
    for (const base::Json& entry : *list) add_entry(entry, place, found);
  } else if (const base::JsonObject* named = value->if_object()) {
    for (const auto& [name, text] : *named) {
      base::Json entry;
      entry["name"] = name;
      entry["template"] = text;
      add_entry(entry, place, found);
    }
  } else {
    fail_entry(place);
  }
  return found;
}

}  // namespace

std::vector<NamedTemplate> chat_templates_of_folder(const std::string& folder) {
  std::vector<NamedTemplate> found;
  std::error_code ignored;
  const fs::path file = fs::path(folder) / "chat_template.jinja";
  if (fs::exists(fs::symlink_status(file, ignored)))
    found.push_back(read_template(file, "default"));
  for (const char* name : kFolders) add_files(fs::path(folder) / name, found);
  if (found.empty()) found = templates_of_json(folder, "chat_template.json");
  if (found.empty()) found = templates_of_json(folder, "tokenizer_config.json");
  return found;
}

std::vector<NamedTemplate> chat_templates_of_gguf(const base::Json& metadata,
                                                  const std::string& path) {
  constexpr std::string_view kKey = "tokenizer.chat_template";
  std::vector<NamedTemplate> found;
  const base::JsonObject* members = metadata.if_object();
  if (members == nullptr) return found;
  for (const auto& [key, value] : *members) {
    const bool is_default = key == kKey;
    const bool is_named =
        key.size() > kKey.size() + 1 && key.starts_with(kKey) && key[kKey.size()] == '.';
    if (!is_default && !is_named) continue;
    const std::string place = base::cat(path, ": ", key.substr(0, 200));
    if (value.if_string() == nullptr) {
      base::fail_at(ErrorCode::kCorruptData, place, "wrong type (expected string, got ",
                    value.type_name(), ")");
    }
    if (found.size() < kMaxTemplates)
      found.push_back(
          {is_default ? "default" : key.substr(kKey.size() + 1), *value.if_string(), place});
  }
  return found;
}

std::string list_names(const std::vector<NamedTemplate>& templates) {
  std::string names;
  for (const NamedTemplate& known : templates)
    names += base::cat(names.empty() ? "" : ", ", known.name.substr(0, 100));
  return names;
}

}  // namespace openllm::format
