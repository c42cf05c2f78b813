// From a real Prometheus with eight days of made-up VMs to what a baseline
// starts from. The clock that is waited on takes no time.
#include "operator/controller/bootstrap/historian.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>
#include <thread>

#include "core/fingerprint/scaling.h"
#include "tests/fake/fake_api_clock.h"
#include "tests/fake/fake_api_server.h"
#include "tests/fake/temp_dir.h"
#include "tests/operator/promql/real_prometheus.h"

namespace whorl::controller {
namespace {

using fake::HostileServer;
using fake::RealPrometheus;
using ::testing::HasSubstr;
using Connection = HostileServer::Connection;

constexpr std::int64_t kDay = 86'400;
constexpr std::int64_t kScrape = 120;
constexpr std::int64_t kFirst = 1'793'577'600;  // Monday, 2 November 2026, midnight UTC
constexpr std::int64_t kLast = kFirst + 8 * kDay;
constexpr std::int64_t kRestart = kFirst + 3 * kDay + 4 * 3600;  // counters begin at zero again
constexpr std::int64_t kMigration = kFirst + 5 * kDay + 4 * 3600;

bool OfficeHours(std::int64_t t) { return t % kDay >= 9 * 3600 && t % kDay < 17 * 3600; }

// One metric of the past, in the order OpenMetrics wants: family by family.
class Past {
 public:
  // A counter that grows by rate(t) a second; it restarts and moves with the VM.
  template <typename F>
  void Counter(const std::string& name, const std::string& before, const std::string& after, F rate) {
    double value = 12345;
    for (std::int64_t t = kFirst; t <= kLast; t += kScrape) {
      if (t == kRestart || t == kMigration) value = 0;
      value += rate(t) * static_cast<double>(kScrape);
      if (Down(t)) continue;
      Line(name, t < kMigration ? before : after, value, t);
    }
  }
  template <typename F>
  void Gauge(const std::string& name, const std::string& labels, F at) {
    for (std::int64_t t = kFirst; t <= kLast; t += kScrape) {
      if (!Down(t)) Line(name, labels, at(t), t);
    }
  }
  std::string text() const { return out_.str() + "# EOF\n"; }

