#include "tokenizer/vocab/post_processor.h"

#include <string_view>

#include "base/error.h"
#include "tokenizer/json_fields.h"

namespace openllm::tokenizer {
namespace {

constexpr std::string_view kWhere = "tokenizer.json: post_processor";
constexpr std::size_t kMaxFrame = 4096;

SpecialFrame parse_processor(const base::Json& json, int depth);

/// The ids that a special token of a template stands for.
const base::JsonArray& template_ids(const base::Json& json, std::string_view name) {
  const base::Json* tokens = json.find("special_tokens");
  const base::Json* token = tokens == nullptr ? nullptr : tokens->find(name);
  if (token == nullptr) {
    base::fail_at(ErrorCode::kCorruptData, kWhere, "no special token \"", name.substr(0, 100),
                  "\"");
  }
  return require_array(*token, "ids", kWhere);
}

SpecialFrame parse_template(const base::Json& json) {
  SpecialFrame frame;
  bool seen_text = false;
  for (const base::Json& item : require_array(json, "single", kWhere)) {
    if (item.find("Sequence") != nullptr) {
      if (seen_text) base::fail_at(ErrorCode::kUnsupported, kWhere, "template with the text twice");
      seen_text = true;
      continue;
    }
    const base::Json* special = item.find("SpecialToken");
    if (special == nullptr) base::fail_at(ErrorCode::kCorruptData, kWhere, "bad template item");
    for (const base::Json& id : template_ids(json, require_string(*special, "id", kWhere))) {
      (seen_text ? frame.after : frame.before).push_back(to_token_id(id, kWhere));
    }
  }
  if (!seen_text) base::fail_at(ErrorCode::kUnsupported, kWhere, "template without the text");
  frame.of_template = !frame.before.empty() || !frame.after.empty();
  return frame;
}

/// ["</s>", 2]
TokenId named_id(const base::Json& json, std::string_view key) {
  const base::JsonArray& pair = require_array(json, key, kWhere);
  if (pair.size() != 2) base::fail_at(ErrorCode::kCorruptData, kWhere, "", key, ": not a pair");
  return to_token_id(pair[1], kWhere);
}

SpecialFrame parse_sequence(const base::Json& json, int depth) {
  SpecialFrame frame;
  for (const base::Json& part : require_array(json, "processors", kWhere)) {
    SpecialFrame outer = parse_processor(part, depth + 1);
    if (frame.of_template && !(outer.before.empty() && outer.after.empty())) {
      // To the Hugging Face library each special token of a template then is a text of its own.
      base::fail_at(ErrorCode::kUnsupported, kWhere, "", require_type(part, kWhere),
                    " behind TemplateProcessing with special tokens");
    }
    for (const SpecialFrame::Trim& trim : outer.trims)
      frame.trims.push_back({trim.keeps_first_space, !frame.of_template && !frame.before.empty()});
    frame.before.insert(frame.before.begin(), outer.before.begin(), outer.before.end());
    frame.after.insert(frame.after.end(), outer.after.begin(), outer.after.end());
    if (frame.before.size() + frame.after.size() > kMaxFrame) {
      base::fail_at(ErrorCode::kCorruptData, kWhere, "too many special tokens (at most ", kMaxFrame,
                    ")");
    }
    frame.of_template = frame.of_template || outer.of_template;
  }
  return frame;
}

SpecialFrame parse_processor(const base::Json& json, int depth) {
  check_depth(depth, kWhere);
  const std::string& type = require_type(json, kWhere);
  if (type == "ByteLevel") {
    SpecialFrame frame;
    if (bool_or(json, "trim_offsets", true, kWhere))
      frame.trims.push_back({bool_or(json, "add_prefix_space", true, kWhere), false});
    return frame;
  }
  if (type == "TemplateProcessing") return parse_template(json);
  if (type == "RobertaProcessing" || type == "BertProcessing") {
    SpecialFrame frame{{named_id(json, "cls")}, {named_id(json, "sep")}, false, {}};
    // Both are there in every RobertaProcessing.
    if (type == "RobertaProcessing" && bool_or(json, "trim_offsets", false, kWhere))
      frame.trims.push_back({bool_or(json, "add_prefix_space", true, kWhere), false});
    return frame;
  }
  if (type == "Sequence") return parse_sequence(json, depth);
  fail_unknown("post_processor", type);
}

}  // namespace

SpecialFrame parse_post_processor(const base::Json& json) {
  if (json.is_null()) return {};
  return parse_processor(json, 0);
}

}  // namespace openllm::tokenizer
