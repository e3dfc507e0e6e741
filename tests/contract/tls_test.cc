// Whom clients trust: a server with a certificate that was made for this test.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include "openllm/client.h"
#include "openllm/http_client.h"

namespace openllm::contract {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

bool runs(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;  // NOLINT(*-env33-c)
}

/// tls_server.py as a child, until it is destroyed.
class TlsServer {
 public:
  TlsServer(const std::string& certificate, const std::string& key) {
    std::array<int, 2> in{};
    std::array<int, 2> out{};
    if (::pipe2(in.data(), O_CLOEXEC) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0) return;
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(in[0], STDIN_FILENO);
      ::dup2(out[1], STDOUT_FILENO);
      ::execlp("python3", "python3", OPENLLM_TLS_SERVER, certificate.c_str(), key.c_str(),
               static_cast<char*>(nullptr));
      ::_exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    input_ = in[1];
    std::string line;
    char byte = '\0';
    while (::read(out[0], &byte, 1) == 1 && byte != '\n') line += byte;  // until it listens
    port_ = std::atoi(line.c_str());                                     // NOLINT(cert-err34-c)
    ::close(out[0]);
  }
  ~TlsServer() {
    ::close(input_);  // the child ends with its input
    if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
  }
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;

  int port() const noexcept { return port_; }
  std::string address() const { return "https://127.0.0.1:" + std::to_string(port_); }

 private:
  pid_t pid_ = -1;
  int input_ = -1;
  int port_ = 0;
};

class Tls : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!runs("openssl version")) GTEST_SKIP() << "there is no openssl";
    if (!runs("python3 -c 'import ssl'")) GTEST_SKIP() << "there is no python3 with ssl";
    std::string name = std::filesystem::temp_directory_path() / "openllm-tls-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    make_certificate("own");
    make_certificate("other");
    server_ = std::make_unique<TlsServer>(file("own.pem"), file("own.key"));
    ASSERT_GT(server_->port(), 0);
  }
  void TearDown() override {
    server_.reset();
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }
  /// One that signs itself, for this machine.
  void make_certificate(const std::string& name) const {
    ASSERT_TRUE(
        runs("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
             "-days 2 -subj /CN=openllm-test -addext subjectAltName=IP:127.0.0.1 -keyout " +
             file(name + ".key") + " -out " + file(name + ".pem")));
  }
  std::string file(const std::string& name) const { return folder_ / name; }

  std::filesystem::path folder_{};
  std::unique_ptr<TlsServer> server_{};
};

/// The error that a call ends with: its code and its message.
std::string failure(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return std::string(to_string(error.code())) + ": " + error.what();
  }
  return "none";
}

TEST_F(Tls, N40VerifyIsApplied) {
  const std::string own = file("own.pem");
  const std::string other = file("other.pem");
  const auto is_ready = [&](const HTTPClientOptions& options) {
    HTTPClientOptions whole = options;
    whole.address = server_->address();
    return HTTPClient(whole).health();
  };
  EXPECT_TRUE(is_ready({.ca_file = own}));
  EXPECT_FALSE(is_ready({})) << "no authority of the system signed it";
  EXPECT_FALSE(is_ready({.ca_file = other})) << "another one signed it";
  EXPECT_TRUE(is_ready({.verify = false}));

  const auto models = [&](const ClientOptions& options) {
    ClientOptions whole = options;
    whole.address = server_->address();
    return failure([&] { (void)Client(whole).models(); });
  };
  EXPECT_EQ(models({.ca_file = own}), "none");
  EXPECT_EQ(models({.verify = false}), "none");
  EXPECT_THAT(models({}), HasSubstr("is not trusted"));
  EXPECT_THAT(models({.ca_file = other}), HasSubstr("io: client: " + server_->address()));
}

TEST_F(Tls, N40VerifyOfOneCallIsApplied) {
  const HTTPClient trusting({.address = server_->address(), .verify = false, .max_retries = 0});
  const HTTPClient careful({.address = server_->address(), .max_retries = 0});
  // The server has no such route: whoever gets that far trusts it.
  EXPECT_THAT(failure([&] { trusting.generate("a"); }), Not(HasSubstr("is not trusted")));
  EXPECT_THAT(failure([&] { trusting.generate("a", {}, {.verify = true}); }),
              HasSubstr("is not trusted"));
  EXPECT_THAT(failure([&] { careful.generate("a"); }), HasSubstr("is not trusted"));
  EXPECT_THAT(failure([&] { careful.generate("a", {}, {.verify = false}); }),
              Not(HasSubstr("is not trusted")));
}

TEST_F(Tls, ACertificateIsForItsNameAlone) {
  const HTTPClient client({.address = "https://localhost:" + std::to_string(server_->port()),
                           .ca_file = file("own.pem"),
                           .max_retries = 0});
  EXPECT_THAT(failure([&] { client.generate("a"); }), HasSubstr("is not trusted"));
}

TEST_F(Tls, FilesOfAuthoritiesThatAreNoneAreTheCallersFault) {
  std::ofstream(folder_ / "none.pem") << "no certificate";
  for (const char* name : {"absent.pem", "none.pem"}) {
    const Client client({.address = server_->address(), .max_retries = 0, .ca_file = file(name)});
    EXPECT_THAT(failure([&] { (void)client.models(); }),
                HasSubstr("invalid_argument: ca_file: cannot be used"))
        << name;
  }
}

}  // namespace
}  // namespace openllm::contract
