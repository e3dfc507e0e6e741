#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "openllm/http_client.h"

namespace openllm::client {

/// The answer of /v1/metadata.
class MetadataAnswer {
 public:
  /// Throws kIo for an answer of another shape.
  explicit MetadataAnswer(std::string_view text);

  const Metadata& fields() const noexcept { return fields_; }
  /// As HTTPClient::operator[].
  std::string item(std::string_view name) const;

 private:
  const base::Json* find(std::string_view name) const;

  base::Json answer_;
  base::Json configuration_;
  Metadata fields_;
};

}  // namespace openllm::client
