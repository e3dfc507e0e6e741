#include "hub/reference.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"
#include "net/url.h"

namespace openllm::hub {
namespace {

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return result;
}

[[noreturn]] void fail(std::string_view text, std::string_view expected) {
  base::fail_at(ErrorCode::kInvalidArgument, "model", "cannot be read (expected ", expected,
                ", got ", text.substr(0, 200), ")");
}

/// Takes up to the next slash, and that slash, off the front.
std::string_view take_part(std::string_view& path) {
  const std::size_t end = std::min(path.find('/'), path.size());
  const std::string_view part = path.substr(0, end);
  path.remove_prefix(std::min(end + 1, path.size()));
  return part;
}

/// No name of git's has a colon, which separates here.
bool is_revision(std::string_view text) noexcept {
  return is_safe_path(text) && text.find(':') == std::string_view::npos;
}

/// Throws for what a hub cannot have.
Reference checked(Reference reference, std::string_view text) {
  if (!is_repo_name(reference.repo)) fail(text, "owner/name");
  if (!reference.revision.empty() && !is_revision(reference.revision)) fail(text, "a revision");
  if (!reference.file.empty() && !is_safe_path(reference.file)) fail(text, "a file's name");
  return reference;
}

/// A name with a scheme, "hf://owner/name".
Reference parse_scheme(std::string_view scheme, HubKind hub, std::string_view text) {
  const std::string expected =
      base::cat(scheme, "owner/name, with @REVISION and /FILE behind if wanted");
  std::string_view rest = text.substr(scheme.size());
  if (rest.starts_with("models/")) rest.remove_prefix(7);
  Reference reference;
  reference.hub = hub;
  const std::string_view owner = take_part(rest);
  std::string_view name = take_part(rest);
  const std::size_t at = std::min(name.find('@'), name.size());
  if (at < name.size()) reference.revision = name.substr(at + 1);
  if (at + 1 == name.size()) fail(text, expected);
  name = name.substr(0, at);
  if (owner.empty() || name.empty()) fail(text, expected);
  reference.repo = base::cat(owner, "/", name);
  reference.file = rest;
  return checked(std::move(reference), text);
}

/// A page of a hub: the path behind the host.
Reference parse_page(std::string_view path, std::string_view text) {
  Reference reference;
  path.remove_prefix(std::min<std::size_t>(path.find_first_not_of('/'), path.size()));
  const std::string_view owner = take_part(path);
  const std::string_view name = take_part(path);
  reference.repo = base::cat(owner, "/", name);
  if (!path.empty()) {
    const std::string_view kind = take_part(path);
    reference.revision = take_part(path);
    reference.file = path;
    const bool is_tree = kind == "tree" && reference.file.empty();
    const bool is_file = (kind == "blob" || kind == "resolve") && !reference.file.empty();
    if (reference.revision.empty() || !(is_tree || is_file))
      fail(text, "https://HUB/owner/name, or /tree/REVISION, /resolve/REVISION/FILE below it");
  }
  return checked(std::move(reference), text);
}

constexpr std::string_view kModelScopePage = "/models/";

/// A page of ModelScope: what stands behind "/models/".
Reference parse_modelscope_page(std::string_view path, std::string_view text) {
  Reference reference;
  reference.hub = HubKind::kModelScope;
  const std::string_view owner = take_part(path);
  const std::string_view name = take_part(path);
  reference.repo = base::cat(owner, "/", name);
  if (!path.empty() && path != "summary" && path != "files")
    fail(text, "https://modelscope.cn/models/owner/name");
  return checked(std::move(reference), text);
}

Reference parse_url(std::string_view text, std::string_view endpoint) {
  const std::optional<net::Url> url = net::parse_url(text);
  if (!url) fail(text, "an address");
  const std::optional<net::Url> hub = net::parse_url(endpoint);
  constexpr std::array kHubs = {std::string_view("huggingface.co"), std::string_view("hf.co")};
  const bool is_known = std::find(kHubs.begin(), kHubs.end(), url->host) != kHubs.end();
  const bool is_hub = is_known || (hub && hub->host == url->host && hub->port == url->port &&
                                   url->path.starts_with(hub->path));
  const bool is_gguf = upper(url->path).ends_with(".GGUF");
  if (is_hub) {
    const std::size_t prefix = is_known ? 0 : hub->path.size();
    Reference reference = parse_page(std::string_view(url->path).substr(prefix), text);
    reference.hub = HubKind::kHuggingFace;
    return reference;
  }
  constexpr std::array kModelScopes = {
      std::string_view("modelscope.cn"), std::string_view("www.modelscope.cn"),
      std::string_view("modelscope.ai"), std::string_view("www.modelscope.ai")};
  if (std::find(kModelScopes.begin(), kModelScopes.end(), url->host) != kModelScopes.end() &&
      url->path.starts_with(kModelScopePage))
    return parse_modelscope_page(std::string_view(url->path).substr(kModelScopePage.size()), text);
  if (!is_gguf) fail(text, "the address of a .gguf file, or of a model's page on a hub");
  Reference reference;
  reference.url = text;
  return reference;
}

}  // namespace

