#include "backend/vllm/probe.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "net/http.h"
#include "net/server_error.h"
#include "net/url.h"

namespace openllm::backend::vllm {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

net::HttpAnswer get(const Question& question, std::string_view path,
                    std::chrono::milliseconds limit) {
  net::HttpCall call;
  call.where = "vllm";
  call.url = base::cat(question.url, path);
  call.api_key = question.api_key;
  call.deadline = Clock::now() + limit;
  net::HttpAnswer answer = net::http_call(call);
  if (answer.is_late) {
    base::fail(ErrorCode::kUnavailable, "vllm: ", net::shown_url(question.url),
               " did not answer within ", limit.count(), " ms");
  }
  return answer;
}

net::HttpAnswer require_good(const Question& question, std::string_view path,
                             std::chrono::milliseconds limit) {
  net::HttpAnswer answer = get(question, path, limit);
  if (answer.status == 200) return answer;
  if (answer.status == 401 || answer.status == 403) {
    base::fail_at(ErrorCode::kInvalidArgument, "vllm.api_key", net::shown_url(question.url),
                  " refuses the key");
  }
  base::fail(ErrorCode::kUnavailable, "vllm: ", net::shown_url(question.url), path,
             ": HTTP status ", answer.status, " (expected 200)");
}

std::string text_of(const base::Json& json, std::string_view name) {
  const base::Json* member = json.find(name);
  const std::string* text = member == nullptr ? nullptr : member->if_string();
  return text == nullptr ? std::string() : *text;
}

/// 0 where there is none.
int count_of(const base::Json& json, std::string_view name) {
  const base::Json* member = json.find(name);
  if (member == nullptr || !member->is_int()) return 0;
  return static_cast<int>(
      std::clamp<std::int64_t>(*member->if_int(), 0, std::numeric_limits<int>::max()));
}

bool is_one_of(const std::string& name, const std::vector<std::string>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// The entry of the model, by its id if there is one, else by its root.
const base::Json* find_entry(const base::JsonArray& list, const std::vector<std::string>& names) {
  for (const char* member : {"id", "root"}) {
    for (const base::Json& entry : list) {
      if (is_one_of(text_of(entry, member), names)) return &entry;
    }
  }
  return nullptr;
}

std::string listed(const base::JsonArray& list) {
  constexpr std::size_t kMaxShown = 5;
  std::string names;
  for (std::size_t i = 0; i < std::min(list.size(), kMaxShown); ++i)
    names += (names.empty() ? "" : ", ") + net::printable(text_of(list[i], "id"));
  return names.empty() ? "nothing" : names + (list.size() > kMaxShown ? ", ..." : "");
}

bool is_ours(const base::Json& entry) { return text_of(entry, "owned_by") == "openllm"; }

/// A server of ours, and not one that has others make its answers.
bool repeats_seeds(const base::Json& entry) {
  const std::string backend = text_of(entry, "backend");
  return is_ours(entry) && backend != "vllm" && backend != "places";
}

/// Entries below the model's. A server with one model has them below that, whatever it calls it.
std::vector<AdapterOptions> adapters_of(const base::JsonArray& list, const base::Json& model,
                                        const std::vector<std::string>& names) {
  const auto has_parent = [](const base::Json& entry) { return !text_of(entry, "parent").empty(); };
  const bool is_only =
      std::count_if(list.begin(), list.end(), [&](const auto& e) { return !has_parent(e); }) == 1;
  std::vector<AdapterOptions> adapters;
  for (const base::Json& entry : list) {
    const std::string parent = text_of(entry, "parent");
    if (parent.empty()) continue;
    const bool is_of_model = is_only || parent == text_of(model, "id") ||
                             parent == text_of(model, "root") || is_one_of(parent, names);
    if (is_of_model) adapters.push_back({text_of(entry, "root"), text_of(entry, "id")});
  }
  return adapters;
}

Facts read_models(const Question& question, const std::string& body) {
  const base::Json json = net::parse_answer(body);
  const base::Json* data = json.find("data");
  if (data == nullptr || !data->is_array()) {
    base::fail(ErrorCode::kIo, "vllm: ", net::shown_url(question.url),
               "/v1/models: not a list of models");
  }
  const base::JsonArray& list = *data->if_array();
  const base::Json* entry = find_entry(list, question.names);
  if (entry == nullptr) {
    base::fail_with(ErrorCode::kNotFound, {"model", ErrorReason::kModelNotFound},
                    "vllm: ", net::shown_url(question.url), " does not have the model (expected ",
                    question.names.front(), ", got ", listed(list), ")");
  }
  Facts facts;
  facts.server = {question.url, text_of(*entry, "id"), repeats_seeds(*entry)};
  facts.server.is_ours = is_ours(*entry);
  facts.max_model_len = count_of(*entry, "max_model_len");
  facts.vocab_size = count_of(*entry, "vocab_size");
  facts.n_slots = count_of(*entry, "max_num_seqs");
  facts.adapters = adapters_of(list, *entry, question.names);
  for (const AdapterOptions& adapter : facts.adapters) facts.server.adapters.insert(adapter.name);
  return facts;
}

/// Of a server that tells it.
std::string version_of(const Question& question, std::chrono::milliseconds limit) {
  try {
    const net::HttpAnswer answer = get(question, "/version", limit);
    if (answer.status != 200) return {};
    return net::printable(text_of(base::Json::parse(answer.body, "version"), "version"));
  } catch (const Error&) {
    return {};
  }
}

bool has_entry(const fs::path& folder, std::string_view prefix) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    const bool is_number = name.size() > prefix.size() &&
                           std::all_of(name.begin() + static_cast<std::ptrdiff_t>(prefix.size()),
                                       name.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (name.starts_with(prefix) && is_number) return true;
  }
  return false;
}

/// A variable that hides all devices.
bool hides_all(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && (*value == '\0' || *value == '-');
}

}  // namespace

