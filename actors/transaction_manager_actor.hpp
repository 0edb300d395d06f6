// A partition's transaction manager: coordinates the transactions that are anchored at it.
//
// Transactions come with their own issue. Until then the actor has its place in the shape, and refuses.
#pragma once

#include "actors/interfaces.hpp"

namespace kahuna::actors {

// `replies` gets the partition_replies.
transaction_manager_handle::behavior_type transaction_manager_actor(transaction_manager_handle::pointer self,
                                                                    gateway_handle replies);

}  // namespace kahuna::actors
