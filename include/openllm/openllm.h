#pragma once

/// Everything: `#include <openllm/openllm.h>`.
#include "openllm/backends.h"
#include "openllm/chat.h"
#include "openllm/client.h"
#include "openllm/error.h"
#include "openllm/llm.h"
#include "openllm/options.h"
#include "openllm/outputs.h"
#include "openllm/server.h"
#include "openllm/store.h"
#include "openllm/stream.h"
#include "openllm/task.h"
#include "openllm/text_decoder.h"
#include "openllm/version.h"
