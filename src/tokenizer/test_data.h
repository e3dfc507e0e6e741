#pragma once

#include <string>

#include "base/json.h"
#include "base/mapped_file.h"
#include "tokenizer/tokenizer.h"

namespace openllm::tokenizer {

/// Reads a JSON file of tests/data.
inline base::Json read_test_json(const std::string& name) {
  const std::string path = std::string(OPENLLM_TEST_DATA) + "/" + name;
  return base::Json::parse(base::read_file(path), path);
}

inline std::vector<TokenId> to_ids(const base::Json& json) {
  std::vector<TokenId> ids;
  for (const base::Json& id : json.as_array("ids"))
    ids.push_back(static_cast<TokenId>(id.as_int("id")));
  return ids;
}

}  // namespace openllm::tokenizer
