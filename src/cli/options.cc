#include "cli/options.h"

#include <openllm/backends.h>

#include <algorithm>
#include <sstream>
#include <variant>

#include "base/error.h"
#include "base/json.h"
#include "base/json_setting.h"
#include "base/mapped_file.h"
#include "cli/defaults.h"
#include "fields/access.h"
#include "fields/body.h"
#include "fields/values.h"

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
  /// `cleared`: of the struct whose members are set.
  Binder(CLI::App* app, const fields::Field& field, std::string_view default_value,
         std::vector<std::string>& cleared)
      : app_(app),
        field_(field),
        cleared_(cleared),
        flag_(flag_of(field)),
        help_(field.flag_help.empty() ? field.help : field.flag_help) {
    if (!default_value.empty()) help_ = with_default(help_, std::string(default_value));
  }

 protected:
  void bind(bool& target) const { app_->add_flag(flag_, target, help_); }
  /// With hidden switches of the field's own names, either way.
  void bind(std::optional<bool>& target) const {
    app_->add_flag_function(
        flag_, [&target](std::int64_t count) { target = count > 0; }, help_);
    for (const std::string_view name : fields::names_of(field_)) {
      const std::string option = dashed(name);
      add_switch(option, true, target);
      add_switch("--no-" + option.substr(2), false, target);
    }
  }
  void add_switch(const std::string& option, bool value, std::optional<bool>& target) const {
    if (app_->get_option_no_throw(option) != nullptr) return;
    app_->add_flag_function(option, [&target, value](std::int64_t /*count*/) { target = value; })
        ->group("");
  }
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
  void bind(std::vector<std::int32_t>& target) const { bind_list(target, parse_ids, "ID,..."); }
  void bind(std::map<std::int32_t, float>& target) const {
    bind_list(target, parse_biases, "ID=NUMBER,...");
  }
  void bind(fields::TokenLists& target) const {
    bind_list(
        target,
        [](const std::string& text) {
          return fields::read_token_lists(json_of(text), "value", {});
        },
        "[[ID,...],...]");
  }
  void bind(fields::ListNumbers& target) const {
    bind_list(
        target,
        [](const std::string& text) {
          return fields::read_list_numbers(json_of(text), "value", {});
        },
        "[[[ID,...],NUMBER],...]");
  }
  void bind(std::optional<LengthDecay>& target) const {
    bind(
        target,
        [](const std::string& text) { return fields::read_length_decay(json_of(text), "value"); },
        "[START,FACTOR]");
  }
  void bind(std::optional<EarlyStopping>& target) const {
    bind(
        target,
        [](const std::string& text) {
          const bool is_json = text == "true" || text == "false";
          return fields::read_early_stopping(
              is_json ? base::Json(text == "true") : base::Json(text), "value");
        },
        "true|false|never");
  }
  template <typename Target, typename Parse>
  void bind(Target& target, Parse parse, const char* form) const {
    converted(
        app_, flag_, [&target, parse](const std::string& text) { target = parse(text); }, help_)
        ->type_name(form);
  }
  /// A list in one word. An empty one takes back what the configuration says.
  template <typename List, typename Parse>
  void bind_list(List& target, Parse parse, const char* form) const {
    const auto set = [&target, &cleared = cleared_, name = field_.name, parse,
                      may_be_empty = !fields::none_of(field_).is_bool()](const std::string& text) {
      const bool is_empty = may_be_empty && (text == "[]" || text == "{}");
      target = is_empty ? List() : parse(text);
      if (is_empty) cleared.emplace_back(name);
    };
    converted(app_, flag_, set, help_)->type_name(form);
  }

  /// A hidden --no-NAME, which takes back what the configuration says.
  template <typename Struct>
  void bind_none(Struct& object) const {
    const base::Json none = fields::none_of(field_);
    const std::string shown = shown_flag(field_);
    const std::string negated = "--no-" + shown.substr(2);
    if (none.is_null() || app_->get_option_no_throw(negated) != nullptr) return;
    const CLI::Option* option = app_->get_option(shown);
    const auto clear = [&object, &field = field_, option, shown, negated] {
      if (option->count() > 0) {
        base::fail(ErrorCode::kInvalidArgument, negated, ": stands beside ", shown,
                   " (expected one of them)");
      }
      fields::clear(field, object);
    };
    app_->add_flag_callback(negated, clear)->group("");
  }

 private:
  static base::Json json_of(const std::string& text) {
    return base::Json::parse_unique(text, "value");
  }
  static std::string checked_json(const std::string& text) {
    json_of(text);
    return text;
  }

  CLI::App* app_;
  const fields::Field& field_;
  std::vector<std::string>& cleared_;
  std::string flag_;
  std::string help_;
};

