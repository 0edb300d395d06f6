#include "actors/transaction_manager_actor.hpp"

#include "actors/fatal.hpp"

namespace kahuna::actors {

transaction_manager_handle::behavior_type transaction_manager_actor(transaction_manager_handle::pointer self,
                                                                    gateway_handle replies) {
  die_on_exceptions(self);
  return {
      [=](const client_operations& operations) {
        partition_replies refused;
        for (const auto& request : operations.requests)
          refused.replies.push_back(
              {request.origin, error{errc::unavailable, "transactions are not available in this version"}});
        self->send(replies, std::move(refused));
      },
  };
}

}  // namespace kahuna::actors
