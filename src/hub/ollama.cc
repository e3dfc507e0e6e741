#include "hub/ollama.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "format/locate.h"
#include "format/recognise.h"

namespace openllm::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestManifest = std::size_t{1} << 20U;
constexpr std::size_t kLongestPart = 80;
constexpr std::size_t kLongestHost = 350;
constexpr std::size_t kMostShown = 200;
constexpr std::string_view kImage = "application/vnd.ollama.image.";

bool is_alnum(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// The rules of Ollama's own names: no part leads elsewhere.
bool is_part(std::string_view part, std::string_view also, std::size_t longest = kLongestPart) {
  if (part.empty() || part.size() > longest || !is_alnum(part.front())) return false;
  return std::all_of(part.begin(), part.end(), [&](char c) {
    return is_alnum(c) || c == '-' || also.find(c) != std::string_view::npos;
  });
}

bool is_valid(const OllamaName& name) {
  return is_part(name.host, ".:", kLongestHost) && is_part(name.space, "") &&
         is_part(name.model, ".") && is_part(name.tag, ".");
}

std::string text_of(const base::Json& json, const char* key) {
  const base::Json* member = json.find(key);
  const std::string* text = member == nullptr ? nullptr : member->if_string();
  return text == nullptr ? std::string() : *text;
}

/// The digits of "sha256:...", which older versions wrote with a "-"; empty for other texts.
std::string digits_of(std::string digest) {
  if (!digest.starts_with("sha256:") && !digest.starts_with("sha256-")) return {};
  digest.erase(0, 7);
  for (char& c : digest) c = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  const bool is_hex = digest.find_first_not_of("0123456789abcdef") == std::string::npos;
  return digest.size() == 64 && is_hex ? digest : std::string();
}

/// Layers that do not change the weights: what they say is not used.
bool is_left_alone(std::string_view kind) {
  constexpr std::array kKinds = {std::string_view("template"), std::string_view("params"),
                                 std::string_view("system"),   std::string_view("messages"),
                                 std::string_view("license"),  std::string_view("prompt"),
                                 std::string_view("projector")};
  return std::find(kKinds.begin(), kKinds.end(), kind) != kKinds.end();
}

void read_layer(const base::Json& layer, const std::string& where, OllamaManifest& manifest) {
  const std::string type = text_of(layer, "mediaType");
  const std::string_view kind =
      type.starts_with(kImage) ? std::string_view(type).substr(kImage.size()) : type;
  if (is_left_alone(kind)) return;
  if (kind != "model") {
    const bool is_adapter = kind == "adapter";
    base::fail(ErrorCode::kUnsupported, "model: ", where,
               is_adapter ? ": has an adapter, and those are not applied here"
                          : ": has a part that is not known here",
               " (expected one GGUF file, got ", type.substr(0, kMostShown), ")");
  }
  if (!manifest.sha256.empty()) {
    base::fail(ErrorCode::kUnsupported, "model: ", where,
               ": is made of several files (expected one GGUF file)");
  }
  manifest.sha256 = digits_of(text_of(layer, "digest"));
  if (manifest.sha256.empty()) {
    base::fail(ErrorCode::kCorruptData, "model: ", where,
               ": wrong digest (expected sha256: and 64 digits, got ",
               text_of(layer, "digest").substr(0, kMostShown), ")");
  }
  const base::Json* size = layer.find("size");
  const std::int64_t* bytes = size == nullptr ? nullptr : size->if_int();
  if (bytes != nullptr && *bytes >= 0) manifest.size = *bytes;
}

/// The file of a digest: regular, of that size, and of a model. Throws kCorruptData.
OtherModel open_blob(const fs::path& folder, const OllamaManifest& manifest,
                     const OllamaName& name) {
  OtherModel model{name.text(), name.tag, {}, {}, "gguf", manifest.sha256};
  for (const char* prefix : {"sha256-", "sha256:"}) {
    model.path = folder / "blobs" / (prefix + manifest.sha256);
    if (!measure_file(model.path, model)) continue;
    if (manifest.size >= 0 && model.bytes != manifest.size) {
      base::fail(ErrorCode::kCorruptData, "model: ", model.path.string(), ": wrong size (expected ",
                 manifest.size, " bytes, got ", model.bytes, ")");
    }
    if (format::starts_with_gguf_magic(model.path.string())) return model;
    base::fail(ErrorCode::kCorruptData, "model: ", model.path.string(), ": is no GGUF file",
               format::note_what_it_is(model.path.string()));
  }
  base::fail(ErrorCode::kCorruptData, "model: ", name.text(), ": its file ",
             (folder / "blobs" / ("sha256-" + manifest.sha256)).string(),
             " is not there (`ollama pull` fetches it again)");
}

/// Every name for which a folder has a manifest.
std::vector<OllamaName> manifests_in(const fs::path& folder) {
  const fs::path root = folder / "manifests";
  std::vector<OllamaName> names;
  for (const std::string& host : entries_of(root)) {
    for (const std::string& space : entries_of(root / host)) {
      for (const std::string& model : entries_of(root / host / space)) {
        for (const std::string& tag : entries_of(root / host / space / model)) {
          OllamaName name{host, space, model, tag};
          if (is_valid(name)) names.push_back(std::move(name));
        }
      }
    }
  }
  return names;
}

std::optional<OtherModel> find_in(const fs::path& folder, const OllamaName& name) {
  const fs::path path = folder / "manifests" / name.path();
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::nullopt;
  const OllamaManifest manifest = [&] {
    try {
      return parse_ollama_manifest(base::read_file(path.string(), kLongestManifest), path.string());
    } catch (const Error& error) {
      // A folder, or one that is far too long.
      if (error.code() != ErrorCode::kInvalidArgument) throw;
      throw Error(ErrorCode::kCorruptData, error.what(), error.where());
    }
  }();
  return open_blob(folder, manifest, name);
}

}  // namespace

