#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/json.h"
#include "cli/bundle_files.h"
#include "cli/commands/commands.h"
#include "cli/terminal.h"
#include "fields/access.h"

namespace openllm::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTemplateFile = "chat_template.jinja";
/// They choose the model, which the folder has under its public name.
constexpr const char* kModelOptions[] = {"--model-name", "--model-version", "--model-tag",
                                         "--refresh"};

void refuse_secrets(const std::vector<GivenOption>& options) {
  for (const GivenOption& option : options) {
    if (!option.name.ends_with("api-key")) continue;
    base::fail_at(ErrorCode::kInvalidArgument, option.name,
                  "a key is not written into a folder (give OPENLLM_API_KEY to the server when it "
                  "runs)");
  }
  if (std::getenv("OPENLLM_API_KEY") != nullptr) {
    note(
        "openllm: note: OPENLLM_API_KEY is not written into the folder; give it to the server "
        "when it runs\n");
  }
}

/// A folder that serves nothing is of no use.
void require_backend(const std::string& path, const LoadOptions& load) {
  const BackendReport report = ask_backends(path, load);
  if (report.chosen.empty())
    base::fail(ErrorCode::kUnsupported, "no backend can run this model: ", report.reason);
}

/// A folder whose name cannot be a model's name in options would be called otherwise once it is
/// copied.
void check_name(const LLM& llm, const Arguments& arguments) {
  if (!llm.is_local() || !arguments.load.model_name.empty()) return;
  LoadOptions named = arguments.load;
  named.model_name = llm.id();
  try {
    const LLM same(arguments.model, named);
  } catch (const Error& error) {
    base::fail_at(error.code(), "--model-name", error.what(),
                  "; the server needs a name: --model-name NAME gives one");
  }
}

/// What `serve` passes on, and what goes into the folder for it.
BundleSettings make_settings(const LLM& llm, const Arguments& arguments) {
  BundleSettings settings;
  settings.folder = fs::weakly_canonical(fs::absolute(arguments.path)).string();
  settings.id = llm.id();
  settings.tag = llm.tag();
  const fs::path model(llm.info().path);
  settings.model = fs::is_directory(model) ? "model" : "model/" + model.filename().string();
  settings.options = {{"--model-name", llm.id()}, {"--model-version", llm.revision()}};
  for (const GivenOption& option : arguments.serving_options) {
    if (std::find(std::begin(kModelOptions), std::end(kModelOptions), option.name) ==
        std::end(kModelOptions))
      settings.options.push_back(option);
  }
  const char* backend = std::getenv("OPENLLM_BACKEND");
  if (arguments.load.backend.empty() && backend != nullptr && *backend != '\0')
    settings.options.push_back({"--backend", backend});
  const base::Json config = fields::to_json(environment_config());
  if (!config.if_object()->empty()) settings.config = config.dump();
  if (arguments.server.port != 0) settings.port = arguments.server.port;
  return settings;
}

/// A template that was given as a file lies in the folder from now on. Other files would have to be
/// in the same place wherever the folder goes.
void take_files_along(const LoadOptions& load, BundleSettings& settings,
                      std::vector<BundleFile>& files) {
  for (GivenOption& option : settings.options) {
    if (!option.may_be_file) continue;
    if (option.name != "--chat-template") {
      base::fail_at(ErrorCode::kInvalidArgument, option.name,
                    "names a file that would not be in the folder (give it to the folder's serve)");
    }
    if (option.value == load.chat_template) continue;
    files.push_back({.path = kTemplateFile, .text = load.chat_template});
    option.value = kTemplateFile;
    settings.file_option = option.name;
  }
}

std::string describe(const BundleSettings& settings) {
  base::Json json = base::Json::object();
  json["tag"] = settings.tag;
  json["name"] = settings.id;
  json["openllm"] = version();
  json["model"] = settings.model;
  base::Json options = base::Json::array();
  for (const GivenOption& option : settings.options) options.push_back(option.word());
  json["options"] = std::move(options);
  json["config"] =
      settings.config.empty() ? base::Json::object() : base::Json::parse(settings.config, "config");
  return json.dump();
}

}  // namespace

int build_command(const Arguments& arguments) {
  refuse_secrets(arguments.serving_options);
  const LLM llm(arguments.model, arguments.load);
  const std::string path = fs::absolute(llm.info().path).string();
  require_backend(path, arguments.load);
  check_name(llm, arguments);
  BundleSettings settings = make_settings(llm, arguments);
  BundleContents contents;
  contents.model = path;
  take_files_along(arguments.load, settings, contents.files);
  contents.description = describe(settings);
  for (BundleFile& file : program_files()) contents.files.push_back(std::move(file));
  const auto script = [&](const char* name, std::string text) {
    contents.files.push_back({.path = name, .text = std::move(text), .executable = true});
  };
  script("serve", serve_script(settings));
  script("health", health_script(settings));
  contents.files.push_back({.path = "Containerfile", .text = containerfile(settings)});
  contents.files.push_back({.path = "openllm.service", .text = systemd_unit(settings)});
  contents.files.push_back({.path = "README", .text = bundle_readme(settings)});
  const bool is_new = !is_bundle(settings.folder);
  write_bundle(settings.folder, contents, arguments.overwrite);
  if (arguments.json) {
    base::Json json = base::Json::object();
    json["state"] = is_new ? "ADDED" : "OVERWRITE";
    json["path"] = settings.folder;
    json["tag"] = settings.tag;
    print(json.dump() + "\n");
  } else {
    print(base::cat(settings.folder, "\n"));
    note(base::cat("openllm: ", settings.tag, " is built; ", settings.folder,
                   "/serve starts the server\n"));
  }
  return 0;
}

}  // namespace openllm::cli
