#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fields/body.h"
#include "openllm/chat.h"
#include "openllm/embed.h"

namespace openllm::server {

/// What the routes of vectors and scores share.
struct VectorRequest {
  std::string model{};  ///< Empty: the one that is served.
  EmbedOptions options{};
  fields::UnknownNames ignored{};  ///< Members that nobody knows.
};

struct EmbeddingRequest : VectorRequest {
  std::vector<Prompt> inputs{};
  bool base64 = false;  ///< The numbers as the bytes of their f32, instead of a list.
};

/// Queries and documents: one query for all documents, or one for each.
struct ScoreRequest : VectorRequest {
  std::vector<std::string> queries{};
  std::vector<std::string> documents{};
};

struct RerankRequest : VectorRequest {
  std::string query{};
  std::vector<std::string> documents{};
  int top_n = 0;  ///< 0: all.
  bool return_documents = true;
};

/// Read bodies in the forms of OpenAI, of vLLM's /score, and of Jina and Cohere. Throw
/// kInvalidArgument naming the member; kUnsupported for those that are known and lacking.
EmbeddingRequest parse_embedding_request(std::string_view body);
ScoreRequest parse_score_request(std::string_view body);
RerankRequest parse_rerank_request(std::string_view body);

}  // namespace openllm::server
