#include "binding/schema_writer.h"

#include <utility>

#include "base/error.h"

namespace openllm::binding {

std::string SchemaTextWriter::write(void (*describe)(detail::SchemaWriter&)) {
  begin_draft({});
  describe(*this);
  return take_draft();
}

std::string SchemaTextWriter::definitions() const {
  std::string text;
  JsonValueWriter json(text);
  json.begin_object();
  for (const auto& [name, schema] : done_) {
    json.key(name);
    json.json(schema);
  }
  json.end_object();
  return text;
}

bool SchemaTextWriter::begin_type(std::string_view name, const void* id) {
  const bool is_new = names_.count(id) == 0;
  if (is_new) names_[id] = unused_name(name);
  key("$ref");
  text(prefix_ + names_[id]);
  if (is_new) begin_draft(names_[id]);
  return is_new;
}

void SchemaTextWriter::end_type() {
  const std::string name = drafts_.back()->name;
  done_[name] = take_draft();
}

void SchemaTextWriter::begin_draft(std::string name) {
  drafts_.push_back(std::make_unique<Draft>());
  drafts_.back()->name = std::move(name);
  top().begin_object();
}

std::string SchemaTextWriter::take_draft() {
  top().end_object();
  std::string text = std::move(drafts_.back()->text);
  drafts_.pop_back();
  return text;
}

std::string SchemaTextWriter::unused_name(std::string_view wanted) const {
  // Of a qualified name only the last part: "::" has no place in a reference.
  const std::size_t at = wanted.rfind(':');
  const std::string plain(at == std::string_view::npos ? wanted : wanted.substr(at + 1));
  const auto is_taken = [&](const std::string& name) {
    for (const auto& [id, other] : names_)
      if (other == name) return true;
    return false;
  };
  std::string name = plain;
  for (int i = 2; is_taken(name); ++i) name = base::cat(plain, i);
  return name;
}

}  // namespace openllm::binding
