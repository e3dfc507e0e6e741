#include "cli/nearby_server.h"

#include <gtest/gtest.h>

#include <string>

namespace openllm::cli {
namespace {

const std::string kHead =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n";

std::string line(const std::string& local, const std::string& state) {
  return "   0: " + local + " 00000000:0000 " + state + " 00000000:00000000 00:00000000\n";
}

TEST(NearbyServer, ListensWhereConnectionsToThisMachineAreTaken) {
  for (const char* local :
       {"0100007F:1F40", "00000000:1F40", "00000000000000000000000000000000:1F40",
        "0000000000000000FFFF00000100007F:1F40"}) {
    const std::string table = kHead + line("0100007F:0016", "0A") + line(local, "0A");
    EXPECT_TRUE(listens(table, 8000)) << local;
    EXPECT_FALSE(listens(table, 8001)) << local;
    EXPECT_FALSE(listens(kHead + line(local, "01"), 8000)) << "a connection: " << local;
  }
  EXPECT_FALSE(listens(kHead + line("0A01A8C0:1F40", "0A"), 8000)) << "another address";
}

TEST(NearbyServer, WhatIsNoTableHasNobody) {
  for (const char* text : {"", "\n", "0: 1 2 0A", "0: 0100007F: 0 0A", "0: 0100007F:1F40x 0 0A",
                           "0: :1F40 0 0A", "0: 0100007F:11F40 0 0A", "0: 0100007F:1F40 0"})
    EXPECT_FALSE(listens(text, 8000)) << text;
}

}  // namespace
}  // namespace openllm::cli
