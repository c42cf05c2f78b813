// Both transports against a server on loopback that misbehaves on the wire.
// Each trap of cpprestsdk that was measured has a test here, and libcurl must
// answer alike.
#include "operator/kube/transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "tests/fake/fake_api_server.h"
#include "tests/fake/temp_dir.h"

namespace whorl::kube {
namespace {

using fake::Authority;
using fake::HostileServer;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Connection = HostileServer::Connection;
using std::chrono::steady_clock;

using Factory = Result<std::unique_ptr<Transport>> (*)(const ClusterConfig&);

struct Kind {
  const char* name;
  Factory make;
};

class TransportTest : public ::testing::TestWithParam<Kind> {
 protected:
  std::unique_ptr<Transport> Make(ClusterConfig config) {
    config.origin = "kubeconfig test";
    auto transport = GetParam().make(config);
    EXPECT_TRUE(transport) << transport.error().message;
    return std::move(*transport);
  }
  std::unique_ptr<Transport> To(const HostileServer& server) {
    ClusterConfig config;
    config.server = server.url();
    return Make(config);
  }
  static Request Get(const std::string& target = "/x", Millis timeout = Millis(10'000)) {
    Request request;
    request.target = target;
    request.timeout = timeout;
    return request;
  }
  static Millis Since(steady_clock::time_point start) {
    return std::chrono::duration_cast<Millis>(steady_clock::now() - start);
  }
};

INSTANTIATE_TEST_SUITE_P(Both, TransportTest,
                         ::testing::Values(Kind{"Cpprest", MakeCpprestTransport}, Kind{"Curl", MakeCurlTransport}),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST_P(TransportTest, GivesStatusBodyRetryAfterAndWarnings) {
  HostileServer server([](Connection& c, const std::string&) {
    return c.Answer(429, "{\"a\":1}", "Retry-After: 7\r\nWarning: 299 - \"v1 is old\"\r\n");
  });
  const auto answer = To(server)->Send(Get());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 429);
  EXPECT_EQ(answer->body, "{\"a\":1}");
  EXPECT_EQ(answer->retry_after, Seconds(7));
  EXPECT_THAT(answer->warnings, ElementsAre("v1 is old"));
}

TEST_P(TransportTest, TakesOnlyANumberOfSecondsForRetryAfter) {
  HostileServer server([](Connection& c, const std::string&) { return c.Answer(503, "", "Retry-After: soon\r\n"); });
  EXPECT_EQ(To(server)->Send(Get())->retry_after, std::nullopt);
}

TEST_P(TransportTest, SendsMethodTargetTypeHeadersAndBodyUnchanged) {
  HostileServer server([](Connection& c, const std::string&) { return c.Answer(200, "{}"); });
  auto request =
      Get("/apis/whorl.dev/v1alpha1/x/a%2Fb/status?fieldManager=whorl-status&force=true&labelSelector=a%3Db%2Cc");
  request.method = Method::kPatch;
  request.content_type = "application/apply-patch+yaml";
  request.body = "{\"text\":\"\xc3\xa4\"}";
  request.headers = {{"Authorization", "Bearer t"}, {"User-Agent", "whorl-controller/0.1"}};
  ASSERT_TRUE(To(server)->Send(request));
  const auto seen = server.requests().at(0);
  EXPECT_THAT(
      seen, ::testing::StartsWith("PATCH /apis/whorl.dev/v1alpha1/x/a%2Fb/status?fieldManager=whorl-status&force=true&"
                                  "labelSelector=a%3Db%2Cc HTTP/1.1\r\n"));
  EXPECT_THAT(seen, AllOf(ContainsRegex("Content-Type: ?application/apply-patch\\+yaml\r\n"),
                          ContainsRegex("Authorization: ?Bearer t\r\n"),
                          ContainsRegex("User-Agent: ?whorl-controller/0.1\r\n")));
  EXPECT_TRUE(seen.ends_with("\r\n\r\n{\"text\":\"\xc3\xa4\"}"));
}

TEST_P(TransportTest, DeletesWithABody) {
  HostileServer server([](Connection& c, const std::string&) { return c.Answer(200, "{}"); });
  auto request = Get();
  request.method = Method::kDelete;
  request.content_type = "application/json";
  request.body = "{\"preconditions\":{}}";
  ASSERT_TRUE(To(server)->Send(request));
  EXPECT_TRUE(server.requests().at(0).ends_with("{\"preconditions\":{}}"));
}

TEST_P(TransportTest, KeepsThePrefixOfTheServer) {
  HostileServer server([](Connection& c, const std::string&) { return c.Answer(200, "{}"); });
  ClusterConfig config;
  config.server = server.url() + "/k8s/clusters/c-1";
  ASSERT_TRUE(Make(config)->Send(Get("/api/v1/nodes?limit=1")));
  EXPECT_THAT(server.requests().at(0),
              ::testing::StartsWith("GET /k8s/clusters/c-1/api/v1/nodes?limit=1 HTTP/1.1\r\n"));
}

TEST_P(TransportTest, UsesAConnectionAgainAlsoAfterA500) {
  int count = 0;
  HostileServer server([&](Connection& c, const std::string&) { return c.Answer(++count % 2 == 0 ? 500 : 200, "{}"); });
  const auto transport = To(server);
  for (int i = 1; i <= 6; ++i) EXPECT_EQ(transport->Send(Get())->status, i % 2 == 0 ? 500 : 200);
  // cpprest puts a connection back a moment after its answer is read, so a
  // quick next request may open a second one; six would be no reuse at all.
  EXPECT_LE(server.connections(), 3);
}

TEST_P(TransportTest, TriesAnewWhenTheServerClosedTheIdleConnection) {
  HostileServer server([](Connection& c, const std::string&) {
    c.Answer(200, "{}");
    return false;  // closes although keep-alive was promised
  });
  const auto transport = To(server);
  for (int i = 0; i < 5; ++i) {
    const auto answer = transport->Send(Get());
    EXPECT_TRUE(answer) << i << ": " << answer.error().message;
  }
}

TEST_P(TransportTest, HoldsALargeBody) {
  const std::string body(5u << 20, 'x');
  HostileServer server([&](Connection& c, const std::string&) { return c.Answer(200, body); });
  const auto answer = To(server)->Send(Get());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->body.size(), body.size());
}

TEST_P(TransportTest, SaysThatNobodyListens) {
  int port = 0;
  {
    port = HostileServer([](Connection&, const std::string&) { return false; }).port();
  }
  ClusterConfig config;
  config.server = "http://127.0.0.1:" + std::to_string(port);
  const auto answer = Make(config)->Send(Get());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  EXPECT_THAT(answer.error().message, AllOf(HasSubstr("API server " + config.server + ": cannot connect"),
                                            HasSubstr("check that it runs"), HasSubstr("kubeconfig test")));
}

TEST_P(TransportTest, SaysThatTheNameCannotBeResolved) {
  ClusterConfig config;
  config.server = "https://no-such-host.invalid:6443";
  const auto answer = Make(config)->Send(Get());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  EXPECT_THAT(answer.error().message, HasSubstr("its host name cannot be resolved"));
}

// --- deadlines -----------------------------------------------------------

TEST_P(TransportTest, RefusesAZeroTimeoutInsteadOfCancelling) {
  HostileServer server([](Connection& c, const std::string&) { return c.Answer(200, "{}"); });
  const auto transport = To(server);
  for (const auto timeout : {Millis(0), Millis(-1)}) {
    EXPECT_EQ(transport->Send(Get("/x", timeout)).error().code, Code::kInvalid);
    EXPECT_EQ(transport->Stream(Get("/x", timeout), [](std::string_view) { return true; }).error().code,
              Code::kInvalid);
  }
  EXPECT_EQ(server.connections(), 0);
}

TEST_P(TransportTest, GivesUpOnAServerThatSaysNothing) {
  HostileServer server([](Connection& c, const std::string&) {
    c.AwaitClose();
    return false;
  });
  const auto start = steady_clock::now();
  const auto answer = To(server)->Send(Get("/x", Millis(300)));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kTimeout);
  EXPECT_THAT(answer.error().message, HasSubstr("gave no whole answer in time"));
  EXPECT_LT(Since(start), Millis(2'000));
  EXPECT_TRUE(server.SawClose()) << "the connection is not left behind";
}

TEST_P(TransportTest, GivesUpOnAServerThatDripsItsAnswer) {
  HostileServer server([](Connection& c, const std::string&) {
    if (!c.Write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")) return false;
    while (c.Write("x") && c.Pause(20)) {
    }
    return false;
  });
  const auto start = steady_clock::now();
  const auto answer = To(server)->Send(Get("/x", Millis(400)));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kTimeout);
  EXPECT_LT(Since(start), Millis(2'500)) << "every byte resets an idle timer, but not ours";
}

TEST_P(TransportTest, GivesUpOnAServerThatDripsItsHead) {
  HostileServer server([](Connection& c, const std::string&) {
    if (!c.Write("HTTP/1.1 200 OK\r\nX-Long: ")) return false;
    while (c.Write("x") && c.Pause(20)) {
    }
    return false;
  });
  const auto answer = To(server)->Send(Get("/x", Millis(400)));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kTimeout);
}

TEST_P(TransportTest, AStreamLivesOnEventsThatComeInTime) {
  HostileServer server([](Connection& c, const std::string&) {
    c.BeginChunked();
    for (int i = 0; i < 8; ++i) {
      if (!c.Pause(100)) return false;
      c.Chunk("{\"n\":" + std::to_string(i) + "}\n");
    }
    c.EndChunked();
    return true;
  });
  int lines = 0;
  const auto ended = To(server)->Stream(Get("/watch", Millis(500)), [&](std::string_view) { return ++lines > 0; });
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(lines, 8) << "800 ms in all, never 500 ms without a line";
}

TEST_P(TransportTest, AStreamThatStallsTimesOut) {
  HostileServer server([](Connection& c, const std::string&) {
    c.BeginChunked();
    c.Chunk("{\"n\":1}\n");
    c.AwaitClose();
    return false;
  });
  int lines = 0;
  const auto start = steady_clock::now();
  const auto ended = To(server)->Stream(Get("/watch", Millis(300)), [&](std::string_view) { return ++lines > 0; });
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, Code::kTimeout);
  EXPECT_EQ(lines, 1);
  EXPECT_LT(Since(start), Millis(2'500));
  EXPECT_TRUE(server.SawClose());
}

TEST_P(TransportTest, AStreamThatDripsALineWithoutEndTimesOut) {
  HostileServer server([](Connection& c, const std::string&) {
    c.BeginChunked();
    while (c.Chunk("x") && c.Pause(20)) {
    }
    return false;
  });
  const auto ended = To(server)->Stream(Get("/watch", Millis(400)), [](std::string_view) { return true; });
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, Code::kTimeout);
}

TEST_P(TransportTest, StopsPromptlyAndTheServerSeesIt) {
  HostileServer server([](Connection& c, const std::string& request) {
    if (request.starts_with("GET /watch")) {
      c.BeginChunked();
      c.Chunk("{\"n\":1}\n");
    }
    c.AwaitClose();
    return false;
  });
  const auto transport = To(server);
  for (const bool stream : {true, false}) {
    std::stop_source stop;
    auto request = Get(stream ? "/watch" : "/x", Millis(60'000));
    request.stop = stop.get_token();
    std::promise<void> sent;
    auto running = std::async(std::launch::async, [&] {
      return stream ? transport->Stream(request, [&](std::string_view) { return sent.set_value(), true; })
                    : transport->Send(request);
    });
    if (stream) {
      sent.get_future().wait();
    } else {
      while (server.requests().size() < 2) std::this_thread::yield();
    }
    const auto start = steady_clock::now();
    stop.request_stop();
    const auto ended = running.get();
    EXPECT_LT(Since(start), Millis(1'000));
    ASSERT_FALSE(ended);
    EXPECT_EQ(ended.error().code, Code::kRefused);
    EXPECT_TRUE(server.SawClose());
  }
}

// --- bodies that break -----------------------------------------------------

TEST_P(TransportTest, NeverTakesAShortBodyForAWholeOne) {
  for (const auto* what : {"length", "chunk", "between chunks", "reset"}) {
    HostileServer server([&](Connection& c, const std::string&) {
      const std::string_view kind = what;
      if (kind == "length") {
        c.Write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"items\":[");
      } else if (kind == "chunk") {
        c.Write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n{\"items\":[");
      } else if (kind == "between chunks") {
        c.BeginChunked();
        c.Chunk("{\"items\":[]}");
      } else {
        c.Write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"items\":[");
        c.Reset();
      }
      return false;
    });
    const auto answer = To(server)->Send(Get());
    ASSERT_FALSE(answer) << what << ": " << answer->body;
    EXPECT_EQ(answer.error().code, Code::kUnavailable) << what << ": " << answer.error().message;
    EXPECT_THAT(answer.error().message, HasSubstr("API server " + server.url())) << what;
  }
}

TEST_P(TransportTest, FeedsWholeLinesWhereverTheChunksBreak) {
  HostileServer server([](Connection& c, const std::string&) {
    c.BeginChunked();
    for (const char x : std::string("{\"n\":1}\n{\"n\":2}\n")) c.Chunk(std::string(1, x));
    c.Chunk("{\"n\":3}\n{\"n\":4}\n{\"n\"");
    c.Chunk(":5}\n");
    c.EndChunked();
    return true;
  });
  std::vector<std::string> lines;
  const auto ended = To(server)->Stream(Get("/watch"), [&](std::string_view line) {
    lines.emplace_back(line);
    return true;
  });
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->status, 200);
  EXPECT_THAT(lines, ElementsAre("{\"n\":1}", "{\"n\":2}", "{\"n\":3}", "{\"n\":4}", "{\"n\":5}"));
}

TEST_P(TransportTest, FeedsAVeryLongLine) {
  const std::string line(3u << 20, 'y');
  HostileServer server([&](Connection& c, const std::string&) {
    c.BeginChunked();
    c.Chunk(line + "\n");
    return c.EndChunked();
  });
  std::size_t size = 0;
  ASSERT_TRUE(To(server)->Stream(Get("/watch"), [&](std::string_view l) { return size = l.size(), true; }));
  EXPECT_EQ(size, line.size());
}

TEST_P(TransportTest, NeverFeedsALineThatWasCutOff) {
  for (const bool orderly : {true, false}) {
    HostileServer server([&](Connection& c, const std::string&) {
      c.BeginChunked();
      c.Chunk("{\"n\":1}\n{\"n\":");
      if (orderly) c.EndChunked();
      return false;
    });
    std::vector<std::string> lines;
    const auto ended = To(server)->Stream(Get("/watch"), [&](std::string_view line) {
      lines.emplace_back(line);
      return true;
    });
    EXPECT_THAT(lines, ElementsAre("{\"n\":1}"));
    ASSERT_FALSE(ended);
    EXPECT_EQ(ended.error().code, Code::kUnavailable) << ended.error().message;
  }
}

TEST_P(TransportTest, TellsABrokenStreamFromOneThatEnded) {
  HostileServer server([](Connection& c, const std::string&) {
    c.BeginChunked();
    c.Chunk("{\"n\":1}\n");
    return false;  // without the last chunk
  });
  const auto ended = To(server)->Stream(Get("/watch"), [](std::string_view) { return true; });
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, Code::kUnavailable);
}

TEST_P(TransportTest, GivesTheErrorBodyOfAStreamThatWasRefused) {
  HostileServer server([](Connection& c, const std::string&) { return c.Answer(410, "{\"reason\":\"Expired\"}"); });
  int lines = 0;
  const auto ended = To(server)->Stream(Get("/watch"), [&](std::string_view) { return ++lines > 0; });
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->status, 410);
  EXPECT_EQ(ended->body, "{\"reason\":\"Expired\"}");
  EXPECT_EQ(lines, 0);
}

TEST_P(TransportTest, ClosesAStreamWhenTheReaderHasEnough) {
  HostileServer server([](Connection& c, const std::string&) {
    c.BeginChunked();
    c.Chunk("{\"n\":1}\n{\"n\":2}\n");
    c.AwaitClose();
    return false;
  });
  int lines = 0;
  const auto ended = To(server)->Stream(Get("/watch"), [&](std::string_view) { return ++lines < 1; });
  EXPECT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(lines, 1);
  EXPECT_TRUE(server.SawClose());
}

TEST_P(TransportTest, SurvivesRubbish) {
  for (const std::string& rubbish :
       {std::string("SSH-2.0-OpenSSH_9.2\r\n"), std::string("\0\0\0\0", 4), std::string("HTTP/1.1 banana\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n"), std::string()}) {
    HostileServer server([&](Connection& c, const std::string&) {
      c.Write(rubbish);
      return false;
    });
    const auto transport = To(server);
    EXPECT_FALSE(transport->Send(Get("/x", Millis(2'000)))) << rubbish;
    EXPECT_FALSE(transport->Stream(Get("/x", Millis(2'000)), [](std::string_view) { return true; })) << rubbish;
  }
}

TEST_P(TransportTest, ServesManyThreadsWhileConnectionsBreak) {
  std::atomic<int> count{0};
  HostileServer server([&](Connection& c, const std::string&) {
    const int n = ++count;
    if (n % 7 == 0) return false;                                 // closes without a word
    return c.Answer(n % 5 == 0 ? 500 : 200, "{}") && n % 3 != 0;  // or after a word
  });
  const auto transport = To(server);
  std::atomic<int> whole{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 25; ++i) whole += transport->Send(Get("/x", Millis(5'000))).has_value() ? 1 : 0;
      });
    }
  }
  EXPECT_GT(whole.load(), 150);
}

// --- TLS -------------------------------------------------------------------

const std::vector<std::string> kLoopback{"IP:127.0.0.1", "DNS:localhost"};

class TlsTransportTest : public TransportTest {
 protected:
  ClusterConfig Trusting(const HostileServer& server, const Authority& authority) {
    ClusterConfig config;
    config.server = server.url();
    config.ca.text = authority.certificate();
    return config;
  }
  static bool Ok(Connection& c, const std::string&) { return c.Answer(200, "{}"); }
};

INSTANTIATE_TEST_SUITE_P(Both, TlsTransportTest,
                         ::testing::Values(Kind{"Cpprest", MakeCpprestTransport}, Kind{"Curl", MakeCurlTransport}),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST_P(TlsTransportTest, AcceptsTheCertificateOfItsAuthority) {
  const Authority authority("ca");
  HostileServer server(Ok, HostileServer::Tls{authority.Issue("api", "", kLoopback)});
  const auto answer = Make(Trusting(server, authority))->Send(Get());
  EXPECT_TRUE(answer) << answer.error().message;
}

TEST_P(TlsTransportTest, RefusesAnotherAuthoritysCertificateAndSaysWhy) {
  const Authority authority("ca"), other("other");
  HostileServer server(Ok, HostileServer::Tls{other.Issue("api", "", kLoopback)});
  const auto answer = Make(Trusting(server, authority))->Send(Get());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnauthorized);
  EXPECT_THAT(answer.error().message,
              AllOf(HasSubstr("API server " + server.url() + ": its certificate is not accepted"),
                    HasSubstr("unable to get local issuer certificate"),
                    HasSubstr("check certificate-authority in kubeconfig test")));
  EXPECT_TRUE(server.requests().empty()) << "and no token was shown to it";
}

TEST_P(TlsTransportTest, RefusesACertificateOfAnotherName) {
  const Authority authority("ca");
  HostileServer server(Ok, HostileServer::Tls{authority.Issue("api", "", {"DNS:elsewhere", "IP:10.0.0.1"})});
  const auto answer = Make(Trusting(server, authority))->Send(Get());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnauthorized) << answer.error().message;
  EXPECT_THAT(answer.error().message, HasSubstr("its certificate is not accepted"));
}

TEST_P(TlsTransportTest, RefusesAnExpiredCertificate) {
  const Authority authority("ca");
  HostileServer server(Ok, HostileServer::Tls{authority.Issue("api", "", kLoopback, -60)});
  const auto answer = Make(Trusting(server, authority))->Send(Get());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnauthorized);
  EXPECT_THAT(answer.error().message, HasSubstr("certificate has expired"));
}

TEST_P(TlsTransportTest, ChecksTheServerNameItWasTold) {
  const Authority authority("ca");
  HostileServer server(Ok, HostileServer::Tls{authority.Issue("api", "", {"DNS:kubernetes.default"})});
  auto config = Trusting(server, authority);
  config.tls_server_name = "kubernetes.default";
  const auto answer = Make(config)->Send(Get());
  EXPECT_TRUE(answer) << answer.error().message;
  config.tls_server_name = "another";
  EXPECT_EQ(Make(config)->Send(Get()).error().code, Code::kUnauthorized);
}

TEST_P(TlsTransportTest, ShowsItsCertificateAndPicksUpARotatedOne) {
  const Authority authority("ca");
  const fake::TempDir dir;
  const auto write = [&](const fake::Issued& issued) {
    std::ofstream(dir.path() + "/tls.crt") << issued.certificate;
    std::ofstream(dir.path() + "/tls.key") << issued.key;
  };
  std::vector<std::string> peers;
  HostileServer server(
      [&](Connection& c, const std::string&) {
        peers.push_back(c.peer_name());
        c.Answer(200, "{}", "Connection: close\r\n");
        return false;
      },
      HostileServer::Tls{authority.Issue("api", "", kLoopback), authority.certificate()});
  write(authority.Issue("first", "whorl", {}));
  auto config = Trusting(server, authority);
  config.client_certificate.file = dir.path() + "/tls.crt";
  config.client_key.file = dir.path() + "/tls.key";
  const auto transport = Make(config);
  auto answer = transport->Send(Get());
  ASSERT_TRUE(answer) << answer.error().message;
  write(authority.Issue("second", "whorl", {}));
  answer = transport->Send(Get());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_THAT(peers, ElementsAre("first", "second"));
}

TEST_P(TlsTransportTest, SaysThatAClientCertificateMayBeMissing) {
  const Authority authority("ca");
  HostileServer server(Ok, HostileServer::Tls{authority.Issue("api", "", kLoopback), authority.certificate()});
  const auto answer = Make(Trusting(server, authority))->Send(Get());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  EXPECT_THAT(answer.error().message, HasSubstr("client certificate"));
}

TEST_P(TlsTransportTest, SaysThatTheServerDoesNotSpeakTls) {
  HostileServer plain([](Connection& c, const std::string&) { return c.Answer(200, "{}"); });
  ClusterConfig config;
  config.server = "https://127.0.0.1:" + std::to_string(plain.port());
  // Our greeting is no HTTP request, so the plain server waits for more: an
  // answer comes only when it hangs up or we do.
  const auto answer = Make(config)->Send(Get("/x", Millis(300)));
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("API server https://127.0.0.1"));
}

TEST_P(TlsTransportTest, RefusesMaterialThatCannotBeReadAtOnce) {
  ClusterConfig config;
  config.server = "https://127.0.0.1:1";
  config.origin = "kubeconfig test";
  config.ca.file = "/nowhere/ca.crt";
  const auto transport = GetParam().make(config);
  ASSERT_FALSE(transport);
  EXPECT_THAT(transport.error().message,
              AllOf(HasSubstr("kubeconfig test: certificate-authority /nowhere/ca.crt"), HasSubstr("No such file")));
}

TEST_P(TlsTransportTest, SaysThatTheAuthorityHoldsNothing) {
  const Authority authority("ca");
  HostileServer server(Ok, HostileServer::Tls{authority.Issue("api", "", kLoopback)});
  auto config = Trusting(server, authority);
  config.ca.text = "-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n";
  const auto answer = Make(config)->Send(Get());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnauthorized) << answer.error().message;
}

// --- the process -------------------------------------------------------------

int Threads() {
  int count = 0;
  for ([[maybe_unused]] const auto& task : std::filesystem::directory_iterator("/proc/self/task")) ++count;
  return count;
}

TEST(CpprestTransport, KeepsItsThreadPoolSmall) {
  HostileServer server([](Connection& c, const std::string&) { return c.Answer(200, "{}"); });
  ClusterConfig config;
  config.server = server.url();
  const auto transport = MakeCpprestTransport(config);
  ASSERT_TRUE(transport);
  Request request;
  request.target = "/";
  ASSERT_TRUE((*transport)->Send(request));
  EXPECT_LE(Threads(), 12) << "cpprest's default pool alone has 40";
}

TEST(CpprestTransport, LeavesNothingBehindThatEndsTheProcess) {
  // Answers that come after we gave up, from a transport that is gone.
  for (int i = 0; i < 5; ++i) {
    HostileServer server([](Connection& c, const std::string&) {
      c.Pause(60);
      return c.Answer(200, "{}");
    });
    ClusterConfig config;
    config.server = server.url();
    auto transport = std::move(*MakeCpprestTransport(config));
    Request request;
    request.target = "/";
    request.timeout = Millis(10);
    EXPECT_EQ(transport->Send(request).error().code, Code::kTimeout);
    transport.reset();
  }
}

}  // namespace
}  // namespace whorl::kube
