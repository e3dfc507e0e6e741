#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "binding/json_value_writer.h"

namespace openllm::binding {

/// Writes one schema after the other, and collects the structs that they refer to.
class SchemaTextWriter final : public detail::SchemaWriter {
 public:
  /// `prefix`: of references, for example "#/$defs/".
  explicit SchemaTextWriter(std::string_view prefix) : prefix_(prefix) {}

  /// The schema that `describe` writes.
  std::string write(void (*describe)(detail::SchemaWriter&));
  /// {"Name":{...},...} of all structs so far.
  std::string definitions() const;
  bool has_definitions() const noexcept { return !done_.empty(); }

  bool begin_type(std::string_view name, const void* id) override;
  void end_type() override;

  void begin_object() override { top().begin_object(); }
  void key(std::string_view name) override { top().key(name); }
  void end_object() override { top().end_object(); }
  void begin_array() override { top().begin_array(); }
  void end_array() override { top().end_array(); }
  void null() override { top().null(); }
  void boolean(bool value) override { top().boolean(value); }
  void integer(std::int64_t value) override { top().integer(value); }
  void number(float value) override { top().number(value); }
  void number(double value) override { top().number(value); }
  void text(std::string_view value) override { top().text(value); }
  void json(std::string_view value) override { top().json(value); }

 private:
  /// A schema that is being written: the one asked for, or of a struct within another.
  struct Draft {
    std::string name{};
    std::string text{};
    JsonValueWriter json{text};
  };
  JsonValueWriter& top() { return drafts_.back()->json; }
  void begin_draft(std::string name);
  std::string take_draft();
  std::string unused_name(std::string_view wanted) const;

  const std::string prefix_;
  std::vector<std::unique_ptr<Draft>> drafts_;
  std::map<const void*, std::string> names_;  // of structs, by what tells them apart
  std::map<std::string, std::string> done_;   // schemas of structs by name
};

}  // namespace openllm::binding
