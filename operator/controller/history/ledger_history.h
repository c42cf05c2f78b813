#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"
#include "operator/controller/http/server.h"
#include "operator/controller/ingest/report.h"

struct sqlite3;

namespace whorl::controller {

// Loans that ended and what each node's plan came to, minute by minute, in one
// SQLite file of bounded size. A cache nobody depends on: it is written behind,
// without waiting for the disk; a file that is damaged, full or not ours is set
// aside as FILE.set-aside and a new one begun; when that fails too, nothing is
// kept any more, which is said, and everything else goes on. Thread-safe.
class LedgerHistory {
 public:
  struct Options {
    std::string file;
    std::int64_t most_loans = 100'000;  // the oldest go first
    std::int64_t most_plans = 200'000;
    std::int64_t most_pages = 65'536;                         // of 4 KiB
    Seconds plan_every{60};                                   // per node, by the report's own time
    std::function<void(const std::string&)> on_trouble = {};  // a sentence for the log
  };

  // kUnavailable, with path and reason: no history can be kept there at all.
  static Result<std::unique_ptr<LedgerHistory>> Open(Options options);
  ~LedgerHistory();
  LedgerHistory(const LedgerHistory&) = delete;
  LedgerHistory& operator=(const LedgerHistory&) = delete;

  // What of a report is new goes to a bounded queue; never blocks on the disk.
  void Add(const NodeReport& report);
  void Start();
  void Stop();
  // Writes what is queued; what the thread does in a loop.
  void Flush();

  // {"loans": [...], "plans": [...]}, the latest first, at most `most` of each.
  std::string Json(std::size_t most) const;
  // GET /ledger.json. `this` must outlive the page.
  HttpServer::Page Page() const;

 private:
  struct Close {
    void operator()(sqlite3* db) const;
  };
  using Db = std::unique_ptr<sqlite3, Close>;
  struct LoanRow {
    std::string node;
    crd::ClosedLoan loan;
  };
  struct PlanRow {
    std::string node;
    Time at{};
    std::int64_t capacity = 0, entitled = 0, allocated = 0, lent = 0;
    std::int64_t loans = 0, vms = 0;
  };
  using Row = std::variant<LoanRow, PlanRow>;

  explicit LedgerHistory(Options options) : options_(std::move(options)) {}
  Result<Db> OpenFile() const;
  Status Write(const std::vector<Row>& rows);
  Result<std::string> Recover(const Error& error, const std::vector<Row>& rows);
  void Say(const std::string& text) const;

  const Options options_;

  mutable std::mutex db_mu_;  // before mu_, where both are held
  Db db_;                     // null: given up

  std::mutex mu_;
  std::condition_variable_any changed_;
  std::deque<Row> queue_;  // under mu_
  struct Seen {
    std::int64_t number = -1;  // of the loan that ended last
    Time end{};
    Time plan{};
  };
  std::map<std::string, Seen> seen_;  // under mu_
  bool dropping_ = false;             // under mu_; said once until there is room again
  std::jthread thread_;
};

}  // namespace whorl::controller