/// For a member of GenerateOptions.
class RequestBinder : Binder {
 public:
  RequestBinder(CLI::App* app, const fields::Field& field, std::string_view default_value,
                GenerateOptions& generate)
      : Binder(app, field, default_value, generate.cleared), generate_(generate) {}
  void operator()(std::monostate /*none*/) const {}
  template <typename Member>
  void operator()(Member member) const {
    bind(generate_.*member);
    bind_none(generate_);
  }

 private:
  GenerateOptions& generate_;
};

/// For a member of LLMConfig.
class ConfigBinder : Binder {
 public:
  ConfigBinder(CLI::App* app, const fields::Field& field, std::string_view default_value,
               LLMConfig& config)
      : Binder(app, field, default_value, config.cleared), config_(config) {}
  void operator()(std::monostate /*none*/) const {}
  template <typename Member>
  void operator()(Member member) const {
    bind(config_.*member);
    bind_none(config_);
  }

 private:
  LLMConfig& config_;
};

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
    return base::cat("16 for completions, the end of the answer or of the context for chats, ",
                     initial_of(field), " for native requests that continue a text");
  }
  const std::string value = initial_of(field);
  return value.empty() ? "" : "the model's, else " + value;
}

/// "cpu|reference"
std::string names_of(const std::vector<Availability>& list) {
  std::string names;
  for (const Availability& item : list) names += (names.empty() ? "" : "|") + item.name;
  return names;
}

/// Repeatable, with lists, as other programs have it for their GPUs; a model runs on one device
/// here.
void add_device(CLI::App* app, LoadOptions& load) {
  const auto add = [&load](const std::vector<std::string>& values) {
    std::string device;
    for (const std::string& value : values) {
      std::istringstream list(value + ",");
      for (std::string name; std::getline(list, name, ',');) {
        if (name.empty()) {
          throw CLI::ValidationError("--device", base::cat("expected a name, got \"", value, "\""));
        }
        if (!device.empty() && name != device) {
          base::fail(ErrorCode::kUnsupported, "--device: a model runs on one device here (got ",
                     device, " and ", name, ")");
        }
        device = name;
      }
    }
    load.device = device;
  };
  app->add_option_function<std::vector<std::string>>(
         "--device", add, "Device that runs the model (default: the best available)")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false)
      ->type_name_fn([] { return names_of(list_devices()); });
}

[[noreturn]] void fail_absent(const std::string& flag, const fields::AbsentField& field) {
  base::fail_with(ErrorCode::kUnsupported, {field.name, ErrorReason::kUnsupportedField}, flag,
                  ": this version does not have that feature");
}

/// Hidden options, so that the answer to them is not "unknown option".
void add_absent_fields(CLI::App* app) {
  for (const fields::AbsentField& field : fields::absent()) {
    if (!field.is_option) continue;
    const std::string flag = dashed(field.name);
    app->add_option_function<std::string>(flag,
                                          [flag, &field](const std::string& text) {
                                            if (!fields::is_neutral(field, json_or_text(text)))
                                              fail_absent(flag, field);
                                          })
        ->group("");
    if (!fields::is_switch(field)) continue;
    const std::string negated = "--no-" + flag.substr(2);
    app->add_flag_callback(negated,
                           [negated, &field] {
                             if (!fields::is_neutral(field, false)) fail_absent(negated, field);
                           })
        ->group("");
  }
}

/// A hidden option for a field that each request says for itself.
void refuse_default(CLI::App* app, const std::string& name, const fields::Field& field) {
  if (app->get_option_no_throw(name) != nullptr) return;
  const auto refuse = [name, &field] {
    base::fail(ErrorCode::kInvalidArgument, name, ": each request says this for itself (`",
               field.name, "`); a server has no default for it");
  };
  CLI::Option* option = field.type == fields::Type::kBoolean
                            ? app->add_flag_callback(name, refuse)
                            : app->add_option_function<std::string>(
                                  name, [refuse](const std::string& /*value*/) { refuse(); });
  option->group("");
}

/// Hidden options for such fields, under all of their names.
void add_request_only_fields(CLI::App* app) {
  for (const fields::Field& field : fields::all()) {
    const bool is_requests_alone =
        (field.ways & fields::kCommandLine) != 0 && !fields::has_config(field);
    if (!is_requests_alone || app->get_option_no_throw(shown_flag(field)) != nullptr) continue;
    refuse_default(app, shown_flag(field), field);
    for (const std::string_view name : fields::names_of(field)) {
      refuse_default(app, dashed(name), field);
      if (field.type == fields::Type::kBoolean)
        refuse_default(app, "--no-" + dashed(name).substr(2), field);
    }
  }
}

}  // namespace

