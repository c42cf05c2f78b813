#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/result.h"

namespace whorl::controller {

// GET /metrics, /livez, /readyz and the pages it is handed, and nothing else.
// Two threads of its own; what it is handed must be thread-safe.
class HttpServer {
 public:
  struct Page {
    std::string path;  // with the leading slash
    const char* type;
    std::function<std::string()> body;  // empty: 404
  };
  struct Pages {
    std::function<std::string()> metrics;
    // Empty when ready, else what is missing.
    std::function<std::string()> not_ready;
    std::vector<Page> more = {};
  };
  // `listen` is address:port. kInvalid: not of that form; kConflict: the port is taken.
  static Result<std::unique_ptr<HttpServer>> Start(const std::string& listen, Pages pages);
  ~HttpServer();

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace whorl::controller
