// The only file of the controller that knows SQLite.
#include "operator/controller/history/ledger_history.h"

#include <pthread.h>
#include <sqlite3.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "crd/text.h"

namespace whorl::controller {
namespace {

constexpr std::size_t kQueued = 20'000;
constexpr Millis kWriteEvery{2'000};
constexpr std::size_t kShown = 1000;
constexpr int kSchema = 1;

constexpr const char* kTables = R"sql(
CREATE TABLE IF NOT EXISTS loans (
  node TEXT NOT NULL, number INTEGER NOT NULL, resource TEXT NOT NULL, lender TEXT NOT NULL, borrower TEXT NOT NULL,
  amount TEXT NOT NULL, reason TEXT NOT NULL, forecast TEXT NOT NULL, lender_forecast TEXT NOT NULL,
  since TEXT NOT NULL, ended TEXT NOT NULL, outcome TEXT NOT NULL, moved INTEGER,
  UNIQUE (node, number, since));
CREATE TABLE IF NOT EXISTS plans (
  node TEXT NOT NULL, at TEXT NOT NULL, capacity INTEGER NOT NULL, entitled INTEGER NOT NULL,
  allocated INTEGER NOT NULL, lent INTEGER NOT NULL, loans INTEGER NOT NULL, vms INTEGER NOT NULL);
)sql";

Error Broken(sqlite3* db, const std::string& what) {
  return {Code::kCorrupt, what + ": " + (db != nullptr ? sqlite3_errmsg(db) : "out of memory")};
}

Status Run(sqlite3* db, const std::string& sql) {
  if (sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return Fail(Broken(db, sql.substr(0, sql.find('\n', 1))));
}

// One prepared statement; columns are bound and read in order.
class Statement {
 public:
  Statement(sqlite3* db, const char* sql) : db_(db) {
    if (sqlite3_prepare_v2(db, sql, -1, &statement_, nullptr) != SQLITE_OK) statement_ = nullptr;
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& Bind(const std::string& text) {
    sqlite3_bind_text(statement_, ++bound_, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
    return *this;
  }
  Statement& Bind(std::int64_t number) {
    sqlite3_bind_int64(statement_, ++bound_, number);
    return *this;
  }
  Statement& BindNothing() {
    sqlite3_bind_null(statement_, ++bound_);
    return *this;
  }
  // For statements that give no row; may be bound again afterwards.
  Status Done() {
    const int code = statement_ != nullptr ? sqlite3_step(statement_) : SQLITE_ERROR;
    sqlite3_reset(statement_);
    bound_ = 0;
    if (code == SQLITE_DONE) return {};
    return Fail(Broken(db_, "writing"));
  }
  bool Next() { return statement_ != nullptr && sqlite3_step(statement_) == SQLITE_ROW; }
  std::string Text(int column) const {
    const auto* text = sqlite3_column_text(statement_, column);
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
    return text == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(text), size);
  }
  std::int64_t Number(int column) const { return sqlite3_column_int64(statement_, column); }
  bool Nothing(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

 private:
  sqlite3* const db_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

}  // namespace

void LedgerHistory::Close::operator()(sqlite3* db) const { sqlite3_close_v2(db); }

void LedgerHistory::Say(const std::string& text) const {
  if (options_.on_trouble) options_.on_trouble(text);
}

Result<LedgerHistory::Db> LedgerHistory::OpenFile() const {
  sqlite3* raw = nullptr;
  const int opened = sqlite3_open(options_.file.c_str(), &raw);
  Db db(raw);
  if (opened != SQLITE_OK) return Fail(Broken(raw, "opening"));
  // A cache: after a crash of the machine it may be damaged, and is set aside then.
  for (const std::string& setting : {std::string("PRAGMA synchronous=OFF"), std::string("PRAGMA journal_mode=TRUNCATE"),
                                     "PRAGMA max_page_count=" + std::to_string(options_.most_pages)}) {
    if (auto set = Run(raw, setting); !set) return Fail(set.error());
  }
  Statement check(raw, "PRAGMA quick_check(1)");
  if (!check.Next()) return Fail(Broken(raw, "checking"));
  if (check.Text(0) != "ok") return Fail(Code::kCorrupt, "checking: " + check.Text(0));
  Statement version(raw, "PRAGMA user_version");
  const std::int64_t found = version.Next() ? version.Number(0) : -1;
  if (found != 0 && found != kSchema) {
    return Fail(Code::kUnsupported, "it is of version " + std::to_string(found) + ", not " + std::to_string(kSchema));
  }
  if (auto made = Run(raw, kTables); !made) return Fail(made.error());
  if (auto marked = Run(raw, "PRAGMA user_version=" + std::to_string(kSchema)); !marked) return Fail(marked.error());
  return db;
}

Result<std::unique_ptr<LedgerHistory>> LedgerHistory::Open(Options options) {
  std::unique_ptr<LedgerHistory> history(new LedgerHistory(std::move(options)));
  if (auto db = history->OpenFile()) {
    history->db_ = std::move(*db);
    return history;
  } else if (auto anew = history->Recover(db.error(), {}); anew) {
    history->Say(*anew);
    return history;
  } else {
    return Fail(Code::kUnavailable,
                anew.error().message + "; --history must name a file in a folder that can be written");
  }
}

LedgerHistory::~LedgerHistory() { Stop(); }

void LedgerHistory::Start() {
  thread_ = std::jthread([this](std::stop_token stop) {
    pthread_setname_np(pthread_self(), "history");
    while (!stop.stop_requested()) {
      Flush();
      std::unique_lock lock(mu_);
      changed_.wait_for(lock, stop, kWriteEvery, [] { return false; });
    }
  });
}

void LedgerHistory::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  Flush();
}

void LedgerHistory::Add(const NodeReport& report) {
  if (report.epoch == 0) return;  // nothing is planned yet; what is closed there is a controller's before us
  bool lost = false;
  {
    std::scoped_lock lock(mu_);
    auto& seen = seen_[report.node];
    std::vector<Row> fresh;
    for (const auto& loan : report.closed) {
      if (loan.number == seen.number && loan.end == seen.end) break;
      fresh.emplace_back(LoanRow{report.node, loan});
    }
    if (!report.closed.empty()) {
      seen.number = report.closed.front().number;
      seen.end = report.closed.front().end;
    }
    if (report.connected && report.at - seen.plan >= options_.plan_every) {
      seen.plan = report.at;
      PlanRow plan{.node = report.node, .at = report.at};
      plan.capacity = Count(report.capacity.value_or(MilliCores{0}));
      plan.loans = static_cast<std::int64_t>(report.loans.size());
      for (const auto& loan : report.loans) plan.lent += Count(loan.amount);
      for (const auto& vm : report.vms) {
        if (vm.resolution.mode.mode != Mode::kEnforce) continue;
        ++plan.vms;
        plan.entitled += Count(vm.assessment.cpu_entitlement);
        plan.allocated += Count(vm.assessment.cpu_allocation);
      }
      fresh.emplace(fresh.begin(), std::move(plan));
    }
    // Oldest first.
    for (auto row = fresh.rbegin(); row != fresh.rend(); ++row) {
      if (queue_.size() < kQueued) {
        queue_.push_back(std::move(*row));
      } else {
        lost = !std::exchange(dropping_, true);
      }
    }
  }
  if (lost) Say("the history of the ledger cannot keep up with the disk; some of it is lost, nothing else is");
}

void LedgerHistory::Flush() {
  std::vector<Row> rows;
  {
    std::scoped_lock lock(mu_);
    rows.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(queue_.end()));
    queue_.clear();
    dropping_ = false;
  }
  if (rows.empty()) return;
  std::scoped_lock lock(db_mu_);
  if (!db_) return;
  const auto written = Write(rows);
  if (written) return;
  const auto anew = Recover(written.error(), rows);
  Say(anew ? *anew : anew.error().message + "; nothing else is affected");
}

// What to say of it. A second failure in a row is the place's, not the file's.
Result<std::string> LedgerHistory::Recover(const Error& error, const std::vector<Row>& rows) {
  db_.reset();
  const std::string aside = options_.file + ".set-aside";
  std::rename(options_.file.c_str(), aside.c_str());
  std::remove((options_.file + "-journal").c_str());
  auto db = OpenFile();
  Status written = db ? Status() : Fail(db.error());
  if (db) {
    db_ = std::move(*db);
    if (!rows.empty()) written = Write(rows);
  }
  if (written) return "the history of the ledger was set aside as " + aside + " and a new one begun: " + error.message;
  db_.reset();
  return Fail(Code::kUnavailable,
              "no history of the ledger is kept in " + options_.file + ": " + written.error().message);
}

Status LedgerHistory::Write(const std::vector<Row>& rows) {
  sqlite3* db = db_.get();
  if (auto begun = Run(db, "BEGIN"); !begun) return begun;
  const auto write = [&]() -> Status {
    Statement loan(db, "INSERT OR IGNORE INTO loans VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)");
    Statement plan(db, "INSERT INTO plans VALUES (?,?,?,?,?,?,?,?)");
    for (const auto& row : rows) {
      if (const auto* l = std::get_if<LoanRow>(&row)) {
        const auto& c = l->loan;
        loan.Bind(l->node).Bind(c.number).Bind(c.resource).Bind(c.lender).Bind(c.borrower).Bind(c.amount);
        loan.Bind(c.reason).Bind(c.forecast).Bind(c.lender_forecast).Bind(crd::TimeText(c.since));
        loan.Bind(crd::TimeText(c.end)).Bind(c.outcome);
        c.moved ? loan.Bind(*c.moved) : loan.BindNothing();
        if (auto done = loan.Done(); !done) return done;
      } else {
        const auto& p = std::get<PlanRow>(row);
        plan.Bind(p.node).Bind(crd::TimeText(p.at)).Bind(p.capacity).Bind(p.entitled).Bind(p.allocated);
        plan.Bind(p.lent).Bind(p.loans).Bind(p.vms);
        if (auto done = plan.Done(); !done) return done;
      }
    }
    Statement old_loans(db, "DELETE FROM loans WHERE rowid <= (SELECT max(rowid) FROM loans) - ?");
    if (auto done = old_loans.Bind(options_.most_loans).Done(); !done) return done;
    Statement old_plans(db, "DELETE FROM plans WHERE rowid <= (SELECT max(rowid) FROM plans) - ?");
    return old_plans.Bind(options_.most_plans).Done();
  };
  if (auto written = write(); !written) {
    static_cast<void>(Run(db, "ROLLBACK"));
    return written;
  }
  return Run(db, "COMMIT");
}

std::string LedgerHistory::Json(std::size_t most) const {
  auto out = nlohmann::json{{"loans", nlohmann::json::array()}, {"plans", nlohmann::json::array()}};
  std::scoped_lock lock(db_mu_);
  if (!db_) return out.dump() + "\n";
  const auto limit = static_cast<std::int64_t>(most);
  Statement loans(db_.get(), "SELECT * FROM loans ORDER BY rowid DESC LIMIT ?");
  loans.Bind(limit);
  while (loans.Next()) {
    nlohmann::json row{{"node", loans.Text(0)},   {"number", loans.Number(1)}, {"resource", loans.Text(2)},
                       {"lender", loans.Text(3)}, {"borrower", loans.Text(4)}, {"amount", loans.Text(5)},
                       {"reason", loans.Text(6)}, {"forecast", loans.Text(7)}, {"lenderForecast", loans.Text(8)},
                       {"since", loans.Text(9)},  {"endTime", loans.Text(10)}, {"outcome", loans.Text(11)}};
    if (!loans.Nothing(12)) row["moved"] = loans.Number(12);
    out["loans"].push_back(std::move(row));
  }
  Statement plans(db_.get(), "SELECT * FROM plans ORDER BY rowid DESC LIMIT ?");
  plans.Bind(limit);
  while (plans.Next()) {
    out["plans"].push_back({{"node", plans.Text(0)},
                            {"time", plans.Text(1)},
                            {"capacityMillicores", plans.Number(2)},
                            {"entitledMillicores", plans.Number(3)},
                            {"allocatedMillicores", plans.Number(4)},
                            {"lentMillicores", plans.Number(5)},
                            {"openLoans", plans.Number(6)},
                            {"virtualMachines", plans.Number(7)}});
  }
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

HttpServer::Page LedgerHistory::Page() const {
  return {"/ledger.json", "application/json", [this] { return Json(kShown); }};
}

}  // namespace whorl::controller
