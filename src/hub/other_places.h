#pragma once

#include <string>

namespace openllm::hub {

/// What the environment says about where other programs keep models, and about ModelScope's hub, by
/// the names that those programs have.
struct OtherPlaces {
  /// Whom to ask: "huggingface" or "modelscope". OPENLLM_HUB, else VLLM_USE_MODELSCOPE.
  std::string hub = "huggingface";
  /// MODELSCOPE_CACHE, else ~/.cache/modelscope. Empty: HOME is not set either.
  std::string modelscope_cache{};
  /// MODELSCOPE_ENDPOINT, MODELSCOPE_DOMAIN, else https://modelscope.cn.
  std::string modelscope_endpoint{};
  std::string modelscope_token{};  ///< MODELSCOPE_API_TOKEN.
  /// OLLAMA_MODELS, else ~/.ollama/models and /usr/share/ollama/.ollama/models, where its service
  /// has them; ':' between them.
  std::string ollama{};
  /// LLAMA_CACHE, else $XDG_CACHE_HOME/llama.cpp, else ~/.cache/llama.cpp.
  std::string llama_cpp{};
  /// Certificates of further authorities: REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE, SSL_CERT_FILE.
  std::string ca_file{};
};

/// An empty variable counts as unset. Throws kInvalidArgument for a hub that is none of those, and
/// for a token with characters that no header field can have, without showing it.
OtherPlaces read_other_places();

/// "huggingface" or "modelscope" for their names and "hf"; throws kInvalidArgument for others.
/// `where`: the option or variable.
std::string checked_hub(const std::string& name, const char* where);

}  // namespace openllm::hub
