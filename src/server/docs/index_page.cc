#include "server/docs/index_page.h"

#include <string_view>

namespace openllm::server {
namespace {

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

}  // namespace

std::string index_page(const RouteTable& routes, const std::string& title) {
  std::string page = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>";
  page += escaped(title);
  page += "</title></head>\n<body><h1>" + escaped(title) +
          "</h1>\n<p><a href=\"docs.json\">docs.json</a> describes all of it (OpenAPI 3.1).</p>\n"
          "<table>\n";
  for (const Route& route : routes.all()) {
    page += "<tr><td>" + escaped(route.method) + "</td><td><code>" + escaped(route.path) +
            "</code></td><td>" + escaped(route.doc.summary) + "</td></tr>\n";
  }
  return page + "</table></body></html>\n";
}

}  // namespace openllm::server
