// What the client makes of answers, good and bad; over a transport in memory.
#include "operator/promql/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <fstream>

#include "tests/fake/fake_api_clock.h"
#include "tests/fake/temp_dir.h"

namespace whorl::promql {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kEmpty = R"({"status":"success","data":{"resultType":"matrix","result":[]}})";

// Answers from a list; the last one goes on for ever.
class Scripted final : public kube::Transport {
 public:
  explicit Scripted(std::deque<Result<kube::Response>> answers) : answers_(std::move(answers)) {}
  Result<kube::Response> Send(const kube::Request& request) override {
    requests.push_back(request);
    auto answer = answers_.front();
    if (answers_.size() > 1) answers_.pop_front();
    return answer;
  }
  Result<kube::Response> Stream(const kube::Request&, const OnLine&) override {
    return Fail(Code::kUnsupported, "not here");
  }
  std::vector<kube::Request> requests;

 private:
  std::deque<Result<kube::Response>> answers_;
};

kube::Response Answer(int status, std::string_view body) {
  kube::Response response;
  response.status = status;
  response.body = std::string(body);
  return response;
}

struct Fixture {
  explicit Fixture(std::deque<Result<kube::Response>> answers, PrometheusOptions options = {}) {
    if (options.url.empty()) options.url = "https://prometheus.test";
    auto owned = std::make_unique<Scripted>(std::move(answers));
    transport = owned.get();
    client = std::make_unique<PrometheusClient>(std::move(owned), options, clock);
  }
  Result<RangeAnswer> Query() {
    return client->QueryRange("up", FromUnixMillis(1'000'000), FromUnixMillis(1'600'000), Seconds{300});
  }
  fake::WaitingClock clock;
  Scripted* transport;
  std::unique_ptr<PrometheusClient> client;
};

TEST(Prometheus, ReadsTheValuesOfOneSeriesAndMasksWhatIsNoNumber) {
  const auto answer = ParseRangeAnswer(
      R"({"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1700000000,"1.5e-05"],)"
      R"([1700000300.25,"2"],[1700000600,"NaN"],[1700000900,"+Inf"],[1700001200,"-Inf"]]}]},)"
      R"("warnings":["w1","w1","w2"]})");
  ASSERT_TRUE(answer) << answer.error().message;
  ASSERT_EQ(answer->samples.size(), 2u);
  EXPECT_EQ(answer->samples[0].value, 1.5e-05);
  EXPECT_EQ(answer->samples[1].at, FromUnixMillis(1'700'000'300'250));
  EXPECT_EQ(answer->masked, 3u);
  EXPECT_THAT(answer->warnings, ElementsAre("w1", "w2"));
  ASSERT_TRUE(ParseRangeAnswer(kEmpty));
  EXPECT_TRUE(ParseRangeAnswer(kEmpty)->samples.empty());
}

TEST(Prometheus, SaysWhatIsWrongWithAnAnswer) {
  const auto message = [](std::string_view body) {
    const auto answer = ParseRangeAnswer(body);
    return answer ? std::string("nothing is wrong") : answer.error().message;
  };
  const auto with = [&](const std::string& result) {
    return message(R"({"status":"success","data":{"resultType":"matrix","result":)" + result + "}}");
  };
  EXPECT_THAT(message("<html>"), HasSubstr("no Prometheus"));
  EXPECT_THAT(message("{}"), HasSubstr("no Prometheus"));
  EXPECT_THAT(message(R"({"status":"success","data":{"resultType":"vector","result":[]}})"), HasSubstr("matrix"));
  EXPECT_THAT(with("3"), HasSubstr("no result"));
  EXPECT_THAT(with(R"([{"values":[]},{"values":[]}])"), HasSubstr("more than one series"));
  EXPECT_THAT(with(R"([{"metric":{}}])"), HasSubstr("without values"));
  for (const std::string bad : {R"([1])", R"([1,2])", R"(["1","2"])", R"([1,"2",3])", R"([-1,"2"])", R"([1e300,"2"])",
                                R"([1,"two"])", R"([1,"2 "])", R"([1,""])", "7"}) {
    EXPECT_THAT(with(R"([{"values":[)" + bad + "]}]"), HasSubstr("value")) << bad;
  }
  const auto declined = ParseRangeAnswer(R"({"status":"error","errorType":"bad_data","error":"parse error"})");
  EXPECT_EQ(declined.error().code, Code::kRefused);
  EXPECT_THAT(declined.error().message, HasSubstr("bad_data: parse error"));
}

