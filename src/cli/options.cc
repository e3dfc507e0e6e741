#include "cli/options.h"

#include <algorithm>
#include <variant>

#include "base/error.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "fields/body.h"

namespace openllm::cli {
namespace {

constexpr std::size_t kMaxTemplateBytes = std::size_t{16} << 20U;

std::string dashed(std::string_view name) {
  std::string option = base::cat("--", name);
  std::replace(option.begin(), option.end(), '_', '-');
  return option;
}

/// Makes the option of a row from the type of its member.
class Binder {
 public:
  Binder(CLI::App* app, const fields::Field& field)
      : app_(app),
        flag_(flag_of(field)),
        help_(field.flag_help.empty() ? field.help : field.flag_help) {}

 protected:
  void bind(bool& target) const { app_->add_flag(flag_, target, help_); }
  void bind(int& target) const { number_with_default(app_, flag_, target, help_); }
  template <typename Number>
  void bind(std::optional<Number>& target) const {
    number(app_, flag_, target, help_);
  }
  void bind(std::optional<std::chrono::milliseconds>& target) const {
    bind(target, parse_seconds, "SECONDS");
  }
  void bind(std::string& target) const { optional(app_, flag_, target, help_); }
  void bind(std::vector<std::string>& target) const {
    repeated(app_, flag_, target, help_ + "; may be repeated");
  }
  void bind(std::vector<std::int32_t>& target) const { bind(target, parse_ids, "ID,..."); }
  void bind(std::map<std::int32_t, float>& target) const {
    bind(target, parse_biases, "ID=NUMBER,...");
  }
  template <typename Target, typename Parse>
  void bind(Target& target, Parse parse, const char* form) const {
    converted(
        app_, flag_, [&target, parse](const std::string& text) { target = parse(text); }, help_)
        ->type_name(form);
  }

 private:
  CLI::App* app_;
  std::string flag_;
  std::string help_;
};

/// For a member of GenerateOptions.
class RequestBinder : Binder {
 public:
  RequestBinder(CLI::App* app, const fields::Field& field, GenerateOptions& generate)
      : Binder(app, field), generate_(generate) {}
  void operator()(std::monostate /*none*/) const {}
  template <typename Member>
  void operator()(Member member) const {
    bind(generate_.*member);
  }

 private:
  GenerateOptions& generate_;
};

/// For a member of LLMConfig.
class ConfigBinder : Binder {
 public:
  ConfigBinder(CLI::App* app, const fields::Field& field, LLMConfig& config)
      : Binder(app, field), config_(config) {}
  void operator()(std::monostate /*none*/) const {}
  template <typename Member>
  void operator()(Member member) const {
    bind(config_.*member);
  }

 private:
  LLMConfig& config_;
};

base::Json json_or_text(const std::string& text) {
  try {
    return base::Json::parse(text, "value");
  } catch (const Error&) {
    return text;
  }
}

/// Hidden options, so that the answer to them is not "unknown option".
void add_absent_fields(CLI::App* app) {
  for (const fields::AbsentField& field : fields::absent()) {
    const std::string flag = dashed(field.name);
    app->add_option_function<std::string>(
           flag,
           [flag, &field](const std::string& text) {
             if (fields::is_neutral(field, json_or_text(text))) return;
             base::fail_with(ErrorCode::kUnsupported, {field.name, ErrorReason::kUnsupportedField},
                             flag, ": this version does not have that feature");
           })
        ->group("");
  }
}

}  // namespace

void add_load_options(CLI::App* app, LoadOptions& load) {
  app->option_defaults()->group("Loading");
  app->add_option("--device", load.device, "cpu or reference (default: the best available)");
  // The library reads OPENLLM_BACKEND itself. CLI11 would apply it on behalf of every command that
  // has this option, over what was given to the one that runs.
  app->add_option("--backend", load.backend,
                  "native (default: $OPENLLM_BACKEND, else the best available)");
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
  app->add_option("--tokenizer-pre", load.tokenizer_pre,
                  "Pre-tokenizer of a GGUF file that does not name one, for example llama-bpe");
}

std::string flag_of(const fields::Field& field) {
  return field.flag.empty() ? dashed(field.name) : std::string(field.flag);
}

void add_field(CLI::App* app, const fields::Field& field, GenerateOptions& generate) {
  std::visit(RequestBinder{app, field, generate}, field.request);
}

void add_request_fields(CLI::App* app, Asked asked, GenerateOptions& generate) {
  for (const fields::Field& field : fields::all()) {
    const bool is_asked = asked == Asked::kLlm || (field.ways & fields::kOpenAI) != 0;
    if ((field.ways & fields::kCommandLine) == 0 || !is_asked) continue;
    app->option_defaults()->group(fields::to_string(field.group));
    add_field(app, field, generate);
  }
  add_absent_fields(app);
}

void add_config_fields(CLI::App* app, LLMConfig& config) {
  app->option_defaults()->group("Defaults of requests");
  for (const fields::Field& field : fields::all()) {
    if ((field.ways & fields::kCommandLine) != 0)
      std::visit(ConfigBinder{app, field, config}, field.config);
  }
  add_absent_fields(app);
}

}  // namespace openllm::cli
