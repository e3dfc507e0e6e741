#pragma once

#include <string>
#include <vector>

#include "client/caller.h"
#include "openllm/chat.h"
#include "openllm/embed.h"

namespace openllm::client {

/// The verbs of vectors and scores, by the routes /v1/embeddings, /v1/score and /v1/rerank. Fields
/// that these do not take are kUnsupported; kIo for an answer of another shape.
EmbedOutput embed(const Caller& caller, const std::string& model, const std::vector<Prompt>& inputs,
                  const EmbedOptions& options);
ScoreOutput score(const Caller& caller, const std::string& model, const std::string& query,
                  const std::vector<std::string>& documents, const EmbedOptions& options);
RerankOutput rerank(const Caller& caller, const std::string& model, const std::string& query,
                    const std::vector<std::string>& documents, int top_n,
                    const EmbedOptions& options);

}  // namespace openllm::client