Facts ask_for_model(const Question& question, std::chrono::milliseconds limit) {
  return read_models(question, require_good(question, "/v1/models", limit).body);
}

Facts ask_server(const Question& question, std::chrono::milliseconds limit) {
  (void)require_good(question, "/health", limit);
  Facts facts = ask_for_model(question, limit);
  facts.version = version_of(question, limit);
  return facts;
}

std::optional<Error> Prober::refusal(const Question& question) {
  constexpr std::chrono::milliseconds kLimit{250};
  constexpr std::chrono::seconds kAge{5};
  Answer& answer = answers_[{question.url, question.names}];
  if (answer.when != Clock::time_point() && Clock::now() - answer.when < kAge)
    return answer.refusal;
  try {
    (void)ask_server(question, kLimit);
    answer.refusal.reset();
  } catch (const Error& error) {
    // Not damage, and not the caller's mistake either: another backend may run the model.
    answer.refusal.emplace(ErrorCode::kUnavailable, error.what());
  }
  answer.when = Clock::now();
  return answer.refusal;
}

std::string checked_url(const std::string& url) {
  const std::optional<net::Url> parsed = net::parse_url(url);
  if (!parsed || (parsed->scheme != "http" && parsed->scheme != "https") ||
      !parsed->query.empty()) {
    base::fail_at(ErrorCode::kInvalidArgument, "vllm.urls",
                  "not the address of a server (expected http://HOST:PORT, got ",
                  net::shown_url(url), ")");
  }
  std::string plain = url;
  while (plain.ends_with('/')) plain.pop_back();
  if (plain.ends_with("/v1")) plain.resize(plain.size() - 3);  // as OpenAI's clients are given it
  return plain;
}

std::string find_executable(const std::string& name, const std::string& path) {
  const auto can_run = [](const std::string& file) {
    std::error_code ignored;
    return fs::is_regular_file(file, ignored) && ::access(file.c_str(), X_OK) == 0;
  };
  if (name.find('/') != std::string::npos) return can_run(name) ? name : std::string();
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find(':', begin), path.size());
    const std::string folder = path.substr(begin, end - begin);
    std::string file = (folder.empty() ? "." : folder) + "/" + name;
    if (can_run(file)) return file;
    begin = end + 1;
  }
  return {};
}

std::string find_accelerator(const std::string& root) {
  const fs::path dev = fs::path(root) / "dev";
  std::error_code ignored;
  if (has_entry(dev, "nvidia") && !hides_all("CUDA_VISIBLE_DEVICES")) return "cuda";
  if (fs::exists(dev / "kfd", ignored) && !hides_all("HIP_VISIBLE_DEVICES")) return "rocm";
  return {};
}

}  // namespace openllm::backend::vllm
