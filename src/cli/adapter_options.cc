#include "base/error.h"
#include "cli/options.h"
#include "cli/values.h"

namespace openllm::cli {
namespace {

/// "folder:name"; a colon before a slash is the folder's.
AdapterOptions parse_adapter(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || text.find('/', colon) != std::string::npos) return {text, ""};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

}  // namespace

void add_adapter_options(CLI::App* app, LoadOptions& load) {
  app->add_option_function<std::vector<std::string>>(
         "--adapter-id",
         [&load](const std::vector<std::string>& texts) {
           for (const std::string& text : texts) load.adapters.push_back(parse_adapter(text));
         },
         "LoRA adapter to mount: a folder, a GGUF file or a name on a hub, and its name for "
         "requests "
         "(default: $OPENLLM_ADAPTER_MAP; name: default); may be repeated")
      ->type_name("ID[:NAME]")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
  if (app->get_option_no_throw("--adapter-name") == nullptr) {  // else it is a field of requests
    named(app, "--adapter-name,--adapter", load.default_adapter,
          "Adapter of requests that name none, or a sum as a*0.5+b (default: the only one mounted)")
        ->type_name("NAME");
  }
  number_with_default(app, "--max-adapters", load.max_adapters,
                      "Most adapters in memory, others are read again when they are used; 0: all",
                      {.min = 0, .max = 1 << 20});
}

void choose_default_adapter(LoadOptions& load) {
  if (load.default_adapter.empty() && load.adapters.size() == 1) {
    const std::string& name = load.adapters.front().name;
    load.default_adapter = name.empty() ? "default" : name;
  }
}

}  // namespace openllm::cli
