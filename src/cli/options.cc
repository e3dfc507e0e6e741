#include "cli/options.h"

#include <algorithm>
#include <variant>

#include "base/error.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "cli/defaults.h"
#include "fields/access.h"
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
  Binder(CLI::App* app, const fields::Field& field, std::string_view default_value)
      : app_(app),
        field_(field),
        flag_(flag_of(field)),
        help_(field.flag_help.empty() ? field.help : field.flag_help) {
    if (!default_value.empty()) help_ = with_default(help_, std::string(default_value));
  }

 protected:
  void bind(bool& target) const { app_->add_flag(flag_, target, help_); }
  void bind(int& target) const {
    number(app_, flag_, target, with_default(help_, std::to_string(target)), field_.range);
  }
  template <typename Number>
  void bind(std::optional<Number>& target) const {
    number(app_, flag_, target, help_, field_.range);
  }
  void bind(std::optional<std::uint64_t>& target) const { bind(target, parse_seed, "NUMBER"); }
  void bind(std::optional<std::chrono::milliseconds>& target) const {
    bind(target, parse_seconds, "SECONDS");
  }
  void bind(std::string& target) const {
    if (field_.type == fields::Type::kJson) return bind(target, checked_json, "JSON");
    optional(app_, flag_, target, help_);
  }
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
  static std::string checked_json(const std::string& text) {
    base::Json::parse(text, "value");
    return text;
  }

  CLI::App* app_;
  const fields::Field& field_;
  std::string flag_;
  std::string help_;
};

/// For a member of GenerateOptions.
class RequestBinder : Binder {
 public:
  RequestBinder(CLI::App* app, const fields::Field& field, std::string_view default_value,
                GenerateOptions& generate)
      : Binder(app, field, default_value), generate_(generate) {}
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
  ConfigBinder(CLI::App* app, const fields::Field& field, std::string_view default_value,
               LLMConfig& config)
      : Binder(app, field, default_value), config_(config) {}
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

/// The default that help tells for a field that the model's files may have one for; empty: none.
std::string initial_of(const fields::Field& field) {
  const base::Json value = fields::get(field, fields::initial_config());
  if (value.is_null()) return "";
  const std::string text = value.dump();
  return text.ends_with(".0") ? text.substr(0, text.size() - 2) : text;
}

/// Length has a default of its own in every place; the others come from the model.
std::string default_of(const fields::Field& field, Asked asked) {
  if (field.request == fields::RequestMember(&GenerateOptions::max_new_tokens)) {
    return base::cat("with a chat template to the end of the answer or the context, else ",
                     kCompletionTokens);
  }
  const std::string value = initial_of(field);
  if (value.empty() || asked == Asked::kServer) return value.empty() ? "" : "the server's";
  return "the model's, else " + value;
}

std::string default_of_server(const fields::Field& field) {
  if (field.config == fields::ConfigMember(&LLMConfig::max_new_tokens)) {
    return base::cat(initial_of(field),
                     "; of native requests that continue a text: OpenAI's completions end after "
                     "16, chats at the end of the answer");
  }
  const std::string value = initial_of(field);
  return value.empty() ? "" : "the model's, else " + value;
}

/// Hidden options, so that the answer to them is not "unknown option".
void add_absent_fields(CLI::App* app) {
  for (const fields::AbsentField& field : fields::absent()) {
    if (!field.is_option) continue;
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

std::string with_default(const std::string& help, const std::string& value) {
  return base::cat(help, help.ends_with(')') ? "; default: " : " (default: ", value, ")");
}

CLI::Option* named(CLI::App* app, const std::string& name, std::string& target,
                   const std::string& help) {
  const auto set = [&target](const std::string& text) {
    if (text.empty()) base::fail(ErrorCode::kInvalidArgument, "expected a text, got \"\"");
    target = text;
  };
  return converted(app, name, set, help)->type_name("TEXT");
}

void add_load_options(CLI::App* app, LoadOptions& load) {
  app->option_defaults()->group("Loading");
  named(app, "--device", load.device, "cpu or reference (default: the best available)");
  // The library reads OPENLLM_BACKEND itself. CLI11 would apply it on behalf of every command that
  // has this option, over what was given to the one that runs.
  named(app, "--backend", load.backend,
        "native (default: $OPENLLM_BACKEND, else the best available)");
  app->add_flag("--fast-activations", load.fast_activations,
                "Faster prompts and batches, less exact answers");
  number(app, "-t,--threads", load.n_threads, "Threads of the cpu device; 0: one per CPU (default)",
         {.min = 0, .max = 1024});
  number(app, "-c,--max-model-len", load.max_model_len,
         "Context: the longest sequence in tokens; 0: the model's (default)", {.min = 0});
  number_with_default(app, "--max-step-tokens", load.max_step_tokens, "Most tokens of one step",
                      {.min = 1, .max = 1 << 16});
  number_with_default(app, "--max-sequences", load.max_sequences, "Most sequences of one step",
                      {.min = 1, .max = 4096});
  number_with_default(app, "--max-queue", load.max_queue, "Most requests that may wait",
                      {.min = 1, .max = 1 << 24});
  converted(
      app, "--kv-cache-bytes",
      [&load](const std::string& text) { load.kv_cache_bytes = parse_bytes(text); },
      "Memory for the KV cache, for example 2GiB; 0: chosen from model and machine (default)")
      ->type_name("BYTES");
  named(app, "--kv-dtype", load.kv_dtype, with_default("auto, f32, f16 or int8", load.kv_dtype));
  number_with_default(app, "--kv-block-size", load.kv_block_size, "Tokens per KV cache block",
                      {.min = 1, .max = 1024});
  app->add_flag("!--no-prefix-caching", load.prefix_caching, "Do not reuse cached prefixes");
  converted(
      app, "--chat-template",
      [&load](const std::string& path) {
        load.chat_template = base::read_file(path, kMaxTemplateBytes);
      },
      "File with a chat template (Jinja) to use instead of the model's")
      ->type_name("FILE");
  named(app, "--tokenizer-pre", load.tokenizer_pre,
        "Pre-tokenizer of a GGUF file that does not name one, for example llama-bpe");
}

std::string flag_of(const fields::Field& field) {
  return field.flag.empty() ? dashed(field.name) : std::string(field.flag);
}

std::string shown_flag(const fields::Field& field) {
  std::string flag = flag_of(field);
  flag.erase(0, flag.find('-'));  // "!--no-..."
  return flag.substr(0, flag.find(','));
}

void add_field(CLI::App* app, const fields::Field& field, GenerateOptions& generate) {
  std::visit(RequestBinder{app, field, "", generate}, field.request);
}

void add_request_fields(CLI::App* app, Asked asked, GenerateOptions& generate) {
  for (const fields::Field& field : fields::all()) {
    const bool is_asked = asked == Asked::kLlm || (field.ways & fields::kOpenAI) != 0;
    if ((field.ways & fields::kCommandLine) == 0 || !is_asked) continue;
    app->option_defaults()->group(fields::to_string(field.group));
    std::visit(RequestBinder{app, field, default_of(field, asked), generate}, field.request);
  }
  add_absent_fields(app);
}

void add_config_fields(CLI::App* app, LLMConfig& config) {
  app->option_defaults()->group("Defaults of requests");
  for (const fields::Field& field : fields::all()) {
    if ((field.ways & fields::kCommandLine) != 0)
      std::visit(ConfigBinder{app, field, default_of_server(field), config}, field.config);
  }
  add_absent_fields(app);
}

}  // namespace openllm::cli
