#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backend/vllm/servers.h"
#include "openllm/error.h"
#include "openllm/options.h"

// What there is to run a model with: servers, a program that starts one, an accelerator. Starts
// nothing.
namespace openllm::backend::vllm {

/// Whom to ask, and for which model.
struct Question {
  std::string url{};
  std::string api_key{};
  /// What the model may be called there: a server lists it by id, root or alias.
  std::vector<std::string> names{};
};

/// A server that has the model.
struct Facts {
  Server server{};
  int max_model_len = 0;  ///< 0: it does not say. Likewise:
  int vocab_size = 0;
  int n_slots = 0;        ///< Sequences that it runs at once.
  std::string version{};  ///< Empty: it does not say.
  /// Adapters of the model that it lists: their names, and where they lie there.
  std::vector<AdapterOptions> adapters{};
};

/// Asks /health, /v1/models and /version, `limit` for each. Throws kUnavailable when the server is
/// not well, kNotFound when it does not have the model, kIo for answers of another shape.
Facts ask_server(const Question& question, std::chrono::milliseconds limit);

/// What /v1/models tells of the model. Throws as `ask_server`.
Facts ask_for_model(const Question& question, std::chrono::milliseconds limit);

/// Keeps answers for five seconds.
class Prober {
 public:
  /// nullopt: it can. Takes 250 ms at most, for each of three questions.
  std::optional<Error> refusal(const Question& question);

 private:
  struct Answer {
    std::optional<Error> refusal{};
    std::chrono::steady_clock::time_point when{};
  };
  std::map<std::pair<std::string, std::vector<std::string>>, Answer> answers_;
};

/// Without a slash at the end. Throws kInvalidArgument when it is none of http or https.
std::string checked_url(const std::string& url);

/// The file that `name` stands for: itself when it has a slash, else the first of that name in
/// `path`, as PATH is written. Empty when there is none that can be run.
std::string find_executable(const std::string& name, const std::string& path);

/// Which accelerator vLLM could use here, by the devices below `root` ("/"); empty: none.
std::string find_accelerator(const std::string& root);

}  // namespace openllm::backend::vllm
