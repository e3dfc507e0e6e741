// Finding out which backends can run a model starts no program and opens no connection, unless
// servers are named. The kernel watches: in a child whose first attempt ends it.

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <string>

#include "backend/choose.h"
#include "format/model_source.h"

namespace openllm::backend {
namespace {

const std::string kModels = OPENLLM_TEST_DATA "/models/";
constexpr int kNoFilter = 77;

/// From now on this process ends with SIGSYS when it would start a program, or make a socket.
bool forbid_programs_and_sockets() {
  constexpr auto kNumber = static_cast<__u32>(offsetof(seccomp_data, nr));
  constexpr __u8 kRest = 4;
  std::array<sock_filter, 7> rules{{
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, kNumber},
      {BPF_JMP | BPF_JEQ | BPF_K, kRest, 0, __NR_execve},
      {BPF_JMP | BPF_JEQ | BPF_K, kRest - 1, 0, __NR_execveat},
      {BPF_JMP | BPF_JEQ | BPF_K, kRest - 2, 0, __NR_socket},
      {BPF_JMP | BPF_JEQ | BPF_K, kRest - 3, 0, __NR_connect},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS},
  }};
  const sock_fprog program{static_cast<unsigned short>(rules.size()), rules.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/// How a child that does this ended: its status, or minus the number of its signal.
int end_of(const std::function<void()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (!forbid_programs_and_sockets()) ::_exit(kNoFilter);
    try {
      body();
    } catch (const std::exception&) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

void ask(const std::string& model, const LoadOptions& options = {}) {
  const auto source = format::open_model(kModels + model);
  (void)ask_backends(backends(), source, options);
  (void)choose_backend(backends(), source, options);
}

TEST(LocalProbes, StartNothingAndConnectNowhere) {
  if (end_of([] {}) == kNoFilter) GTEST_SKIP() << "no such filter can be set here";
  ASSERT_EQ(end_of([] { ::execl("/bin/true", "true", nullptr); }), -SIGSYS) << "it does watch";
  LoadOptions server;
  server.vllm.urls = {"http://127.0.0.1:9"};
  EXPECT_EQ(end_of([&] { ask("llama", server); }), -SIGSYS) << "servers that are named are asked";
  // A vLLM and an interpreter are there, and neither is run.
  EXPECT_EQ(end_of([] {
              ::setenv("OPENLLM_PYTHON", OPENLLM_TEST_DATA "/pt/fake_python", 1);
              LoadOptions options;
              options.vllm.executable = OPENLLM_TEST_DATA "/pt/fake_python";
              for (const char* model : {"llama", "t5", "llama-gguf/f32"}) ask(model, options);
              for (const BackendEntry& entry : backends())
                if (entry.lacks) (void)entry.lacks();
            }),
            0);
}

}  // namespace
}  // namespace openllm::backend