std::string OllamaName::text() const {
  const OllamaName usual;
  std::string text = "ollama://";
  if (host != usual.host) text += host + "/";
  if (host != usual.host || space != usual.space) text += space + "/";
  return text + model + ":" + tag;
}

fs::path OllamaName::path() const { return fs::path(host) / space / model / tag; }

OllamaName parse_ollama_name(std::string_view text) {
  OllamaName name;
  std::string_view rest = text;
  const std::size_t slash = rest.rfind('/');
  const std::size_t colon = rest.rfind(':');
  if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
    name.tag = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
  }
  name.model = rest.substr(slash == std::string_view::npos ? 0 : slash + 1);
  if (slash != std::string_view::npos) {
    rest = rest.substr(0, slash);
    const std::size_t first = rest.find('/');
    name.space = rest.substr(first == std::string_view::npos ? 0 : first + 1);
    if (first != std::string_view::npos) name.host = rest.substr(0, first);
  }
  if (!is_valid(name)) {
    base::fail_at(ErrorCode::kInvalidArgument, "model",
                  "cannot be read (expected ollama://[[HOST/]NAMESPACE/]MODEL[:TAG], got ollama://",
                  text.substr(0, kMostShown), ")");
  }
  return name;
}

OllamaManifest parse_ollama_manifest(const std::string& text, const std::string& where) {
  OllamaManifest manifest;
  std::vector<base::Json> layers;
  try {
    const base::Json json = base::Json::parse(text, where);
    json.as_object(where);
    if (const base::Json* member = json.find("layers")) layers = member->as_array("layers");
  } catch (const Error& error) {
    throw Error(ErrorCode::kCorruptData, base::cat("model: ", error.what()), where);
  }
  for (const base::Json& layer : layers) {
    if (layer.is_object()) read_layer(layer, where, manifest);
  }
  if (manifest.sha256.empty()) {
    base::fail(ErrorCode::kCorruptData, "model: ", where,
               ": has no model (expected a layer of the type ", kImage, "model)");
  }
  return manifest;
}

std::optional<OtherModel> OllamaModels::find(const OllamaName& name) const {
  for (const std::string& folder : folders_) {
    if (auto found = find_in(folder, name)) return found;
  }
  return std::nullopt;
}

std::vector<OtherModel> OllamaModels::list() const {
  std::vector<OtherModel> models;
  std::set<std::string> known;
  for (const std::string& folder : folders_) {
    for (const OllamaName& name : manifests_in(folder)) {
      if (!known.insert(name.text()).second) continue;
      try {
        if (auto found = find_in(folder, name)) models.push_back(std::move(*found));
      } catch (const Error&) {
        continue;  // by its name the reason is told
      }
    }
  }
  std::sort(models.begin(), models.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return models;
}

}  // namespace openllm::hub