 private:
  // Prometheus itself was away.
  static bool Down(std::int64_t t) { return t >= kFirst + 2 * kDay && t < kFirst + 2 * kDay + 6 * 3600; }
  void Line(const std::string& name, const std::string& labels, double value, std::int64_t t) {
    out_ << name << '{' << labels << "} " << (std::isnan(value) ? "NaN" : std::to_string(value)) << ' ' << t << '\n';
  }
  std::ostringstream out_;
};

std::string MadeUpPast() {
  Past past;
  const auto vmi = [](const std::string& vm, const std::string& node, const std::string& more = "") {
    return "namespace=\"prod\",name=\"" + vm + "\",node=\"" + node + "\"" + more;
  };
  const auto container = [](const std::string& pod, const std::string& more = "") {
    return "namespace=\"prod\",pod=\"" + pod + "\",container=\"compute\"" + more;
  };
  const auto office = [](std::int64_t t) { return OfficeHours(t) ? 0.9 : 0.1; };
  past.Counter("container_cpu_usage_seconds_total", container("virt-launcher-db-1-abcde"),
               container("virt-launcher-db-1-fghij"), office);
  // Another VM's, whose name begins alike.
  past.Counter("container_cpu_usage_seconds_total", container("virt-launcher-db-1-big-abcde"),
               container("virt-launcher-db-1-big-fghij"), [](std::int64_t) { return 7.0; });
  past.Counter("kubevirt_vmi_cpu_usage_seconds_total", vmi("db-1", "a"), vmi("db-1", "b"),
               [](std::int64_t) { return 3.0; });
  past.Counter("kubevirt_vmi_cpu_usage_seconds_total", vmi("old-1", "a"), vmi("old-1", "b"), office);
  past.Gauge("container_memory_working_set_bytes", container("virt-launcher-db-1-abcde"),
             [](std::int64_t) { return 536870912.0; });
  past.Gauge("kubevirt_vmi_memory_usable_bytes", vmi("db-1", "a"), [](std::int64_t t) {
    return t % kDay < 3600 ? std::nan("") : 268435456.0;  // the balloon driver did not answer
  });
  for (const std::string port : {"default", "second"}) {
    const auto more = ",interface=\"" + port + "\"";
    past.Counter("kubevirt_vmi_network_receive_packets_total", vmi("db-1", "a", more), vmi("db-1", "b", more),
                 [](std::int64_t) { return 100.0; });
  }
  past.Counter("kubevirt_vmi_network_transmit_packets_total", vmi("db-1", "a", ",interface=\"default\""),
               vmi("db-1", "b", ",interface=\"default\""), [](std::int64_t) { return 50.0; });
  past.Counter("kubevirt_vmi_storage_read_traffic_bytes_total", vmi("db-1", "a", ",drive=\"vda\""),
               vmi("db-1", "b", ",drive=\"vda\""),
               [](std::int64_t t) { return t % kDay >= 2 * 3600 && t % kDay < 3 * 3600 ? 50e6 : 1e4; });
  return past.text();
}

// Started once for all tests of the file.
class HistorianTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (RealPrometheus::Installed()) prometheus_ = new RealPrometheus(MadeUpPast());
  }
  static void TearDownTestSuite() { delete std::exchange(prometheus_, nullptr); }
  void SetUp() override {
    if (!prometheus_) GTEST_SKIP() << "no /usr/bin/prometheus and promtool; apt-get install prometheus";
    clock_.JumpWall(FromUnixMillis(kLast * 1000 + 17'000) - clock_.Now());
  }
  Result<HistoryAnswer> Fetch(const std::string& vm, promql::PrometheusOptions options = {}) {
    if (options.url.empty()) options.url = prometheus_->url();
    auto client = PrometheusClient::Connect(options, clock_);
    if (!client) return Fail(client.error());
    Historian::Options history;
    history.past = Seconds{8 * kDay};
    return Historian(**client, clock_, history).Fetch(Subject{"kubevirt.io/v1", "VirtualMachine", "prod", vm, vm});
  }
  // What a path of Prometheus' answers, asked straight.
  static kube::Response Straight(const std::string& request) {
    kube::ClusterConfig config;
    config.server = prometheus_->url();
    const auto transport = std::move(*kube::MakeCurlTransport(config));
    kube::Request forwarded;
    const auto begin = request.find(' ') + 1;
    forwarded.target = request.substr(begin, request.find(' ', begin) - begin);
    return *transport->Send(forwarded);
  }

  static inline RealPrometheus* prometheus_ = nullptr;
  fake::WaitingClock clock_;
};

float Usual(const HistoryPrior& prior, Feature f) {
  EXPECT_TRUE(prior.known.Has(f)) << Info(f).name;
  return Unscale(f, prior.feature[static_cast<std::size_t>(f)].level);
}

TEST_F(HistorianTest, LearnsLevelsAndHoursThroughRestartMigrationAndGap) {
  const auto answer = Fetch("db-1");
  ASSERT_TRUE(answer) << answer.error().message;
  const auto& prior = answer->prior;
  EXPECT_NEAR(Usual(prior, Feature::kCpuUsage), 100, 2);
  EXPECT_NEAR(Usual(prior, Feature::kMemoryResident), 536870912, 1e6);
  EXPECT_NEAR(Usual(prior, Feature::kGuestMemoryUsable), 268435456, 1e6);
  EXPECT_NEAR(Usual(prior, Feature::kNetPackets), 250, 5);
  EXPECT_NEAR(Usual(prior, Feature::kDiskReadBytes), 1e4, 200);
  EXPECT_EQ(prior.known.count(), 5);
  const Time tomorrow = FromUnixMillis(kLast * 1000);
  const auto office = prior.week.Expected(tomorrow + std::chrono::hours(12), Course::kCpu);
  EXPECT_NEAR(office.mean, std::log(910.0 / 110), 0.1);
  EXPECT_GT(office.confidence, 0.5f);
  EXPECT_LT(office.reach, 0.5f) << "neither the restart nor the migration made a spike";
  EXPECT_NEAR(prior.week.Expected(tomorrow + std::chrono::hours(20), Course::kCpu).mean, 0, 0.1);
  EXPECT_GT(prior.week.Expected(tomorrow + std::chrono::minutes(150), Course::kDisk).mean, 4);
  EXPECT_GE(prior.counts.gaps, 1u);
  EXPECT_GE(prior.counts.not_a_number, 8u * 10);  // of the balloon, each night
  EXPECT_EQ(prior.step, Millis{300'000});
  EXPECT_TRUE(answer->warnings.empty());
}

TEST_F(HistorianTest, TakesKubeVirtsSeriesWhereCadvisorHasNone) {
  const auto answer = Fetch("old-1");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_NEAR(Usual(answer->prior, Feature::kCpuUsage), 100, 2);
  EXPECT_EQ(answer->prior.known.count(), 1);
}

TEST_F(HistorianTest, PagesTheRangeWithoutASeam) {
  const auto whole = Fetch("old-1");
  promql::PrometheusOptions options;
  options.max_points = 100;
  const auto paged = Fetch("old-1", options);
  ASSERT_TRUE(whole && paged);
  EXPECT_EQ(paged->prior.counts.used, whole->prior.counts.used);
  EXPECT_EQ(paged->prior.counts.repeated, 0u);
  EXPECT_EQ(paged->prior.week.mean, whole->prior.week.mean);
}

TEST_F(HistorianTest, SaysThatPrometheusKnowsNothingOfTheVm) {
  const auto answer = Fetch("no-such-vm");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kNotFound);
  EXPECT_THAT(answer.error().message, HasSubstr("knows nothing of prod/no-such-vm"));
}

TEST_F(HistorianTest, IsLetInWithTheRightTokenOnly) {
  HostileServer proxy([](Connection& c, const std::string& request) {
    if (request.find("Bearer right-token\r\n") == request.npos) return c.Answer(401, "Unauthorized");
    return c.Answer(200, Straight(request).body);
  });
  fake::TempDir dir;
  promql::PrometheusOptions options;
  options.url = proxy.url();
  options.token_file = dir.path() + "/token";
  std::ofstream(options.token_file) << "wrong-token\n";
  const auto refused = Fetch("old-1", options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnauthorized);
  EXPECT_THAT(refused.error().message, HasSubstr(options.token_file));
  std::ofstream(options.token_file) << "right-token\n";
  const auto answer = Fetch("old-1", options);
  EXPECT_TRUE(answer) << answer.error().message;
}

TEST_F(HistorianTest, AsksAgainWhenTheConnectionBreaksWithinAnAnswer) {
  int asked = 0;
  HostileServer broken([&](Connection& c, const std::string& request) {
    const auto body = Straight(request).body;
    if (asked++ > 0) return c.Answer(200, body);
    c.Write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
            "\r\n\r\n" + body.substr(0, body.size() / 2));
    c.Reset();
    return false;
  });
  promql::PrometheusOptions options;
  options.url = broken.url();
  const auto answer = Fetch("old-1", options);
  EXPECT_TRUE(answer) << answer.error().message;
}

TEST_F(HistorianTest, SaysThatPrometheusCannotBeReached) {
  promql::PrometheusOptions options;
  options.url = "http://127.0.0.1:1";
  const auto answer = Fetch("old-1", options);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  EXPECT_THAT(answer.error().message, HasSubstr("Prometheus http://127.0.0.1:1"));
}

TEST_F(HistorianTest, AnswersInTheBackgroundAndOnce) {
  promql::PrometheusOptions options;
  options.url = prometheus_->url();
  const auto client = std::move(*PrometheusClient::Connect(options, clock_));
  Historian historian(*client, clock_, {});
  const Subject vm{"kubevirt.io/v1", "VirtualMachine", "prod", "old-1", "uid-1"};
  historian.Ask(vm);
  historian.Ask(vm);
  EXPECT_FALSE(historian.Take("uid-1").has_value());
  historian.Start();
  std::optional<Result<HistoryAnswer>> answer;
  for (int i = 0; i < 600 && !answer; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    answer = historian.Take("uid-1");
  }
  ASSERT_TRUE(answer.has_value());
  ASSERT_TRUE(*answer) << answer->error().message;
  EXPECT_FALSE(historian.Take("uid-1").has_value());
  historian.Ask(vm);
  historian.Stop();
}

}  // namespace
}  // namespace whorl::controller
