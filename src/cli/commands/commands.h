#pragma once

#include "cli/arguments.h"

namespace openllm::cli {

/// One function per command: does it, prints, returns the exit status. Errors are thrown.
int run_command(const Arguments& arguments);
int start_command(const Arguments& arguments);
int build_command(const Arguments& arguments);
int verify_command(const Arguments& arguments);
int doctor_command(const Arguments& arguments);
int query_command(const Arguments& arguments);
int models_command(const Arguments& arguments);
int models_add_command(const Arguments& arguments);
int models_remove_command(const Arguments& arguments);
int import_command(const Arguments& arguments);
int prune_command(const Arguments& arguments);
int du_command(const Arguments& arguments);
int get_prompt_command(const Arguments& arguments);
int completion_command(const Arguments& arguments);
int man_command(const Arguments& arguments);
int inspect_command(const Arguments& arguments);
int tokenize_command(const Arguments& arguments);
int detokenize_command(const Arguments& arguments);
int template_command(const Arguments& arguments);
int logits_command(const Arguments& arguments);
int replay_command(const Arguments& arguments);
int embed_command(const Arguments& arguments);
int score_command(const Arguments& arguments);
int rerank_command(const Arguments& arguments);
int fields_command(const Arguments& arguments);
int backends_command(const Arguments& arguments);
int compare_command(const Arguments& arguments);

}  // namespace openllm::cli
