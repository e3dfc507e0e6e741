#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/json_writer.h"
#include "openllm/binding.h"

namespace openllm::binding {

/// Writes JSON text at the end of a string that outlives it.
class JsonValueWriter final : public detail::ValueWriter {
 public:
  explicit JsonValueWriter(std::string& out) : json_(out) {}

  void begin_object() override { json_.begin_object(); }
  void key(std::string_view name) override { json_.key(name); }
  void end_object() override { json_.end_object(); }
  void begin_array() override { json_.begin_array(); }
  void end_array() override { json_.end_array(); }
  void null() override { json_.null(); }
  void boolean(bool value) override { json_.value(value); }
  void integer(std::int64_t value) override { json_.value(value); }
  void number(float value) override { json_.value(value); }
  void number(double value) override { json_.raw(base::Json(value).dump()); }
  void text(std::string_view value) override { json_.value(value); }
  void json(std::string_view value) override {
    json_.raw(base::Json::parse(value, "JsonText").dump());
  }

 private:
  base::JsonWriter json_;
};

}  // namespace openllm::binding
