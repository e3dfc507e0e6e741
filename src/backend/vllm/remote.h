#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/vllm/keeper.h"
#include "backend/vllm/servers.h"

namespace openllm::backend::vllm {

/// A model at servers that have it.
struct RemoteModel {
  std::vector<Server> servers{};
  std::string api_key{};
  int vocab_size = 0;  ///< 0: not known, and then the servers say which ids there are.
  int max_model_len = 0;
  int n_slots = 0;        ///< Sequences that the servers run at once; 0: not known.
  std::string version{};  ///< Of the servers.
  /// How often several servers are asked whether they are well.
  std::chrono::milliseconds health_interval{2000};
  /// Of each server, what it lists.
  std::vector<std::vector<AdapterOptions>> adapters{};
  /// Of the only server, if it was started for this.
  std::unique_ptr<StartedServer> started{};
  StartServer start{};  ///< Starts it again.
};

std::unique_ptr<Backend> make_remote_backend(RemoteModel model);

/// What servers are asked for, as the table of fields has it.
Capabilities remote_capabilities();

}  // namespace openllm::backend::vllm
