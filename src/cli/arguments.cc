#include "cli/arguments.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <map>

#include "base/error.h"
#include "base/mapped_file.h"

namespace openllm::cli {
namespace {

template <typename T>
void option(CLI::App* app, const char* name, std::optional<T>& target, const char* help) {
  app->add_option_function<T>(name, [&target](const T& value) { target = value; }, help);
}

void add_load_options(CLI::App* app, Arguments& a) {
  LoadOptions& load = a.load;
  app->add_option("--backend", load.backend, "native; empty: the best available")->group("Loading");
  app->add_option("--device", load.device, "cpu or reference; empty: the best available")->group("Loading");
  app->add_option("--threads", load.n_threads, "Threads of the cpu device (0: one per CPU)")->group("Loading");
  app->add_option("--max-model-len", load.max_model_len, "Longest sequence in tokens (0: the model's limit)")
      ->group("Loading");
  app->add_option("--max-step-tokens", load.max_step_tokens, "Most tokens computed in one step")->group("Loading");
  app->add_option("--max-sequences", load.max_sequences, "Most sequences computed together")->group("Loading");
  app->add_option("--max-queue", load.max_queue, "Most requests that may wait")->group("Loading");
  app->add_option("--kv-cache-bytes", a.kv_cache_size, "Memory for the KV cache, for example 2GiB")->group("Loading");
  app->add_option("--kv-dtype", load.kv_dtype, "auto, f32 or f16")->group("Loading");
  app->add_flag("!--no-prefix-caching", load.prefix_caching, "Do not reuse cached prefixes")->group("Loading");
  app->add_option("--chat-template", a.chat_template_file, "File with a Jinja chat template to use instead")
      ->group("Loading");
}

void add_sampling_options(CLI::App* app, Arguments& a) {
  GenerateOptions& g = a.generate;
  option(app, "--max-new-tokens,--max-tokens", g.max_new_tokens, "Tokens to generate at most");
  option(app, "--min-new-tokens", g.min_new_tokens, "No end before so many tokens");
  option(app, "-t,--temperature", g.temperature, "0: always the most likely token");
  option(app, "--top-k", g.top_k, "Choose among the k most likely tokens (0: all)");
  option(app, "--top-p", g.top_p, "Choose among the likeliest tokens with this probability together");
  option(app, "--min-p", g.min_p, "Leave out tokens below this share of the top probability");
  option(app, "--repetition-penalty", g.repetition_penalty, "Above 1: tokens seen before become less likely");
  option(app, "--presence-penalty", g.presence_penalty, "Subtracted from tokens seen in the answer");
  option(app, "--frequency-penalty", g.frequency_penalty, "Subtracted per time seen in the answer");
  option(app, "--seed", g.seed, "Same seed, same answer");
  app->add_option("--stop", g.stop, "Text that ends the answer (may be repeated)")
      ->expected(1)
      ->take_all();
  app->add_flag("--ignore-eos", g.ignore_eos, "Go on after the end of the text");
}

void add_output_options(CLI::App* app, Arguments& a) {
  GenerateOptions& g = a.generate;
  app->add_option("-n", g.n, "Number of answers");
  option(app, "--logprobs", g.logprobs, "With --json: logprobs of the k most likely tokens");
  option(app, "--prompt-logprobs", g.prompt_logprobs, "With --json: the same for the prompt");
  app->add_option("--stop-token-ids", g.stop_token_ids, "Tokens that end the answer")->delimiter(',');
  app->add_flag("--include-stop", g.include_stop_in_output, "Keep the stop text in the answer");
  app->add_flag("--truncate-prompt", g.truncate_prompt, "Keep the end of a prompt that is too long");
  app->add_flag("!--no-special-tokens", g.add_special_tokens, "Do not put BOS and the like around the prompt");
  app->add_flag("!--show-special", g.skip_special_tokens, "Show special tokens in the answer");
  app->add_option("--timeout", a.timeout_s, "Seconds after which the answer ends");
}


CLI::App* add_command(CLI::App* parent, const char* name, const char* help, const char* examples) {
  CLI::App* command = parent->add_subcommand(name, help);
  command->footer(examples);
  return command;
}

void add_run(CLI::App& app, Arguments& a) {
  CLI::App* run = add_command(&app, "run", "Answer a prompt, or chat",
                              "Examples:\n"
                              "  openllm run HuggingFaceTB/SmolLM2-135M-Instruct \"What is the capital of France?\"\n"
                              "  openllm run HuggingFaceTB/SmolLM2-135M-Instruct            # chat\n"
                              "  openllm run ./model.gguf --raw \"Once upon a time\" --temperature 0\n"
                              "  echo \"Say hello\" | openllm run ./model-folder --json");
  run->add_option("MODEL", a.model, "Name in the store, folder, or .gguf file")->required();
  run->add_option_function<std::string>(
      "PROMPT",
      [&a](const std::string& text) {
        a.text = text;
        a.has_text = true;
      },
      "Without it: standard input, or a chat on a terminal");
  run->add_option("--prompt-ids", a.prompt_ids, "Token ids instead of a text: 1,2,3");
  run->add_option("--system", a.system, "System message");
  run->add_flag("--raw", a.raw, "Continue the text as it is, without the chat template");
  run->add_flag("--json", a.json, "Print the final output as JSON");
  run->add_flag("-v,--verbose", a.verbose, "End with tokens per second");
  add_sampling_options(run, a);
  add_output_options(run, a);
  add_load_options(run, a);
}

void add_start(CLI::App& app, Arguments& a) {
  CLI::App* start = add_command(&app, "start", "Start the OpenAI-compatible server",
                                "Examples:\n"
                                "  openllm start HuggingFaceTB/SmolLM2-135M-Instruct\n"
                                "  openllm start ./model.gguf --host 0.0.0.0 --port 8000 --api-key secret");
  ServerOptions& s = a.server;
  start->add_option("MODEL", a.model, "Name in the store, folder, or .gguf file")->required();
  start->add_option("--host", s.host, "Address to listen on")->capture_default_str();
  start->add_option("-p,--port", s.port, "Port (0: any free one)")->capture_default_str();
  start->add_option("--api-key", s.api_keys, "Key that clients must send (may be repeated)")
      ->envname("OPENLLM_API_KEY");
  start->add_option("--alias", s.model_aliases, "Further name of the model (\"*\": any)");
  start->add_option("--max-body-bytes", s.max_body_bytes, "Largest request")->capture_default_str();
  start->add_option("--max-connections", s.max_connections, "Most open connections")->capture_default_str();
  start->add_option("--shutdown-timeout", s.shutdown_timeout_s, "Seconds running answers get at the end")
      ->capture_default_str();
  add_load_options(start, a);
}

void add_query(CLI::App& app, Arguments& a) {
  CLI::App* query = add_command(&app, "query", "Ask a running server",
                                "Example:\n  openllm query \"What is the capital of France?\" --temperature 0");
  query->add_option("PROMPT", a.text, "The question")->required();
  query->add_option("--endpoint", a.endpoint, "Server (default http://127.0.0.1:3000)")->envname("OPENLLM_ENDPOINT");
  query->add_option("--api-key", a.api_key, "Key of the server")->envname("OPENLLM_AUTH_TOKEN");
  query->add_option("--system", a.system, "System message");
  query->add_flag("--raw", a.raw, "Continue the text, without the chat template");
  query->add_flag("--stream,!--no-stream", a.stream, "Print the answer as it is made (default)");
  query->add_flag("--json", a.json, "Print the final output as JSON");
  add_sampling_options(query, a);
}

void add_models(CLI::App& app, Arguments& a) {
  CLI::App* models = add_command(&app, "models", "List the model store; add and remove models",
                                 "Examples:\n  openllm models\n  openllm models add me/tiny ./tiny.gguf\n"
                                 "  openllm models remove me/tiny");
  models->add_flag("--json", a.json, "Print JSON");
  models->require_subcommand(0, 1);
  CLI::App* add = models->add_subcommand("add", "Copy a folder or .gguf file into the store");
  add->add_option("NAME", a.model, "owner/name")->required();
  add->add_option("PATH", a.path, "Folder or .gguf file")->required();
  add->add_option("--version", a.version, "Version (default: made from the content)");
  CLI::App* remove = models->add_subcommand("remove", "Delete a model from the store");
  remove->add_option("NAME", a.model, "owner/name or owner/name:version")->required();
}

void add_small_commands(CLI::App& app, Arguments& a) {
  CLI::App* logits = add_command(&app, "logits", "Print the logits of every position as JSON",
                                 "Example:\n  openllm logits ./model.gguf --prompt-ids 1,403,407 --device reference");
  logits->add_option("MODEL", a.model, "Name in the store, folder, or .gguf file")->required();
  logits->add_option("--prompt-ids", a.prompt_ids, "Token ids: 1,2,3");
  logits->add_option("--prompt", a.text, "A text instead");
  add_load_options(logits, a);

  CLI::App* tokenize = add_command(&app, "tokenize", "Show the tokens of a text",
                                   "Example:\n  openllm tokenize ./model.gguf \"Hello world\"");
  tokenize->add_option("MODEL", a.model, "Name in the store, folder, or .gguf file")->required();
  tokenize->add_option("TEXT", a.text, "The text")->required();
  tokenize->add_flag("--json", a.json, "Print JSON");
  tokenize->add_flag("!--no-special-tokens", a.generate.add_special_tokens, "Do not add BOS and the like");

  CLI::App* info = add_command(&app, "info", "Show what a model is", "Example:\n  openllm info ./model.gguf");
  info->add_option("MODEL", a.model, "Name in the store, folder, or .gguf file")->required();
  info->add_flag("--json", a.json, "Print JSON");
}

}  // namespace

ParsedArguments parse_arguments(int argc, char** argv) {
  ParsedArguments parsed;
  Arguments& a = parsed.arguments;
  CLI::App app("Run open language models: one answer, a chat, or a server.", "openllm");
  app.set_version_flag("--version", std::string("openllm ") + version());
  app.require_subcommand(1);
  app.footer("`openllm COMMAND --help` says more about each command.");
  add_run(app, a);
  add_start(app, a);
  add_query(app, a);
  add_models(app, a);
  add_small_commands(app, a);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int status = app.exit(error);
    parsed.exit_status = status == 0 ? 0 : 2;
    return parsed;
  }
  for (const CLI::App* command : app.get_subcommands()) {
    a.command = command->get_name();
    for (const CLI::App* inner : command->get_subcommands()) a.command += " " + inner->get_name();
  }
  return parsed;
}

