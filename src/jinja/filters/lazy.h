#pragma once

#include "jinja/methods/methods.h"

namespace openllm::jinja {

/// A generator that calls `function` when its first item is asked for, as Python's generator
/// functions do: until then nothing fails. `function` gives something to iterate.
Value make_lazy(Runtime& runtime, Builtin function, const Value& self, const Args& args);

template <Builtin function>
Value lazy(Runtime& runtime, const Value& self, const Args& args) {
  return make_lazy(runtime, function, self, args);
}

}  // namespace openllm::jinja
