#pragma once

#include "openllm/binding.h"

namespace openllm::server {

// JSON Schemas of the bodies that the built-in routes read and write, from the table of fields.
void write_completion_request_schema(detail::SchemaWriter& out);
void write_chat_request_schema(detail::SchemaWriter& out);
void write_native_request_schema(detail::SchemaWriter& out);
void write_embedding_request_schema(detail::SchemaWriter& out);
void write_score_request_schema(detail::SchemaWriter& out);
void write_rerank_request_schema(detail::SchemaWriter& out);
/// Of answers whose form their own APIs document.
void write_object_schema(detail::SchemaWriter& out);
void write_text_schema(detail::SchemaWriter& out);

}  // namespace openllm::server
