#include "cli/peer_names.h"

#include <algorithm>
#include <optional>
#include <span>
#include <string_view>

#include "base/error.h"
#include "cli/options.h"
#include "fields/body.h"
#include "fields/field.h"

namespace openllm::cli {
namespace {

/// What a name of another program means here.
enum class Means {
  kSame,    ///< `ours` is the same option under our name.
  kOther,   ///< Nothing of that form, but `ours` says how to get it.
  kAbsent,  ///< This version cannot do it: `ours` says why.
};

/// An option that users know from llama.cpp, Ollama or vLLM. `neutral` is the value that asks for
/// what happens anyway; of an option without a value, "" with `has_value` false.
struct PeerName {
  std::string_view name;
  Means means = Means::kSame;
  std::string_view ours{};
  bool has_value = true;
  std::optional<std::string_view> neutral{};
};

constexpr std::string_view kNoGpu =
    "models run on the CPU here; `openllm backends` lists the devices";
constexpr std::string_view kNoFetch =
    "models come into the store by `scripts/fetch-model` or `openllm models add`";
constexpr std::string_view kAdapters = "--adapter-id ID[:NAME] mounts an adapter";
constexpr std::string_view kNoTls =
    "the server speaks plain HTTP; a reverse proxy in front of it (nginx, Caddy) can speak HTTPS";
constexpr std::string_view kOneProcess =
    "one process with one model serves everybody, in batches; --threads and --max-sequences set "
    "what it uses";
constexpr std::string_view kNoGrammar = "this version does not have grammars";
constexpr std::string_view kNoSampler = "this version does not have that sampler";
constexpr std::string_view kThreads = "--threads sets the threads of all steps";
constexpr std::string_view kNoPush =
    "the folder that `openllm build` writes is copied as any other";
constexpr std::string_view kPenalty =
    "--repetition-penalty is over the whole prompt and answer, not over the last tokens";

using enum Means;
constexpr PeerName kPeerNames[] = {
    // Length and context.
    {"-n", kOther, "--n N is the number of answers, --max-tokens N their length"},
    {"--predict", kSame, "--max-new-tokens"},
    {"--n-predict", kSame, "--max-new-tokens"},
    {"--num-predict", kSame, "--max-new-tokens"},
    {"--ctx-size", kSame, "--max-model-len"},
    {"--num-ctx", kSame, "--max-model-len"},
    {"--keep", kOther, "--truncate-prompt keeps the end of a prompt that is too long", true, "0"},
    {"--no-context-shift", kOther, "", false, ""},
    {"--context-shift", kAbsent, "an answer ends where the context ends", false},
    // Prompt.
    {"-sys", kSame, "--system"},
    {"--system-prompt", kSame, "--system"},
    {"-sysf", kOther, "--system TEXT sets the system message"},
    {"--system-prompt-file", kOther, "--system TEXT sets the system message"},
    {"--chat-template-kwargs", kSame, "--template-json"},
    {"--jinja", kOther, "", false, ""},
    {"--no-jinja", kAbsent, "templates are always Jinja", false},
    {"-cnv", kOther, "without PROMPT a terminal gets a chat", false},
    {"--conversation", kOther, "without PROMPT a terminal gets a chat", false},
    {"-no-cnv", kOther, "--raw continues the text without the chat template", false},
    {"--no-conversation", kOther, "--raw continues the text without the chat template", false},
    {"-i", kOther, "without PROMPT a terminal gets a chat", false},
    {"--interactive", kOther, "without PROMPT a terminal gets a chat", false},
    {"-e", kOther, "the shell can write them: $'one\\ntwo'", false},
    {"--escape", kOther, "the shell can write them: $'one\\ntwo'", false},
    {"--no-escape", kOther, "", false, ""},
    {"-bf", kOther, "-f FILE reads the prompt from a file"},
    {"--binary-file", kOther, "-f FILE reads the prompt from a file"},
    {"-r", kOther, "--stop TEXT ends the answer"},
    {"--reverse-prompt", kOther, "--stop TEXT ends the answer"},
    {"--no-display-prompt", kOther, "", false, ""},
    {"--nohistory", kSame, "--no-history", false},
    {"--nowordwrap", kOther, "", false, ""},
    {"--simple-io", kOther, "", false, ""},
    {"--format", kAbsent, kNoGrammar},
    {"--think", kAbsent, "--template-json sets what a chat template asks for"},
    {"--image", kAbsent, "this version reads text only"},
    {"--mmproj", kAbsent, "this version reads text only"},
    // Sampling.
    {"-s", kSame, "--seed"},
    {"--samplers", kAbsent, kNoSampler},
    {"--repeat-penalty", kOther, kPenalty, true, "1.0"},
    {"--repeat-last-n", kOther, kPenalty},
    {"--typical", kSame, "--typical-p"},
    {"--top-nsigma", kAbsent, kNoSampler, true, "-1"},
    {"--tfs", kAbsent, kNoSampler, true, "1.0"},
    {"--xtc-probability", kAbsent, kNoSampler, true, "0"},
    {"--xtc-threshold", kAbsent, kNoSampler},
    {"--dry-multiplier", kAbsent, kNoSampler, true, "0"},
    {"--dry-base", kAbsent, kNoSampler},
    {"--dry-allowed-length", kAbsent, kNoSampler},
    {"--dynatemp-range", kAbsent, kNoSampler, true, "0"},
    {"--mirostat", kAbsent, kNoSampler, true, "0"},
    {"--mirostat-lr", kAbsent, kNoSampler},
    {"--mirostat-ent", kAbsent, kNoSampler},
    {"-l", kOther, "--logit-bias ID=NUMBER"},
    {"--grammar", kAbsent, kNoGrammar},
    {"--grammar-file", kAbsent, kNoGrammar},
    {"-j", kAbsent, kNoGrammar},
    {"--json-schema", kAbsent, kNoGrammar},
    // Loading.
    {"-ngl", kAbsent, kNoGpu, true, "0"},
    {"--gpu-layers", kAbsent, kNoGpu, true, "0"},
    {"--n-gpu-layers", kAbsent, kNoGpu, true, "0"},
    {"-sm", kAbsent, kNoGpu},
    {"--split-mode", kAbsent, kNoGpu},
    {"-ts", kAbsent, kNoGpu},
    {"--tensor-split", kAbsent, kNoGpu},
    {"-mg", kAbsent, kNoGpu},
    {"--main-gpu", kAbsent, kNoGpu},
    {"-tp", kSame, "--tensor-parallel"},
    {"--pipeline-parallel-size", kAbsent, kNoGpu, true, "1"},
    {"-fa", kAbsent, "attention has one form", true, "auto"},
    {"--flash-attn", kAbsent, "attention has one form", true, "auto"},
    {"-tb", kOther, kThreads},
    {"--threads-batch", kOther, kThreads},
    {"--threads-http", kOther, kThreads},
    {"-b", kOther, "--max-step-tokens bounds the tokens of one step"},
    {"--batch-size", kOther, "--max-step-tokens bounds the tokens of one step"},
    {"-ub", kOther, "--max-step-tokens bounds the tokens of one step"},
    {"--ubatch-size", kOther, "--max-step-tokens bounds the tokens of one step"},
    {"-np", kOther, "--max-sequences bounds the answers that are made at a time"},
    {"--parallel", kOther, "--max-sequences bounds the answers that are made at a time"},
    {"--max-num-seqs", kSame, "--max-sequences"},
    {"--max-num-batched-tokens", kSame, "--max-step-tokens"},
    {"--block-size", kSame, "--kv-block-size"},
    {"--kv-cache-dtype", kSame, "--kv-dtype"},
    {"-ctk", kOther, "--kv-dtype sets the type of keys and values"},
    {"--cache-type-k", kOther, "--kv-dtype sets the type of keys and values"},
    {"-ctv", kOther, "--kv-dtype sets the type of keys and values"},
    {"--cache-type-v", kOther, "--kv-dtype sets the type of keys and values"},
    {"-cb", kOther, "", false, ""},
    {"--cont-batching", kOther, "", false, ""},
    {"--no-cont-batching", kAbsent, "requests are always batched", false},
    {"--enable-prefix-caching", kOther, "", false, ""},
    {"--no-enable-prefix-caching", kSame, "--no-prefix-caching", false},
    {"--mlock", kAbsent, "weights are not locked in memory", false},
    {"--no-mmap", kAbsent, "files are always mapped", false},
    {"--mmap", kOther, "", false, ""},
    {"--numa", kAbsent, "`numactl` places the program"},
    {"--torch-dtype", kSame, "--dtype"},
    {"--device-map", kOther, "--device NAME chooses the device", true, "auto"},
    {"--low-cpu-mem-usage", kOther, "", false, ""},
    {"--quantization", kSame, "--quantize"},
    {"--rope-scaling", kAbsent, "positions are the model's own"},
    {"--rope-freq-base", kAbsent, "positions are the model's own"},
    {"--rope-freq-scale", kAbsent, "positions are the model's own"},
    {"--lora", kSame, "--adapter-id"},
    {"--lora-scaled", kAbsent, "--adapter-id FILE:NAME, and --adapter-name NAME*SCALE"},
    {"--lora-modules", kAbsent, kAdapters},
    {"--enable-lora", kAbsent, kAdapters, false},
    {"-md", kSame, "--draft-model"},
    {"--speculative-model", kSame, "--draft-model"},
    {"--draft", kSame, "--max-draft-tokens"},
    {"--draft-n", kSame, "--max-draft-tokens"},
    {"--num-speculative-tokens", kSame, "--max-draft-tokens"},
    {"--speculative-config", kAbsent,
     "--draft-model MODEL guesses ahead, --max-draft-tokens N tokens at most"},
    {"--trust-remote-code", kAbsent, "no code comes with models here", false},
    {"--revision", kOther, "NAME:VERSION chooses one of the store"},
    {"-hf", kAbsent, kNoFetch},
    {"--hf-repo", kAbsent, kNoFetch},
    {"-hff", kAbsent, kNoFetch},
    {"--hf-file", kAbsent, kNoFetch},
    {"-mu", kAbsent, kNoFetch},
    {"--model-url", kAbsent, kNoFetch},
    {"--download-dir", kAbsent, kNoFetch},
    // Server.
    {"-a", kSame, "--alias"},
    {"--served-model-name", kOther, "--alias NAME is a further name of the model"},
    {"--api-key-file", kOther, "OPENLLM_API_KEY or --api-key sets the key"},
    {"--allowed-origins", kOther, "--allow-origin ORIGIN, once for each of them"},
    {"--metrics", kOther, "", false, ""},
    {"--no-webui", kOther, "", false, ""},
    {"--embedding", kOther, "", false, ""},
    {"--embeddings", kOther, "", false, ""},
    {"--reranking", kOther, "", false, ""},
    {"--ssl-key-file", kAbsent, kNoTls},
    {"--ssl-cert-file", kAbsent, kNoTls},
    {"--ssl-keyfile", kAbsent, kNoTls},
    {"--ssl-certfile", kAbsent, kNoTls},
    {"--ssl-keyfile-password", kAbsent, kNoTls},
    {"--ssl-version", kAbsent, kNoTls},
    {"--ssl-cert-reqs", kAbsent, kNoTls},
    {"--ssl-ca-certs", kAbsent, kNoTls},
    {"--ssl-ciphers", kAbsent, kNoTls},
    {"--log-disable", kOther, "", false, ""},
    {"--keepalive", kAbsent, "the model stays as long as the program"},
    // OpenLLM 0.4, and the options of BentoML's server that its `start` had.
    {"--model-id", kSame, "--model"},
    {"--workers-per-resource", kOther, kOneProcess, true, "1"},
    {"--api-workers", kOther, kOneProcess, true, "1"},
    {"--development", kOther, "--verbose tells more on standard error", false},
    {"--reload", kOther, "Ctrl-C and a new start load a changed model", false},
    {"--timeout-keep-alive", kSame, "--idle-timeout"},
    {"--timeout-graceful-shutdown", kSame, "--shutdown-timeout"},
    {"--system-message", kSame, "--system"},
    {"--prompt-template-file", kOther, "--chat-template FILE replaces the model's chat template"},
    {"--server-type", kAbsent, "servers are asked over HTTP; gRPC is not there", true, "http"},
    {"--include-bentos", kAbsent, "there are no bentos; models alone are stored", false},
    {"--do-not-track", kOther, "", false, ""},
    {"--context", kAbsent, "there are no contexts of BentoCloud; --endpoint names a server"},
    // Building, as OpenLLM did it.
    {"--machine", kSame, "--json", false},
    {"--bento-version", kOther, "--model-version VERSION sets the version in the tag"},
    {"--containerize", kOther, "`docker build -f DIR/Containerfile DIR` makes an image", false},
    {"--dockerfile-template", kOther, "the folder's Containerfile may be edited"},
    {"--push", kAbsent, kNoPush, false},
    {"--force-push", kAbsent, kNoPush, false},
    {"--enable-features", kAbsent, "every build has all features"},
    {"--build-ctx", kAbsent, "paths are relative to the working directory"},
};

const PeerName* find_peer_name(std::string_view name) {
  const auto* found = std::find_if(std::begin(kPeerNames), std::end(kPeerNames),
                                   [&](const PeerName& peer) { return peer.name == name; });
  return found == std::end(kPeerNames) ? nullptr : found;
}

bool is_same_value(std::string_view a, std::string_view b) {
  if (a == b) return true;
  const auto number = [](std::string_view text) -> std::optional<float> {
    float value = 0.0F;
    try {
      parse_into(text, value);
    } catch (const Error&) {
      return std::nullopt;
    }
    return value;
  };
  return number(a) && number(a) == number(b);
}

bool is_switch_value(std::string_view word) {
  const bool is_number = word.find_first_not_of("0123456789") == std::string_view::npos;
  return word == "true" || word == "false" || (is_number && !word.empty());
}

/// Walks through the words of one command.
class Translator {
 public:
  Translator(const CLI::App& command, std::vector<std::string> words)
      : command_(command), words_(std::move(words)) {}