std::vector<std::int32_t> parse_ids(const std::string& text) {
  std::vector<std::int32_t> ids;
  const char* at = text.data();
  const char* end = at + text.size();
  while (at < end) {
    if (*at == ',' || *at == ' ') {
      ++at;
      continue;
    }
    std::int32_t id = 0;
    const auto result = std::from_chars(at, end, id);
    if (result.ec != std::errc() || (result.ptr < end && *result.ptr != ',' && *result.ptr != ' ')) {
      base::fail(ErrorCode::kInvalidArgument, "--prompt-ids: expected whole numbers separated by commas, got \"", text,
                 "\"");
    }
    ids.push_back(id);
    at = result.ptr;
  }
  return ids;
}

std::int64_t parse_bytes(const std::string& text) {
  double number = 0.0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string unit(result.ptr, static_cast<std::size_t>(text.data() + text.size() - result.ptr));
  const std::map<std::string, double> units = {{"", 1.0},         {"K", 0x1p10}, {"KiB", 0x1p10}, {"M", 0x1p20},
                                               {"MiB", 0x1p20},   {"G", 0x1p30}, {"GiB", 0x1p30}, {"kB", 1e3},
                                               {"MB", 1e6},       {"GB", 1e9}};
  const auto found = units.find(unit);
  if (result.ec != std::errc() || found == units.end() || !(number > 0.0) || number * found->second > 1e18) {
    base::fail(ErrorCode::kInvalidArgument, "size: expected a number with KiB, MiB or GiB, got \"", text, "\"");
  }
  return static_cast<std::int64_t>(number * found->second);
}

void resolve(Arguments& arguments) {
  if (!arguments.kv_cache_size.empty()) arguments.load.kv_cache_bytes = parse_bytes(arguments.kv_cache_size);
  if (!arguments.chat_template_file.empty()) {
    arguments.load.chat_template = base::read_file(arguments.chat_template_file, 1U << 20U);
  }
  if (arguments.timeout_s < 0.0 || arguments.timeout_s > 1e6) {
    base::fail(ErrorCode::kInvalidArgument, "--timeout: expected seconds, got ", arguments.timeout_s);
  }
  if (arguments.timeout_s > 0.0) {
    arguments.generate.timeout = std::chrono::milliseconds(std::max<std::int64_t>(1, std::llround(arguments.timeout_s * 1e3)));
  }
}

}  // namespace openllm::cli
