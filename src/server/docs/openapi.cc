#include "server/docs/openapi.h"

#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "binding/schema_writer.h"
#include "openllm/version.h"

namespace openllm::server {
namespace {

using base::Json;

/// Routes for everything below a path have that as a parameter.
bool has_parameter(const Route& route) { return route.path.size() > 1 && route.path.back() == '/'; }

std::string documented_path(const Route& route) {
  return has_parameter(route) ? route.path + "{name}" : route.path;
}

/// "post_v1_chat_completions"
std::string operation_id(const Route& route) {
  std::string id;
  for (const char c : route.method + documented_path(route)) {
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    const bool is_capital = c >= 'A' && c <= 'Z';
    if (is_letter || is_capital) {
      id += is_capital ? static_cast<char>(c - 'A' + 'a') : c;
    } else if (!id.empty() && id.back() != '_') {
      id += '_';
    }
  }
  if (id.back() == '_') id.pop_back();
  return id;
}

Json content_of(const std::vector<RouteDoc::Body>& bodies, binding::SchemaTextWriter& schemas) {
  Json content = Json::object();
  for (const RouteDoc::Body& body : bodies) {
    Json media = Json::object();
    media["schema"] = Json::parse(schemas.write(body.schema), "schema");
    content[body.type] = std::move(media);
  }
  return content;
}

Json parameter_in_path() {
  Json parameter = Json::object();
  parameter["name"] = "name";
  parameter["in"] = "path";
  parameter["required"] = true;
  parameter["schema"]["type"] = "string";
  Json list = Json::array();
  list.push_back(std::move(parameter));
  return list;
}

Json operation_of(const Route& route, bool wants_keys, binding::SchemaTextWriter& schemas) {
  Json operation = Json::object();
  operation["operationId"] = operation_id(route);
  operation["tags"].push_back(route.doc.tag);
  if (!route.doc.summary.empty()) operation["summary"] = route.doc.summary;
  if (!route.doc.description.empty()) operation["description"] = route.doc.description;
  if (has_parameter(route)) operation["parameters"] = parameter_in_path();
  if (!route.doc.request.empty()) {
    operation["requestBody"]["required"] = true;
    operation["requestBody"]["content"] = content_of(route.doc.request, schemas);
  }
  const char* status = route.doc.response.empty() ? "204" : "200";
  Json& success = operation["responses"][status];
  success["description"] = "Success";
  if (!route.doc.response.empty()) success["content"] = content_of(route.doc.response, schemas);
  operation["responses"]["default"]["$ref"] = "#/components/responses/Error";
  // Anyone may use what wants no key, on a server where the rest does.
  operation["security"] = Json::array();
  if (wants_keys && route.needs_key) {
    for (const char* scheme : {"bearer", "apiKey"}) {
      Json entry = Json::object();
      entry[scheme] = Json::array();
      operation["security"].push_back(std::move(entry));
    }
  }
  return operation;
}

Json components_of(const binding::SchemaTextWriter& schemas) {
  return Json::parse(base::cat(R"({"schemas":)", schemas.definitions(),
                               R"(,"responses":{"Error":)"
                               R"({"description":"What went wrong","content":{"application/json":)"
                               R"({"schema":{"type":"object","properties":{"error":{"type":)"
                               R"("object","properties":{"message":{"type":"string"},"type":)"
                               R"({"type":"string"},"param":{"type":["string","null"]},"code":)"
                               R"({"type":["string","null"]}},"required":["message","type",)"
                               R"("param","code"]}},"required":["error"]}}}}},)"
                               R"("securitySchemes":{"bearer":{"type":"http","scheme":"bearer"},)"
                               R"("apiKey":{"type":"apiKey","in":"header","name":"X-Api-Key"}}})"),
                     "components");
}

}  // namespace

std::string openapi_document(const RouteTable& routes, const std::string& title, bool wants_keys) {
  binding::SchemaTextWriter schemas("#/components/schemas/");
  Json document = Json::object();
  document["openapi"] = "3.1.0";
  document["info"]["title"] = title;
  document["info"]["version"] = version();
  document["paths"] = Json::object();
  for (const Route& route : routes.all()) {
    std::string method = route.method;
    for (char& c : method) c = static_cast<char>(c - 'A' + 'a');
    document["paths"][documented_path(route)][method] = operation_of(route, wants_keys, schemas);
  }
  document["components"] = components_of(schemas);
  return document.dump();
}

}  // namespace openllm::server
