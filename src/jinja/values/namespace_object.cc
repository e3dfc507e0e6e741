#include "jinja/values/namespace_object.h"

#include "jinja/values/operators.h"

namespace openllm::jinja {
namespace {

constexpr std::size_t kMaxAttributes = 1000;  // the search is linear

}  // namespace

std::string NamespaceObject::repr(Runtime& runtime) {
  std::string out = "<Namespace {";
  bool first = true;
  for (const auto& [name, value] : attributes_) {
    if (!first) out += ", ";
    first = false;
    out += base::cat(repr_text(name), ": ", jinja::repr(runtime, value));
    runtime.check_text(out.size());
  }
  return out + "}>";
}

std::optional<Value> NamespaceObject::attribute(Runtime& runtime, std::string_view name) {
  runtime.charge(1 + attributes_.size() / 8);
  for (const auto& attribute : attributes_) {
    if (attribute.first == name) return attribute.second;
  }
  return std::nullopt;
}

void NamespaceObject::set(Runtime& runtime, const std::string& name, Value value) {
  runtime.charge(1 + attributes_.size() / 8);
  if (name.substr(0, 1) == "_") {
    fail("chat templates cannot store underscore-prefixed attributes on a namespace (got '",
         shorten(name), "')");
  }
  for (auto& attribute : attributes_) {
    if (attribute.first != name) continue;
    attribute.second = std::move(value);
    return;
  }
  if (attributes_.size() >= kMaxAttributes) {
    fail_limit("a namespace has too many attributes (expected at most ", kMaxAttributes, ")");
  }
  attributes_.emplace_back(name, std::move(value));
}

}  // namespace openllm::jinja
