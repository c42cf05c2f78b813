#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/base/time.h"

namespace whorl::plugin {

// A NodePartition's books as an administrator reads them. An empty text or
// nullopt is not known.

struct LoanRow {
  std::int64_t number = 0;
  std::string resource;
  std::string lender, borrower;  // namespace/name
  std::string amount;
  std::string reason, message;
  std::string forecast, lender_forecast;
  std::string since;
  std::string until;                  // of an open one: its expiry; of a closed one: its end
  std::string outcome;                // closed ones only
  std::optional<std::int64_t> moved;  // millicore-seconds, closed ones only
};

struct AccountRow {
  std::string vm;  // namespace/name
  std::string mode;
  std::string entitlement, allocation;
  std::optional<std::int64_t> credits;  // millicore-seconds
};

struct BooksView {
  std::string node;
  std::string controller;
  std::optional<std::int64_t> epoch;
  std::vector<std::string> resources;  // names, in the order of the object
  std::vector<AccountRow> accounts;
  std::optional<std::int64_t> house_credits;
  std::vector<LoanRow> open;
  std::vector<LoanRow> closed;  // the latest first
  std::string trouble;          // message of Ready when it is not True
};

// Members that are missing or of another type count as not known.
BooksView ToBooks(const nlohmann::json& node_partition);

// What one VM has on one resource: both sides of every open loan are posted.
struct Posting {
  std::string vm;
  std::int64_t lent = 0;  // millicores
  std::int64_t borrowed = 0;
  std::int64_t net() const { return borrowed - lent; }
};
// Of everybody who has a loan of it, by name. nullopt: an amount cannot be read.
std::optional<std::vector<Posting>> PostingsOf(const BooksView& books, const std::string& resource);

struct LedgerOptions {
  std::string vm = {};  // namespace/name: only what concerns it, sums stay the node's
  bool closed = false;  // also the loans that ended last
  bool colours = false;
  Time now{};
};

// One section per node: who has lent and borrowed what, with sums, and the
// loans behind it.
std::string RenderLedger(const std::vector<BooksView>& nodes, const LedgerOptions& options);
// The same as a JSON list.
std::string RenderLedgerJson(const std::vector<BooksView>& nodes, const LedgerOptions& options);

// What several replicas' histories (/ledger.json) hold of a node, or of all when
// it is empty: each loan once, the latest first, and so the plans.
nlohmann::json MergeHistories(const std::vector<nlohmann::json>& histories, const std::string& node,
                              const std::string& vm);
std::string RenderHistory(const nlohmann::json& merged, const LedgerOptions& options);

}  // namespace whorl::plugin
