// The only file of the controller that knows civetweb.
#include "operator/controller/http/server.h"

#include <CivetServer.h>

#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace whorl::controller {
namespace {

// A page of ours may run our own script and fetch from us; nobody may frame it.
constexpr const char* kGuards =
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'\r\nX-Content-Type-Options: nosniff\r\n";

void Reply(mg_connection* connection, int status, const char* reason, const char* type, const std::string& body) {
  const std::string head = "HTTP/1.1 " + std::to_string(status) + " " + reason + "\r\nContent-Type: " + type +
                           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n" +
                           kGuards + "\r\n";
  mg_write(connection, head.data(), head.size());
  mg_write(connection, body.data(), body.size());
}

}  // namespace

struct HttpServer::Impl : CivetHandler {
  explicit Impl(Pages p) : pages(std::move(p)) {}

  bool handleGet(CivetServer*, mg_connection* connection) override {
    const std::string path = mg_get_request_info(connection)->local_uri;
    if (path == "/metrics") {
      Reply(connection, 200, "OK", "text/plain; version=0.0.4; charset=utf-8", pages.metrics());
    } else if (path == "/livez") {
      Reply(connection, 200, "OK", "text/plain", "ok\n");
    } else if (path == "/readyz") {
      const auto missing = pages.not_ready();
      if (missing.empty()) {
        Reply(connection, 200, "OK", "text/plain", "ok\n");
      } else {
        Reply(connection, 503, "Service Unavailable", "text/plain", missing + "\n");
      }
    } else if (const Page* page = FindPage(path)) {
      const auto body = page->body();
      if (body.empty()) return Missing(connection);
      Reply(connection, 200, "OK", page->type, body);
    } else {
      return Missing(connection);
    }
    return true;
  }

  const Page* FindPage(const std::string& path) const {
    for (const Page& page : pages.more) {
      if (page.path == path) return &page;
    }
    return nullptr;
  }

  bool Missing(mg_connection* connection) const {
    std::string known = "not here; try /metrics, /livez, /readyz";
    for (const Page& page : pages.more) known += ", " + page.path;
    Reply(connection, 404, "Not Found", "text/plain", known + "\n");
    return true;
  }

  const Pages pages;
  std::unique_ptr<CivetServer> server;  // last: stops before what it calls goes
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& listen, Pages pages) {
  const auto colon = listen.rfind(':');
  if (colon == std::string::npos || colon + 1 == listen.size() ||
      listen.find_first_not_of("0123456789", colon + 1) != std::string::npos) {
    return Fail(Code::kInvalid, "--metrics-listen " + listen + ": must be address:port, such as 0.0.0.0:9095");
  }
  auto impl = std::make_unique<Impl>(std::move(pages));
  try {
    impl->server = std::make_unique<CivetServer>(std::vector<std::string>{
        "listening_ports", listen, "num_threads", "2", "request_timeout_ms", "5000", "enable_keep_alive", "no"});
  } catch (const std::exception& e) {
    return Fail(Code::kConflict, "--metrics-listen " + listen + ": cannot listen there (" + e.what() +
                                     "); is another program on that port? Choose another one");
  }
  impl->server->addHandler("/", impl.get());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

}  // namespace whorl::controller