const std::string& Reference::revision_or_main() const noexcept {
  static const std::string kMain = "main";
  return revision.empty() ? kMain : revision;
}

std::string Reference::text() const {
  if (!url.empty()) return url;
  const std::string at = revision.empty() ? "" : "@" + revision;
  const bool is_modelscope = hub == HubKind::kModelScope;
  const std::string scheme = is_modelscope ? "modelscope://" : "hf://";
  if (!file.empty()) return base::cat(scheme, repo, at, "/", file);
  if (is_modelscope) return scheme + repo + at;
  return variant.empty() ? repo + at : base::cat(repo, at, ":", variant);
}

bool is_variant(std::string_view text) noexcept {
  const std::string name = upper(text);
  if (name == "BF16" || name == "F16" || name == "FP16" || name == "F32" || name == "FP32")
    return true;
  if (name.starts_with("MXFP4")) return true;
  std::string_view rest = name;
  if (rest.starts_with("UD-")) rest.remove_prefix(3);
  if (rest.starts_with('I') || rest.starts_with('T')) rest.remove_prefix(1);
  return rest.size() >= 2 && rest[0] == 'Q' && rest[1] >= '1' && rest[1] <= '9' &&
         (rest.size() == 2 || rest[2] == '_');
}

std::optional<Reference> parse_reference(std::string_view text, std::string_view endpoint) {
  if (text.starts_with("hf://")) return parse_scheme("hf://", HubKind::kHuggingFace, text);
  if (text.starts_with("modelscope://"))
    return parse_scheme("modelscope://", HubKind::kModelScope, text);
  if (text.starts_with("https://") || text.starts_with("http://")) return parse_url(text, endpoint);
  Reference reference;
  std::string_view rest = text;
  const std::size_t mark = rest.find_first_of(":@");
  if (mark != std::string_view::npos) {
    std::string_view behind = rest.substr(mark + 1);
    // owner/name@REVISION:Q4_K_M
    const std::size_t colon = rest[mark] == '@' ? behind.rfind(':') : std::string_view::npos;
    if (colon != std::string_view::npos && is_variant(behind.substr(colon + 1))) {
      reference.variant = behind.substr(colon + 1);
      behind = behind.substr(0, colon);
    }
    const bool names_variant = rest[mark] == ':' && is_variant(behind);
    (names_variant ? reference.variant : reference.revision) = behind;
    if (behind.empty()) return std::nullopt;
    rest = rest.substr(0, mark);
  }
  reference.repo = rest;
  const bool is_one = is_repo_name(reference.repo) &&
                      (reference.revision.empty() || is_revision(reference.revision));
  return is_one ? std::optional(std::move(reference)) : std::nullopt;
}

}  // namespace openllm::hub
