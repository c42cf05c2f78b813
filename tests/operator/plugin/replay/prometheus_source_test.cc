#include "operator/plugin/replay/prometheus_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "tests/fake/fake_api_clock.h"

namespace whorl::plugin {
namespace {

using ::testing::HasSubstr;

const Time kNow = FromUnixMillis(1'767'225'600'000);  // 2026-01-01T00:00:00Z

// Answers each question by a word of its PromQL; what nobody knows has no series.
class Answering final : public kube::Transport {
 public:
  explicit Answering(std::vector<std::pair<std::string, std::string>> series) : series_(std::move(series)) {}
  Result<kube::Response> Send(const kube::Request& request) override {
    targets.push_back(request.target);
    kube::Response response;
    response.status = 200;
    std::string body;
    for (const auto& [word, series] : series_) {
      if (request.target.find(word) != std::string::npos && body.empty()) body = series;
    }
    response.body = R"({"status":"success","data":{"resultType":"matrix","result":[)" + body + "]}}";
    return response;
  }
  Result<kube::Response> Stream(const kube::Request&, const OnLine&) override {
    return Fail(Code::kUnsupported, "not here");
  }
  std::vector<std::string> targets;

 private:
  const std::vector<std::pair<std::string, std::string>> series_;
};

struct Fixture {
  explicit Fixture(std::vector<std::pair<std::string, std::string>> series) {
    auto owned = std::make_unique<Answering>(std::move(series));
    transport = owned.get();
    promql::PrometheusOptions options;
    options.url = "https://prometheus.test";
    client = std::make_unique<promql::PrometheusClient>(std::move(owned), options, clock);
  }
  Result<History> Read() {
    const Span span{kNow - std::chrono::minutes{10}, kNow, Seconds{300}};
    return ReadPrometheus(*client, span, [](const std::string&) {});
  }
  fake::WaitingClock clock;
  Answering* transport;
  std::unique_ptr<promql::PrometheusClient> client;
};

const std::string kVm = R"("namespace":"shop","name":"db-1")";
const std::string kUse = R"({"metric":{"node":"n1",)" + kVm + R"(},"values":[[1767225300,"0.5"],[1767225600,"1.5"]]})";

TEST(PrometheusSource, ReadsUseCoresRequestsAndWhatIsLeftOfANode) {
  Fixture fixture({{"kubevirt_vmi_cpu_usage", kUse},
                   {"kubevirt_vmi_vcpu", R"({"metric":{)" + kVm + R"(},"values":[[1767225600,"4"]]})"},
                   {"label_replace%28kube_pod_container_resource_requests",
                    R"({"metric":{)" + kVm + R"(},"values":[[1767225300,"1"],[1767225600,"2"]]})"},
                   {"allocatable", R"({"metric":{"node":"n1"},"values":[[1767225600,"16"]]})"},
                   {"sum%20by%20%28node%29", R"({"metric":{"node":"n1"},"values":[[1767225600,"3"]]})"}});
  const auto history = fixture.Read();
  ASSERT_TRUE(history) << history.error().message;
  ASSERT_EQ(history->tracks.size(), 1u);
  const whatif::Track& track = history->tracks.front();
  EXPECT_EQ(track.vm, "shop/db-1");
  EXPECT_EQ(track.node, "n1");
  EXPECT_EQ(track.size, 4);
  EXPECT_EQ(track.request, 2);
  EXPECT_FALSE(track.limit);
  EXPECT_EQ(track.node_capacity, 13);
  ASSERT_EQ(track.samples.size(), 2u);
  EXPECT_FLOAT_EQ(track.samples[1].used, 1.5f);
  // A rate at a moment is the mean of the step that ended there.
  EXPECT_EQ(track.samples[1].at, kNow - Seconds{300});
}

TEST(PrometheusSource, AsksForOneRateOverOneStep) {
  Fixture fixture({{"kubevirt_vmi_cpu_usage", kUse}});
  ASSERT_TRUE(fixture.Read());
  EXPECT_THAT(fixture.transport->targets.front(), HasSubstr("%5B300s%5D"));
  EXPECT_THAT(fixture.transport->targets.front(), HasSubstr("&step=300"));
}

TEST(PrometheusSource, AssumesCoresThatNoSeriesTells) {
  Fixture fixture({{"kubevirt_vmi_cpu_usage", kUse}});
  const auto history = fixture.Read();
  ASSERT_TRUE(history);
  EXPECT_EQ(history->tracks.front().size, 2);
  EXPECT_FALSE(history->tracks.front().node_capacity);
  EXPECT_THAT(history->assumed.front(), HasSubstr("as many as their highest use fills"));
}

TEST(PrometheusSource, SaysWhatToLookAtWhenThereAreNoVms) {
  Fixture fixture({});
  const auto history = fixture.Read();
  ASSERT_FALSE(history);
  EXPECT_EQ(history.error().code, Code::kNotFound);
  EXPECT_THAT(history.error().message, HasSubstr("does it scrape KubeVirt's virt-handler"));
  EXPECT_EQ(fixture.transport->targets.size(), 1u);
}

TEST(ParseWhen, TakesHowLongAgoOrATime) {
  EXPECT_EQ(*ParseWhen("7d", kNow), kNow - std::chrono::hours{168});
  EXPECT_EQ(*ParseWhen("36h", kNow), kNow - std::chrono::hours{36});
  EXPECT_EQ(*ParseWhen("90m", kNow), kNow - std::chrono::minutes{90});
  EXPECT_EQ(*ParseWhen("now", kNow), kNow);
  EXPECT_EQ(*ParseWhen("2025-12-31", kNow), kNow - std::chrono::hours{24});
  EXPECT_EQ(*ParseWhen("2025-12-31T12:00:00Z", kNow), kNow - std::chrono::hours{12});
  for (const char* wrong : {"", "7", "d", "-7d", "7w", "yesterday", "2025-13-01", "9999999999d"}) {
    const auto when = ParseWhen(wrong, kNow);
    ASSERT_FALSE(when) << wrong;
    EXPECT_THAT(when.error().message, HasSubstr("7d, 36h, 90m"));
  }
}

}  // namespace
}  // namespace whorl::plugin
