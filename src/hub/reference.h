#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "store/hub_cache.h"

namespace openllm::hub {

/// Whose models a name is one of.
enum class HubKind { kAny, kHuggingFace, kModelScope };

/// What somebody wrote for a model on a hub.
struct Reference {
  std::string repo{};      ///< "owner/name", or "name" of the oldest models.
  std::string revision{};  ///< Branch, tag or commit; empty: the main branch.
  std::string variant{};   ///< Which of a repository's GGUF files: "Q4_K_M".
  std::string file{};      ///< One file of the repository.
  std::string url{};       ///< A file elsewhere; the other members are empty then.
  HubKind hub = HubKind::kAny;

  /// The revision, or "main".
  const std::string& revision_or_main() const noexcept;
  /// As it can be written: "owner/name", "owner/name:Q4_K_M", "owner/name@v1", "hf://...",
  /// "modelscope://...".
  std::string text() const;
};

/// Reads
///   - owner/name, owner/name:REVISION, owner/name@REVISION, owner/name:Q4_K_M;
///   - hf://owner/name, hf://owner/name@REVISION, either with a /FILE behind; the same with
///     modelscope://;
///   - pages of a hub: https://huggingface.co/owner/name, and .../tree/REVISION,
///     .../blob/REVISION/FILE, .../resolve/REVISION/FILE below it. `endpoint` is the hub that is
///     configured; huggingface.co and hf.co are always meant; and ModelScope's pages,
///     https://modelscope.cn/models/owner/name;
///   - https://host/....gguf elsewhere.
/// Nothing for other texts. Throws kInvalidArgument for hf://, modelscope:// and https:// that are
/// none of these.
std::optional<Reference> parse_reference(std::string_view text, std::string_view endpoint = {});

/// A name of a quantisation as GGUF files have it ("Q4_K_M", "iq2_xs", "BF16").
bool is_variant(std::string_view text) noexcept;

using store::is_repo_name;
using store::is_safe_path;

}  // namespace openllm::hub
