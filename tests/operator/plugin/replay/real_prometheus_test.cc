// The PromQL of replay against a real Prometheus: what it means is for no fake to say.
#include "tests/operator/promql/real_prometheus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "operator/plugin/cli.h"
#include "tests/fake/fake_api_clock.h"

namespace whorl::plugin {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

constexpr std::int64_t kFirst = 1'767'225'600, kLast = kFirst + 2 * 86'400;

// Two VMs for two days; db-1 moves from one node to another after the first.
std::string MadeUpPast() {
  std::ostringstream use, vcpus, requests, allocatable;
  double db = 0, web = 0;
  for (std::int64_t t = kFirst; t <= kLast; t += 60) {
    db += 0.5 * 60;
    web += (t % 3600 < 600 ? 1.5 : 0.2) * 60;
    use << "kubevirt_vmi_cpu_usage_seconds_total{namespace=\"shop\",name=\"db-1\",node=\""
        << (t < kFirst + 86'400 ? "a" : "b") << "\"} " << db << ' ' << t << '\n';
    use << "kubevirt_vmi_cpu_usage_seconds_total{namespace=\"shop\",name=\"web\",node=\"a\"} " << web << ' ' << t
        << '\n';
    for (const char* id : {"0", "1"}) {
      vcpus << "kubevirt_vmi_vcpu_seconds_total{namespace=\"shop\",name=\"web\",node=\"a\",id=\"" << id
            << "\",state=\"running\"} " << web << ' ' << t << '\n';
    }
    requests << "kube_pod_container_resource_requests{namespace=\"shop\",pod=\"virt-launcher-web-x7k2p\",container="
                "\"compute\","
                "resource=\"cpu\",node=\"a\"} 0.4 "
             << t << '\n';
    requests << "kube_pod_container_resource_requests{namespace=\"kube-system\",pod=\"dns\",container=\"dns\",resource="
                "\"cpu\","
                "node=\"a\"} 0.5 "
             << t << '\n';
    allocatable << "kube_node_status_allocatable{node=\"a\",resource=\"cpu\"} 3.5 " << t << '\n';
  }
  return "# TYPE kubevirt_vmi_cpu_usage_seconds counter\n" + use.str() + "# TYPE kubevirt_vmi_vcpu_seconds counter\n" +
         vcpus.str() + "# TYPE kube_pod_container_resource_requests gauge\n" + requests.str() +
         "# TYPE kube_node_status_allocatable gauge\n" + allocatable.str() + "# EOF\n";
}

TEST(ReplayOfPrometheus, ReadsVmsNodesRequestsAndCapacity) {
  if (!fake::RealPrometheus::Installed())
    GTEST_SKIP() << "no /usr/bin/prometheus and promtool; apt-get install prometheus";
  const fake::RealPrometheus prometheus(MadeUpPast());
  fake::WaitingClock clock;
  clock.JumpWall(FromUnixMillis(kLast * 1000) - clock.Now());
  std::ostringstream out, err;
  std::istringstream in;
  Shell shell{
      .out = out,
      .err = err,
      .in = in,
      .environment = [](const std::string&) { return std::nullopt; },
      .connect = [](const Access&) -> Result<std::unique_ptr<Cluster>> {
        return Fail(Code::kInternal, "a replay asked for a cluster");
      },
      .wait = [](Seconds) { return false; },
      .prometheus =
          [&](const promql::PrometheusOptions& options) { return promql::PrometheusClient::Connect(options, clock); },
      .clock = clock};
  ASSERT_EQ(plugin::Run({"replay", prometheus.url(), "--from", "2d", "-o", "json"}, shell), kOk) << err.str();
  const auto report = nlohmann::json::parse(out.str());
  ASSERT_EQ(report["nodes"].size(), 2u);
  const auto& a = report["nodes"][0];
  EXPECT_EQ(a["name"], "a");
  EXPECT_EQ(a["capacityCores"], 3.0);  // what is allocatable, less what the DNS pod requests
  std::vector<std::string> names;
  for (const auto& vm : a["vms"]) {
    names.push_back(vm["name"]);
    if (vm["name"] != "shop/web") continue;
    EXPECT_EQ(vm["sizeCores"], 2.0);
    EXPECT_EQ(vm["requestCores"], 0.4);
  }
  EXPECT_THAT(names, UnorderedElementsAre("shop/web", "shop/db-1"));
  EXPECT_EQ(a["odd"]["vmsVanished"], 1);  // it moved
  EXPECT_NEAR(report["nodes"][1]["demandCoreHours"].get<double>(), 0.5 * 24 * 0.75, 0.2);
}

}  // namespace
}  // namespace whorl::plugin
