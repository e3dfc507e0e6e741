#include "jinja/template.h"

#include "base/utf8.h"
#include "jinja/eval/interpreter.h"
#include "jinja/syntax/names_read.h"
#include "jinja/syntax/sought_texts.h"

namespace openllm::jinja {
namespace {

constexpr std::size_t kMaxSourceBytes = std::size_t{4} << 20U;
constexpr std::size_t kMaxMessageBytes = 2000;

[[noreturn]] void report(std::string_view name, const TemplateError& error, int line) {
  base::fail(error.code, name, ": line ", line, ": ", shorten(error.message, kMaxMessageBytes));
}

}  // namespace

struct Template::Impl {
  std::string name;
  Ast ast;
  NamesRead read;
};

Template::Template(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

Template Template::parse(std::string_view source, std::string_view name) {
  int line = 1;
  try {
    if (source.size() > kMaxSourceBytes) {
      fail("the template is too long (expected at most ", kMaxSourceBytes, " bytes, got ",
           source.size(), ")");
    }
    auto impl = std::make_unique<Impl>();
    impl->name = name;
    impl->ast = parse_template(base::sanitize_utf8(source), line);
    impl->read = find_names_read(impl->ast, "messages");
    return Template(std::move(impl));
  } catch (const TemplateError& error) {
    report(name, error, line);
  }
}

std::vector<std::string> Template::sought_texts() const { return find_sought_texts(impl_->ast); }

std::string Template::render(const base::Json& context, const Limits& limits) const {
  int line = 1;
  try {
    Interpreter interpreter(impl_->ast, context, limits);
    try {
      return interpreter.run();
    } catch (const TemplateError&) {
      line = interpreter.line();
      throw;
    }
  } catch (const TemplateError& error) {
    report(impl_->name, error, line);
  }
}

bool Template::reads(std::string_view variable) const {
  return impl_->read.variables.count(std::string(variable)) != 0;
}

bool Template::reads_in_messages(std::string_view member) const {
  return impl_->read.all_members || impl_->read.members.count(std::string(member)) != 0;
}

}  // namespace openllm::jinja
