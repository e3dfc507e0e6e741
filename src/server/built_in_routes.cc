#include <utility>

#include "server/dialect.h"
#include "server/docs/field_schemas.h"
#include "server/routes.h"

namespace openllm::server {

// The endpoints, one file each in endpoints/.
Task<void> completions(Call& call);
Task<void> chat_completions(Call& call);
Task<void> embeddings(Call& call);
Task<void> score(Call& call);
Task<void> rerank(Call& call);
Task<void> generate(Call& call);
Task<void> generate_stream(Call& call);
Task<void> list_models(Call& call);
Task<void> show_model(Call& call);
Task<void> healthz(Call& call);
Task<void> readyz(Call& call);
Task<void> show_metrics(Call& call);
Task<void> show_version(Call& call);
Task<void> show_docs(Call& call);
Task<void> show_index(Call& call);
Task<void> show_metadata(Call& call);
Task<void> show_prompt(Call& call);
Task<void> list_adapters(Call& call);
Task<void> load_adapter(Call& call);
Task<void> unload_adapter(Call& call);

namespace {

constexpr const char* kJson = "application/json";
constexpr const char* kEvents = "text/event-stream";

/// A route that asks a model, with events where it can stream.
RouteDoc model_doc(const char* tag, const char* summary, RouteDoc::Schema request,
                   std::vector<const char*> types) {
  RouteDoc doc{tag, summary, {}, {{kJson, request}}, {}};
  for (const char* type : types) doc.response.push_back({type, write_object_schema});
  return doc;
}

/// A route that only tells something.
RouteDoc plain_doc(const char* tag, const char* summary, const char* type = kJson) {
  RouteDoc doc{tag, summary, {}, {}, {}};
  doc.response.push_back({type, type == kJson ? write_object_schema : write_text_schema});
  return doc;
}

void add_model_routes(RouteTable& table) {
  constexpr const char* kOpenAiTag = "OpenAI";
  constexpr const char* kNativeTag = "Native";
  constexpr const char* kVectorTag = "vLLM, Jina, Cohere";
  constexpr auto kJsonContent = Route::Content::kJson;
  table.add(
      {"POST", "/v1/chat/completions", chat_completions, true, &kOpenAiDialect, kJsonContent,
       model_doc(kOpenAiTag, "Answer a conversation", write_chat_request_schema, {kJson, kEvents}),
       true});
  table.add(
      {"POST", "/v1/completions", completions, true, &kOpenAiDialect, kJsonContent,
       model_doc(kOpenAiTag, "Continue a text", write_completion_request_schema, {kJson, kEvents}),
       true});
  table.add({"POST", "/v1/embeddings", embeddings, true, &kOpenAiDialect, kJsonContent,
             model_doc(kOpenAiTag, "The vectors of texts", write_embedding_request_schema, {kJson}),
             true});
  for (const char* path : {"/v1/score", "/score"}) {
    table.add({"POST", path, score, true, &kOpenAiDialect, kJsonContent,
               model_doc(kVectorTag, "How well documents answer a query",
                         write_score_request_schema, {kJson}),
               true});
  }
  for (const char* path : {"/v1/rerank", "/rerank", "/v2/rerank"}) {
    table.add({"POST", path, rerank, true, &kOpenAiDialect, kJsonContent,
               model_doc(kVectorTag, "Documents by how well they answer a query",
                         write_rerank_request_schema, {kJson}),
               true});
  }
  table.add({"POST", "/v1/generate", generate, true, &kNativeDialect, kJsonContent,
             model_doc(kNativeTag, "Answer a prompt, with everything known about the answer",
                       write_native_request_schema, {kJson}),
             true});
  table.add({"POST", "/v1/generate_stream", generate_stream, true, &kNativeDialect, kJsonContent,
             model_doc(kNativeTag, "The same as a stream of its new parts",
                       write_native_request_schema, {kEvents}),
             true});
  // OpenLLM's clients send a body, if only an empty one.
  for (const char* method : {"GET", "POST"}) {
    table.add({method, "/v1/metadata", show_metadata, true, &kNativeDialect, Route::Content::kText,
               plain_doc(kNativeTag, "Describe the model and its defaults")});
  }
  RouteDoc prompt_doc =
      plain_doc(kNativeTag, "The prompt that the chat template makes", "text/plain");
  prompt_doc.request.push_back({kJson, write_object_schema});
  table.add({"POST", "/v1/helpers/messages", show_prompt, true, &kNativeDialect, kJsonContent,
             std::move(prompt_doc)});
  for (const char* path : {"/v1/adapters", "/hf/adapters"}) {
    table.add({"GET", path, list_adapters, true, &kNativeDialect, kJsonContent,
               plain_doc(kNativeTag, "List the mounted LoRA adapters")});
  }
  const auto add_change = [&](const char* path, Endpoint endpoint, const char* summary) {
    RouteDoc doc = plain_doc(kVectorTag, summary, "text/plain");
    doc.request.push_back({kJson, write_object_schema});
    table.add(
        {"POST", path, std::move(endpoint), true, &kOpenAiDialect, kJsonContent, std::move(doc)});
  };
  add_change("/v1/load_lora_adapter", load_adapter, "Mount a LoRA adapter");
  add_change("/v1/unload_lora_adapter", unload_adapter, "Unmount a LoRA adapter");
  table.add({"GET", "/v1/models", list_models, true, &kOpenAiDialect, kJsonContent,
             plain_doc(kOpenAiTag, "List the models")});
  table.add({"GET", "/v1/models/", show_model, true, &kOpenAiDialect, kJsonContent,
             plain_doc(kOpenAiTag, "Describe a model")});
}

}  // namespace

RouteTable built_in_routes(bool with_models) {
  RouteTable table;
  if (with_models) add_model_routes(table);
  const auto add = [&](const char* path, Endpoint endpoint, bool needs_key, RouteDoc doc) {
    table.add({"GET", path, std::move(endpoint), needs_key, &kOpenAiDialect, Route::Content::kJson,
               std::move(doc)});
  };
  constexpr const char* kTag = "Server";
  add("/healthz", healthz, false, plain_doc(kTag, "Whether the server runs"));
  add("/livez", healthz, false, plain_doc(kTag, "Whether the server runs"));
  add("/readyz", readyz, false, plain_doc(kTag, "Whether the models are loaded"));
  add("/health", readyz, false, plain_doc(kTag, "Whether the models are loaded"));
  add("/v1/health", readyz, false, plain_doc(kTag, "Whether the models are loaded"));
  add("/metrics", show_metrics, true, plain_doc(kTag, "Counters for Prometheus", "text/plain"));
  add("/version", show_version, true, plain_doc(kTag, "The version"));
  add("/", show_index, true, plain_doc(kTag, "A page that lists the routes", "text/html"));
  add("/docs.json", show_docs, true, plain_doc(kTag, "This document"));
  add("/openapi.json", show_docs, true, plain_doc(kTag, "This document"));
  add("/v1/schema", show_docs, true, plain_doc(kTag, "This document"));
  return table;
}

}  // namespace openllm::server
