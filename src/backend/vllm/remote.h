#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/vllm/servers.h"

namespace openllm::backend::vllm {

/// A server that was started for a model; its destructor ends it.
class StartedServer {
 public:
  virtual ~StartedServer() = default;
};

/// A model at servers that have it.
struct RemoteModel {
  std::vector<Server> servers{};
  std::string api_key{};
  int vocab_size = 0;  ///< 0: not known, and then the servers say which ids there are.
  int max_model_len = 0;
  int n_slots = 0;        ///< Sequences that the servers run at once; 0: not known.
  std::string version{};  ///< Of the servers.
  std::unique_ptr<StartedServer> started{};
};

std::unique_ptr<Backend> make_remote_backend(RemoteModel model);

/// What servers are asked for, as the table of fields has it.
Capabilities remote_capabilities();

}  // namespace openllm::backend::vllm
