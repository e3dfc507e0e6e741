#pragma once

#if __cplusplus < 202002L
#error "openllm needs C++20 (compile with -std=c++20 or later)"
#endif

/// Everything: `#include <openllm/openllm.h>`.
#include "openllm/backends.h"
#include "openllm/binding.h"
#include "openllm/bundle.h"
#include "openllm/chat.h"
#include "openllm/client.h"
#include "openllm/compare.h"
#include "openllm/doctor.h"
#include "openllm/error.h"
#include "openllm/generator.h"
#include "openllm/http_client.h"
#include "openllm/hub.h"
#include "openllm/llm.h"
#include "openllm/models.h"
#include "openllm/options.h"
#include "openllm/outputs.h"
#include "openllm/receipt.h"
#include "openllm/runner.h"
#include "openllm/server.h"
#include "openllm/service.h"
#include "openllm/store.h"
#include "openllm/stream.h"
#include "openllm/task.h"
#include "openllm/text_decoder.h"
#include "openllm/tokenizer.h"
#include "openllm/version.h"
#include "openllm/when_all.h"