  std::vector<std::string> run() {
    while (at_ < words_.size()) {
      const std::string word = words_[at_++];
      if (word == "--") {
        out_.push_back(word);
        while (at_ < words_.size()) out_.push_back(words_[at_++]);
      } else if (word.size() > 1 && word[0] == '-') {
        take_option(word);
      } else {
        out_.push_back(word);
      }
    }
    return std::move(out_);
  }

 private:
  const CLI::Option* find(const std::string& name) const {
    return command_.get_option_no_throw(name);
  }

  /// A switch that this version cannot turn may have its value or not: "--use-cache",
  /// "--use-cache false". Its option has it always.
  bool take_switch(const std::string& name, const std::optional<std::string>& given) {
    if (!name.starts_with("--") || find(name) == nullptr) return false;
    std::string field_name = name.substr(2);
    std::replace(field_name.begin(), field_name.end(), '-', '_');
    const fields::AbsentField* field = fields::find_absent(field_name);
    if (field == nullptr || !fields::is_switch(*field)) return false;
    std::string value = given.value_or("true");
    if (!given && at_ < words_.size() && is_switch_value(words_[at_])) value = words_[at_++];
    out_.push_back(name + "=" + value);
    return true;
  }

  /// A field with a value besides true and false, which is a switch elsewhere: "--early-stopping",
  /// "--no-early-stopping", "--early-stopping never". Its option has its value always.
  bool take_wide_switch(const std::string& name, const std::optional<std::string>& given) {
    constexpr std::string_view kNo = "--no-";
    const bool is_negated = name.starts_with(kNo);
    if (!name.starts_with("--") || (is_negated && given)) return false;
    std::string field_name = name.substr(is_negated ? kNo.size() : 2);
    std::replace(field_name.begin(), field_name.end(), '-', '_');
    const fields::Field* field = fields::find(field_name);
    if (field == nullptr || field->type != fields::Type::kEarlyStopping) return false;
    const std::string ours = shown_flag(*field);
    if (find(ours) == nullptr) return false;
    std::string value = is_negated ? "false" : given.value_or("true");
    const bool has_next = !is_negated && !given && at_ < words_.size();
    if (has_next && (is_switch_value(words_[at_]) || words_[at_] == "never")) value = words_[at_++];
    out_.push_back(ours + "=" + value);
    return true;
  }

