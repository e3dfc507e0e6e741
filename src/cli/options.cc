#include "cli/options.h"

#include "base/mapped_file.h"

namespace openllm::cli {
namespace {

constexpr std::size_t kMaxTemplateBytes = std::size_t{16} << 20U;

}  // namespace

void add_load_options(CLI::App* app, LoadOptions& load) {
  app->option_defaults()->group("Loading");
  app->add_option("--device", load.device, "cpu or reference (default: the best available)");
  app->add_option("--backend", load.backend, "native (default: the best available)")
      ->envname("OPENLLM_BACKEND");
  app->add_flag("--fast-activations", load.fast_activations,
                "Faster prompts and batches, less exact answers");
  number(app, "--threads", load.n_threads, "Threads of the cpu device (default: one per CPU)");
  number(app, "--max-model-len", load.max_model_len,
         "Longest sequence in tokens (default: the model's)");
  number_with_default(app, "--max-step-tokens", load.max_step_tokens, "Most tokens of one step");
  number_with_default(app, "--max-sequences", load.max_sequences, "Most sequences of one step");
  number_with_default(app, "--max-queue", load.max_queue, "Most requests that may wait");
  converted(
      app, "--kv-cache-bytes",
      [&load](const std::string& text) { load.kv_cache_bytes = parse_bytes(text); },
      "Memory for the KV cache, for example 2GiB (default: chosen)")
      ->type_name("BYTES");
  app->add_option("--kv-dtype", load.kv_dtype, "auto, f32 or f16")->capture_default_str();
  number_with_default(app, "--kv-block-size", load.kv_block_size, "Tokens per KV cache block");
  app->add_flag("!--no-prefix-caching", load.prefix_caching, "Do not reuse cached prefixes");
  converted(
      app, "--chat-template",
      [&load](const std::string& path) {
        load.chat_template = base::read_file(path, kMaxTemplateBytes);
      },
      "File with a chat template (Jinja) to use instead of the model's")
      ->type_name("FILE");
}

void add_sampling_options(CLI::App* app, GenerateOptions& g) {
  app->option_defaults()->group("Sampling");
  number(app, "--max-new-tokens,--max-tokens", g.max_new_tokens, "Tokens to generate at most");
  number(app, "--min-new-tokens", g.min_new_tokens, "No end before so many tokens");
  number(app, "-t,--temperature", g.temperature, "0: always the most likely token");
  number(app, "--top-k", g.top_k, "Choose among the k most likely tokens; 0: all");
  number(app, "--top-p", g.top_p,
         "Choose among the likeliest tokens with this probability together");
  number(app, "--min-p", g.min_p, "Leave out tokens below this share of the top probability");
  number(app, "--repetition-penalty", g.repetition_penalty,
         "Above 1: tokens seen before get less likely");
  number(app, "--presence-penalty", g.presence_penalty,
         "Subtracted from tokens seen in the answer");
  number(app, "--frequency-penalty", g.frequency_penalty, "Subtracted per time seen in the answer");
  converted(
      app, "--logit-bias", [&g](const std::string& text) { g.logit_bias = parse_biases(text); },
      "Added to the logits of tokens: 12=-100,7=1.5")
      ->type_name("ID=NUMBER,...");
  number(app, "--seed", g.seed, "Same seed, same answer");
  repeated(app, "--stop", g.stop, "Text that ends the answer; may be repeated");
  converted(
      app, "--stop-token-ids",
      [&g](const std::string& text) { g.stop_token_ids = parse_ids(text); },
      "Tokens that end the answer: 1,2,3")
      ->type_name("IDS");
  app->add_flag("--include-stop", g.include_stop_in_output, "Keep the stop text in the answer");
  app->add_flag("--ignore-eos", g.ignore_eos, "Go on after the end of the text");
  number_with_default(app, "-n", g.n, "Number of answers");
  number(app, "--logprobs", g.logprobs, "With --json: logprobs of the k most likely tokens");
  converted(
      app, "--timeout", [&g](const std::string& text) { g.timeout = parse_seconds(text); },
      "Seconds after which the answer ends")
      ->type_name("SECONDS");
}

void add_local_options(CLI::App* app, GenerateOptions& g) {
  app->option_defaults()->group("Prompt");
  number(app, "--prompt-logprobs", g.prompt_logprobs,
         "With --json: logprobs of the prompt's tokens");
  app->add_flag("--truncate-prompt", g.truncate_prompt,
                "Keep the end of a prompt that is too long");
  app->add_flag("!--no-special-tokens", g.add_special_tokens,
                "Do not put BOS and the like around a text");
  app->add_flag("!--show-special-tokens", g.skip_special_tokens,
                "Show special tokens in the answer");
  app->add_flag("!--no-generation-prompt", g.add_generation_prompt,
                "Do not open the assistant's turn after the messages");
  optional(app, "--template-json", g.chat_template_json,
           "Further template variables, as a JSON object");
  optional(app, "--tools-json", g.tools_json, "Tools for the template, as a JSON array");
  optional(app, "--adapter", g.adapter_name, "Mounted LoRA adapter to use");
  number(app, "--priority", g.priority, "Higher runs first");
  optional(app, "--request-id", g.request_id, "Name of the request in the output");
}

}  // namespace openllm::cli
