#include "cli/arguments.h"

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "base/mapped_file.h"
#include "cli/exit_status.h"
#include "cli/terminal.h"
#include "cli/values.h"

namespace openllm::cli {
namespace {

constexpr const char* kModelHelp = "Name in the model store, folder, or .gguf file";
constexpr std::size_t kMaxTextFile = std::size_t{16} << 20U;

template <typename T>
CLI::Option* optional(CLI::App* app, const char* name, std::optional<T>& target, const char* help) {
  return app->add_option_function<T>(
      name, [&target](const T& value) { target = value; }, help);
}

/// An option whose text is converted by `convert`; its errors become usage errors.
template <typename Convert>
CLI::Option* converted(CLI::App* app, const char* name, Convert convert, const char* help) {
  return app->add_option_function<std::string>(
      name,
      [convert, name](const std::string& text) {
        try {
          convert(text);
        } catch (const Error& error) {
          throw CLI::ValidationError(name, error.what());
        }
      },
      help);
}

/// An option that may be repeated, each time with one text (CLI11 would split "[a,b]" and take
/// further words).
CLI::Option* repeated(CLI::App* app, const char* name, std::vector<std::string>& target,
                      const char* help) {
  return app->add_option(name, target, help)->expected(1)->take_all()->allow_extra_args(false);
}

void add_load_options(CLI::App* app, LoadOptions& load) {
  const auto group = [](CLI::Option* option) { return option->group("Loading"); };
  group(app->add_option("--device", load.device, "cpu or reference (default: the best available)"));
  group(app->add_option("--backend", load.backend, "native (default: the best available)")
            ->envname("OPENLLM_BACKEND"));
  group(app->add_flag("--fast-activations", load.fast_activations,
                      "Faster prompts and batches, less exact answers"));
  group(app->add_option("--threads", load.n_threads,
                        "Threads of the cpu device (default: one per CPU)"));
  group(app->add_option("--max-model-len", load.max_model_len,
                        "Longest sequence in tokens (default: the model's)"));
  group(app->add_option("--max-step-tokens", load.max_step_tokens, "Most tokens of one step")
            ->capture_default_str());
  group(app->add_option("--max-sequences", load.max_sequences, "Most sequences of one step")
            ->capture_default_str());
  group(app->add_option("--max-queue", load.max_queue, "Most requests that may wait")
            ->capture_default_str());
  group(converted(
      app, "--kv-cache-bytes",
      [&load](const std::string& text) { load.kv_cache_bytes = parse_bytes(text); },
      "Memory for the KV cache, for example 2GiB (default: chosen)"));
  group(app->add_option("--kv-dtype", load.kv_dtype, "auto, f32 or f16")->capture_default_str());
  group(app->add_option("--kv-block-size", load.kv_block_size, "Tokens per KV cache block")
            ->capture_default_str());
  group(app->add_flag("!--no-prefix-caching", load.prefix_caching, "Do not reuse cached prefixes"));
  group(converted(
      app, "--chat-template",
      [&load](const std::string& path) {
        load.chat_template = base::read_file(path, kMaxTextFile);
      },
      "File with a chat template (Jinja) to use instead of the model's"));
}

void add_sampling_options(CLI::App* app, GenerateOptions& g) {
  const auto group = [](CLI::Option* option) { return option->group("Sampling"); };
  group(optional(app, "--max-new-tokens,--max-tokens", g.max_new_tokens,
                 "Tokens to generate at most"));
  group(optional(app, "--min-new-tokens", g.min_new_tokens, "No end before so many tokens"));
  group(optional(app, "-t,--temperature", g.temperature, "0: always the most likely token"));
  group(optional(app, "--top-k", g.top_k, "Choose among the k most likely tokens; 0: all"));
  group(optional(app, "--top-p", g.top_p,
                 "Choose among the likeliest tokens with this probability together"));
  group(optional(app, "--min-p", g.min_p,
                 "Leave out tokens below this share of the top probability"));
  group(optional(app, "--repetition-penalty", g.repetition_penalty,
                 "Above 1: tokens seen before get less likely"));
  group(optional(app, "--presence-penalty", g.presence_penalty,
                 "Subtracted from tokens seen in the answer"));
  group(optional(app, "--frequency-penalty", g.frequency_penalty,
                 "Subtracted per time seen in the answer"));
  group(converted(
      app, "--logit-bias", [&g](const std::string& text) { g.logit_bias = parse_biases(text); },
      "Added to the logits of tokens: ID=NUMBER,..."));
  group(optional(app, "--seed", g.seed, "Same seed, same answer"));
  group(repeated(app, "--stop", g.stop, "Text that ends the answer; may be repeated"));
  group(converted(
      app, "--stop-token-ids",
      [&g](const std::string& text) { g.stop_token_ids = parse_ids(text); },
      "Tokens that end the answer: 1,2,3"));
  group(app->add_flag("--include-stop", g.include_stop_in_output,
                      "Keep the stop text in the answer"));
  group(app->add_flag("--ignore-eos", g.ignore_eos, "Go on after the end of the text"));
  group(app->add_option("-n", g.n, "Number of answers")->capture_default_str());
  group(
      optional(app, "--logprobs", g.logprobs, "With --json: logprobs of the k most likely tokens"));
  group(converted(
      app, "--timeout", [&g](const std::string& text) { g.timeout = parse_seconds(text); },
      "Seconds after which the answer ends"));
}

void add_local_options(CLI::App* app, GenerateOptions& g) {
  const auto group = [](CLI::Option* option) { return option->group("Prompt"); };
  group(optional(app, "--prompt-logprobs", g.prompt_logprobs,
                 "With --json: logprobs of the prompt's tokens"));
  group(app->add_flag("--truncate-prompt", g.truncate_prompt,
                      "Keep the end of a prompt that is too long"));
  group(app->add_flag("!--no-special-tokens", g.add_special_tokens,
                      "Do not put BOS and the like around a text"));
  group(app->add_flag("!--show-special-tokens", g.skip_special_tokens,
                      "Show special tokens in the answer"));
  group(app->add_flag("!--no-generation-prompt", g.add_generation_prompt,
                      "Do not open the assistant's turn after the messages"));
  group(app->add_option("--template-json", g.chat_template_json,
                        "Further template variables, as a JSON object"));
  group(app->add_option("--tools-json", g.tools_json, "Tools for the template, as a JSON array"));
  group(app->add_option("--adapter", g.adapter_name, "Mounted LoRA adapter to use"));
  group(app->add_option("--priority", g.priority, "Higher runs first"));
  group(app->add_option("--request-id", g.request_id, "Name of the request in the output"));
}

CLI::App* add_command(CLI::App* parent, const char* name, const char* help, const char* examples) {
  CLI::App* command = parent->add_subcommand(name, help);
  command->footer(examples);
  return command;
}

void add_run(CLI::App& app, Arguments& a) {
  CLI::App* run = add_command(
      &app, "run", "Answer a prompt, or chat",
      "Examples:\n"
      "  openllm run HuggingFaceTB/SmolLM2-135M-Instruct \"What is the capital of France?\"\n"
      "  openllm run HuggingFaceTB/SmolLM2-135M-Instruct              a chat\n"
      "  openllm run ./model.gguf --raw \"Once upon a time\" --temperature 0\n"
      "  echo \"Say hello\" | openllm run ./model-folder --json\n"
      "  openllm run ./model-folder --prompt-ids 1,2,3 --json --logprobs 5");
  run->add_option("MODEL", a.model, kModelHelp)->required();
  optional(run, "PROMPT", a.text, "Without it: standard input, or a chat on a terminal");
  optional(run, "--prompt-ids", a.prompt_ids,
           "Token ids instead of a text: 1,2,3 (needs no tokenizer)");
  run->add_option("--system", a.system, "System message");
  run->add_flag("--raw", a.raw, "Continue the text as it is, without the chat template");
  run->add_flag("--json", a.json, "Print the final output as JSON");
  run->add_flag("-v,--verbose", a.verbose,
                "End with load time and tokens per second, on standard error");
  add_sampling_options(run, a.generate);
  add_local_options(run, a.generate);
  add_load_options(run, a.load);
}

void add_start(CLI::App& app, Arguments& a) {
  CLI::App* start =
      add_command(&app, "start", "Start the OpenAI-compatible server",
                  "Examples:\n"
                  "  openllm start HuggingFaceTB/SmolLM2-135M-Instruct\n"
                  "  openllm start ./model.gguf --host 0.0.0.0 --port 8000 --api-key secret");
  ServerOptions& s = a.server;
  start->add_option("MODEL", a.model, kModelHelp)->required();
  start->add_option("--host", s.host, "Address to listen on")->capture_default_str();
  start->add_option("-p,--port", s.port, "Port; 0: any free one")->capture_default_str();
  repeated(start, "--api-key", s.api_keys, "Key that clients must send; may be repeated")
      ->envname("OPENLLM_API_KEY");
  repeated(start, "--alias", s.model_aliases,
           "Further name that requests may use; \"*\": any; may be repeated");
  converted(
      start, "--max-body-bytes",
      [&s](const std::string& text) {
        s.max_body_bytes = static_cast<std::size_t>(parse_bytes(text));
      },
      "Largest request (default: 16MiB)");
  start->add_option("--max-connections", s.max_connections, "Most open connections")
      ->capture_default_str();
  start
      ->add_option("--header-timeout", s.header_timeout_s, "Seconds a client has to send a request")
      ->capture_default_str();
  start
      ->add_option("--idle-timeout", s.idle_timeout_s,
                   "Seconds a connection may wait for its next request")
      ->capture_default_str();
  start
      ->add_option("--shutdown-timeout", s.shutdown_timeout_s,
                   "Seconds running answers get at the end")
      ->capture_default_str();
  add_load_options(start, a.load);
}

void add_query(CLI::App& app, Arguments& a) {
  CLI::App* query =
      add_command(&app, "query", "Ask a running server",
                  "Examples:\n"
                  "  openllm query \"What is the capital of France?\" --temperature 0\n"
                  "  OPENLLM_ENDPOINT=http://10.0.0.5:3000 openllm query --json \"Hello\"");
  optional(query, "PROMPT", a.text, "The question; without it: standard input");
  query->add_option("--endpoint", a.client.address, "Server (default: http://127.0.0.1:3000)")
      ->envname("OPENLLM_ENDPOINT");
  query->add_option("--api-key", a.client.api_key, "Key of the server")
      ->envname("OPENLLM_AUTH_TOKEN");
  query
      ->add_option("--silence-timeout", a.client.timeout_s,
                   "Longest silence of the server in seconds")
      ->capture_default_str();
  query->add_option("--system", a.system, "System message");
  query->add_flag("--raw", a.raw, "Continue the text, without the chat template");
  query->add_flag("--stream,!--no-stream", a.stream, "Print the answer as it is made (default)");
  query->add_flag("--json", a.json, "Print the final output as JSON");
  add_sampling_options(query, a.generate);
}

void add_models(CLI::App& app, Arguments& a) {
  CLI::App* models = add_command(
      &app, "models", "List the model store; add and remove models",
      "Examples:\n"
      "  openllm models\n"
      "  openllm models add me/tiny ./tiny.gguf\n"
      "  openllm models remove me/tiny\n"
      "The store is $OPENLLM_HOME, else $XDG_CACHE_HOME/openllm, else ~/.cache/openllm.");
  models->add_flag("--json", a.json, "Print JSON");
  models->require_subcommand(0, 1);
  CLI::App* add = add_command(models, "add", "Copy a folder or a .gguf file into the store",
                              "Example:\n  openllm models add me/tiny ./tiny.gguf");
  add->add_option("NAME", a.model, "NAME or OWNER/NAME")->required();
  add->add_option("PATH", a.path, "Folder or .gguf file")->required();
  add->add_option("--as-version", a.version, "Version (default: from the content)");
  add->add_flag("--json", a.json, "Print JSON");
  CLI::App* remove = add_command(models, "remove", "Delete a model from the store",
                                 "Example:\n  openllm models remove me/tiny");
  remove->add_option("NAME", a.model, "NAME, or NAME:VERSION for one version")->required();
}

void add_inspection(CLI::App& app, Arguments& a) {
  CLI::App* info =
      add_command(&app, "info", "Show what a model is", "Example:\n  openllm info ./model.gguf");
  info->add_option("MODEL", a.model, kModelHelp)->required();
  info->add_flag("--json", a.json, "Print JSON");

  CLI::App* tokenize = add_command(&app, "tokenize", "Show the tokens of a text",
                                   "Example:\n  openllm tokenize ./model.gguf \"Hello world\"");
  tokenize->add_option("MODEL", a.model, kModelHelp)->required();
  optional(tokenize, "TEXT", a.text, "The text; without it: standard input");
  tokenize->add_flag("--json", a.json, "Print JSON");
  tokenize->add_flag("!--no-special-tokens", a.generate.add_special_tokens,
                     "Do not put BOS and the like around it");

  CLI::App* logits = add_command(
      &app, "logits", "Print the logits of every position as JSON",
      "Example:\n  openllm logits ./model.gguf --prompt-ids 1,403,407 --device reference");
  logits->add_option("MODEL", a.model, kModelHelp)->required();
  CLI::Option* ids = optional(logits, "--prompt-ids", a.prompt_ids, "Token ids: 1,2,3");
  optional(logits, "--prompt", a.text, "A text instead")->excludes(ids);
  add_load_options(logits, a.load);

  CLI::App* backends =
      add_command(&app, "backends", "Show which backends and devices exist, and why (not)",
                  "Example:\n  openllm backends");
  backends->add_flag("--json", a.json, "Print JSON");
}

/// One line that says what is wrong and which help to read.
int usage_error(const CLI::App& app, const CLI::ParseError& error) {
  std::string command = "openllm";
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().front();
    command += " " + at->get_name();
  }
  std::string what = error.what();
  for (char& c : what) {
    if (c == '\n') c = ' ';
  }
  note(base::cat("openllm: error: ", what, " (see `", command, " --help`)\n"));
  return kExitUsage;
}

}  // namespace

ParsedArguments parse_arguments(int argc, const char* const* argv) {
  ParsedArguments parsed;
  Arguments& a = parsed.arguments;
  CLI::App app("Run open language models: one answer, a chat, or a server.", "openllm");
  app.set_version_flag("--version", std::string("openllm ") + version());
  app.require_subcommand(1);
  app.footer(
      "Examples:\n"
      "  openllm run HuggingFaceTB/SmolLM2-135M-Instruct \"What is the capital of France?\"\n"
      "  openllm start HuggingFaceTB/SmolLM2-135M-Instruct\n"
      "`openllm COMMAND --help` says more about each command.");
  add_run(app, a);
  add_start(app, a);
  add_query(app, a);
  add_models(app, a);
  add_inspection(app, a);
  if (argc < 2) {
    note(app.help());
    parsed.exit_status = kExitUsage;
    return parsed;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    parsed.exit_status = error.get_exit_code() == 0 ? app.exit(error) : usage_error(app, error);
    return parsed;
  }
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().front();
    a.command += (a.command.empty() ? "" : " ") + at->get_name();
  }
  return parsed;
}

}  // namespace openllm::cli