  void take_option(const std::string& word) {
    const std::size_t equals = word.starts_with("--") ? word.find('=') : std::string::npos;
    std::string name = word.substr(0, equals);
    if (name.starts_with("--")) std::replace(name.begin(), name.end(), '_', '-');
    std::optional<std::string> value;
    if (equals != std::string::npos) value = word.substr(equals + 1);
    if (take_switch(name, value) || take_wide_switch(name, value)) return;
    if (const CLI::Option* known = find(name)) {
      out_.push_back(value ? name + "=" + *value : name);
      if (!value && known->get_items_expected_max() > 0 && at_ < words_.size())
        out_.push_back(words_[at_++]);
      return;
    }
    if (const PeerName* peer = find_peer_name(name)) return take_peer(*peer, name, value);
    if (const PeerName* peer = find_short(name))
      return take_peer(*peer, std::string(peer->name), name.substr(2));
    refuse_tokenizer_argument(name);
    if (const std::string ours = our_flag(name); !ours.empty()) {
      out_.push_back(value ? ours + "=" + *value : ours);
      if (!value && at_ < words_.size()) out_.push_back(words_[at_++]);
      return;
    }
    out_.push_back(word);
  }

  /// "--_tokenizer_padding_side", which OpenLLM handed to the tokenizer.
  static void refuse_tokenizer_argument(const std::string& name) {
    std::string field_name = name.substr(std::min(name.find_first_not_of('-'), name.size()));
    std::replace(field_name.begin(), field_name.end(), '-', '_');
    const std::string_view advice = fields::tokenizer_advice("_" + field_name);
    if (!advice.empty())
      base::fail(ErrorCode::kUnsupported, "--", field_name, " cannot be done: ", advice);
  }

