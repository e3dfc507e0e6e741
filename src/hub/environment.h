#pragma once

#include <string>

namespace openllm::hub {

/// What the environment says about hubs, by the names that huggingface_hub has.
struct Environment {
  /// Folder of the cache: HF_HUB_CACHE, else HUGGINGFACE_HUB_CACHE, else $HF_HOME/hub, else
  /// $XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub. Empty: none of them is set.
  std::string cache{};
  std::string
      endpoint{};  ///< HF_ENDPOINT, without a slash at its end; else https://huggingface.co.
  /// HF_TOKEN, else HUGGING_FACE_HUB_TOKEN, else what the file HF_TOKEN_PATH or $HF_HOME/token
  /// holds; empty: none.
  std::string token{};
  bool is_offline = false;  ///< HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is 1, ON, YES or TRUE.
};

/// An empty variable counts as unset. Throws kInvalidArgument for a token with characters that no
/// header field can have, without showing it.
Environment read_environment();

}  // namespace openllm::hub
