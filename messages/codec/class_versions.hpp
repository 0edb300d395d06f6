// The class versions of what has got new fields since it was first written: older bytes are read with these left out.
#pragma once

#include <boost/serialization/version.hpp>

#include "core/raft/configuration.hpp"
#include "core/routing/partition_map.hpp"

BOOST_CLASS_VERSION(kahuna::raft::configuration, 1)
BOOST_CLASS_VERSION(kahuna::routing::member, 1)
BOOST_CLASS_VERSION(kahuna::routing::partition_map, 1)
