#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "operator/kube/client.h"
#include "operator/kube/json.h"
#include "tests/operator/kube/real_api_server.h"

namespace whorl::fake {

// A test against a real API server of its own. Skipped where there is no server to
// start, a failure where WHORL_REQUIRE_APISERVER says there must be; whoever
// overrides SetUp() goes on only while `client_` is there.
class OnRealServer : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto tools = RealApiServer::FindTools();
    if (!tools) {
      const std::string missing =
          "no kube-apiserver and etcd in the cache: `./dev up` builds them, or name their folder in WHORL_TOOLS";
      if (std::getenv("WHORL_REQUIRE_APISERVER") != nullptr) FAIL() << missing;
      GTEST_SKIP() << missing;
    }
    server_ = std::make_unique<RealApiServer>(*tools);
    client_ = std::move(*kube::Client::Connect(server_->Config(), {}, clock_));
  }
  void Define(const kube::Json& definition) {
    const kube::ResourcePath path{
        .group = "apiextensions.k8s.io", .version = "v1", .plural = "customresourcedefinitions"};
    auto made = client_->Apply(path.Named("", definition["metadata"]["name"].get<std::string>()), definition,
                               {.field_manager = "test", .force = true});
    ASSERT_TRUE(made) << made.error().message;
  }

  kube::SystemClock clock_;
  std::unique_ptr<RealApiServer> server_;
  std::unique_ptr<kube::Client> client_;
};

}  // namespace whorl::fake