base::Json json_or_text(const std::string& text) {
  return base::parse_setting_or_text(text, "value");
}

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

void add_chat_template(CLI::App* app, LoadOptions& load) {
  CLI::Option* any = converted(
      app, "--chat-template",
      [&load](const std::string& value) {
        // One that reads messages has braces, and the names that models give their templates have
        // neither those nor what paths and names of files have.
        const bool is_file =
            value.find('{') == std::string::npos && value.find_first_of("./") != std::string::npos;
        load.chat_template = is_file ? base::read_file(value, kMaxTemplateBytes) : value;
      },
      "Chat template instead of the model's: a file with \".\" or \"/\" in its name, the name of "
      "one of several that the model has, or Jinja source");
  any->type_name("FILE|NAME|TEXT");
  converted(
      app, "--chat-template-file",
      [&load](const std::string& path) {
        load.chat_template = base::read_file(path, kMaxTemplateBytes);
      },
      "The same, a file whatever its name")
      ->type_name("FILE")
      ->excludes(any);
}

void add_load_options(CLI::App* app, LoadOptions& load) {
  app->option_defaults()->group("Loading");
  add_device(app, load);
  // The library reads OPENLLM_BACKEND itself. CLI11 would apply it on behalf of every command that
  // has this option, over what was given to the one that runs.
  named(app, "--backend", load.backend,
        "Engine that runs the model (default: $OPENLLM_BACKEND, else the best available)")
      ->type_name_fn([] { return names_of(list_backends()); });
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
  named(app, "--kv-dtype", load.kv_dtype,
        with_default("Type of the KV cache's keys and values", load.kv_dtype))
      ->type_name("auto|f32|f16|int16|int8");
  number_with_default(app, "--kv-block-size", load.kv_block_size, "Tokens per KV cache block",
                      {.min = 1, .max = 1024});
  app->add_flag("!--no-prefix-caching", load.prefix_caching, "Do not reuse cached prefixes");
  number_with_default(app, "--max-draft-tokens,--draft-max", load.max_draft_tokens,
                      "Most tokens guessed ahead from what a text repeats, or by --draft-model; "
                      "answers are the same",
                      {.min = 0, .max = 64});
  named(app, "--draft-model,--model-draft", load.draft_model,
        "Smaller model of the same vocabulary that guesses ahead; answers are the same")
      ->type_name("MODEL");
  add_chat_template(app, load);
  named(app, "--tokenizer-pre", load.tokenizer_pre,
        "Pre-tokenizer of a GGUF file that does not name one, for example llama-bpe");
  named(app, "--model-name", load.model_name, "Public name of the model (default: its own)");
  named(app, "--model-version,--revision", load.model_version,
        "Version of a model in the store; of a path, the version in its tag");
  named(app, "--dtype", load.dtype,
        "Type that weights which are not quantised are rounded to (default: auto, as they are)")
      ->type_name("auto|f32|f16|bf16");
  named(app, "--quantize,--quantise", load.quantize,
        "Quantise while loading, whatever the files hold; for a vLLM that is started its own names")
      ->type_name("q8|q4|fp8");
  named(
      app, "--python", load.pt.python,
      "Interpreter of the backend pt, with torch and transformers (default: $OPENLLM_PYTHON, else "
      "python3)")
      ->type_name("FILE");
  named(app, "--pt-device", load.pt.device,
        "Device of the backend pt (default: cuda where PyTorch has it, else cpu)")
      ->type_name("cpu|cuda|cuda:N");
  app->add_flag("--offline", load.offline, "Fetch nothing: the model has to be on this machine");
  app->add_flag("--refresh", load.refresh,
                "Ask the hub what a branch is now, also where a commit of it is here");
  named(app, "--model-tag", load.model_tag, "Exactly the model in the store that has this tag");
  named(app, "--serialisation,--serialization", load.serialisation,
        with_default("Weights to load where a folder has several forms of them", "auto"))
      ->type_name("auto|safetensors|gguf|legacy|flax|tensorflow");
  app->add_flag_function(
      "--trust-remote-code,!--no-trust-remote-code",
      [&load](std::int64_t count) { load.trust_remote_code = count > 0; },
      "Run code that comes with the model (a vLLM that is started and the backend pt do)");
  add_adapter_options(app, load);
  add_places(app, load);
  add_vllm_options(app, load);
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
    // A server's --timeout bounds all requests and is the default of those that have none.
    const bool is_there = app->get_option_no_throw(shown_flag(field)) != nullptr;
    if ((field.ways & fields::kCommandLine) != 0 && !is_there)
      std::visit(ConfigBinder{app, field, default_of_server(field), config}, field.config);
  }
  add_absent_fields(app);
  add_request_only_fields(app);
}

}  // namespace openllm::cli
