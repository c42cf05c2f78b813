#include "operator/plugin/ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "crd/json_fields.h"
#include "operator/plugin/explain.h"
#include "operator/plugin/fields.h"
#include "operator/plugin/table.h"
#include "operator/plugin/view.h"

namespace whorl::plugin {
namespace {

using nlohmann::json;

constexpr const char* kUnknown = "-";

LoanRow ToLoan(const json& item) {
  LoanRow loan;
  loan.number = crd::FindInt(item, "number").value_or(0);
  loan.resource = Text(item, "resource");
  loan.lender = Text(item, "lender");
  loan.borrower = Text(item, "borrower");
  loan.amount = Text(item, "amount");
  loan.reason = Text(item, "reason");
  loan.message = Text(item, "message");
  loan.forecast = Text(item, "forecast");
  loan.lender_forecast = Text(item, "lenderForecast");
  loan.since = Text(item, "since");
  loan.until = Text(item, "expiryTime");
  if (loan.until.empty()) loan.until = Text(item, "endTime");
  loan.outcome = Text(item, "outcome");
  loan.moved = crd::FindInt(item, "moved");
  return loan;
}

std::string Or(const std::string& text) { return text.empty() ? kUnknown : text; }
std::string Millicores(std::int64_t amount) { return fmt::format("{}m", amount); }
std::string Number(const std::optional<std::int64_t>& number) { return number ? std::to_string(*number) : kUnknown; }

// How far the credits are from zero; nullopt: none are written.
std::optional<std::int64_t> CreditsOff(const BooksView& books) {
  if (!books.house_credits) return std::nullopt;
  std::int64_t sum = *books.house_credits;
  for (const auto& account : books.accounts) sum += account.credits.value_or(0);
  return sum;
}

bool Concerns(const LoanRow& loan, const std::string& vm) {
  return vm.empty() || loan.lender == vm || loan.borrower == vm;
}

struct Side {
  std::int64_t lent = 0, borrowed = 0;
};
Side SumOf(const std::vector<Posting>& postings) {
  Side sum;
  for (const auto& p : postings) {
    sum.lent += p.lent;
    sum.borrowed += p.borrowed;
  }
  return sum;
}

std::string Accounts(const BooksView& books, const std::string& resource, const LedgerOptions& options) {
  const auto postings = PostingsOf(books, resource);
  if (!postings) return fmt::format("  {}: a loan's amount cannot be read; nothing is summed up\n", resource);
  const bool cpu = resource == "cpu";  // entitlements and credits are kept for it
  std::map<std::string, Posting> by_vm;
  for (const auto& p : *postings) by_vm[p.vm] = p;
  std::vector<std::vector<Cell>> rows;
  const auto row = [&](const std::string& vm, const AccountRow* account) {
    if (!options.vm.empty() && vm != options.vm) return;
    const Posting p = by_vm.contains(vm) ? by_vm[vm] : Posting{vm, 0, 0};
    rows.push_back({{"  " + vm},
                    {account && cpu ? Or(account->entitlement) : kUnknown},
                    {Millicores(p.lent), p.lent > 0 ? Colour::kYellow : Colour::kNone},
                    {Millicores(p.borrowed), p.borrowed > 0 ? Colour::kGreen : Colour::kNone},
                    {fmt::format("{:+}m", p.net())},
                    {account && cpu ? Or(account->allocation) : kUnknown},
                    {account && cpu ? Number(account->credits) : kUnknown}});
  };
  for (const auto& account : books.accounts) {
    if (account.entitlement.empty() && !by_vm.contains(account.vm) && account.credits.value_or(0) == 0) continue;
    row(account.vm, &account);
    by_vm.erase(account.vm);
  }
  for (const auto& [vm, posting] : std::map<std::string, Posting>(by_vm)) row(vm, nullptr);  // left since
  if (cpu && options.vm.empty() && books.house_credits) {
    rows.push_back({{"  (house)"}, {""}, {""}, {""}, {""}, {""}, {Number(books.house_credits)}});
  }
  const Side sum = SumOf(*postings);
  const auto off = cpu ? CreditsOff(books) : std::nullopt;
  rows.push_back({{options.vm.empty() ? "  (sum)" : "  (sum of the node)"},
                  {""},
                  {Millicores(sum.lent)},
                  {Millicores(sum.borrowed)},
                  {fmt::format("{:+}m", sum.borrowed - sum.lent)},
                  {""},
                  {Number(off)}});
  std::string out =
      Table({"  " + resource, "ENTITLED", "LENT", "BORROWED", "NET", "ALLOCATED", "CREDITS"}, rows, options.colours);
  if (sum.lent == sum.borrowed && off.value_or(0) == 0) {
    out += fmt::format("  The books balance: {} lent, {} borrowed{}.\n", Millicores(sum.lent), Millicores(sum.borrowed),
                       off ? ", and the credits (millicore-seconds) sum to 0" : "");
  } else {
    out += Paint(fmt::format("  The books do NOT balance: {} lent, {} borrowed, the credits are off by {}. The next "
                             "controller sets credits aside that do not sum to zero; kubectl get npart {} -o yaml "
                             "--show-managed-fields says who wrote them.\n",
                             Millicores(sum.lent), Millicores(sum.borrowed), off.value_or(0), books.node),
                 Colour::kRed, options.colours);
  }
  return out;
}

std::string Open(const BooksView& books, const LedgerOptions& options) {
  std::vector<std::vector<Cell>> rows;
  for (const auto& loan : books.open) {
    if (!Concerns(loan, options.vm)) continue;
    rows.push_back({{fmt::format("  {}", loan.number)},
                    {loan.lender},
                    {loan.borrower},
                    {fmt::format("{} {}", loan.amount, loan.resource)},
                    {Or(Ago(loan.since, options.now))},
                    {Or(loan.lender_forecast)},
                    {Or(loan.forecast)},
                    {Or(loan.reason)}});
  }
  if (rows.empty()) return "  No loan is open.\n";
  return Table({"  LOAN", "LENDER", "BORROWER", "AMOUNT", "FOR", "LENDER NEEDS", "BORROWER NEEDS", "REASON"}, rows,
               options.colours);
}

std::vector<Cell> ClosedRow(const LoanRow& loan, const LedgerOptions& options) {
  return {{fmt::format("  {}", loan.number)},
          {loan.lender},
          {loan.borrower},
          {fmt::format("{} {}", loan.amount, loan.resource)},
          {Or(Ago(loan.until, options.now))},
          {Number(loan.moved)},
          {Or(loan.reason)},
          {Or(loan.outcome)}};
}

std::string Closed(const BooksView& books, const LedgerOptions& options) {
  std::vector<std::vector<Cell>> rows;
  for (const auto& loan : books.closed) {
    if (!Concerns(loan, options.vm)) continue;
    rows.push_back(ClosedRow(loan, options));
    rows.back().push_back({loan.message});
  }
  if (rows.empty()) return "  No loan has ended lately.\n";
  return Table({"  CLOSED", "LENDER", "BORROWER", "AMOUNT", "ENDED AGO", "MILLICORE-SECONDS", "REASON", "OUTCOME", ""},
               rows, options.colours);
}

json ToJson(const LoanRow& loan, bool closed) {
  json out{{"number", loan.number},
           {"resource", loan.resource},
           {"lender", loan.lender},
           {"borrower", loan.borrower},
           {"amount", loan.amount},
           {"since", loan.since},
           {closed ? "endTime" : "expiryTime", loan.until}};
  for (const auto& [name, text] : {std::pair<const char*, const std::string&>{"reason", loan.reason},
                                   {"message", loan.message},
                                   {"forecast", loan.forecast},
                                   {"lenderForecast", loan.lender_forecast},
                                   {"outcome", loan.outcome}}) {
    if (!text.empty()) out[name] = text;
  }
  if (loan.moved) out["moved"] = *loan.moved;
  return out;
}

}  // namespace

BooksView ToBooks(const json& node_partition) {
  BooksView books;
  if (const auto* metadata = crd::FindMember(node_partition, "metadata")) books.node = Text(*metadata, "name");
  const auto* status = crd::FindMember(node_partition, "status");
  if (status == nullptr) return books;
  books.controller = Text(*status, "controller");
  books.epoch = crd::FindInt(*status, "epoch");
  books.house_credits = crd::FindInt(*status, "houseCredits");
  Each(*status, "resources", [&](const json& item) { books.resources.push_back(Text(item, "name")); });
  Each(*status, "virtualMachines", [&](const json& item) {
    books.accounts.push_back({Text(item, "namespace") + "/" + Text(item, "name"), Text(item, "mode"),
                              Text(item, "entitlement"), Text(item, "allocation"), crd::FindInt(item, "credits")});
  });
  Each(*status, "openLoans", [&](const json& item) { books.open.push_back(ToLoan(item)); });
  Each(*status, "closedLoans", [&](const json& item) { books.closed.push_back(ToLoan(item)); });
  for (const auto& loan : books.open) {
    if (std::find(books.resources.begin(), books.resources.end(), loan.resource) == books.resources.end())
      books.resources.push_back(loan.resource);
  }
  Each(*status, "conditions", [&](const json& item) {
    if (Text(item, "type") == "Ready" && Text(item, "status") != "True") books.trouble = Text(item, "message");
  });
  return books;
}

std::optional<std::vector<Posting>> PostingsOf(const BooksView& books, const std::string& resource) {
  std::map<std::string, Posting> by_vm;
  for (const auto& loan : books.open) {
    if (loan.resource != resource) continue;
    const auto amount = plugin::Millicores(loan.amount);
    if (!amount) return std::nullopt;
    by_vm[loan.lender].lent += *amount;
    by_vm[loan.borrower].borrowed += *amount;
  }
  std::vector<Posting> out;
  for (auto& [vm, posting] : by_vm) {
    posting.vm = vm;
    out.push_back(posting);
  }
  return out;
}

std::string RenderLedger(const std::vector<BooksView>& nodes, const LedgerOptions& options) {
  std::string out;
  for (const auto& books : nodes) {
    if (!out.empty()) out += "\n";
    std::string title = books.node;
    if (books.epoch) title += fmt::format("   epoch {}", *books.epoch);
    if (!books.controller.empty()) title += ", led by " + books.controller;
    out += Paint(title, Colour::kBold, options.colours) + "\n";
    if (!books.trouble.empty()) out += Paint("  " + books.trouble + "\n", Colour::kYellow, options.colours);
    for (const auto& resource : books.resources) out += Accounts(books, resource, options);
    out += "\n" + Open(books, options);
    if (options.closed) out += "\n" + Closed(books, options);
  }
  return out;
}

std::string RenderLedgerJson(const std::vector<BooksView>& nodes, const LedgerOptions& options) {
  auto list = json::array();
  for (const auto& books : nodes) {
    json node{{"node", books.node}};
    if (books.epoch) node["epoch"] = *books.epoch;
    if (!books.controller.empty()) node["controller"] = books.controller;
    node["resources"] = json::array();
    bool balanced = true;
    for (const auto& resource : books.resources) {
      const auto postings = PostingsOf(books, resource);
      balanced = balanced && postings.has_value();
      if (!postings) continue;
      const Side sum = SumOf(*postings);
      balanced = balanced && sum.lent == sum.borrowed;
      json entry{{"name", resource},
                 {"lentMillicores", sum.lent},
                 {"borrowedMillicores", sum.borrowed},
                 {"netMillicores", sum.borrowed - sum.lent},
                 {"postings", json::array()}};
      for (const auto& p : *postings) {
        if (!options.vm.empty() && p.vm != options.vm) continue;
        entry["postings"].push_back(
            {{"vm", p.vm}, {"lentMillicores", p.lent}, {"borrowedMillicores", p.borrowed}, {"netMillicores", p.net()}});
      }
      node["resources"].push_back(std::move(entry));
    }
    node["credits"] = json::array();
    for (const auto& account : books.accounts) {
      if (!account.credits || (!options.vm.empty() && account.vm != options.vm)) continue;
      node["credits"].push_back({{"vm", account.vm}, {"credits", *account.credits}});
    }
    if (books.house_credits) node["houseCredits"] = *books.house_credits;
    if (const auto off = CreditsOff(books)) {
      node["creditsSum"] = *off;
      balanced = balanced && *off == 0;
    }
    node["balanced"] = balanced;
    const auto loans = [&](const char* name, const std::vector<LoanRow>& rows, bool closed) {
      node[name] = json::array();
      for (const auto& loan : rows) {
        if (Concerns(loan, options.vm)) node[name].push_back(ToJson(loan, closed));
      }
    };
    loans("openLoans", books.open, false);
    if (options.closed) loans("closedLoans", books.closed, true);
    list.push_back(std::move(node));
  }
  return list.dump(2) + "\n";
}

json MergeHistories(const std::vector<json>& histories, const std::string& node, const std::string& vm) {
  // By end or time, then what tells one from the other, so that equals fall together.
  std::map<std::tuple<std::string, std::string, std::int64_t, std::string>, json> loans;
  std::map<std::tuple<std::string, std::string>, json> plans;
  for (const auto& history : histories) {
    Each(history, "loans", [&](const json& item) {
      const auto of = Text(item, "node");
      if ((!node.empty() && of != node) || !Concerns(ToLoan(item), vm)) return;
      loans[{Text(item, "endTime"), of, crd::FindInt(item, "number").value_or(0), Text(item, "since")}] = item;
    });
    Each(history, "plans", [&](const json& item) {
      const auto of = Text(item, "node");
      if (node.empty() || of == node) plans[{Text(item, "time"), of}] = item;
    });
  }
  json out{{"loans", json::array()}, {"plans", json::array()}};
  for (auto row = loans.rbegin(); row != loans.rend(); ++row) out["loans"].push_back(std::move(row->second));
  for (auto row = plans.rbegin(); row != plans.rend(); ++row) out["plans"].push_back(std::move(row->second));
  return out;
}

std::string RenderHistory(const json& merged, const LedgerOptions& options) {
  std::vector<std::vector<Cell>> rows;
  Each(merged, "loans", [&](const json& item) {
    rows.push_back(ClosedRow(ToLoan(item), options));
    rows.back().insert(rows.back().begin(), Cell{Text(item, "node")});
  });
  if (rows.empty()) return "No loan that has ended is remembered.\n";
  return Table(
      {"NODE", "  LOAN", "LENDER", "BORROWER", "AMOUNT", "ENDED AGO", "MILLICORE-SECONDS", "REASON", "OUTCOME"}, rows,
      options.colours);
}

}  // namespace whorl::plugin
