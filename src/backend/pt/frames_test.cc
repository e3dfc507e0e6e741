#include "backend/pt/frames.h"

#include <gmock/gmock.h>

#include <functional>

#include "openllm/error.h"

namespace openllm::backend::pt {
namespace {

using ::testing::HasSubstr;

Error error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorCode::kInternal, ""};
}

TEST(PtFrames, HaveTheirLengthBefore) {
  EXPECT_EQ(make_frame(base::Json::object()), std::string("\x02\0\0\0{}", 6));
  EXPECT_EQ(parse_head(std::string_view("\x02\x01\0\0", 4)), 258U);
  const std::string long_text(300, 'x');
  const std::string frame = make_frame(base::Json(long_text));
  EXPECT_EQ(frame.size(), 4U + 302U);
  EXPECT_EQ(parse_head(frame.substr(0, 4)), 302U);
}

TEST(PtFrames, LengthsOutOfRangeAreNoFrames) {
  for (const std::string& head : {std::string("\0\0\0\0", 4), std::string("\xff\xff\xff\xff"),
                                  std::string("\x01\0\x10\0", 4), std::string("HTTP")}) {
    EXPECT_EQ(error_of([&] { (void)parse_head(head); }).code(), ErrorCode::kIo);
  }
  EXPECT_EQ(parse_head(std::string_view("\0\0\x10\0", 4)), kMaxAnswerBytes);
}

TEST(PtFrames, AStepSaysWhatTheWorkerNeeds) {
  const std::vector<std::int32_t> tokens{5, 7};
  const std::vector<SequenceOrder> orders{
      {.id = 9, .past_len = 3, .tokens = tokens, .outputs = {1}, .rope_len = 40},
      {.id = 10, .tokens = tokens}};
  EXPECT_EQ(make_step_frame(orders, std::vector<std::int64_t>{4}).substr(4),
            R"({"op":"step","sequences":[{"id":9,"past":3,"tokens":[5,7],"outputs":[1],"rope":40},)"
            R"({"id":10,"past":0,"tokens":[5,7],"outputs":[],"rope":0}],"free":[4]})");
  EXPECT_EQ(make_free_frame(std::vector<std::int64_t>{4, 8}).substr(4),
            R"({"op":"free","ids":[4,8]})");
}

TEST(PtFrames, Adapters) {
  const std::vector<std::int32_t> tokens{5};
  const std::vector<SequenceOrder> orders{
      {.id = 9, .tokens = tokens, .adapters = {{.adapter = 3, .factor = -0.5F}, {.adapter = 4}}}};
  EXPECT_EQ(make_step_frame(orders, {}).substr(4),
            R"({"op":"step","sequences":[{"id":9,"past":0,"tokens":[5],"outputs":[],"rope":0,)"
            R"("adapters":[[3,-0.5],[4,1.0]]}],"free":[]})");
  EXPECT_EQ(make_mount_frame(3, "/a \"b").substr(4),
            R"({"op":"mount","adapter":3,"path":"/a \"b"})");
  EXPECT_EQ(make_drop_frame(std::vector<std::int64_t>{3}).substr(4),
            R"({"op":"drop","adapters":[3]})");
  EXPECT_NO_THROW(parse_mounted(R"({"mounted":3})"));
  const Error misfit = error_of([] { parse_mounted(R"({"error":"bad","kind":"invalid"})"); });
  EXPECT_EQ(misfit.code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(misfit.where(), "adapters");
  EXPECT_THAT(misfit.what(), HasSubstr("bad"));
  EXPECT_EQ(error_of([] { parse_mounted("[]"); }).code(), ErrorCode::kIo);
}

constexpr const char* kLoaded =
    R"({"vocab_size":12,"n_layers":2,"device":"cpu","dtype":"float32","way":"chunks","versions":"v"})";

TEST(PtFrames, LoadedModel) {
  const LoadedModel model = parse_loaded(kLoaded);
  EXPECT_EQ(model.vocab_size, 12);
  EXPECT_EQ(model.n_layers, 2);
  EXPECT_EQ(model.device, "cpu");
  EXPECT_EQ(model.way, "chunks");
  EXPECT_EQ(parse_step_done(R"({"rows":3})"), 3);
}

TEST(PtFrames, WhatIsNoAnswerIsKIo) {
  for (const char* text : {"", "[]", "{", "{}", R"({"vocab_size":0})", R"({"vocab_size":"12"})",
                           R"({"vocab_size":99999999999})", R"({"error":1,"kind":"failed"})",
                           R"({"error":"x"})", R"({"rows":-1})", R"({"rows":1.5})",
                           R"({"rows":1,"rows":2})", "\xff\xfe", "[[[[[[[[[[[[]]]]]]]]]]]]"}) {
    EXPECT_EQ(error_of([&] { (void)parse_loaded(text); }).code(), ErrorCode::kIo) << text;
    EXPECT_EQ(error_of([&] { (void)parse_step_done(text); }).code(), ErrorCode::kIo) << text;
  }
}

TEST(PtFrames, ErrorsHaveTheirKind) {
  const auto code = [](const std::string& kind) {
    const Error error = error_of(
        [&] { (void)parse_step_done(R"({"error":"so it is","kind":")" + kind + R"("})"); });
    EXPECT_THAT(error.what(), HasSubstr("so it is"));
    return error.code();
  };
  EXPECT_EQ(code("unavailable"), ErrorCode::kUnavailable);
  EXPECT_EQ(code("unsupported"), ErrorCode::kUnsupported);
  EXPECT_EQ(code("out_of_memory"), ErrorCode::kResourceExhausted);
  EXPECT_EQ(code("failed"), ErrorCode::kInternal);
  EXPECT_EQ(code("whatever"), ErrorCode::kInternal);
}

}  // namespace
}  // namespace openllm::backend::pt
