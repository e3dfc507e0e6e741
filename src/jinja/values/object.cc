#include "jinja/values/object.h"

#include "jinja/values/runtime.h"

namespace openllm::jinja {

std::string Object::repr(Runtime& /*runtime*/) { return base::cat("<", type_name(), ">"); }

std::optional<Value> Object::attribute(Runtime& /*runtime*/, std::string_view /*name*/) {
  return std::nullopt;
}

std::unique_ptr<Iterator> Object::iterate(Runtime& /*runtime*/) { return nullptr; }

std::unique_ptr<Iterator> Object::iterate_reversed(Runtime& /*runtime*/) { return nullptr; }

std::optional<std::size_t> Object::length(Runtime& /*runtime*/) { return std::nullopt; }

Value Object::call(Runtime& /*runtime*/, const Args& /*args*/) {
  fail("'", type_name(), "' object is not callable");
}

}  // namespace openllm::jinja
