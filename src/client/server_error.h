#pragma once

#include "net/server_error.h"

namespace openllm::client {

using net::kAnswer;
using net::kWithinAnswer;
using net::make_error;
using net::parse_answer;
using net::printable;
using net::read_answer;

}  // namespace openllm::client