TEST(Prometheus, AsksForALongRangeInPages) {
  PrometheusOptions options;
  options.max_points = 4;
  Fixture f({Answer(200, kEmpty)}, options);
  ASSERT_TRUE(f.client->QueryRange("sum(a{b=\"c\"})", FromUnixMillis(0), FromUnixMillis(9 * 300'000), Seconds{300}));
  ASSERT_EQ(f.transport->requests.size(), 3u);
  EXPECT_EQ(f.transport->requests[0].target,
            "/api/v1/query_range?query=sum%28a%7Bb%3D%22c%22%7D%29&start=0&end=900&step=300");
  EXPECT_THAT(f.transport->requests[1].target, HasSubstr("start=1200&end=2100"));
  EXPECT_THAT(f.transport->requests[2].target, HasSubstr("start=2400&end=2700"));
}

TEST(Prometheus, KeepsADistanceBetweenRequests) {
  Fixture f({Answer(200, kEmpty)});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(f.Query());
  EXPECT_THAT(f.clock.waits(), ElementsAre(Millis{100}, Millis{100}));
}

TEST(Prometheus, TriesAgainWithGrowingPausesAndThenGivesUp) {
  Fixture f({Fail(Code::kUnavailable, "Prometheus x: cannot connect")});
  const auto answer = f.Query();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  EXPECT_THAT(answer.error().message, HasSubstr("cannot connect"));
  EXPECT_EQ(f.transport->requests.size(), 5u);
  Millis longest{0};
  for (const auto wait : f.clock.waits()) longest = std::max(longest, wait);
  EXPECT_EQ(longest, Millis{4000});
}

TEST(Prometheus, WaitsAsLongAsItIsToldTo) {
  auto busy = Answer(429, "");
  busy.retry_after = Seconds{7};
  Fixture f({busy, Answer(200, kEmpty)});
  ASSERT_TRUE(f.Query());
  EXPECT_THAT(f.clock.waits(), ElementsAre(Millis{7000}));
  busy.retry_after = Seconds{3600};
  Fixture never({busy});
  EXPECT_EQ(never.Query().error().code, Code::kUnavailable);
  EXPECT_EQ(never.transport->requests.size(), 1u);
}

TEST(Prometheus, DoesNotRepeatWhatWasDeclined) {
  Fixture f({Answer(422, R"({"status":"error","errorType":"execution","error":"would load too many samples"})")});
  const auto answer = f.Query();
  EXPECT_EQ(answer.error().code, Code::kRefused);
  EXPECT_THAT(answer.error().message, HasSubstr("too many samples"));
  EXPECT_EQ(f.transport->requests.size(), 1u);
}

TEST(Prometheus, SaysWhatToLookAtWhenItIsNotLetIn) {
  Fixture open({Answer(401, "Unauthorized")});
  EXPECT_EQ(open.Query().error().code, Code::kUnauthorized);
  EXPECT_THAT(open.Query().error().message, HasSubstr("--prometheus-token-file"));

  fake::TempDir dir;
  PrometheusOptions options;
  options.token_file = dir.path() + "/token";
  std::ofstream(options.token_file) << "secret\n";
  Fixture f({Answer(401, ""), Answer(200, kEmpty)}, options);
  ASSERT_TRUE(f.Query()) << "a rotated token is read again";
  EXPECT_EQ(f.transport->requests[1].headers.back().second, "Bearer secret");
  Fixture refused({Answer(403, "")}, options);
  EXPECT_THAT(refused.Query().error().message, HasSubstr(options.token_file));
  EXPECT_THAT(refused.Query().error().message, Not(HasSubstr("secret")));
}

TEST(Prometheus, KnowsWhatIsNoPrometheus) {
  Fixture other({Answer(404, "page not found")});
  EXPECT_EQ(other.Query().error().code, Code::kInvalid);
  EXPECT_THAT(other.Query().error().message, HasSubstr("path prefix"));
  Fixture moved({Answer(302, "")});
  EXPECT_THAT(moved.Query().error().message, HasSubstr("redirects"));
  Fixture page({Answer(200, "<html>login</html>")});
  EXPECT_THAT(page.Query().error().message, HasSubstr("no Prometheus"));
  Fixture broken({Answer(503, "<html>upstream</html>")});
  EXPECT_EQ(broken.Query().error().code, Code::kUnavailable);
}

TEST(Prometheus, RefusesUrlsThatWouldNotWorkOrWouldGiveTheTokenAway) {
  fake::WaitingClock clock;
  const auto refusal = [&](const std::string& url, const std::string& token = "", const std::string& ca = "") {
    PrometheusOptions options;
    options.url = url;
    options.token_file = token;
    options.ca_file = ca;
    const auto client = PrometheusClient::Connect(options, clock);
    return client ? std::string("none") : client.error().message;
  };
  EXPECT_THAT(refusal("prometheus:9090"), HasSubstr("http://"));
  EXPECT_THAT(refusal("http://"), HasSubstr("host"));
  EXPECT_THAT(refusal("http://user:pass@p:9090"), HasSubstr("credentials"));
  EXPECT_THAT(refusal("http://p:9090", "/t"), HasSubstr("plain http"));
  EXPECT_THAT(refusal("http://127.0.0.1.evil.test:9090", "/t"), HasSubstr("plain http"));
  EXPECT_THAT(refusal("http://p:9090", "", "/ca"), HasSubstr("https"));
  EXPECT_THAT(refusal("https://p:9090", "", "/nowhere/ca.crt"), HasSubstr("/nowhere/ca.crt"));
  EXPECT_EQ(refusal("http://127.0.0.1:9090/prometheus/", "/t"), "none");
}

TEST(Prometheus, StopsWaitingWhenToldTo) {
  Fixture f({Answer(503, "")});
  std::stop_source stop;
  stop.request_stop();
  const auto answer = f.client->QueryRange("up", FromUnixMillis(0), FromUnixMillis(1000), Seconds{1}, stop.get_token());
  EXPECT_EQ(answer.error().code, Code::kRefused);
  EXPECT_TRUE(f.transport->requests.empty());
}

TEST(PrometheusClient, PutsTheSeriesOfSeveralPagesTogetherByTheirLabels) {
  const auto page = [](const std::string& a, const std::string& b) {
    return Answer(
        200, R"({"status":"success","data":{"resultType":"matrix","result":[{"metric":{"name":"a"},"values":[)" + a +
                 R"(]},{"metric":{"name":"b","node":"n"},"values":[)" + b + "]}]}}");
  };
  Fixture fixture({page(R"([1000,"1"],[1300,"2"])", R"([1000,"NaN"])"), page(R"([1600,"3"])", R"([1600,"4"])")});
  const auto answer =
      fixture.client->QuerySeries("x", FromUnixMillis(1'000'000), FromUnixMillis(1'600'000), Seconds{300}, 2);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(fixture.transport->requests.size(), 2u);
  ASSERT_EQ(answer->series.size(), 2u);
  EXPECT_EQ(answer->series[0].samples.size(), 3u);
  EXPECT_EQ(answer->series[1].Label("node"), "n");
  EXPECT_EQ(answer->series[1].Label("namespace"), "");
  EXPECT_EQ(answer->masked, 1u);
}

}  // namespace
}  // namespace whorl::promql
