#include "base/error.h"
#include "cli/options.h"
#include "cli/values.h"

namespace openllm::cli {
void add_places(CLI::App* app, LoadOptions& load) {
  repeated(
      app, "--place", load.places,
      "Where the model runs: native, pt, or a server as http://HOST:PORT; repeated, all places "
      "as one (default: $OPENLLM_PLACES)")
      ->type_name("PLACE");
}

void add_vllm_options(CLI::App* app, LoadOptions& load) {
  app->option_defaults()->group("Loading, in vLLM");
  repeated(app, "--vllm-url", load.vllm.urls,
           "Server that has the model, as http://HOST:PORT (default: $OPENLLM_VLLM_URL); may be "
           "repeated")
      ->type_name("URL");
  named(app, "--vllm-executable", load.vllm.executable,
        "Program that starts a server where there is none (default: $OPENLLM_VLLM, else vllm)")
      ->type_name("FILE");
  repeated(app, "--vllm-args", load.vllm.args,
           "One more argument of it, as --vllm-args=--enforce-eager; may be repeated")
      ->type_name("TEXT");
  named(app, "--vllm-api-key", load.vllm.api_key,
        "Key of the servers (default: $OPENLLM_VLLM_API_KEY, which others cannot see)");
  converted(
      app, "--vllm-startup-timeout",
      [&load](const std::string& text) {
        load.vllm.startup_timeout = std::chrono::ceil<std::chrono::seconds>(parse_seconds(text));
      },
      "Time for a start (default: 600)")
      ->type_name("SECONDS");
  number(app, "--tensor-parallel,--tensor-parallel-size", load.tensor_parallel,
         "Accelerators that share the model, in vLLM (default: 1)", {.min = 1, .max = 1024});
  number(app, "--gpu-memory-utilization", load.gpu_memory_utilization,
         "Share of an accelerator's memory, in vLLM (default: $OPENLLM_GPU_MEMORY_UTILIZATION)",
         {.min = 0, .max = 1, .is_above_min = true});
  named(app, "--tokenizer", load.tokenizer,
        "Tokenizer here of a model that only servers have: a folder, or a model's name");
}

}  // namespace openllm::cli