  /// A name of one letter that has its value attached: "-n128".
  const PeerName* find_short(const std::string& name) const {
    const bool has_digits = name.size() > 2 && name[1] != '-' && name[2] >= '0' && name[2] <= '9';
    if (!has_digits || find(name.substr(0, 2)) != nullptr) return nullptr;
    return find_peer_name(name.substr(0, 2));
  }

  /// Our option for a field of requests that is written with another of its names; empty: none.
  std::string our_flag(const std::string& name) const {
    if (!name.starts_with("--")) return "";
    std::string field_name = name.substr(2);
    std::replace(field_name.begin(), field_name.end(), '-', '_');
    const fields::Field* field = fields::find(field_name);
    if (field == nullptr || field->type == fields::Type::kBoolean) return "";
    const std::string ours = shown_flag(*field);
    return find(ours) == nullptr ? "" : ours;
  }

  void take_peer(const PeerName& peer, const std::string& name,
                 const std::optional<std::string>& given) {
    if (peer.means == Means::kSame) {
      const std::string ours(peer.ours);
      if (find(ours) == nullptr) {  // another command's option
        out_.push_back(given ? name + "=" + *given : name);
        return;
      }
      out_.push_back(given ? ours + "=" + *given : ours);
      if (!given && peer.has_value && at_ < words_.size()) out_.push_back(words_[at_++]);
      return;
    }
    std::optional<std::string> value = given;
    if (!value && peer.has_value && at_ < words_.size()) value = words_[at_++];
    if (peer.neutral && is_same_value(value.value_or(""), *peer.neutral)) return;
    base::fail(
        peer.means == Means::kAbsent ? ErrorCode::kUnsupported : ErrorCode::kInvalidArgument, name,
        peer.means == Means::kAbsent ? " cannot be done: " : " is not an option here: ", peer.ours);
  }

  const CLI::App& command_;
  std::vector<std::string> words_;
  std::size_t at_ = 0;
  std::vector<std::string> out_;
};

}  // namespace

std::vector<std::string> with_our_names(const CLI::App& command, std::vector<std::string> words) {
  return Translator(command, std::move(words)).run();
}

}  // namespace openllm::cli
