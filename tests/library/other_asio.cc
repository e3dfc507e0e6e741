// A program with a Boost.Asio of its own, which is not the library's: another version, or the same
// one configured otherwise (CMakeLists.txt). Names of both are alike and their layouts are not, so
// a library that exports its own would run the program's functions on its own objects, and the
// other way round.
//   other_asio MODEL
#include <openllm/openllm.h>

#include <boost/asio.hpp>

#include <chrono>
#include <iostream>

namespace {

/// Runs a timer and a connection to the server's port on the program's own Asio.
int connect_by_own_asio(std::uint16_t port) {
  namespace asio = boost::asio;
  asio::io_context context;
  int n_done = 0;
  asio::steady_timer timer(context, std::chrono::milliseconds(1));
  timer.async_wait([&](const boost::system::error_code& error) { n_done += error ? 0 : 1; });
  asio::ip::tcp::socket socket(context);
  socket.async_connect({asio::ip::address_v4::loopback(), port},
                       [&](const boost::system::error_code& error) { n_done += error ? 0 : 1; });
  context.run();
  return n_done;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  try {
    openllm::Server server(openllm::LLM(argv[1], {.n_threads = 1}), {.port = 0});
    server.start();
    server.wait_until_ready();
    const int n_done = connect_by_own_asio(server.port());
    const openllm::Client client({.address = "http://127.0.0.1:" + std::to_string(server.port())});
    const auto output = client.generate("Once", {.max_new_tokens = 2});
    server.stop();
    std::cout << n_done << " done by the program's Asio, " << output.outputs[0].text << '\n';
    return n_done == 2 ? 0 : 1;
  } catch (const openllm::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
