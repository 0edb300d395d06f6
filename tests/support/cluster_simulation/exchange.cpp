#include "tests/support/cluster_simulation/exchange.hpp"

#include <utility>

namespace kahuna::testing {

void exchange::ask(int from, int to, partition_id partition, kv::partition_request request, timestamp clock, std::int64_t budget_us,
                   answer_handler done) {
  const auto token = next_token_++;
  questions_[token] = {from, partition, std::move(done)};
  request.origin = token;
  // A client's connection brings nothing twice: what it sends again is another attempt, and says so.
  const auto copies = from == network::outside ? network::copies::one : network::copies::maybe_two;
  net.send(from, to, copies, [this, to, partition, clock, budget_us, request = std::move(request)] {
    arrive(to, partition, request, clock, budget_us);
  });
  w.at(budget_us, [this, token] {
    answered(token, {error{errc::timeout, "no answer came in time"}, {}, {}, no_node, {}});
  });
}

void exchange::reply(int node, std::uint64_t token, answer a) {
  const auto asked = questions_.find(token);
  if (asked == questions_.end()) return;
  net.send(node, asked->second.from, network::copies::maybe_two, [this, token, a = std::move(a)] { answered(token, a); });
}

std::optional<partition_id> exchange::partition_asked(std::uint64_t token) const {
  const auto asked = questions_.find(token);
  if (asked == questions_.end()) return std::nullopt;
  return asked->second.partition;
}

void exchange::answered(std::uint64_t token, const answer& a) {
  const auto found = questions_.find(token);
  if (found == questions_.end()) return;
  const auto done = std::move(found->second.done);
  questions_.erase(found);
  done(a);
}

}  // namespace kahuna::testing
